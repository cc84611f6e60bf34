"""Single searches: who may see which, and what they take up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, Q, QuerySet, Sum
from django.http import Http404

from searches.models import Artifact, Search, Trial
from searches.services.extending import COPYING
from searches.services.preflight import TOKEN

#: counters of a search's row and the trial state each one counts
COUNTERS = {
    "n_waiting": Trial.State.WAITING,
    "n_running": Trial.State.RUNNING,
    "n_paused": Trial.State.PAUSED,
    "n_completed": Trial.State.COMPLETED,
    "n_pruned": Trial.State.PRUNED,
    "n_failed": Trial.State.FAILED,
    "n_cancelled": Trial.State.CANCELLED,
}


class SearchNotFound(Search.DoesNotExist, Http404):
    """No such search, or somebody else's: over HTTP both are a 404."""


class TrialNotFound(Trial.DoesNotExist, Http404):
    """No such trial in the search."""


def searches_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Search]:
    """A person's own searches; drafts that only carry a preflight, or are still being copied, are nobody's."""
    hidden = Q(submit_token__startswith=TOKEN) | Q(submit_token__startswith=COPYING)
    return Search.objects.filter(owner_id=user.pk).exclude(hidden & Q(submit_token__isnull=False))


def ended_of(*, user: AbstractBaseUser | AnonymousUser, most: int = 50) -> QuerySet[Search]:
    """The person's ended searches that have results, newest first; what a new one may learn from."""
    found = searches_of(user).filter(state__in=Search.ENDED, n_completed__gt=0)
    return found.order_by("-pk").only("name", "config", "data_spec", "n_completed")[:most]


def search_get(*, user: AbstractBaseUser | AnonymousUser, id: int) -> Search:
    """One of the person's own searches with its best trial and its saved space. One query.

    Raises:
        SearchNotFound: there is none, or it belongs to another person (superusers are no exception).
    """
    if not 0 < id < 2**63:
        raise SearchNotFound("no such search")
    search = searches_of(user).select_related("best", "space_version__space").filter(pk=id).first()
    if search is None:
        raise SearchNotFound("no such search")
    return search


def trial_get(*, user: AbstractBaseUser | AnonymousUser, id: int, number: int) -> Trial:
    """A trial of one of the person's own searches, with that search in it. Two queries.

    Raises:
        SearchNotFound: no such search, or it belongs to another person.
        TrialNotFound: the search has no trial of this number.
    """
    search = search_get(user=user, id=id)
    trial = search.trials.filter(number=number).first() if 0 < number < 2**31 else None
    if trial is None:
        raise TrialNotFound(f"this search has no trial #{number}")
    trial.search = search
    return trial


def searches_get(*, user: AbstractBaseUser | AnonymousUser, ids: Sequence[str]) -> list[Search]:
    """Several of the person's own searches, in the order of their ids; one that is not theirs is an error.

    Raises:
        SearchNotFound: as `search_get`.
    """
    try:
        wanted = sorted({int(i) for i in ids[:500]})
    except ValueError as e:
        raise SearchNotFound("no such search") from e
    found = list(searches_of(user).filter(pk__in=[i for i in wanted if 0 < i < 2**63]).order_by("pk"))
    if len(found) != len(wanted):
        raise SearchNotFound("no such search")
    return found


def disk_bytes_of(ids: Sequence[int]) -> dict[int, int]:
    """Bytes that the files of searches take in the storage, which is what deleting them frees. One query."""
    rows = Artifact.objects.filter(search__in=list(ids)).values("search").annotate(n=Sum("bytes"))
    return {row["search"]: row["n"] or 0 for row in rows}


def counts_recomputed(search: Search) -> dict[str, Any]:
    """The counters of a search's row, counted again from its trials: for checks. One query."""
    counted = search.trials.aggregate(
        n_trials=Count("pk"), **{name: Count("pk", filter=Q(state=state)) for name, state in COUNTERS.items()}
    )
    return dict(counted)


def proposed_in(search: Search) -> dict[str, Any] | None:
    """Choices of the architecture that a draft begins with, None where there is none. One query."""
    entry = search.entries.filter(kind="edit").order_by("number").values_list("payload", flat=True).first()
    return dict(entry["payload"]["choices"]) if entry and entry.get("edit") == "propose" else None
