"""Comparing trials, also from different searches. The URL is the view: `?t=7.24&t=8.3`."""

from __future__ import annotations

import csv
import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from engine.network.picture import picture
from searches.charts.curves import Curve, learning_curves
from searches.models import Search
from searches.selectors import compare as read
from searches.selectors import overview
from searches.selectors import trials as trial_reads
from searches.views.trials import csv_safe


def _chosen(request: HttpRequest) -> list[tuple[int, int]]:
    return read.parse_chosen(request.GET.getlist("t"))


@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """The page."""
    chosen = _chosen(request)
    trials = read.trials_of(request.user, chosen)
    searches = Search.objects.filter(owner=request.user, archived=False, n_trials__gt=0).order_by("-created_at")[:50]
    context: dict[str, object] = {
        "searches": searches,
        "trials": trials,
        "missing": len(chosen) - len(trials),
        "page_title": f"Compare {len(trials)} trials",
    }
    if trials:
        comparison = read.compare(trials)
        pictures = [picture(c.space.plan(c.architecture)) for c in comparison.columns]
        labels = [
            {"name": f"#{c.trial.number}", "notes": [c.trial.name, c.trial.search.name], "role": c.role, "dash": c.dash}
            for c in comparison.columns
        ]
        context |= {
            "comparison": comparison,
            "pictures": pictures,
            "labels": labels,
            "several": len({t.search_id for t in trials}) > 1,
            "query": "&".join(f"t={t.search_id}.{t.number}" for t in trials),
        }
    if request.GET.get("format") == "csv" and trials:
        return _export(context["comparison"])  # type: ignore[arg-type]
    return render(request, "trials/compare.html", context)


def _export(comparison: read.Comparison) -> HttpResponse:
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="comparison.csv"'
    writer = csv.writer(answer)
    writer.writerow(["", *(csv_safe(f"{c.trial} ({c.trial.search.name})") for c in comparison.columns)])
    for row in [*comparison.rows, *comparison.decisions]:
        writer.writerow([csv_safe(row.name), *(csv_safe(cell.text) for cell in row.cells)])
    writer.writerow(["architecture", *(json.dumps(c.trial.architecture) for c in comparison.columns)])
    return answer


@require_GET
def figure(request: HttpRequest) -> JsonResponse:
    """Curves of the chosen on one plot."""
    trials = read.trials_of(request.user, _chosen(request))
    metric = "loss" if request.GET.get("metric") == "loss" else "accuracy"
    drawn: list[Curve] = trial_reads.curves(trials, metric=metric)
    several = len({t.search_id for t in trials}) > 1
    if several:
        drawn = [
            Curve(label=f"#{t.number} {t.search.name[:24]}", state=c.state, points=c.points)
            for t, c in zip(trials, drawn, strict=True)
        ]
    rungs = overview.rungs_of(overview.config_of(trials[0].search)) if trials else ()
    answer = JsonResponse(learning_curves(drawn, [], rungs=rungs, metric=metric, height=380).to_json())
    answer["Cache-Control"] = "private, no-cache"
    return answer
