"""The Supernet tab: how it is doing, what it would hand over, and whether its scores can be trusted."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from searches.models import Search
from searches.selectors import subnets, trust
from searches.selectors import supernet as read
from searches.selectors.alarm import alarm_of, remedies
from searches.selectors.searches import search_get
from searches.views.overview import page_context, picture_of

PER_PAGE = 25
#: key, heading, name for sorting, whether it is a number
COLUMNS = (
    ("name", "subnet", "name", False),
    ("accuracy", "accuracy with shared weights, %", "accuracy", True),
    ("loss", "loss with shared weights", "loss", True),
    ("macs", "multiply-adds, M", "macs", True),
    ("params", "parameters, k", "params", True),
    ("order", "scored", "order", True),
    ("alone", "trained alone", "", False),
)


@require_GET
def supernet(request: HttpRequest, id: int) -> HttpResponse:
    """The tab; `?epoch=` and `?run=` say what is in view, `?sort=` and `?page=` the rows of the table.

    `?rows` answers the table alone, as the page swaps it in when subnets have been scored.
    """
    search = search_get(user=request.user, id=id)
    if "rows" in request.GET:
        read.require_sharing(search)
        return render(request, "searches/page/_subnets.html", {**table_context(request, search), "search": search})
    context = {**page_context(search, "supernet"), **live_context(request, search), **table_context(request, search)}
    context["scored_on"] = subnets.scored_on(search)
    return render(request, "searches/page/supernet.html", context)


def live_context(request: HttpRequest, search: Search) -> dict[str, Any]:
    """What changes by itself: where it stands, the alarm, trust, random."""
    s = read.sharing(search)
    run = read.run_chosen(s.runs, request.GET.get("run", ""))
    alarm = alarm_of(run) if run is not None and run.epoch else None
    panel = trust.trust(search)
    return {
        "sharing": s,
        "run": run,
        "alarm": alarm,
        "weights": read.weights(search, run) if run is not None and run.done else "",
        "remedies": remedies(search, alarm) if alarm else [],
        "trust": panel,
        "measures": trust.table(panel),
        "beaten": trust.against_random(search),
        "query": urlencode({"run": run.place}) if run is not None and run is not s.now else "",
    }


def chosen_epoch(request: HttpRequest) -> int | None:
    """The epoch of `?epoch=`; None = the newest."""
    text = request.GET.get("epoch", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 and int(text) else None


def table_context(request: HttpRequest, search: Search) -> dict[str, Any]:
    """Rows of one page of the subnets, from the URL alone."""
    sort = request.GET.get("sort", "-accuracy")
    if sort.removeprefix("-") not in subnets.SORTS:
        sort = "-accuracy"
    page = Paginator(subnets.ordered(search, sort), PER_PAGE).get_page(request.GET.get("page"))
    rows = list(page.object_list)
    alone = subnets.trials_by_key(search, {r.key for r in rows})
    keep = {k: v for k in ("epoch", "run") if (v := request.GET.get(k, "")).isascii() and v.isdigit() and len(v) < 7}
    return {
        "subnets": [(row, *alone.get(row.key, (None, ""))) for row in rows],
        "page_obj": page,
        "sort": sort,
        "columns": COLUMNS,
        "keep": urlencode(keep),
        "epoch": chosen_epoch(request),
    }


@require_GET
@gzip_page
def derived(request: HttpRequest, id: int) -> JsonResponse:
    """What the supernet of `?run=` would hand over after `?epoch=` (else the newest).

    {"epoch", "name", "changed", "scored", "costs", "skips", "trial": number or null, "picture"}; epoch is 0 for the
    best of the scored subnets. {"epoch", "empty"} where there is none.
    """
    search = search_get(user=request.user, id=id)
    s = read.sharing(search)
    run = read.run_chosen(s.runs, request.GET.get("run", ""))
    wanted = chosen_epoch(request)
    epoch = min(wanted or run.epoch, run.epoch) if run is not None else 0
    found = read.derived(search, run, epoch) if run is not None and epoch else None
    if found is None and s.method.searches:
        found = read.best_subnet(search)
    if found is None:
        why = "What is derived is drawn here after the first epoch."
        if s.method.searches:
            why = "A search among the scored subnets decides what is derived; none was scored yet."
        return JsonResponse({"epoch": epoch, "empty": why})
    return JsonResponse(
        {
            "epoch": found.epoch,
            "name": found.name,
            "changed": found.changed,
            "scored": f"{100 * found.scored:.1f} % with shared weights" if found.scored is not None else "",
            "costs": f"{found.n_macs / 1e6:,.2f} M multiply-adds, {found.n_params / 1e3:,.1f} k parameters",
            "skips": found.skips,
            "trial": found.trial,
            "picture": picture_of(search, dict(found.architecture.choices)),
        }
    )
