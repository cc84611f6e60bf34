"""A search: one run of a strategy over a space for a data set."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class Search(models.Model):
    """One search, from draft to its end.

    ::

        draft -> queued -> running <-> paused -> (finishing) -> completed | stopped | failed

    An ended search never changes again, except name, archive mark, and full trainings people ask for.

    The counters (`n_*`) are kept in the same transaction as the rows they count, so that no page and no step costs more
    as the history grows; `selectors.counts_recomputed` recomputes them for checks.
    """

    class State(models.TextChoices):
        """Stored states; what is shown may say more (`selectors.searches.sentence`)."""

        DRAFT = "draft"
        QUEUED = "queued"
        RUNNING = "running"
        PAUSED = "paused"
        FINISHING = "finishing"
        COMPLETED = "completed"
        STOPPED = "stopped"
        FAILED = "failed"

    ENDED = (State.COMPLETED, State.STOPPED, State.FAILED)
    LIVE = (State.QUEUED, State.RUNNING, State.PAUSED, State.FINISHING)

    class Relation(models.TextChoices):
        """How a search came from its `origin`."""

        NONE = ""
        CLONED = "cloned"
        EDITED = "edited"
        EXTENDED = "extended"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="searches")
    name = models.CharField(max_length=200)
    config = models.JSONField(help_text="SearchConfig.to_json()")
    data_spec = models.JSONField(default=dict, help_text="DataSpec, once it is known")
    state = models.CharField(max_length=12, choices=State.choices, default=State.DRAFT)
    reason = models.TextField(blank=True, default="", help_text="why it is in this state, for people")
    origin = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="descendants")
    relation = models.CharField(max_length=10, choices=Relation.choices, default=Relation.NONE, blank=True)
    archived = models.BooleanField(default=False)
    #: the saved space it began with; `config` holds that version's options in full
    space_version = models.ForeignKey(
        "SpaceVersion", null=True, blank=True, on_delete=models.SET_NULL, related_name="searches"
    )
    #: one per rendered form: the second press of Start finds the first search
    submit_token = models.CharField(max_length=64, null=True, blank=True, unique=True)

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    #: running time so far without the running stretch, and the start of that stretch (null while not running)
    ran_s = models.FloatField(default=0.0)
    running_since = models.DateTimeField(null=True, blank=True)

    seq = models.BigIntegerField(default=0, help_text="number of the last event")
    n_entries = models.BigIntegerField(default=0, help_text="number of the last entry of the decision log")
    cursor = models.BigIntegerField(default=0, help_text="entries of the decision log that have been decided upon")
    decided = models.BooleanField(default=False, help_text="the conductor has issued Finish")

    n_trials = models.IntegerField(default=0)
    n_waiting = models.IntegerField(default=0)
    n_running = models.IntegerField(default=0)
    n_paused = models.IntegerField(default=0)
    n_completed = models.IntegerField(default=0)
    n_pruned = models.IntegerField(default=0)
    n_failed = models.IntegerField(default=0)
    n_cancelled = models.IntegerField(default=0)

    #: the conductor's view after the last decision: best, front, views of the strategy, what waits and why
    best = models.ForeignKey("Trial", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    front = models.JSONField(default=list, help_text="trial numbers on the Pareto front, by first objective")
    winners = models.JSONField(default=list, help_text="trial numbers, set when the search phase ends")
    views = models.JSONField(default=dict, help_text="Strategy.views() after the last decision")
    waiting = models.JSONField(default=list, help_text="[{what, why}]")
    #: precision, layout, threads by device model, chosen once by the first trial's probe
    settings = models.JSONField(default=dict)
    disk_bytes = models.BigIntegerField(default=0)
    #: what people added to the budget while it ran; `config` stays what it was started with
    extra_trials = models.IntegerField(default=0)
    extra_minutes = models.FloatField(default=0.0)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["owner", "archived", "-created_at"]),
            models.Index(
                fields=["state"],
                name="search_live",
                condition=Q(state__in=["queued", "running", "paused", "finishing"]),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def ended(self) -> bool:
        """Whether it has reached one of its final states."""
        return self.state in self.ENDED
