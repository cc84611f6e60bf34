"""The workers: which are here, what each does, how to add one."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from searches.models import Job
from searches.selectors.worker_list import worker_rows


@require_GET
def worker_list(request: HttpRequest) -> HttpResponse:
    """All workers; with htmx only the table, which asks for itself every few seconds."""
    rows = worker_rows(user=request.user)
    online = [row for row in rows if row.online]
    slots = sum(row.worker.slots for row in online)
    busy = sum(len(row.doing) + row.others for row in online)
    context = {
        "rows": rows,
        "n_online": len(online),
        "slots": slots,
        "busy": busy,
        "free": max(0, slots - busy),
        "waiting": Job.objects.filter(state=Job.State.WAITING).count(),
        "embedded_redis": settings.REDIS_EMBEDDED,
        "embedded_database": not settings.DATABASE_URL,
    }
    template = "workers/_workers.html" if getattr(request, "htmx", False) else "workers/list.html"
    return render(request, template, context)
