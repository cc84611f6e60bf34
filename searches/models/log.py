"""What happened: the decision log, events for browsers, log lines for people, snapshots of the conductor."""

from __future__ import annotations

from django.db import models


class LogEntry(models.Model):
    """One entry of a search's decision log: an input of the conductor, in the order recorded.

    Written in the transaction of what it records. The conductor's actions after entry k are a pure function of the
    entries 1..k (`engine.conductor`), so the log is all that a continued search needs.
    """

    search = models.ForeignKey("Search", on_delete=models.CASCADE, related_name="entries")
    number = models.BigIntegerField()
    kind = models.CharField(max_length=10, help_text="result or edit")
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["search", "number"], name="entry_number")]

    def __str__(self) -> str:
        return f"{self.number}: {self.kind}"


class Event(models.Model):
    """One change as browsers learn it; numbered without gaps per search, absolute values, idempotent by content."""

    search = models.ForeignKey("Search", on_delete=models.CASCADE, related_name="events")
    seq = models.BigIntegerField()
    kind = models.CharField(max_length=20, help_text="search, trial, progress, point, log, ...")
    data = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["seq"]
        constraints = [models.UniqueConstraint(fields=["search", "seq"], name="event_seq")]

    def __str__(self) -> str:
        return f"{self.seq}: {self.kind}"


class LogLine(models.Model):
    """A line of the log of a search or of one of its trials."""

    search = models.ForeignKey("Search", on_delete=models.CASCADE, related_name="lines")
    trial = models.ForeignKey("Trial", null=True, blank=True, on_delete=models.CASCADE, related_name="lines")
    at = models.DateTimeField()
    what = models.CharField(max_length=20, help_text="data, probe, epoch, test, export, verify, claim, ...")
    message = models.TextField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.what}: {self.message}"


class Snapshot(models.Model):
    """State of a conductor after an entry of the log; two are kept (`services.snapshots`)."""

    search = models.ForeignKey("Search", on_delete=models.CASCADE, related_name="snapshots")
    cursor = models.BigIntegerField()
    state = models.JSONField()
    blob = models.CharField(
        max_length=300, blank=True, default="", help_text="name in the storage of the strategy's arrays"
    )
    digest = models.CharField(max_length=64, blank=True, default="", help_text="SHA-256 of the blob")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-cursor"]
        constraints = [models.UniqueConstraint(fields=["search", "cursor"], name="snapshot_cursor")]

    def __str__(self) -> str:
        return f"after entry {self.cursor}"
