"""The reaper: what time alone must do.

Leases end, messages that were lost are sent again, minutes run out, searches whose next decision was never asked for
are asked for again, old events go. It runs in the control worker, asked for by beat and by a thread of that worker:
a message can be lost exactly when the reaper is needed, a thread cannot. Running it twice at once is harmless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, Sum
from django.db.models.functions import Now

from engine.log import Edit
from searches.models import Artifact, Event, Job, Search, Trial
from searches.services import states
from searches.services.advance import views_flush
from searches.services.enqueue import advance_enqueue, jobs_enqueue_again, queue_length
from searches.services.jobs import job_lost
from searches.services.preflight import drafts_sweep
from searches.services.race_pieces import races_reap
from searches.services.sweeping import copies_sweep, files_sweep, lines_sweep
from searches.services.writing import Rejected, writing

log = logging.getLogger(__name__)
#: events kept per search
EVENTS_KEPT = 5_000
#: messages sent again in one go at most
AGAIN = 1_000
#: rarer chores
CHORES_S = 60.0

_running = threading.Lock()
_last = 0.0
_last_chores = 0.0


def reap(*, force: bool = True) -> bool:
    """Does everything once; False if another thread is at it, or (without `force`) has just been."""
    global _last, _last_chores
    if not force and time.monotonic() - _last < settings.REAP_S:
        return False
    if not _running.acquire(blocking=False):
        return False
    try:
        leases_reap()
        deadlines_reap()
        searches_reap()
        messages_reap()
        views_flush()
        races_reap()
        if time.monotonic() - _last_chores > CHORES_S:
            _last_chores = time.monotonic()
            events_reap()
            drafts_sweep()
            checkpoints_reap()
            copies_sweep()
            lines_sweep()
            files_sweep()
        return True
    finally:
        _last = time.monotonic()
        _running.release()


def leases_reap() -> int:
    """Jobs whose worker has been silent for a whole lease are given to others. Returns how many."""
    expired = Job.objects.filter(state=Job.State.RUNNING, lease_until__lt=Now())
    rows = list(expired.values_list("id", "claim", "search_id")[:AGAIN])
    return sum(job_lost(job_id=job_id, claim=claim, search_id=search_id) for job_id, claim, search_id in rows)


def deadlines_reap() -> int:
    """Searches whose minutes are up get the entry that ends them. Returns how many."""
    number = 0
    running = Search.objects.filter(state=Search.State.RUNNING, decided=False).annotate(db_now=Now())
    for search in running.only("config", "extra_minutes", "ran_s", "running_since"):
        minutes = search.config["budget"].get("minutes")
        if minutes is None or search.running_since is None:
            continue
        ran = search.ran_s + (search.db_now - search.running_since).total_seconds()
        if ran < 60 * (minutes + search.extra_minutes):
            continue
        try:
            with writing(search.pk) as write:
                if write.search.state != Search.State.RUNNING or write.search.decided:
                    raise Rejected
                write.set(state=Search.State.FINISHING, reason="time is up")
                write.entry(Edit("deadline").to_json())
        except (Rejected, Search.DoesNotExist):
            continue
        number += 1
    return number


def searches_reap() -> int:
    """Asks again for decisions nobody has taken, and completes what hung between its last job and its end."""
    behind = Search.objects.filter(state__in=Search.LIVE, decided=False, cursor__lt=F("n_entries"))
    ids = list(behind.values_list("id", flat=True)[:AGAIN])
    for search_id in ids:
        advance_enqueue(search_id)
    for search_id in Search.objects.filter(state=Search.State.FINISHING, decided=True).values_list("id", flat=True):
        with writing(search_id) as write:
            states.search_settle(write)
    return len(ids)


def messages_reap() -> int:
    """Sends messages again where fewer wait in the queue than jobs in the database. Returns how many.

    A long queue is no loss, so the age of a message says nothing; a message too many is a no-op for its receiver.
    """
    age = timedelta(seconds=2 * settings.REAP_S)
    waiting = Job.objects.filter(state=Job.State.WAITING).filter(Q(enqueued_at=None) | Q(enqueued_at__lt=Now() - age))
    rows = list(waiting.order_by("id").values_list("id", "claim")[:AGAIN])
    if not rows:
        return 0
    queued = queue_length()
    if queued is None or queued >= Job.objects.filter(state=Job.State.WAITING).count():
        return 0
    again = jobs_enqueue_again(rows)
    if again:
        log.info("%d messages were sent again: %d jobs wait, %d messages did.", again, len(rows), queued)
    return again


def events_reap() -> int:
    """Deletes events nobody will ask for any more. Returns how many."""
    number = 0
    for search_id, seq in Search.objects.filter(seq__gt=EVENTS_KEPT).values_list("id", "seq"):
        while True:
            old = Event.objects.filter(search_id=search_id, seq__lte=seq - EVENTS_KEPT).order_by("seq")
            ids = list(old.values_list("pk", flat=True)[:1_000])
            if not ids:
                break
            Event.objects.filter(pk__in=ids).delete()
            number += len(ids)
    return number


def checkpoints_reap() -> int:
    """Keeps checkpoints within their quota: those of the lowest-ranked resting trials go. Returns how many.

    Resting are trials between rungs (one that is promoted nevertheless is trained again from its seed, to the same
    result) and ended ones that others may begin with (those begin from their own seed then, and say so).
    """
    stored = Artifact.objects.filter(kind=Artifact.Kind.CHECKPOINT)
    over = (stored.aggregate(n=Sum("bytes"))["n"] or 0) - settings.CHECKPOINT_QUOTA_MB * 2**20
    if over <= 0:
        return 0
    under_way = Job.objects.filter(trial_id=OuterRef("trial_id"), state__in=Job.OPEN)
    resting = stored.filter(~Exists(under_way), trial__state__in=[Trial.State.PAUSED, *Trial.ENDED])
    chosen: dict[int, list[int]] = defaultdict(list)
    ranked = resting.order_by("trial__fidelity", "trial__accuracy", "-trial__number")
    for pk, search_id, n_bytes in ranked.values_list("id", "search_id", "bytes")[:AGAIN]:
        if over <= 0:
            break
        chosen[search_id].append(pk)
        over -= n_bytes
    for search_id, ids in chosen.items():
        try:
            with writing(search_id) as write:
                # looked at again under the lock: one of them may have been promoted meanwhile
                states.checkpoints_delete(write, Q(~Exists(under_way), pk__in=ids))
                write.line("checkpoint", f"quota: {len(ids)} checkpoints of the lowest-ranked resting trials deleted")
        except Search.DoesNotExist:
            continue
    return sum(map(len, chosen.values()))
