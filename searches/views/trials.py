"""The Trials tab: table, curves of what is filtered, export."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from searches.models import Point, Search, Trial
from searches.selectors import trials as read
from searches.selectors.overview import config_of
from searches.selectors.searches import search_get
from searches.views.overview import page_context

PER_PAGE = 100


def chosen_numbers(request: HttpRequest) -> list[int]:
    """Trial numbers of `?t=`, at most eight, in their order."""
    raw = request.GET.get("t", "").split(",")
    return [int(x) for x in raw if x.isascii() and x.isdigit() and len(x) < 9][:8]


def _sparks(trials: list[Trial]) -> None:
    points: dict[int, list[tuple[int, float]]] = {}
    for pk, epoch, accuracy in (
        Point.objects.filter(trial__in=trials, final=False, accuracy__isnull=False)
        .order_by("epoch")
        .values_list("trial_id", "epoch", "accuracy")
    ):
        points.setdefault(pk, []).append((epoch, round(100 * accuracy, 2)))
    for t in trials:
        mine = points.get(t.pk, [])
        step = max(1, len(mine) // 60)
        t.spark = json.dumps(mine[::step] + (mine[-1:] if (len(mine) - 1) % step else []))  # type: ignore[attr-defined]


def table_context(request: HttpRequest, search: Search) -> dict[str, object]:
    """Rows of one page of the table, from the URL alone."""
    state = request.GET.get("state", "all")
    state = state if state in read.FILTERS else "all"
    text = request.GET.get("q", "")[:100].replace("\x00", "")
    sort = request.GET.get("sort", "-accuracy")
    if sort.removeprefix("-") not in read.SORTS:
        sort = "-accuracy"
    found = read.ordered(read.filtered(search, state=state, text=text), sort).defer(
        "correct", "final_correct", "traceback"
    )
    pages = Paginator(found, PER_PAGE)
    page = pages.get_page(request.GET.get("page"))
    trials = list(page.object_list)
    _sparks(trials)
    finished = [100 * t.accuracy for t in trials if t.accuracy is not None and t.state == Trial.State.COMPLETED]
    low = max(0, min(finished, default=0.0) // 20 * 20)
    chosen = chosen_numbers(request)
    keep = {k: v for k, v in (("q", text), ("state", state if state != "all" else "")) if v}
    return {
        "trials": trials,
        "page_obj": page,
        "filters": read.filter_counts(search),
        "state": state,
        "text": text,
        "sort": sort,
        "low": low,
        "chosen": chosen,
        "keep": urlencode(keep),
        "ranked": sort.removeprefix("-") == "accuracy" and state == "all",
        "n_samples": next((t.n_samples for t in trials if t.n_samples), 0),
        "columns": COLUMNS,
        "epochs": config_of(search).budget.epochs,
    }


#: key, heading, sort name, whether it is a number
COLUMNS = (
    ("number", "#", "number", True),
    ("name", "name", "name", False),
    ("mini", "network", "", False),
    ("state", "state", "state", False),
    ("accuracy", "accuracy, %", "accuracy", True),
    ("wrong", "wrong", "wrong", True),
    ("epochs", "epochs", "epochs", True),
    ("curve", "curve", "", False),
    ("macs", "multiply-adds, M", "macs", True),
    ("params", "parameters, k", "params", True),
    ("time", "time", "time", True),
    ("worker", "worker", "worker", False),
    ("why", "why proposed, or why it ended", "", False),
)


@require_GET
def trial_table(request: HttpRequest, id: int) -> HttpResponse:
    """The tab; `?rows` answers the table alone (filters and pages swap it in)."""
    search = search_get(user=request.user, id=id)
    context = table_context(request, search)
    if request.headers.get("HX-Request") or "rows" in request.GET:
        return render(request, "searches/page/_table.html", {**context, "search": search})
    return render(request, "searches/page/trials.html", {**page_context(search, "trials"), **context})


class _Echo:
    """A file that hands back what is written, for streaming CSV."""

    def write(self, value: str) -> str:
        """Returns the line."""
        return value


def csv_safe(value: object) -> object:
    """Text that no spreadsheet takes for a formula."""
    return "'" + value if isinstance(value, str) and value.startswith(tuple("=+-@\t\r")) else value


@require_GET
def export(request: HttpRequest, id: int) -> StreamingHttpResponse:
    """All trials of the filter as CSV, streamed."""
    search = search_get(user=request.user, id=id)
    found = read.filtered(search, state=request.GET.get("state", "all"), text=request.GET.get("q", "")).order_by(
        "number"
    )
    head = ["trial", "name", "state", "accuracy", "n_wrong", "n_samples", "epochs", "n_params", "n_macs", "duration_s",
            "worker", "why", "reason", "parents", "architecture"]  # fmt: skip

    def lines() -> Iterator[str]:
        writer = csv.writer(_Echo())
        yield writer.writerow(head)
        for t in found.defer("correct", "final_correct", "traceback").iterator(chunk_size=1000):
            row = [t.number, t.name, t.state, t.accuracy, t.n_wrong, t.n_samples, t.epochs, t.n_params, t.n_macs,
                   round(t.duration_s, 3), t.worker, t.why, t.reason, " ".join(map(str, t.parents)),
                   json.dumps(t.architecture)]  # fmt: skip
            yield writer.writerow([csv_safe(x) for x in row])

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="search-{search.pk}-trials.csv"'
    return answer
