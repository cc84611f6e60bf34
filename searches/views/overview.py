"""The search page's Overview, and the parts of it that change by themselves."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
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
from searches.models import Search
from searches.selectors import overview as read
from searches.selectors import supernet
from searches.selectors.beliefs import beliefs_of, strategy_sentence
from searches.selectors.searches import search_get, trial_get
from searches.selectors.trust import against_random
from searches.services.supernets import is_sharing

#: parts of the page by the tab that has them; each is a template and carries data-part in the page
PARTS = {
    "overview": ("status", "answer", "facts", "acts", "supernet", "winner", "running", "waiting"),
    "trials": ("status", "answer", "facts", "acts"),
    "insight": ("status", "answer", "facts", "acts", "beliefs", "held"),
    "supernet": ("status", "answer", "facts", "acts", "supernet_now", "trust", "beaten"),
}


def picture_of(search: Search, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The network of an architecture of the search as a picture (no torch)."""
    data = DataSpec.model_validate(search.data_spec)
    space = make_space(read.config_of(search), data)
    drawn = picture(space.plan(Architecture.of(space.name, choices)))
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
    """What the frame of all tabs needs."""
    context = read.page(search)
    sharing = is_sharing(search.config)
    if sharing and (fact := against_random(search).short):
        context["standing"].facts.append(fact)
    strip = context["ticks"]
    left = context["standing"].left
    views = beliefs_of(search) if tab == "insight" else []
    return {
        **context,
        "is_sharing": sharing,
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
        **(supernet_context(search) if context["is_sharing"] else {}),
    }


def supernet_context(search: Search) -> dict[str, Any]:
    """What the Overview shows of a supernet: where it stands and its loss as a small curve."""
    stands = supernet.sharing(search)
    rows = supernet.scalars(stands.now) if stands.now else []
    losses = [(r["epoch"], r["train_loss"]) for r in rows if "train_loss" in r]
    step = max(1, len(losses) // 60)
    kept = losses[::step] + (losses[-1:] if (len(losses) - 1) % step else [])
    return {"sharing": stands, "run": stands.now, "losses_json": json.dumps(kept)}


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
    elif tab == "supernet":
        from searches.views.supernet import live_context

        context |= live_context(request, search)
    names = [name for name in PARTS[tab] if name != "supernet" or context["is_sharing"]]
    html = {name: render_to_string(f"searches/page/_{name}.html", context, request) for name in names}
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
    answer = JsonResponse(picture_of(trial.search, trial.architecture))
    answer["Cache-Control"] = "private, max-age=3600"
    return answer


@require_GET
def log(request: HttpRequest, id: int) -> HttpResponse:
    """The newest lines of the search's log, for the drawer."""
    search = search_get(user=request.user, id=id)
    lines = search.lines.select_related("trial").order_by("-id")[:200]
    return render(request, "searches/page/_log.html", {"search": search, "lines": reversed(lines)})
