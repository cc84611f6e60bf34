"""The search page's Overview, and the parts of it that change by themselves."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from engine.architecture import Architecture
from engine.data.spec import DataSpec
from engine.network.picture import picture
from engine.spaces.base import make_space
from searches.models import Search, Trial
from searches.selectors import overview as read
from searches.selectors.beliefs import beliefs_of, strategy_sentence
from searches.selectors.searches import search_get, trial_get

#: parts of the page by the tab that has them; each is a template and carries data-part in the page
PARTS = {
    "overview": ("status", "answer", "facts", "acts", "winner", "running", "waiting"),
    "trials": ("status", "answer", "facts", "acts"),
    "insight": ("status", "answer", "facts", "acts", "beliefs", "held"),
}


def picture_of(search: Search, trial: Trial) -> dict[str, Any]:
    """The trial's network as a picture (no torch)."""
    data = DataSpec.model_validate(search.data_spec)
    space = make_space(read.config_of(search), data)
    drawn = picture(space.plan(Architecture.of(space.name, trial.architecture)))
    return {**drawn, "pixels": digit() if data.name == "digits" else None}


@lru_cache(maxsize=1)
def digit() -> list[int] | None:
    """The first sample of scikit-learn's digits, a zero, as 64 grey values: read from its file, without the import."""
    found = find_spec("sklearn")
    places = list(found.submodule_search_locations or ()) if found else []
    for file in (Path(place) / "datasets" / "data" / "digits.csv.gz" for place in places):
        if file.exists():
            with gzip.open(file, "rt") as lines:
                return [int(float(v)) for v in lines.readline().split(",")[:64]]
    return None


def page_context(search: Search, tab: str) -> dict[str, Any]:
    """What the frame of all three tabs needs."""
    context = read.page(search)
    strip = context["ticks"]
    left = context["standing"].left
    views = beliefs_of(search) if tab == "insight" else []
    return {
        **context,
        "beliefs": [v for v in views if v.by == "strategy"],
        "held": [v for v in views if v.by != "strategy"],
        "sentence": strategy_sentence(search) if views else "",
        "views_json": json.dumps({v.id: v.digest for v in views}),
        "tab": tab,
        "ticks_json": json.dumps(strip if strip is not None else None),
        "shares_json": json.dumps(context["shares"]),
        "page_title": f"{_ended(search)}/{context['budget']} {search.name}"
        + (f", {left} left" if left and search.state == Search.State.RUNNING else ""),
    }


def _ended(search: Search) -> int:
    return search.n_completed + search.n_pruned + search.n_failed + search.n_cancelled


def overview_context(search: Search, context: dict[str, Any]) -> dict[str, Any]:
    """What only the Overview needs."""
    config = context["config"]
    best = read.winner(search)
    return {
        "winner": best,
        "winner_facts": read.winner_facts(best, config) if best else None,
        "now": read.running_now(search, config),
        "rungs": read.rungs_of(config),
        "failures": read.failures(search) if best is None and search.n_failed else [],
        "waits": read.waits(search, config, online=context["online"]),
    }


@require_GET
def detail(request: HttpRequest, id: int) -> HttpResponse:
    """Overview."""
    search = search_get(user=request.user, id=id)
    context = page_context(search, "overview")
    context |= overview_context(search, context)
    return render(request, "searches/page/overview.html", context)


@require_GET
def parts(request: HttpRequest, id: int, tab: str) -> JsonResponse:
    """The parts of a tab as they are now: {"seq", "state", "title", "workers", "ticks", "shares", "winner", "views",
    "parts"}; "views" holds a number for each chart of what the strategy believes; it changes when the chart has to.
    """
    search = search_get(user=request.user, id=id)
    if tab not in PARTS:
        raise Http404(f"no tab is called {tab}")
    context = page_context(search, tab)
    if tab == "overview":
        context |= overview_context(search, context)
    html = {name: render_to_string(f"searches/page/_{name}.html", context, request) for name in PARTS[tab]}
    return JsonResponse(
        {
            "seq": search.seq,
            "state": search.state,
            "title": context["page_title"],
            "workers": context["online"],
            "ticks": context["ticks"],
            "shares": context["shares"],
            "winner": search.best.number if search.best else None,
            "views": json.loads(context["views_json"]),
            "parts": html,
        }
    )


@require_GET
def winner_picture(request: HttpRequest, id: int, number: int) -> JsonResponse:
    """The drawing of a trial's network."""
    trial = trial_get(user=request.user, id=id, number=number)
    answer = JsonResponse(picture_of(trial.search, trial))
    answer["Cache-Control"] = "private, max-age=3600"
    return answer


@require_GET
def log(request: HttpRequest, id: int) -> HttpResponse:
    """The newest lines of the search's log, for the drawer."""
    search = search_get(user=request.user, id=id)
    lines = search.lines.select_related("trial").order_by("-id")[:200]
    return render(request, "searches/page/_log.html", {"search": search, "lines": reversed(lines)})
