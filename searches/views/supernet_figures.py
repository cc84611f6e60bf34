"""Figures of the Supernet tab. Each answers 404 for a search that trains no supernet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from searches.charts import alphas as alphas_chart
from searches.charts import subnets as subnets_chart
from searches.charts import supernet as chart
from searches.charts import trust as trust_chart
from searches.charts.base import Figure
from searches.models import Search
from searches.selectors import alphas, subnets, trust
from searches.selectors import supernet as read
from searches.selectors.alarm import alarm_of
from searches.selectors.overview import config_of
from searches.views.supernet import chosen_epoch


def _run(request: HttpRequest, search: Search) -> read.Run | None:
    """The supernet that is in view.

    Raises:
        NotShared: the search trains none.
    """
    read.require_sharing(search)
    runs = read.runs_of(search)
    return read.run_chosen(runs, request.GET.get("run", ""))


def _epochs(request: HttpRequest, search: Search, draw: Callable[..., Figure], *, alarmed: bool = False) -> Figure:
    run = _run(request, search)
    if run is None:
        return draw([], epochs=1)
    more: dict[str, Any] = {}
    if alarmed and run.epoch and (alarm := alarm_of(run)) is not None:
        more["alarm"] = alarm.epoch
    return draw(read.scalars(run), epochs=run.epochs, **more)


def _loss(request: HttpRequest, search: Search) -> Figure:
    return _epochs(request, search, chart.losses)


def _accuracy(request: HttpRequest, search: Search) -> Figure:
    return _epochs(request, search, chart.accuracy)


def _skips(request: HttpRequest, search: Search) -> Figure:
    return _epochs(request, search, chart.skips, alarmed=True)


def _eigenvalue(request: HttpRequest, search: Search) -> Figure:
    return _epochs(request, search, chart.eigenvalue, alarmed=True)


def _controller(request: HttpRequest, search: Search) -> Figure:
    return _epochs(request, search, chart.controller)


def _alphas(request: HttpRequest, search: Search) -> Figure:
    run = _run(request, search)
    epochs = read.tables(run) if run is not None else []
    rows = alphas.rows_of(epochs, read.space_of(search))
    return alphas_chart.probabilities(epochs, rows, epoch=chosen_epoch(request))


def _subnets(request: HttpRequest, search: Search) -> Figure:
    read.require_sharing(search)
    return subnets_chart.against_macs(subnets.rows(search))


def _trust(request: HttpRequest, search: Search) -> Figure:
    read.require_sharing(search)
    return trust_chart.orders(trust.trust(search).both)


def _beside(request: HttpRequest, search: Search) -> Figure:
    read.require_sharing(search)
    return trust_chart.beside(trust.pairs_of(trust.trained(search), config_of(search).strategy.name))


FIGURES: dict[str, Callable[[HttpRequest, Search], Figure]] = {
    "supernet-loss": _loss,
    "supernet-accuracy": _accuracy,
    "supernet-skips": _skips,
    "supernet-eigenvalue": _eigenvalue,
    "supernet-controller": _controller,
    "alphas": _alphas,
    "subnets": _subnets,
    "trust": _trust,
    "beside": _beside,
}
