"""Worker processes join, beat and leave; all times are the database's."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Now

from searches.models import Worker


def worker_register(*, name: str, kind: str, slots: int, device: dict[str, Any], host: str) -> None:
    """A worker has joined (again)."""
    fields = {"kind": kind, "slots": slots, "device": device, "host": host, "seen_at": Now(), "left_at": None}
    Worker.objects.update_or_create(name=name, defaults=fields, create_defaults={**fields, "joined_at": Now()})


def worker_beat(*, name: str) -> None:
    """It is still there."""
    Worker.objects.filter(name=name).update(seen_at=Now(), left_at=None)


def worker_leave(*, name: str) -> None:
    """It goes in good order."""
    Worker.objects.filter(name=name).update(left_at=Now())
