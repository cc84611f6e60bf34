"""Every trial goes all the way."""

from __future__ import annotations

from pydantic import BaseModel

from engine.schedules.base import Schedule, Step
from engine.strategies.base import NoOptions


class Full(Schedule):
    """One rung, the maximum."""

    name = "full"
    summary = "Train every network fully"
    Options = NoOptions

    @property
    def rungs(self) -> tuple[int, ...]:
        """The maximum alone."""
        return (self.max_fidelity,)

    def report(self, trial: int, fidelity: int, losses: tuple[float, ...]) -> Step:
        """Complete."""
        return Step(trial, "complete")

    @classmethod
    def sentence(cls, options: BaseModel, max_fidelity: int) -> str:
        """E.g. "every network trains 25 epochs"."""
        return f"every network trains {max_fidelity:,} {'epoch' if max_fidelity == 1 else 'epochs'}"
