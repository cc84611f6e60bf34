"""A job: one claimable piece of work for a worker."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Job(models.Model):
    """One rung of a trial, a preflight, a full training, or a piece of a weight-sharing search.

    A supernet, a batch of scores and a measurement have no trial; `payload` says which piece of the search they are
    ("piece", the number of its `Launch`) and why ("why").

    ::

        waiting -> running -> done | failed | cancelled
           ^          |
           +----------+   handed back (pause, drain) or lease lost

    Claimed by a conditional UPDATE that raises `claim`; every write of a worker is fenced by that number. `failures`
    counts deaths and errors of the job's own child (at most two), `losses` counts workers lost with it (at most five).
    """

    class Kind(models.TextChoices):
        """What kind of work."""

        PREFLIGHT = "preflight"
        TRAIN = "train"
        SUPERNET = "supernet"
        SCORE = "score"
        MEASURE = "measure"
        FINAL = "final"

    class State(models.TextChoices):
        """States of a job. `held` is waiting that no worker may claim (the search is paused)."""

        WAITING = "waiting"
        HELD = "held"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    OPEN = (State.WAITING, State.HELD, State.RUNNING)

    search = models.ForeignKey("Search", on_delete=models.CASCADE, related_name="jobs")
    trial = models.ForeignKey("Trial", null=True, blank=True, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    fidelity = models.IntegerField(default=0, help_text="epochs to reach in all")
    payload = models.JSONField(default=dict)

    claim = models.IntegerField(default=0, help_text="number of the last claim")
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True, default="")
    failures = models.IntegerField(default=0)
    losses = models.IntegerField(default=0)
    order = models.CharField(
        max_length=10, blank=True, default="", help_text="what the child is asked: pause, cancel or enough"
    )
    progress = models.JSONField(default=dict, help_text="epoch, epochs, batch, batches, samples_per_s, phase")
    result = models.JSONField(default=dict)
    reason = models.TextField(blank=True, default="")
    traceback = models.TextField(blank=True, default="")
    #: storage name of the last official checkpoint
    checkpoint = models.CharField(max_length=300, blank=True, default="")

    created_at = models.DateTimeField(auto_now_add=True)
    enqueued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["state", "lease_until"], name="job_open", condition=Q(state__in=["waiting", "running"])
            ),
            models.Index(fields=["search", "state"]),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["trial"], name="one_open_job_per_trial", condition=Q(state__in=["waiting", "held", "running"])
            )
        ]

    def __str__(self) -> str:
        return f"job {self.pk} ({self.kind}, {self.state})"


class Claim(models.Model):
    """One stretch of a job on a worker: what the timeline shows."""

    class Outcome(models.TextChoices):
        """How the stretch ended; empty while it runs."""

        OPEN = ""
        DONE = "done"
        FAILED = "failed"
        HANDED_BACK = "handed back"
        LOST = "lost"
        CANCELLED = "cancelled"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="claims")
    search = models.ForeignKey("Search", on_delete=models.CASCADE, related_name="claims")
    number = models.IntegerField()
    worker = models.CharField(max_length=120)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, default=Outcome.OPEN, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="claim_number")]
        indexes = [models.Index(fields=["search", "started_at"])]

    def __str__(self) -> str:
        return f"claim {self.number} of job {self.job_id} by {self.worker}"
