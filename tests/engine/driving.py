"""Drives a conductor the way a restless group of workers and people would, and records what was said."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine import catalog
from engine.conductor import (
    Action,
    Conductor,
    Edit,
    Entry,
    Finish,
    Launch,
    PieceDone,
    Promote,
    Result,
    Start,
    Stop,
    entry_from_json,
)
from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.evaluation.base import Report
from engine.evaluation.tabular import Synthetic, TabularEvaluator
from engine.strategies.base import Proposal

TWO = [{"metric": "accuracy"}, {"metric": "n_params", "direction": "minimize"}]


def config(**changes: Any) -> SearchConfig:
    """A small search with the synthetic table; changes replace whole parts, budgets are laid over."""
    base: dict[str, Any] = {
        "name": "test",
        "space": {"name": "nasbench201", "cells": 1},
        "strategy": "random",
        "evaluator": "tabular",
        "schedule": "full",
        "parallelism": 4,
    }
    budget = {"trials": 30, "epochs": 27, **changes.pop("budget", {})}
    return SearchConfig.parse({**base, "budget": budget, **changes})


def data_of(settings: SearchConfig) -> DataSpec:
    """The data the synthetic table brings."""
    return TabularEvaluator.data_spec(table_of(settings))


def table_of(settings: SearchConfig) -> Any:
    """Options of the table that plays the workers; its own where the search's evaluator is another one."""
    return settings.options("evaluator") if settings.evaluator.name == "tabular" else TabularEvaluator.Options()


def conductor_of(settings: SearchConfig) -> Conductor:
    """A new conductor."""
    return Conductor.from_config(settings, data_of(settings))


@dataclass
class Recorded:
    """A search as recorded.

    Attributes:
        log: entries as JSON text, as a database would hold them.
        actions: what was answered after each entry.
        snapshots: state after each entry, as JSON text, where asked for.
        arrays: the arrays that belong to each.
        most_running: most rungs under way at once.
    """

    settings: SearchConfig
    conductor: Conductor
    log: list[str] = field(default_factory=list)
    actions: list[list[Action]] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    arrays: list[dict[str, Any]] = field(default_factory=list)
    most_running: int = 0

    @property
    def entries(self) -> list[Entry]:
        """The log, read back."""
        return [entry_from_json(json.loads(text)) for text in self.log]

    @property
    def flat(self) -> list[Action]:
        """All actions in order."""
        return [a for group in self.actions for a in group]

    def of(self, kind: type[Any]) -> list[Any]:
        """Actions of one kind."""
        return [a for a in self.flat if isinstance(a, kind)]

    @property
    def finish(self) -> Finish | None:
        """The last word."""
        return self.conductor.finish

    def proposals_until(self, entry: int) -> dict[int, Proposal]:
        """Trials started by the first so many entries, read back from JSON."""
        started = [a for group in self.actions[:entry] for a in group if isinstance(a, Start)]
        return {a.trial: Proposal.from_json(json.loads(json.dumps(a.proposal.to_json()))) for a in started}


