"""What the strategy and the schedule of a search show of themselves, as it was last written."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.text import slugify

from engine import catalog
from searches.models import Search
from searches.selectors.overview import config_of


@dataclass(frozen=True, slots=True)
class Belief:
    """One view, without its rows.

    Attributes:
        name: its key in `Search.views`.
        id: of its chart in the page.
        kind: how it is drawn, "" for a table.
        by: "strategy" or "schedule".
        digest: differs where the rows or the drawing differ.
    """

    name: str
    id: str
    title: str
    note: str
    kind: str
    by: str
    digest: int


def beliefs_of(search: Search) -> list[Belief]:
    """All views that hold something, in the order in which they were given."""
    out = []
    for i, (name, view) in enumerate((search.views or {}).items()):
        if not view.get("rows"):
            continue
        digest = zlib.crc32(json.dumps(view, sort_keys=True).encode())
        kind = str((view.get("chart") or {}).get("kind", ""))
        title, note, by = (str(view.get(k) or "") for k in ("title", "note", "by"))
        id = f"belief-{slugify(name) or i}"
        out.append(Belief(name, id, title or name, note, kind, by or "strategy", digest))
    return out


def belief_view(search: Search, name: str) -> Mapping[str, Any] | None:
    """One view with its rows, None where it is not there (any more)."""
    found = (search.views or {}).get(name)
    return found if isinstance(found, dict) else None


def strategy_sentence(search: Search) -> str:
    """What the strategy said it would do with this budget, with a full stop."""
    config = config_of(search)
    cls = catalog.get("strategy", config.strategy.name)
    text = str(cls.plan(config, earlier=len(config.experience))).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
