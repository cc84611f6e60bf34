"""Worker processes that take jobs."""

from __future__ import annotations

from django.db import models


class Worker(models.Model):
    """One worker process, known by its beats on the database's clock."""

    name = models.CharField(max_length=120, unique=True)
    host = models.CharField(max_length=200, blank=True, default="")
    kind = models.CharField(max_length=10, default="cpu", help_text="cpu or cuda")
    slots = models.IntegerField(default=1)
    device = models.JSONField(default=dict, help_text="model, cores, memory, versions")
    joined_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
