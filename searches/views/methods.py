"""Every strategy of the catalog side by side: what it does, when to take it, what it does not serve and why."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET
from markdown_it import MarkdownIt

from engine import catalog
from engine.docs import example_spaces, refusals, support
from engine.strategies.base import GROUPS, Strategy
from searches.forms.values import DEFAULTS
from searches.forms.words import source_of, spelled


@dataclass(frozen=True)
class Row:
    """One strategy.

    Attributes:
        source: its paper, or "".
        refused: (where, reason) of what it cannot serve.
        preferred: what a new form offers.
        races: it can be raced in the arena, where tables answer.
    """

    name: str
    summary: str
    guide: str
    source: str
    refused: list[tuple[str, str]]
    preferred: bool
    races: bool


@require_GET
def methods(request: HttpRequest) -> HttpResponse:
    """The page; it follows from the catalog alone."""
    strategies: dict[str, type[Strategy]] = catalog.methods()
    table, preferred = {**support(), **support("supernet")}, DEFAULTS["strategy"]
    rows = {
        name: Row(
            name,
            spelled(cls.summary),
            spelled(cls.guide),
            source_of(cls),
            refusals(table[name]),
            name == preferred,
            name in catalog.plugins("strategy"),
        )
        for name, cls in strategies.items()
    }
    groups = [(title, [rows[n] for n, c in strategies.items() if c.group == group]) for group, title in GROUPS.items()]
    context = {
        "groups": [(title, members) for title, members in groups if members],
        "n": len(rows),
        "n_everywhere": sum(not row.refused for row in rows.values()),
        "n_spaces": len(example_spaces()),
        "preferred": preferred,
    }
    return render(request, "methods/list.html", context)


@require_GET
def measured(request: HttpRequest) -> HttpResponse:
    """The figures that were measured, as `benchmarks/RESULTS.md` says them."""
    text = (settings.BASE_DIR / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text.split("\n", 1)[1])  # its title is ours
    # html: made of a file of this repository, in which tags count as text
    return render(request, "methods/measured.html", {"html": mark_safe(html)})  # noqa: S308
