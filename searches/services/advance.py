"""Advancing a search: new entries of its decision log are fed to its conductor, and what it wants is committed.

The conductor thinks outside of any transaction. Its actions are committed by compare-and-swap on `Search.cursor`, the
number of log entries decided upon: who finds another number there lost a race, drops its conductor and loads again.
Nothing is lost or doubled by a kill at any point: before the commit nothing has happened, after it the cursor says so.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from engine.errors import EngineError
from engine.log import Action, Finish, Launch, Promote, Refuse, Start, Stop
from searches.models import Job, Search, Trial
from searches.services import finals, states
from searches.services.conductors import Held, entries_next, load, shelf, trial_values
from searches.services.enqueue import advance_enqueue, job_enqueue
from searches.services.events import TRIAL_FIELDS
from searches.services.inheriting import checkpoints_trim, train_payload
from searches.services.jsonable import jsonable
from searches.services.snapshots import Taken, snapshot_add, snapshot_drop, snapshot_take
from searches.services.supernets import piece_start, pieces_cancel
from searches.services.writing import Rejected, Write, writing

log = logging.getLogger(__name__)
#: entries decided upon in one transaction at most
BATCH = 64
#: compare-and-swaps that may be lost in a row before the next message tries again
LOST_RACES = 5


def advance_search(*, search_id: int) -> int:
    """Decides upon every entry of the log that is there. Returns how many entries were decided upon.

    Errors of the strategy, of a plug-in or of the data end the search with their reason; errors of the database are
    raised (the next message, or the reaper, tries again).
    """
    done = 0
    shelf.want(search_id)
    while shelf.take(search_id):
        try:
            done += _advance(search_id)
        finally:
            shelf.release(search_id)
    return done


def _advance(search_id: int) -> int:
    done = lost = 0
    while lost < LOST_RACES:
        search = Search.objects.only("state", "cursor", "n_entries", "decided").filter(pk=search_id).first()
        if search is None or search.state not in Search.LIVE or search.decided:
            shelf.drop(search_id)
            break
        if search.cursor == search.n_entries:
            break
        try:
            n = _decide(search_id, search.cursor)
        except DatabaseError:
            shelf.drop(search_id)
            raise
        except Exception as e:
            # Not only the errors that plug-ins raise on purpose: a search must never say "running" for ever.
            shelf.drop(search_id)
            log.warning("Search %s has failed: %s", search_id, e, exc_info=not isinstance(e, EngineError))
            _fail(search_id, search.cursor, e)
            break
        done += n
        lost = 0 if n else lost + 1
    return done


def _decide(search_id: int, cursor: int) -> int:
    """One batch: thinks, then commits. Returns the entries decided upon, 0 if another process was faster."""
    held = shelf.get(search_id, cursor)
    if held is None:
        search = Search.objects.get(pk=search_id)
        if search.cursor != cursor:
            return 0
        held = load(search)
    actions: list[Action] = []
    last = cursor
    for number, entry in entries_next(search_id, cursor, BATCH):
        held.conductor.observe(entry)
        actions += held.conductor.next_actions()
        last = number
        if held.conductor.finish is not None:
            break
    if last == cursor:
        return 0
    # until the commit this conductor knows more than the database: nobody may find it
    shelf.drop(search_id)
    prepared = {a.trial: trial_values(held, a.trial, a.proposal) for a in actions if isinstance(a, Start)}
    snapshot = _snapshot(search_id, held, last)
    if not _commit(search_id, held, cursor, last, actions, prepared, snapshot):
        snapshot_drop(snapshot)
        return 0
    held.cursor = last
    shelf.put(search_id, held)
    return last - cursor


def _snapshot(search_id: int, held: Held, last: int) -> Taken | None:
    """What to store with this decision, None between snapshots; ever rarer: their sum grows no faster than the log."""
    if last - held.snapshot < max(settings.SNAPSHOT_EVERY, last // 20):
        return None
    held.snapshot = last  # where the storage is full, too: it is not asked again at each decision
    return snapshot_take(search_id=search_id, cursor=last, conductor=held.conductor)


def _commit(
    search_id: int,
    held: Held,
    cursor: int,
    last: int,
    actions: list[Action],
    prepared: dict[int, dict[str, Any]],
    snapshot: Taken | None,
) -> bool:
    conductor = held.conductor
    views = None
    if held.views_due or conductor.finish is not None:
        began = time.monotonic()
        views = jsonable(conductor.views())
        held.views_cost_s, held.views_at = time.monotonic() - began, time.monotonic()
    best = conductor.best()
    front = conductor.front()
    waiting = conductor.waiting()
    keeps = conductor.keeps()
    try:
        with writing(search_id) as write:
            search = write.search
            if search.cursor != cursor or search.state not in Search.LIVE or search.decided:
                raise Rejected
            write.set(cursor=last)
            if search.state == Search.State.QUEUED:
                write.set(state=Search.State.RUNNING, reason="", started_at=search.started_at or write.now)
                states.clock_start(write)
            _refusals(write, held)
            _starts(write, held, [a for a in actions if isinstance(a, Start)], prepared)
            for action in actions:
                _act(write, held, action, keeps)
            if conductor.strategy.inherits:
                checkpoints_trim(write, conductor.history, keeps)
            if best is not None:
                _lead(write, held, best.number, front)
            if waiting != search.waiting:
                write.set(waiting=jsonable(waiting))
            if views is not None:
                write.set(views=views)
            if snapshot is not None:
                snapshot_add(write, snapshot)
            for action in actions:
                if isinstance(action, Finish):
                    _finish(write, held, action)
    except Rejected:
        return False
    if _refusals_due(held):
        held.unbuildable = len(conductor.context.unbuildable)
    if best is not None:
        held.best, held.front = best.number, front
    if views is not None:
        held.views_cursor = last
    return True


def _refusals_due(held: Held) -> bool:
    """Whether the log says that architectures were refused: at the first of them, then each time they have doubled."""
    return len(held.conductor.context.unbuildable) >= max(1, 2 * held.unbuildable)


def _refusals(write: Write, held: Held) -> None:
    """Says which architectures could not be built and why; no trial was made of them, so the budget is untouched."""
    if not _refusals_due(held):
        return
    refused = held.conductor.context.unbuildable
    last, why = next(reversed(refused.items()))
    n = f"{len(refused):,} architectures" if len(refused) > 1 else "an architecture"
    name = held.conductor.context.space.short_name(last)
    write.line("refused", f"{n} refused before training, at no cost to the budget: {name} cannot be built: {why}")


def _starts(write: Write, held: Held, starts: list[Start], prepared: dict[int, dict[str, Any]]) -> None:
    """New trials with their first jobs."""
    if not starts:
        return
    search_id = write.search.pk
    trials = Trial.objects.bulk_create(
        Trial(search_id=search_id, target_epochs=a.fidelity, created_at=write.now, **prepared[a.trial]) for a in starts
    )
    write.moved(None, Trial.State.WAITING, len(trials))
    paused = write.search.state == Search.State.PAUSED
    jobs = Job.objects.bulk_create(
        Job(
            search_id=search_id,
            trial=trial,
            kind=Job.Kind.TRAIN,
            state=Job.State.HELD if paused else Job.State.WAITING,
            fidelity=action.fidelity,
            payload=train_payload(held.config, action.proposal.to_json()),
            enqueued_at=None if paused else write.now,
        )
        for trial, action in zip(trials, starts, strict=True)
    )
    for trial, job in zip(trials, jobs, strict=True):
        write.trial(trial)
        if not paused:
            job_enqueue(job_id=job.pk, claim=job.claim)


def _act(write: Write, held: Held, action: Action, keeps: Collection[int]) -> None:
    """A piece of work, one action on a trial that exists, or what is said of one that will not."""
    if isinstance(action, Start | Finish):
        return
    if isinstance(action, Launch):
        piece_start(write, action)
        return
    if isinstance(action, Refuse):
        write.line("refused", f"an architecture proposed by hand is not tried: {action.reason}")
        return
    trial = Trial.objects.only(*TRIAL_FIELDS, "proposal").get(search_id=write.search.pk, number=action.trial)
    if trial.state in Trial.ENDED:  # it failed, or a person was faster; the log will tell the conductor
        return
    if isinstance(action, Promote):
        before = Job.objects.filter(trial_id=trial.pk, kind=Job.Kind.TRAIN).order_by("-id").first()
        states.trial_set(write, trial, state=Trial.State.WAITING, target_epochs=action.fidelity, reason="")
        states.job_new(
            write,
            trial_id=trial.pk,
            kind=Job.Kind.TRAIN,
            fidelity=action.fidelity,
            payload=train_payload(held.config, trial.proposal),
            checkpoint=before.checkpoint if before else "",
        )
    elif isinstance(action, Stop):
        trial_stop(write, trial, action.reason, pruned=action.pruned, keep=action.trial in keeps)


def trial_stop(write: Write, trial: Trial, reason: str, *, pruned: bool = False, keep: bool = False) -> None:
    """Ends a trial and its open job; its checkpoints are not needed any more, unless others may begin with them."""
    jobs = list(Job.objects.filter(trial_id=trial.pk, kind=Job.Kind.TRAIN, state__in=Job.OPEN).only("id"))
    states.jobs_cancel(write, jobs, reason)
    state = Trial.State.PRUNED if pruned else Trial.State.CANCELLED
    states.trial_set(write, trial, state=state, reason=reason, ended_at=write.now)
    if not keep:
        states.checkpoints_delete(write, states.of_trial(trial))


def _lead(write: Write, held: Held, best: int, front: list[int]) -> None:
    """Writes the best trial and the front where they have changed."""
    search_id = write.search.pk
    if best != held.best:
        row = Trial.objects.only(*TRIAL_FIELDS).get(search_id=search_id, number=best)
        write.set(best=row)
    if front != held.front:
        new, old = set(front), set(held.front)
        trials = Trial.objects.filter(search_id=search_id)
        trials.filter(number__in=new - old).update(on_front=True)
        trials.filter(number__in=old - new).update(on_front=False)
        write.set(front=list(front))


def _finish(write: Write, held: Held, action: Finish) -> None:
    """The search phase is over: what is left of it ends, the winner is trained fully."""
    winners = list(action.winners)
    write.set(decided=True, winners=winners, waiting=[])
    pieces_cancel(write, action.reason)
    if action.failed or action.cancelled:
        state = Search.State.FAILED if action.failed else Search.State.STOPPED
        states.search_end(write, state, action.reason)
        return
    write.set(state=Search.State.FINISHING, reason=action.reason)
    states.clock_start(write)
    write.line("search", f"search phase over: {action.reason}")
    finals.finals_start(write=write, config=held.config, winners=winners[:1])
    states.search_settle(write)


def _fail(search_id: int, cursor: int, error: Exception) -> None:
    """Ends a search that cannot be decided upon, with the reason and the traceback in its log."""
    reason = str(error) or type(error).__name__
    if not isinstance(error, EngineError):
        reason = f"{type(error).__name__}: {reason}"
    text = "".join(traceback.format_exception(error))
    try:
        with writing(search_id) as write:
            if write.search.cursor != cursor or write.search.state not in Search.LIVE:
                raise Rejected
            write.line("traceback", text)
            states.search_end(write, Search.State.FAILED, reason)
    except (Rejected, Search.DoesNotExist):
        log.info("Search %s was changed by somebody else meanwhile.", search_id)


def views_flush() -> None:
    """Writes views that were held back (see `Held.views_due`); called by the reaper of the control worker."""
    for search_id, held in shelf.all():
        if not held.views_due or not shelf.take(search_id, wanted=False):
            continue
        try:
            if shelf.get(search_id, held.cursor) is held:
                views = jsonable(held.conductor.views())
                Search.objects.filter(pk=search_id, cursor=held.cursor).update(views=views)
                held.views_cursor, held.views_at = held.cursor, time.monotonic()
        finally:
            shelf.release(search_id)
        if shelf.wanted(search_id):
            advance_enqueue(search_id)
