"""A database that is away for a moment (a restart, a lock held too long) costs a worker time, not its result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import connection
from django.db.utils import InterfaceError, OperationalError

log = logging.getLogger(__name__)
T = TypeVar("T")


def persistently(call: Callable[[], T]) -> T:
    """Calls a service again while the database is away, for at most a lease: after that the claim is lost anyway.

    Only for services that change nothing when called twice (all of them are fenced by a claim).
    """
    until = time.monotonic() + settings.LEASE_S
    pause = 0.1
    while True:
        try:
            return call()
        except (OperationalError, InterfaceError) as e:
            connection.close()
            if time.monotonic() + pause > until:
                raise
            log.warning("the database is away (%s); again in %.1f s", e, pause)
            time.sleep(pause)
            pause = min(2 * pause, 2.0)
