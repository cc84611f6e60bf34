"""Which earlier searches a search learns from: ended ones to choose from, the related ones chosen beforehand.

While the form is open a choice is the number of a search (or the digest of results that were frozen for the search it
was cloned from); the results are frozen when the search is made.
"""

from __future__ import annotations

import re
from typing import Any

from django.http import QueryDict

from engine import catalog
from engine.config import SearchConfig
from engine.strategies._related import data_alike
from searches.forms.check import Checked
from searches.forms.fields import Choice
from searches.selectors.searches import ended_of, search_get
from searches.services.experience import experience_freeze

#: mark of a form in which the choice was shown
MARK = "learn:for"
#: searches of the same space whose data are as alike as this are chosen beforehand
RELATED = 0.3
#: as a config allows
MOST = 20
_TOKEN = re.compile(r"[0-9a-f]{64}|[1-9]\d{0,17}")


def learns(strategy: str) -> bool:
    """Whether a strategy learns from earlier searches."""
    cls: Any = catalog.methods().get(strategy)
    return cls is not None and bool(cls.learns)


def take_post(state: dict[str, Any], post: QueryDict) -> None:
    """Keeps what was chosen; a form that did not ask leaves it as it was."""
    if MARK in post:
        state["learn"] = [t for t in post.getlist("learn") if _TOKEN.fullmatch(t)][:MOST]


def take_config(state: dict[str, Any], values: dict[str, Any]) -> None:
    """Takes the digests out of values that come from a stored or pasted search: the form offers them by themselves."""
    found = values.pop("experience", None)
    if isinstance(found, list | tuple) and found:
        state["learn"] = [t for t in map(str, found) if _TOKEN.fullmatch(t) and len(t) == 64][:MOST]


def choices(user: Any, checked: Checked, state: dict[str, Any]) -> list[Choice]:
    """The ended searches of a person, newest first; empty where the strategy does not learn. One query."""
    if not learns(str(state["values"]["strategy"]["name"])):
        return []
    chosen: list[str] | None = state.get("learn")
    out = [Choice(t, f"results frozen before ({t[:8]})", True) for t in chosen or () if len(t) == 64]
    space = checked.config.space.name if checked.config is not None else ""
    data = checked.data
    for search in ended_of(user=user):
        alike = data_alike(search.data_spec, data) if data is not None and search.data_spec else 0.0
        related = alike >= RELATED and search.config["space"]["name"] == space
        token = str(search.pk)
        label = f"{search.name} ({search.n_completed:,} networks)"
        title = "the same kind of space, data alike" if related else "another space or other data: it will not count"
        out.append(Choice(token, label, token in chosen if chosen is not None else related, title=title))
    return out


def with_frozen(user: Any, checked: Checked, state: dict[str, Any]) -> SearchConfig:
    """The search of the form with the results that it learns from; searches are frozen now.

    Raises:
        SearchNotFound: one is gone, or another person's.
        Rejected: one has no result.
    """
    assert checked.config is not None
    tokens = [c.value for c in choices(user, checked, state) if c.chosen][:MOST]
    found = [t if len(t) == 64 else experience_freeze(search=search_get(user=user, id=int(t))) for t in tokens]
    return checked.config.model_copy(update={"experience": tuple(dict.fromkeys(found))})
