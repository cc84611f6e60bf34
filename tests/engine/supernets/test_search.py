"""Whole searches in this process: every method through all of its phases, with real training on made-up data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from engine import catalog, loop
from engine.conductor import Action, Conductor, Launch, PieceDone, Start, entry_from_json
from engine.data import registry
from engine.errors import StrategyFailed
from engine.evaluation.base import Report
from tests.engine.supernets.small import METHODS, SETTING, arrays_of, config_of, served, spec_of


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch):
    """The registry gives the data of a small space, whatever is asked for."""

    # the probe of layouts would be decided by the clock
    monkeypatch.setattr("engine.training.probe.candidates", lambda *args: [SETTING])

    def use(space: str) -> None:
        monkeypatch.setattr(registry, "load", lambda *args, **more: arrays_of(space))

    return use


def home(method: str) -> str:
    """The cell where it serves it, else the first space that it serves."""
    return next(iter(served(method)))


@pytest.mark.parametrize("method", METHODS)
def test_a_search_goes_through_all_phases(made_up, tmp_path: Path, method: str) -> None:
    """Supernet, scores, pairs of trials; a fresh conductor takes the same actions from the log as it was stored."""
    space = home(method)
    made_up(space)
    config, spec = config_of(method, space, budget={"trials": 2, "epochs": 1}), spec_of(space)
    answers: list[list[Action]] = []
    events: list[dict[str, Any]] = []
    result = loop.run(
        config, data=spec, workdir=tmp_path, final=False, emit=events.append,
        progress=lambda conductor, actions: answers.append(list(actions)),
    )  # fmt: skip
    assert result.finish is not None and not result.finish.failed and result.finish.winners
    kinds = [a.kind for a in result.actions if isinstance(a, Launch)]
    assert kinds[-2 if len(kinds) > 1 else -1 :][0] in ("supernet", "score") and "supernet" in kinds
    trials = [a for a in result.actions if isinstance(a, Start)]
    assert [t.proposal.by for t in trials[:2]] == [method, "random"]
    # what is trained alone has an inherited accuracy to be compared with, unless the supernet dropped an option of it
    strategy, context = result.conductor.strategy, result.conductor.context
    scored = {t.trial for t in trials if context.identity(t.proposal.architecture) in strategy.inherited}
    assert scored >= {t.trial for t in trials if t.proposal.by == method or method != "p_darts"}
    assert {source for e in result.conductor.history for source, _ in e.values} == {"trained"}
    json.dumps(events, allow_nan=False)
    rows = [e for e in events if e["kind"] == "epoch" and "piece" in e]
    epochs = strategy.supernet_epochs()
    assert [r["epoch"] for r in rows] == list(range(1, epochs + 1)) and all(r["epochs"] == epochs for r in rows)
    again, replayed = Conductor.from_config(config, spec), []
    for entry in result.log:
        again.observe(entry_from_json(json.loads(json.dumps(entry.to_json(), allow_nan=False))))
        replayed.append(again.next_actions())
    assert replayed == answers


def test_the_report_of_a_supernet(made_up, tmp_path: Path) -> None:
    """A row an epoch, a file, what it cost; nothing that looks like a trained network's result."""
    made_up("cell")
    pieces: dict[int, Report] = {}
    config = config_of("spos")
    result = loop.run(config, data=spec_of("cell"), workdir=tmp_path, final=False)
    for entry in result.log:
        if hasattr(entry, "piece"):
            pieces[entry.piece] = entry.report
    report = pieces[1]
    assert (report.source, report.fidelity, len(report.rows), report.correct) == ("inherited", 2, 2, None)
    assert report.cost["epochs"] == 2 and report.cost["duration_s"] > 0
    with safe_open(report.artifacts["supernet"], framework="pt") as file:
        assert any(name.startswith("bank.") for name in file.keys())  # noqa: SIM118 - no mapping
    scores = pieces[2]
    assert (scores.source, scores.fidelity, len(scores.rows)) == ("inherited", 0, 6)


def test_a_loss_that_is_not_finite_fails_the_search_and_says_when(made_up) -> None:
    """A learning rate that no network survives."""
    made_up("cell")
    config = config_of(
        "spos", options={"learning_rate": 10.0, "clip": 0.0, "momentum": 0.99, "weight_decay": 1.0, "epochs": 40}
    )
    with pytest.raises(StrategyFailed, match=r"the supernet: the supernet's loss is not finite in epoch \d+"):
        loop.run(config, data=spec_of("cell"), final=False)


def test_limits_of_the_search_reach_the_controller(made_up) -> None:
    """Nothing beyond them is derived in any epoch; limits that nothing is within fail before the first of them."""
    made_up("cell")
    limit = 40_000.0
    config = config_of("enas", budget={"trials": 2, "epochs": 1}, limits={"n_macs": limit})
    result = loop.run(config, data=spec_of("cell"), final=False)
    space = result.conductor.context.space
    (rows,) = (e.report.rows for e in result.log if isinstance(e, PieceDone) and e.report.rows[0].get("epoch"))
    derived = [c for row in rows for c in (row["derived"], *row.get("choices", ()))]
    assert len(derived) > 2 and all(space.costs(space.validate(c)).n_macs <= limit for c in derived)
    assert all(0 <= row["within"] <= 1 for row in rows)
    with pytest.raises(StrategyFailed, match=r"the supernet: no network within the limits was found, .*at most 9, "):
        loop.run(config.model_copy(update={"limits": {"n_macs": 9.0}}), data=spec_of("cell"), final=False)


def test_a_recipe_for_trials_does_not_touch_the_supernet(made_up) -> None:
    """Augmentation and label smoothing are the search's; batch and learning rate of the supernet are its own."""
    made_up("cell")
    rows = []
    for batch in (8, 16):
        config = config_of(
            "spos",
            budget={"trials": 1, "epochs": 1},
            training={"precision": "float32", "batch_size": batch, "learning_rate": 0.01 * batch},
        )
        events: list[dict[str, Any]] = []
        loop.run(config, data=spec_of("cell"), final=False, emit=events.append)
        rows.append([e["train_loss"] for e in events if e["kind"] == "epoch" and "piece" in e])
    assert rows[0] == rows[1]


def test_methods_are_named_where_strategies_are() -> None:
    """And by no other name than one."""
    assert set(catalog.plugins("supernet")) <= set(catalog.methods())
    assert not set(catalog.plugins("supernet")) & set(catalog.plugins("strategy"))
