"""Celery tasks: thin. A message carries numbers only; the database is the truth."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from celery import Task, shared_task
from celery.signals import worker_ready
from django.conf import settings
from django.db import close_old_connections
from django.db.utils import InterfaceError, OperationalError

from engine import catalog
from searches import prompt  # noqa: F401 - connects itself to the workers' signals
from searches.services.advance import advance_search as advance
from searches.services.reap import reap as reap_once

log = logging.getLogger(__name__)
#: a database that is away for a moment; what is not done after these tries is asked for again by the reaper
_RETRY = {"max_retries": 3, "countdown": 1.0}


@shared_task(name="searches.tasks.advance_search", bind=True, max_retries=3, ignore_result=True)
def advance_search(self: Task, search_id: int) -> None:
    """Decides upon the new entries of a search's log."""
    try:
        advance(search_id=int(search_id))
    except (OperationalError, InterfaceError) as e:
        close_old_connections()
        raise self.retry(exc=e, **_RETRY) from e


@shared_task(name="searches.tasks.run_job", bind=True, ignore_result=True)
def run_job(self: Task, job_id: int, claim: int) -> None:
    """Claims a job and runs it in a child process (or in this thread, where its evaluator needs none)."""
    from searches import runner
    from searches.services.canary import canary_problem

    if problem := canary_problem():
        log.error("job %s is left to others. %s", job_id, problem)  # its message is spent; the reaper sends it again
        return
    # the name `manage.py worker` was given, or Celery's for a worker that was started otherwise
    name = os.environ.get("NASWEB_WORKER_NAME") or str(self.request.hostname or "worker")
    runner.run_job(int(job_id), int(claim), worker=name[:120])


@shared_task(name="searches.tasks.race_piece", ignore_result=True)
def race_piece(race_id: int, claim: int) -> None:
    """Runs a race of the arena for a moment and asks for the next piece; a lost message is the reaper's business."""
    from searches.services import race_pieces

    race_pieces.race_piece(race_id=int(race_id), claim=int(claim))


@shared_task(name="searches.tasks.reap", ignore_result=True)
def reap() -> None:
    """Ends expired leases, sends lost messages again, ends searches whose minutes are up."""
    reap_once()


@worker_ready.connect
def get_going(sender: Any = None, **_kwargs: Any) -> None:
    """What a worker does before its first message.

    It loads every plug-in: the first job would do so under its lease otherwise, which may run out on a busy machine. In
    the control worker a thread of its own reaps too: the message that asks for it may be what was lost.
    """
    queues = sender.app.amqp.queues.consume_from
    if "control" in queues:
        threading.Thread(target=_reap_for_ever, name="reaper", daemon=True).start()
    if "trials" in queues:
        from searches.childwatch import warm_up

        warm_up()
    catalog.load()


def _reap_for_ever() -> None:
    wait = threading.Event()
    while not wait.wait(settings.REAP_S):
        try:
            close_old_connections()
            reap_once(force=False)
        except Exception:  # the next round may do better; a reaper that gives up helps nobody
            log.exception("reaping failed")
