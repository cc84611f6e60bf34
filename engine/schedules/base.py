"""Schedules: how far each trial goes. A schedule never sees architectures, strategies or a clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel


@dataclass(frozen=True)
class Step:
    """What becomes of one trial.

    Attributes:
        trial: its number.
        kind: "complete" (all the way), "pause" (may still be promoted), "stop" (pruned) or "promote" (to `fidelity`).
        reason: for people, e.g. "rank 5 of 5 at epoch 13, best 4 go on".
        fidelity: of a promotion.
    """

    trial: int
    kind: Literal["complete", "pause", "stop", "promote"]
    reason: str = ""
    fidelity: int = 0


class Schedule(ABC):
    """Decides how far trials go.

    The conductor calls `expect` whenever the number of trials that will have been started at most changes, `start` for
    each new trial, then `report` or `leave` once per rung; with a free slot it takes `promote()` before it asks the
    strategy for something new, and after each entry of the log it ends what `sweep` names.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str] = ""
    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: BaseModel, max_fidelity: int, n_objectives: int = 1) -> None:
        self.options: Any = options
        self.max_fidelity = max_fidelity
        self.n_objectives = n_objectives

    @property
    @abstractmethod
    def rungs(self) -> tuple[int, ...]:
        """Fidelities at which a trial may rest, ascending; the last one is the maximum."""

    def start(self, trial: int) -> int:
        """Fidelity of a new trial's first rung."""
        return self.rungs[0]

    @abstractmethod
    def report(self, trial: int, fidelity: int, losses: tuple[float, ...]) -> Step:
        """A rung is done with these losses (one per objective): "complete" or "pause"."""

    def leave(self, trial: int) -> None:  # noqa: B027 - optional hook
        """The trial failed or was cancelled; it will not report again."""

    def expect(self, trials: int) -> None:  # noqa: B027 - optional hook
        """At most so many trials will have been started in all."""

    def promote(self) -> Step | None:
        """The trial that deserves the free slot (and takes it), or None."""
        return None

    def sweep(self) -> list[Step]:
        """Paused trials that can no longer be promoted, each named once."""
        return []

    @classmethod
    def sentence(cls, options: BaseModel, max_fidelity: int) -> str:
        """What it does, in one sentence without a full stop."""
        return cls.summary

    def state(self) -> dict[str, Any]:
        """JSON of what it knows."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - optional hook
        """Takes up a state made by `state`."""

    def views(self) -> dict[str, dict[str, Any]]:
        """Small tables for pages: name to {"title", "columns", "rows"}."""
        return {}
