"""Resumed equals uninterrupted, bit for bit: between rungs, and from inside an epoch."""

import errno
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.errors import Interrupted
from engine.evaluation.base import Report, Work
from engine.training import checkpoint
from engine.training.checkpoint import CheckpointError
from tests.engine.training.networks import SMALL, never, session, work

SETTINGS = [("float32", "contiguous"), ("float32", "channels_last"), ("bfloat16", "channels_last")]


def numbers(report: Report) -> dict[str, Any]:
    """A report without what the clock decides."""
    rows = [{k: v for k, v in row.items() if k != "samples_per_s"} for row in report.curve]
    return {"metrics": dict(report.metrics), "correct": report.correct, "curve": rows}


def same_tensors(a: Path, b: Path) -> bool:
    """Whether two checkpoints hold the same tensors, bit for bit."""
    left, right = load_file(a), load_file(b)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


class StopAt:
    """Asks for the hand-back before batch number `n` counted over all epochs."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self) -> str | None:
        self.n -= 1
        return "pause" if self.n < 0 else None


@pytest.mark.parametrize(("precision", "layout"), SETTINGS)
def test_interrupted_inside_an_epoch_and_resumed_is_the_same_training(
    tmp_path: Path, precision: str, layout: str
) -> None:
    setting = {"precision": precision, "layout": layout, "threads": 1}
    recipe = {"flip": True, "cutout": 3, "shift": 1}
    whole = work(tmp_path / "whole", extra={"setting": setting})
    expected = session(**recipe).evaluate(whole, lambda event: None, never)
    rng = np.random.default_rng(5)
    stops = sorted(int(i) for i in rng.choice(3 * 17, size=3, replace=False))
    part, done = tmp_path / "part", 0
    resume = None
    for stop in stops:
        events: list[dict[str, Any]] = []
        with pytest.raises(Interrupted, match="pause"):
            session(**recipe).evaluate(
                work(part, checkpoint=resume, extra={"setting": setting}), events.append, StopAt(stop - done)
            )
        resume, done = part / "checkpoint.safetensors", stop
        kept = [e for e in events if e["kind"] == "checkpoint"]
        assert [(e["epoch"], e["batch"]) for e in kept[-1:]] == [divmod(stop, 17)]
    got = session(**recipe).evaluate(work(part, checkpoint=resume), lambda event: None, never)
    assert numbers(got) == numbers(expected)
    assert same_tensors(tmp_path / "whole" / checkpoint.NAME, part / checkpoint.NAME)
    assert got.cost["epochs"] == 3
    assert got.cost["precision"] == precision


def test_rungs_of_one_two_and_four_epochs_equal_four_epochs_at_once(tmp_path: Path) -> None:
    whole = session().evaluate(work(tmp_path / "whole", fidelity=4, max_fidelity=4), lambda event: None, never)
    rows: list[Any] = []
    resume, epochs = None, 0
    for fidelity in (1, 2, 4):
        folder = tmp_path / str(fidelity)
        report = session().evaluate(
            work(folder, fidelity=fidelity, max_fidelity=4, checkpoint=resume), lambda event: None, never
        )
        rows += numbers(report)["curve"]
        epochs += report.cost["epochs"]
        assert report.fidelity == fidelity
        resume = folder / checkpoint.NAME
    assert epochs == 4
    assert rows == numbers(whole)["curve"]
    assert report.correct == whole.correct
    assert same_tensors(tmp_path / "whole" / checkpoint.NAME, resume)


def test_a_report_lost_after_the_last_checkpoint_is_made_again(tmp_path: Path) -> None:
    first = session().evaluate(work(tmp_path), lambda event: None, never)
    events: list[dict[str, Any]] = []
    again = session().evaluate(work(tmp_path, checkpoint=tmp_path / checkpoint.NAME), events.append, never)
    assert numbers(again) == numbers(first)
    assert not [e for e in events if e["kind"] == "epoch"]


def test_the_same_seed_gives_the_same_bits_in_another_process(tmp_path: Path) -> None:
    here = session().evaluate(work(tmp_path / "here"), lambda event: None, never)
    code = f"""
