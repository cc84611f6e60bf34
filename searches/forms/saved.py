"""A search that begins with a saved space, or with an architecture made by hand: what the form carries of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import Http404, QueryDict

from engine.config import SearchConfig
from engine.errors import EngineError
from engine.spaces.base import make_space
from searches.forms.check import Checked
from searches.forms.fields import Choice
from searches.models import SpaceVersion

MARK = "saved:"
LONGEST = 64 * 1024


@dataclass
class Taken:
    """What a posted form says of saved spaces.

    Attributes:
        post: the form with the family's name where a saved space was chosen.
        version: the one that is chosen, or None.
        anew: it was chosen just now: its options replace what stood in the form.
    """

    post: QueryDict
    version: SpaceVersion | None = None
    anew: bool = False


def taken(post: QueryDict, versions: Mapping[int, SpaceVersion]) -> Taken:
    """Reads `space.name=saved:12` (a version's id) where the person may see that version."""
    name = post.get("space.name", "")
    if not name.startswith(MARK):
        return Taken(post)
    text = name.removeprefix(MARK)
    version = versions.get(int(text)) if text.isascii() and text.isdigit() and len(text) < 19 else None
    plain = post.copy()
    plain["space.name"] = version.family if version else ""
    if version is None:
        return Taken(plain)
    anew = post.get("saved:for") != text or post.get("space:for") != version.family
    return Taken(plain, version, anew)


def chosen(version: SpaceVersion | None, config: SearchConfig | None) -> SpaceVersion | None:
    """The version where the search has its options unchanged, else None."""
    if version is None or config is None:
        return None
    return version if config.to_json()["space"] == version.config else None


def choices(versions: Mapping[int, SpaceVersion], now: SpaceVersion | None) -> list[Choice]:
    """The saved spaces for the select, each in its newest version (and in the one that is chosen)."""
    return [
        Choice(f"{MARK}{v.pk}", f"yours: {v.space.name}, version {v.number} ({v.family.replace('_', ' ')})",
               now is not None and now.pk == v.pk, title=v.note)
        for v in versions.values()
    ]  # fmt: skip


def first_of(text: str) -> dict[str, Any] | None:
    """Choices of the architecture that is tried first, from an address or a form; None = none.

    Raises:
        Http404: it is no mapping of choices.
    """
    if not text:
        return None
    try:
        value = json.loads(text) if len(text) <= LONGEST else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Http404("this is no architecture")
    return value


def first_words(first: Mapping[str, Any] | None, checked: Checked) -> tuple[str, str]:
    """What the first trial is called, and why it cannot be one."""
    if first is None:
        return "", ""
    if checked.config is None or checked.data is None:
        return "an architecture made by hand", ""
    try:
        space = make_space(checked.config, checked.data)
        arch = space.validate(first)
        costs = space.costs(arch).as_metrics()
    except EngineError as e:
        return "an architecture made by hand", str(e)
    for metric, limit in checked.config.limits.items():
        if costs[metric] > limit:
            return space.short_name(arch), f"{metric} {costs[metric]:,.0f} is over the limit of {limit:,.0f}"
    return space.short_name(arch), ""
