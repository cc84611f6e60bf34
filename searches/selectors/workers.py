"""Workers that are there now, by the database's clock."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from searches.models import Worker

#: heartbeats a worker may miss
MISSED = 3


def workers_online() -> list[Worker]:
    """Workers seen within three heartbeats that have not said goodbye, by name."""
    since = Now() - timedelta(seconds=MISSED * settings.HEARTBEAT_S)
    return list(Worker.objects.filter(left_at=None, seen_at__gte=since))
