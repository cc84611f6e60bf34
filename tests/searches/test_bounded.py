"""What takes too long for a page is ended, and its thread with it."""

from __future__ import annotations

import threading
import time

import pytest

from searches.bounded import AT_ONCE, TookTooLong, within
from tests.waiting import wait_until


def spinning():
    """Threads of this module that are still at work."""
    return [t for t in threading.enumerate() if t.name == "bounded" and t.is_alive()]


def spin():
    """Python without an end."""
    n = 0
    while True:
        n += 1


def test_values_and_errors_come_through():
    assert within(5, lambda: 6 * 7) == 42
    with pytest.raises(KeyError):
        within(5, lambda: {}["x"])


def test_an_endless_computation_is_ended():
    began = time.monotonic()
    with pytest.raises(TookTooLong):
        within(0.2, spin)
    assert time.monotonic() - began < 3
    wait_until(lambda: not spinning(), "the thread has ended")


def test_its_place_is_free_again():
    for _ in range(AT_ONCE + 2):
        with pytest.raises(TookTooLong):
            within(0.02, spin)
    assert within(5, lambda: "free") == "free"
