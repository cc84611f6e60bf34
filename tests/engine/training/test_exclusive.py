"""One device, several processes: who trains shares it, who measures has it alone."""

from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from engine.errors import Interrupted
from engine.training.exclusive import WAITING, Device

_context = multiprocessing.get_context("spawn")
DEADLINE_S = 30.0


def until(condition) -> None:
    ends = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.01)


def trains(path: Path, folder: Path, name: str) -> None:
    """Shares the device and computes until `stop` lies in the folder; counts its batches in a file of its own."""
    order = folder / "stop"
    device = Device(path, lambda event: None, lambda: "pause" if order.exists() else None)
    with device.shared():
        batch = 0
        while device.should_stop() is None:
            batch += 1
            (folder / name).write_text(str(batch))
            time.sleep(0.01)


def measures(path: Path, folder: Path) -> None:
    """Has the device alone until `done` lies in the folder."""
    with Device(path, lambda event: None, lambda: None).alone():
        (folder / "alone").touch()
        until(lambda: (folder / "done").exists())


@pytest.fixture
def start():
    """Starts functions in processes of their own; none outlives the test."""
    processes = []

    def begin(target, *args):
        processes.append(_context.Process(target=target, args=args, daemon=True))
        processes[-1].start()
        return processes[-1]

    yield begin
    for p in processes:
        p.kill()
        p.join()


def batches(folder: Path, name: str) -> int:
    text = (folder / name).read_text() if (folder / name).exists() else ""
    return int(text or 0)


def test_a_training_lets_a_measurement_in_and_goes_on_behind_it(tmp_path, start):
    path = tmp_path / "locks" / "cpu"
    start(trains, path, tmp_path, "one")
    start(trains, path, tmp_path, "two")
    until(lambda: batches(tmp_path, "one") and batches(tmp_path, "two"))  # beside each other
    start(measures, path, tmp_path)
    until(lambda: (tmp_path / "alone").exists())
    start(trains, path, tmp_path, "late")
    before = batches(tmp_path, "one"), batches(tmp_path, "two")
    time.sleep(0.3)  # nothing may happen: there is no condition to wait for
    assert (batches(tmp_path, "one"), batches(tmp_path, "two"), batches(tmp_path, "late")) == (*before, 0)
    (tmp_path / "done").touch()
    until(lambda: batches(tmp_path, "one") > before[0] and batches(tmp_path, "two") > before[1])
    until(lambda: batches(tmp_path, "late"))


def test_a_killed_holder_leaves_no_lock(tmp_path, start):
    path = tmp_path / "cpu"
    holder = start(measures, path, tmp_path)
    until(lambda: (tmp_path / "alone").exists())
    holder.kill()
    with Device(path, lambda event: None, lambda: None).alone():
        pass


def test_orders_count_while_it_waits_and_the_wait_is_said(tmp_path):
    path, events, orders = tmp_path / "cpu", [], iter([None, "enough", None, "pause"])
    with Device(path, lambda event: None, lambda: None).shared():
        waiting = Device(path, events.append, lambda: next(orders))
        with pytest.raises(Interrupted, match="pause"), waiting.alone():
            pytest.fail("it has the device beside another one")
    assert events == [{"kind": "phase", "phase": WAITING}]
    with Device(path, lambda event: None, lambda: None).alone():  # nothing was left behind
        pass


def test_a_training_that_waits_says_so_takes_orders_and_says_what_it_does_again(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.training.exclusive.LOOK_S", 0.0)
    path, events = tmp_path / "cpu", []
    done = threading.Event()

    def asked():
        if events[-1]["phase"] == WAITING:
            done.set()

    def measure():
        with Device(path, lambda event: None, lambda: None).alone():
            assert done.wait(DEADLINE_S)

    device = Device(path, events.append, asked)
    train = {"kind": "phase", "phase": "train"}
    with device.shared():
        device.emit(train)
        thread = threading.Thread(target=measure)
        thread.start()
        until(lambda: device.should_stop() is None and done.is_set())
        thread.join()
    assert events == [train, {"kind": "phase", "phase": WAITING}, train]


def test_a_measurement_never_looks_at_its_own_turnstile(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.training.exclusive.LOOK_S", 0.0)
    device = Device(tmp_path / "cpu", lambda event: None, lambda: "cancel")
    with device.alone():
        assert device.should_stop() == "cancel"
