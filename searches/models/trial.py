"""A trial: one architecture's journey, what people see."""

from __future__ import annotations

from django.db import models


class Trial(models.Model):
    """One architecture that a search tries.

    ::

        waiting -> running <-> paused (between rungs, or by a person) -> completed | pruned | failed | cancelled

    It changes state only in the transaction that changes its job.
    """

    class State(models.TextChoices):
        """ "Pruned" is shown as "stopped early" and means: ended by the schedule."""

        WAITING = "waiting"
        RUNNING = "running"
        PAUSED = "paused"
        COMPLETED = "completed"
        PRUNED = "pruned"
        FAILED = "failed"
        CANCELLED = "cancelled"

    ENDED = (State.COMPLETED, State.PRUNED, State.FAILED, State.CANCELLED)

    class FinalState(models.TextChoices):
        """State of the full training, where one was asked for."""

        NONE = ""
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    search = models.ForeignKey("Search", on_delete=models.CASCADE, related_name="trials")
    number = models.IntegerField(help_text="1, 2, 3 ... in the order of proposal")
    name = models.CharField(max_length=80, help_text="SearchSpace.short_name")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    reason = models.TextField(blank=True, default="", help_text="why it ended, for people")

    architecture = models.JSONField(help_text="choices by decision")
    key = models.CharField(max_length=64, help_text="SHA-256 of the canonical key")
    n_params = models.BigIntegerField(null=True)
    n_macs = models.BigIntegerField(null=True)
    activation_bytes = models.BigIntegerField(null=True)
    proposal = models.JSONField(default=dict, help_text="Proposal.to_json()")
    why = models.CharField(max_length=400, blank=True, default="")
    by = models.CharField(max_length=80, blank=True, default="", help_text="strategy, 'random', or a person")
    parents = models.JSONField(default=list, help_text="trial numbers")
    seed = models.BigIntegerField(default=0)

    epochs = models.IntegerField(default=0, help_text="trained so far")
    target_epochs = models.IntegerField(default=0, help_text="end of the rung it is sent to")
    accuracy = models.FloatField(null=True, help_text="validation, at `fidelity`; a share of 1")
    fidelity = models.IntegerField(default=0, help_text="epochs at which `accuracy` and `metrics` were measured")
    source = models.CharField(max_length=10, blank=True, default="")
    metrics = models.JSONField(default=dict)
    correct = models.BinaryField(null=True, help_text="numpy.packbits over the validation samples")
    n_samples = models.IntegerField(default=0)
    n_wrong = models.IntegerField(null=True)
    on_front = models.BooleanField(default=False)
    duration_s = models.FloatField(default=0.0, help_text="training time over all its jobs")
    worker = models.CharField(max_length=120, blank=True, default="", help_text="the last one")
    cost = models.JSONField(default=dict)
    failure_kind = models.CharField(max_length=20, blank=True, default="")
    traceback = models.TextField(blank=True, default="")

    final_state = models.CharField(max_length=10, choices=FinalState.choices, default=FinalState.NONE, blank=True)
    final_reason = models.TextField(blank=True, default="")
    final = models.JSONField(default=dict, help_text="report of the full training without bits: metrics, epochs, cost")
    final_correct = models.BinaryField(null=True)
    bundle_checks = models.JSONField(default=list, help_text="[{name, ok, detail}]")

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["search", "number"], name="trial_number")]
        indexes = [
            models.Index(fields=["search", "state"]),
            models.Index(fields=["search", "-accuracy"]),
            models.Index(fields=["search", "ended_at"]),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.name}"


class Point(models.Model):
    """One epoch of a learning curve. Written once: a second worker's copy of the same epoch changes nothing."""

    trial = models.ForeignKey(Trial, on_delete=models.CASCADE, related_name="points")
    final = models.BooleanField(default=False, help_text="of the full training")
    epoch = models.IntegerField()
    accuracy = models.FloatField(null=True)
    loss = models.FloatField(null=True)
    train_loss = models.FloatField(null=True)
    samples_per_s = models.FloatField(null=True)

    class Meta:
        ordering = ["epoch"]
        constraints = [models.UniqueConstraint(fields=["trial", "final", "epoch"], name="point_epoch")]

    def __str__(self) -> str:
        return f"epoch {self.epoch}: {self.accuracy}"