import json, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from tests.engine.training.networks import never, session, work
report = session().evaluate(work(Path({str(tmp_path / "there")!r})), lambda event: None, never)
sys.stdout.write(json.dumps(report.to_json()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    there = Report.from_json(json.loads(done.stdout.splitlines()[-1]))
    assert numbers(there) == numbers(here)
    assert same_tensors(tmp_path / "here" / checkpoint.NAME, tmp_path / "there" / checkpoint.NAME)


def test_seed_and_replicate_change_the_training_and_the_caller_s_generator_does_not(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    losses = []
    for i, change in enumerate([{}, {"seed": 12}, {"replicate": 1}]):
        report = session().evaluate(work(tmp_path / str(i), **change), lambda event: None, never)
        losses.append(report.metrics["loss"])
    assert len(set(losses)) == 3
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    report = session().evaluate(work(tmp_path / "again"), lambda event: None, never)
    assert report.metrics["loss"] == losses[0]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A checkpoint after one of three epochs."""
    session().evaluate(work(tmp_path, fidelity=1), lambda event: None, never)
    return tmp_path / checkpoint.NAME


def resume(path: Path, **changes: Any) -> Work:
    return work(path.parent, checkpoint=path, **changes)


@pytest.mark.parametrize("size", [0, 3, 4000])
def test_a_damaged_checkpoint_is_an_error_and_never_a_silent_restart(kept: Path, size: int) -> None:
    kept.write_bytes(kept.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        session().evaluate(resume(kept), lambda event: None, never)


def test_a_missing_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        session().evaluate(resume(tmp_path / "absent"), lambda event: None, never)


@pytest.mark.parametrize(
    ("changes", "recipe", "named"),
    [
        ({"seed": 12}, {}, "seed"),
        ({"replicate": 1}, {}, "replicate"),
        ({"max_fidelity": 4}, {}, "number of steps"),
        ({}, {"weight_decay": 0.1}, "recipe"),
        ({"architecture": type(SMALL).of("hand_made", {"width": 7})}, {}, "architecture"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_by_name(
    kept: Path, changes: dict[str, Any], recipe: dict[str, Any], named: str
) -> None:
    with pytest.raises(CheckpointError, match=f"belongs to another training: .*{named}"):
        session(**recipe).evaluate(resume(kept, **changes), lambda event: None, never)


def test_tensors_that_do_not_fit_are_refused_by_name(kept: Path) -> None:
    tensors, about = checkpoint.load(kept)
    del about["format"]
    tensors["model.head.bias"] = torch.zeros(11)
    checkpoint.save(kept, tensors, about)
    with pytest.raises(CheckpointError, match="model.head.bias is .11,."):
        session().evaluate(resume(kept), lambda event: None, never)
    del tensors["model.head.bias"]
    checkpoint.save(kept, tensors, about)
    with pytest.raises(CheckpointError, match="head.bias"):
        session().evaluate(resume(kept), lambda event: None, never)


def test_a_checkpoint_written_while_the_disk_is_full_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.NAME
    checkpoint.save(path, {"a": torch.ones(3)}, {"n": 1})
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError) as e:
            checkpoint.save(path, {"a": torch.ones(10000)}, {"n": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert e.value.errno == errno.EFBIG
    tensors, about = checkpoint.load(path)
    assert (about["n"], tensors["a"].tolist()) == (1, [1, 1, 1])
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.NAME]


def test_a_full_disk_is_a_typed_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.Path, "replace", full)
    report = session().evaluate(work(tmp_path, fidelity=1), lambda event: None, never)
    assert report.failure is not None
    assert (report.failure.kind, "No space left" in report.failure.message) == ("disk_full", True)
    assert list(tmp_path.iterdir()) == []
