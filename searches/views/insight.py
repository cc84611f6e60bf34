"""The Insight tab: one chart per question, drawn when it comes into view."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from searches.models import Search
from searches.selectors import trials as read
from searches.selectors.searches import search_get
from searches.views.figures import OPTION_PARTS
from searches.views.overview import page_context


@require_GET
def insight(request: HttpRequest, id: int) -> HttpResponse:
    """The tab."""
    search = search_get(user=request.user, id=id)
    line = read.lineage(search, search.best.number if search.best else None)
    steps = {t.number: t for t in search.trials.filter(number__in=line).only("search", "number", "why", "name")}
    asked = request.GET.get("part", "")
    part = asked if asked in OPTION_PARTS else ""
    context = {
        **page_context(search, "insight"),
        "lineage": [steps[n] for n in line if n in steps][-8:],
        "parts": _parts(part, search),
        "part": part,
    }
    return render(request, "searches/page/insight.html", context)


def _parts(chosen: str, search: Search) -> list[tuple[str, str, bool]]:
    """(value, words, chosen) of the halves whose options can be read apart; none where only networks are searched."""
    recipe = (search.config.get("space") or {}).get("recipe") or {}
    if not any(recipe.values()):
        return []
    return [(v, words, v == chosen) for v, words in (("", "all"), ("network", "network"), ("recipe", "recipe"))]