class Driver:
    """Feeds a conductor one entry at a time and plays the workers."""

    def __init__(self, settings: SearchConfig, *, snapshots: bool = False) -> None:
        self.snapshots = snapshots
        self.out = Recorded(settings, conductor_of(settings))
        self.table = Synthetic(table_of(settings), self.out.conductor.context.space)
        self.running: dict[int, int] = {}
        self.pieces: dict[int, Launch] = {}
        self.epochs = settings.budget.epochs

    def tell(self, entry: Entry) -> list[Action]:
        """One entry, then the actions after it."""
        c = self.out.conductor
        self.out.log.append(json.dumps(entry.to_json(), allow_nan=False))
        c.observe(entry)
        actions = c.next_actions()
        for action in actions:
            match action:
                case Start() | Promote():
                    assert action.trial not in self.running
                    self.running[action.trial] = action.fidelity
                case Launch():
                    self.pieces[action.piece] = action
                case Stop():
                    self.running.pop(action.trial, None)
                case Finish():
                    self.pieces.clear()
        assert c.next_actions() == []
        assert c.n_running == len(self.running) + len(self.pieces)
        self.out.actions.append(actions)
        if self.snapshots:
            self.out.snapshots.append(json.dumps(c.state(), allow_nan=False))
            self.out.arrays.append({name: a.copy() for name, a in c.arrays().items()})
        self.out.most_running = max(self.out.most_running, len(self.running))
        return actions

    def report(self, trial: int, fidelity: int) -> Report:
        """What a worker would say."""
        architecture = self.out.conductor.history[trial].architecture
        return Report({"accuracy": self.table.accuracy(architecture, fidelity, self.epochs)}, fidelity, "table")

    def finish_one(self, trial: int | None = None, metrics: dict[str, float] | None = None) -> list[Action]:
        """Ends a rung: the oldest by default."""
        number = next(iter(self.running)) if trial is None else trial
        fidelity = self.running.pop(number)
        report = self.report(number, fidelity) if metrics is None else Report(metrics, fidelity, "table")
        return self.tell(Result(number, fidelity, report))

    def fail_one(self, trial: int | None = None, message: str = "boom") -> list[Action]:
        """Fails a rung: the oldest by default."""
        number = next(iter(self.running)) if trial is None else trial
        fidelity = self.running.pop(number)
        return self.tell(Result(number, fidelity, Report.failed("crashed", message, fidelity=fidelity)))

    def piece_report(self, launch: Launch) -> Report:
        """What a worker would say of a piece of a weight-sharing search; made up, from the piece's seed."""
        space, rng = (
            self.out.conductor.context.space,
            np.random.default_rng([int(launch.payload["seed"]), launch.piece]),
        )
        if launch.kind == "supernet":
            rows: list[dict[str, Any]] = [{"epoch": i, "accuracy": 0.5} for i in (1, 2, 3, 4)]
            if not self.out.conductor.strategy.searches:  # type: ignore[attr-defined]
                for row in rows:
                    row["derived"] = dict(space.sample(rng).choices)
                rows[-1]["choices"] = [dict(space.sample(rng).choices) for _ in range(3)]
        elif launch.kind == "score":
            asked = [space.validate(c) for c in launch.payload["architectures"]]
            rows = [{"accuracy": 0.9 * self.table.accuracy(a, self.epochs, self.epochs), "loss": 1.0} for a in asked]
            for i in np.flatnonzero(rng.random(len(rows)) < 0.1):
                rows[i] = {"reason": "cannot be built"}
        else:
            tables = space.mixture().tables
            rows = [
                {"table": t.name, "option": str(o), "ms": float(rng.random()), "spread_ms": 0.1}
                for t in tables
                for o in t.options
            ]
        return Report({}, 0, "proxy" if launch.kind == "measure" else "inherited", rows=tuple(rows))

    def finish_piece(self, report: Report | None = None) -> list[Action]:
        """Ends the piece that was launched first."""
        launch = self.pieces.pop(next(iter(self.pieces)))
        return self.tell(PieceDone(launch.piece, report or self.piece_report(launch)))

    def all(self) -> Recorded:
        """Runs to the end, first in first out; pieces first."""
        while self.out.finish is None:
            if self.pieces:
                self.finish_piece()
            else:
                self.finish_one()
        return self.out


def started(**changes: Any) -> Driver:
    """A driver whose search was started."""
    driver = Driver(config(**changes))
    driver.tell(Edit("start"))
    return driver


def restored(recorded: Recorded, cut: int) -> Conductor:
    """A new conductor put to where the first so many entries led, from JSON and arrays."""
    again = conductor_of(recorded.settings)
    again.restore(
        json.loads(recorded.snapshots[cut - 1]),
        recorded.entries[:cut],
        recorded.proposals_until(cut),
        recorded.arrays[cut - 1],
    )
    return again


def wild(settings: SearchConfig, seed: int, *, failures: float = 0.1, edits: float = 0.1) -> Recorded:
    """A whole search with random finish order, failures, pauses, extensions, cancellations, people's proposals."""
    driver, rng = Driver(settings, snapshots=True), np.random.default_rng(seed)
    driver.tell(Edit("start"))
    paused = False
    for _ in range(20 * settings.budget.trials):
        if driver.out.finish is not None:
            return driver.out
        chance = rng.random()
        if chance < edits or not (driver.running or driver.pieces):
            kind = "resume" if paused else str(rng.choice(["pause", "extend", "cancel_trial", "propose"]))
            match kind:
                case "pause" | "resume":
                    paused = not paused
                    driver.tell(Edit("resume" if kind == "resume" else "pause"))
                case "extend":
                    driver.tell(Edit("extend", {"trials": 1}))
                case "propose":
                    driver.tell(Edit("propose", {"choices": driver.out.conductor.context.space.sample(rng).choices}))
                case _:
                    driver.tell(
                        Edit(
                            "cancel_trial",
                            {"trial": int(rng.integers(1, max(2, len(driver.out.conductor.history) + 1)))},
                        )
                    )
            continue
        if driver.pieces and (not driver.running or rng.random() < 0.5):
            driver.finish_piece()
            continue
        trial = int(rng.choice(list(driver.running)))
        if rng.random() < failures:
            driver.fail_one(trial)
        else:
            driver.finish_one(trial)
    driver.tell(Edit("finish"))
    return driver.out


def replayed(settings: SearchConfig, entries: list[Entry]) -> list[list[Action]]:
    """What a fresh conductor answers to a log."""
    conductor, out = conductor_of(settings), []
    for entry in entries:
        conductor.observe(entry)
        out.append(conductor.next_actions())
    return out


def pairs(kind: str) -> list[str]:
    """Names in the catalog."""
    return list(catalog.plugins(kind))
