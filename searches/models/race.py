"""Races of the arena: strategies on the same problem with the same budget and seeds, and the tables people bring."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class RaceTable(models.Model):
    """A table of trained networks that somebody uploaded, checked: keys are architectures of its space."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="race_tables")
    name = models.CharField(max_length=200)
    #: name in the storage; tables of equal content share a file
    file = models.CharField(max_length=300)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the file")
    bytes = models.BigIntegerField()
    space = models.JSONField(help_text="{name, option: value, ...} of the space its keys speak of")
    data = models.JSONField(help_text="{shape, classes} of what the networks are for; classes null = by the columns")
    key = models.JSONField(help_text="columns that name an architecture")
    numbers = models.JSONField(help_text="columns that hold a number in every row")
    n_rows = models.IntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class Race(models.Model):
    """One race.

    ::

        waiting -> running -> completed | failed
           |          |
           +----------+----> stopped   by a person

    It is run in pieces of about a second by the control worker, one piece of one race at a time. A message carries
    (id, claim); a piece is taken by a conditional UPDATE that raises `claim`, so that a message delivered twice does
    nothing the second time. Finished runs are rows (`RaceRun`); one that a kill cut off begins again, to the same end.
    """

    class State(models.TextChoices):
        """Where it stands."""

        WAITING = "waiting"
        RUNNING = "running"
        COMPLETED = "completed"
        STOPPED = "stopped"
        FAILED = "failed"

    LIVE = (State.WAITING, State.RUNNING)

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="races")
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    reason = models.TextField(blank=True, default="", help_text="why it failed")
    table = models.ForeignKey(RaceTable, null=True, blank=True, on_delete=models.PROTECT, related_name="races")
    problem = models.JSONField(help_text='{"synthetic", "limit"} or {"reward", "report", "limit"} of its table')
    entrants = models.JSONField(help_text="names of strategies, peers and orders by size, in the order shown")
    budget = models.IntegerField(help_text="queries of a run")
    seeds = models.IntegerField(help_text="runs of each entrant")

    claim = models.IntegerField(default=0)
    beat_at = models.DateTimeField(null=True, blank=True, help_text="end of the last piece")
    n_done = models.IntegerField(default=0, help_text="finished runs")
    spent_s = models.FloatField(default=0.0, help_text="seconds of all pieces")
    failures = models.JSONField(default=dict, help_text="why an entrant is out, by name")
    figures = models.JSONField(default=dict, help_text="engine.arena.figures of the first `n_drawn` finished runs")
    n_drawn = models.IntegerField(default=0)
    submit_token = models.CharField(max_length=64, null=True, blank=True, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["owner", "-id"], name="race_of_owner")]

    def __str__(self) -> str:
        return self.name

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state not in self.LIVE

    @property
    def n_runs(self) -> int:
        """Runs it consists of; entrants that are out have none to come."""
        return self.seeds * len([e for e in self.entrants if e not in self.failures])


class RaceRun(models.Model):
    """A finished run of one entrant with one seed."""

    race = models.ForeignKey(Race, on_delete=models.CASCADE, related_name="runs")
    entrant = models.CharField(max_length=80)
    seed = models.IntegerField()
    result = models.JSONField(help_text="engine.arena.race.Run")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["race", "entrant", "seed"], name="race_run")]

    def __str__(self) -> str:
        return f"{self.entrant}, seed {self.seed}, of race {self.race_id}"
