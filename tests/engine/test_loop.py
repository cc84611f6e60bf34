"""`engine.run`: a whole search in this process."""

from __future__ import annotations

import pytest

import engine
from engine.conductor import Result, Start
from engine.errors import DataError
from engine.evaluation.base import Report
from engine.evaluation.tabular import TabularSession
from tests.engine.driving import TWO, config, replayed


@pytest.mark.parametrize("schedule", ["full", "successive_halving"])
def test_the_log_of_a_run_brings_back_its_actions(schedule):
    """The library and the services are driven by the same log."""
    settings = config(strategy="regularized_evolution", schedule=schedule)
    result = engine.run(settings)
    assert [a for group in replayed(settings, result.log) for a in group] == result.actions
    assert result.finish.winners[0] == result.best.number
    assert result.final.fidelity == settings.final_epochs == 54
    assert result.duration_s > 0


def test_progress_events_and_front(tmp_path):
    """Callbacks see every decision and every epoch; several objectives have a front; the folder stays."""
    decisions, events = [], []
    result = engine.run(
        config(objectives=TWO, final={"enabled": False}),
        workdir=tmp_path,
        progress=lambda conductor, actions: decisions.append(len(conductor.history)),
        emit=events.append,
    )
    assert len(decisions) == 31 and decisions == sorted(decisions)
    assert len(events) == 30 * 27 and {e["trial"] for e in events} == set(range(1, 31))
    assert [e.number for e in result.front] == list(result.finish.winners)
    assert result.final is None and result.folder == tmp_path


def test_a_network_that_crashes_is_a_failed_trial(monkeypatch):
    """With its traceback; broken data end the run instead."""
    original = TabularSession.evaluate

    def sometimes(self, work, emit, should_stop):
        if work.trial % 3 == 0 and work.kind == "train":
            raise RuntimeError("shapes do not match")
        return original(self, work, emit, should_stop)

    monkeypatch.setattr(TabularSession, "evaluate", sometimes)
    result = engine.run(config())
    failed = [e for e in result.log if isinstance(e, Result) and e.report.failure]
    assert len(failed) == 10 and len([a for a in result.actions if isinstance(a, Start)]) == 30
    assert failed[0].report.failure.message == "RuntimeError: shapes do not match"
    assert "in sometimes" in failed[0].report.failure.traceback

    def broken(self, work, emit, should_stop):
        raise DataError("the disk is gone")

    monkeypatch.setattr(TabularSession, "evaluate", broken)
    with pytest.raises(DataError, match="the disk is gone"):
        engine.run(config())


def test_time_that_is_up_ends_the_run(monkeypatch):
    """Minutes become an entry of the log, so that the run can be replayed."""
    from engine import loop

    now = iter(range(0, 100_000, 10))
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(now)))
    settings = config(budget={"trials": 500, "minutes": 2})
    result = engine.run(settings, final=False)
    assert result.finish.reason == "time is up (2 minutes)"
    assert 5 < len(result.conductor.history) < 30
    assert [a for group in replayed(settings, result.log) for a in group] == result.actions


def test_every_trial_failing_ends_the_run(monkeypatch):
    """With the reason."""
    monkeypatch.setattr(TabularSession, "evaluate", lambda *a: Report.failed("crashed", "no device"))
    result = engine.run(config())
    assert result.finish.failed and result.finish.reason == "every trial failed: no device"
    assert result.best is None and result.final is None
