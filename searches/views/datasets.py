"""The data sets that a search can be made for."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from searches.selectors.datasets import dataset_rows


@require_GET
def dataset_list(request: HttpRequest) -> HttpResponse:
    """All data sets of the registry, the ready ones first."""
    rows = sorted(dataset_rows(), key=lambda row: not row.available)
    context = {
        "rows": rows,
        "n_ready": sum(row.available for row in rows),
        "n_fetched": sum(row.fetched and not row.available for row in rows),
    }
    return render(request, "datasets/list.html", context)
