"""Figures of the search page as JSON: rows from selectors, drawings from charts."""

from __future__ import annotations

from collections.abc import Callable

from django.http import Http404, HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from searches.charts import curves, insight, options, progress
from searches.charts.base import Figure
from searches.charts.beliefs import belief as belief_figure
from searches.models import Search, Trial
from searches.selectors import overview, trials
from searches.selectors.beliefs import belief_view
from searches.selectors.searches import search_get
from searches.views import supernet_figures
from searches.views.trials import chosen_numbers


def _whole(request: HttpRequest) -> bool:
    return request.GET.get("range") == "all"


def _best(request: HttpRequest, search: Search) -> Figure:
    return _ended(search, progress.best_so_far(trials.ended_rows(search), whole=_whole(request)))


def _ended(search: Search, drawn: Figure) -> Figure:
    """Nothing is promised of a search that has ended."""
    if drawn.empty and search.ended:
        drawn.empty = "No trial has finished."
    return drawn


def _cost(request: HttpRequest, search: Search) -> Figure:
    done = trials.rows(search.trials.filter(state=Trial.State.COMPLETED))
    cost = request.GET.get("cost", "n_macs")
    drawn = progress.against_cost(
        done,
        trials.open_rows(search),
        cost=cost if cost in progress.COSTS else "n_macs",
        winner=search.best.number if search.best else None,
        whole=_whole(request),
    )
    return _ended(search, drawn)


def _curves(request: HttpRequest, search: Search) -> Figure:
    metric = "loss" if request.GET.get("metric") == "loss" else "accuracy"
    numbers = chosen_numbers(request)
    state, text = request.GET.get("state", "all"), request.GET.get("q", "")
    found = {t.number: t for t in search.trials.filter(number__in=numbers).only(*trials.NAMED)}
    chosen = [found[n] for n in numbers if n in found]
    others = trials.curve_sample(search, state=state, text=text, without=[t.number for t in chosen])
    return curves.learning_curves(
        trials.curves(chosen, metric=metric),
        trials.curves(others, metric=metric),
        rungs=overview.rungs_of(overview.config_of(search)),
        metric=metric,
        whole=_whole(request),
        total=trials.filtered(search, state=state, text=text).count(),
    )


def _running(request: HttpRequest, search: Search) -> Figure:
    """Curves of what runs, in percent, and the middle 80 % of the finished trials by epoch (`notes.band`)."""
    now = search.trials.filter(state=Trial.State.RUNNING).only(*trials.NAMED).order_by("number")[:24]
    return curves.running_curves(trials.curves(now), trials.curves(trials.finished_sample(search)))


def _timeline(request: HttpRequest, search: Search) -> Figure:
    now = timezone.now()
    spans = trials.spans(search, now)
    start = search.started_at or search.created_at
    last = max((s.end_s for s in spans), default=0.0)
    running = not search.ended
    now_s = (now - start).total_seconds() if running else last
    return insight.timeline(
        spans, now_s=max(now_s, last, 1.0), winner=search.best.number if search.best else None, running=running
    )


def _far(request: HttpRequest, search: Search) -> Figure:
    config = overview.config_of(search)
    every = trials.rows(search.trials.order_by("number"))
    return insight.how_far(every, full=config.budget.epochs, rungs=overview.rungs_of(config))


def _options(request: HttpRequest, search: Search) -> Figure:
    part = request.GET.get("part", "")
    rows, n = trials.option_rows(search, overview.config_of(search), part if part in OPTION_PARTS else "")
    return options.by_option(rows, n_trials=n, whole=_whole(request))


def _genealogy(request: HttpRequest, search: Search) -> Figure:
    every = trials.rows(search.trials.order_by("number"), parents=True)
    line = trials.lineage(search, search.best.number if search.best else None)
    return insight.genealogy(every, lineage=line, whole=_whole(request), ended=search.ended)


#: halves of a search over network and recipe
OPTION_PARTS = ("network", "recipe")

FIGURES: dict[str, Callable[[HttpRequest, Search], Figure]] = {
    "best": _best,
    "cost": _cost,
    "curves": _curves,
    "running": _running,
    "timeline": _timeline,
    "far": _far,
    "options": _options,
    "genealogy": _genealogy,
}


@require_GET
@gzip_page
def figure(request: HttpRequest, id: int, name: str) -> JsonResponse:
    """One figure by name."""
    make = FIGURES.get(name) or supernet_figures.FIGURES.get(name)
    if make is None:
        raise Http404(f"no figure is called {name}")
    return _answer(make(request, search_get(user=request.user, id=id)))


@require_GET
@gzip_page
def belief(request: HttpRequest, id: int, name: str) -> JsonResponse:
    """One view of what the strategy believes."""
    search = search_get(user=request.user, id=id)
    view = belief_view(search, name)
    if view is None:
        raise Http404(f"the strategy shows nothing called {name}")
    line = []
    if (view.get("chart") or {}).get("kind") == "tree":
        line = trials.lineage(search, search.best.number if search.best else None)
    return _answer(belief_figure(view, whole=_whole(request), lineage=line))


def _answer(figure: Figure) -> JsonResponse:
    answer = JsonResponse(figure.to_json())
    answer["Cache-Control"] = "private, no-cache"
    return answer
