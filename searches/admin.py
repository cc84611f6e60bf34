"""For administrators: to look at, not to change; states change in services only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from searches.models import Artifact, Job, Race, RaceTable, Search, Space, SpaceVersion, Trial, Worker


class ReadOnly(admin.ModelAdmin):
    """Rows can be read; a change behind the services' back would break counters and logs."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


@admin.register(Search)
class SearchAdmin(ReadOnly):
    """Searches of all people."""

    list_display = ("id", "name", "owner", "state", "n_trials", "created_at")
    list_filter = ("state", "archived")
    search_fields = ("name", "owner__username")
    list_select_related = ("owner",)


@admin.register(Trial)
class TrialAdmin(ReadOnly):
    """Trials without their bits."""

    list_display = ("search_id", "number", "name", "state", "accuracy", "worker")
    list_filter = ("state",)
    search_fields = ("name", "search__name")
    exclude = ("correct", "final_correct")
    show_full_result_count = False


@admin.register(Job)
class JobAdmin(ReadOnly):
    """Jobs with their claims' numbers."""

    list_display = ("id", "kind", "state", "search_id", "worker", "claim", "failures", "losses", "lease_until")
    list_filter = ("kind", "state")
    show_full_result_count = False


@admin.register(Worker)
class WorkerAdmin(ReadOnly):
    """Workers that were ever here."""

    list_display = ("name", "kind", "slots", "joined_at", "seen_at", "left_at")


@admin.register(Artifact)
class ArtifactAdmin(ReadOnly):
    """Files in the storage."""

    list_display = ("id", "search_id", "kind", "bytes", "name", "created_at")
    list_filter = ("kind",)


@admin.register(Space)
class SpaceAdmin(ReadOnly):
    """Saved search spaces of all people."""

    list_display = ("id", "name", "owner", "archived", "created_at", "changed_at")
    list_filter = ("archived",)
    search_fields = ("name", "owner__username")
    list_select_related = ("owner",)
    exclude = ("share_token",)


@admin.register(SpaceVersion)
class SpaceVersionAdmin(ReadOnly):
    """Their versions."""

    list_display = ("id", "space_id", "number", "family", "created_at")
    list_filter = ("family",)


@admin.register(Race)
class RaceAdmin(ReadOnly):
    """Races of all people, without their figures."""

    list_display = ("id", "name", "owner", "state", "n_done", "budget", "seeds", "created_at")
    list_filter = ("state",)
    exclude = ("figures",)
    list_select_related = ("owner",)


@admin.register(RaceTable)
class RaceTableAdmin(ReadOnly):
    """Tables of all people."""

    list_display = ("id", "name", "owner", "n_rows", "bytes", "created_at")
    list_select_related = ("owner",)
