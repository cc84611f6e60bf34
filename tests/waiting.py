"""Waiting for a condition with a deadline; no test sleeps to wait."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, *, timeout_s: float = 20.0, every_s: float = 0.03) -> T:
    """The first true value of `condition`.

    Raises:
        AssertionError: It has not become true within `timeout_s`; the message says `what` was waited for.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain until {what}; last value: {value!r}")
        time.sleep(every_s)
