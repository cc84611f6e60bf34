"""What a trials worker does beside its tasks: join, beat, and leave.

Connected by ``manage.py worker`` only; the control worker, beat and the web server are no workers in people's eyes.
"""

import logging
import threading
from dataclasses import dataclass, field
from typing import Any

from celery import signals
from django.conf import settings
from django.db import close_old_connections, connection
from django.db.utils import Error as DatabaseError

from searches.draining import draining
from searches.services.workers import worker_beat, worker_leave, worker_register

log = logging.getLogger(__name__)


@dataclass
class Presence:
    """One worker's row in the database, kept fresh by a thread.

    A database that is away costs beats, never the worker: it registers again when the database is back.
    """

    name: str
    kind: str
    slots: int
    device: dict[str, Any]
    host: str
    _leaving: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def join(self, **_kwargs: Any) -> None:
        """Register, and beat every ``HEARTBEAT_S`` from now on."""
        self._thread = threading.Thread(target=self._beat, name="worker-presence", daemon=True)
        self._thread.start()

    def drain(self, **_kwargs: Any) -> None:
        """Tell the running jobs to hand themselves back."""
        draining.set()

    def leave(self, **_kwargs: Any) -> None:
        """Stop beating and say goodbye."""
        self._leaving.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)
        try:
            worker_leave(name=self.name)
        except DatabaseError as error:
            log.warning("could not say goodbye, the others will notice: %s", error)
        finally:
            connection.close()

    def _beat(self) -> None:
        registered = False
        while True:
            try:
                close_old_connections()
                if registered:
                    worker_beat(name=self.name)
                else:
                    worker_register(
                        name=self.name, kind=self.kind, slots=self.slots, device=self.device, host=self.host
                    )
                    registered = True
            except DatabaseError as error:
                registered = False
                log.warning("no heartbeat: %s", error)
            if self._leaving.wait(settings.HEARTBEAT_S if registered else min(1.0, settings.HEARTBEAT_S)):
                break
        connection.close()


def connect(presence: Presence) -> None:
    """Let Celery's signals move `presence`: ready, shutting down, gone."""
    # Strong references: the signals hold weak ones to bound methods otherwise.
    signals.worker_ready.connect(presence.join, weak=False)
    signals.worker_shutting_down.connect(presence.drain, weak=False)
    signals.worker_shutdown.connect(presence.leave, weak=False)
