"""Random search: the yardstick of every other strategy (Li and Talwalkar 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.errors import InvalidConfig, NotOffered
from engine.objectives import Objective
from engine.strategies.base import Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.spaces.base import SearchSpace


class Options(BaseModel):
    """How points are drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    draw: Literal["prior", "uniform"] = Field(
        "prior",
        description="prior = decision by decision, as the space documents it; uniform = every architecture equally "
        "likely, where the space can count them.",
    )
    repeats: bool = Field(
        False, description="The same architecture may come again (needs duplicates: allowed), which measures noise."
    )


class RandomSearch(Strategy):
    """Independent draws. Proposal i depends on (seed, i) and, without repeats, on what was tried before."""

    name = "random"
    summary = "Independent random networks: the yardstick for everything else"
    reference = "Li and Talwalkar 2019, Random Search and Reproducibility for NAS"
    group = "baseline"
    guide = "The yardstick: whatever does not beat it has learned nothing. Take it to measure how hard a space is."
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        if self.options.repeats and context.duplicates != "allowed":
            received = f"repeats need duplicates: allowed (received {context.duplicates!r})"
            raise InvalidConfig([(("strategy", "repeats"), received)])
        if self.options.draw == "uniform":
            try:
                context.space.sample_uniform(np.random.default_rng(0))
            except NotOffered as e:
                raise InvalidConfig([(("strategy", "draw"), f"not offered by this space: {e}")]) from e

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """A draw; with repeats an architecture seen before becomes its next replicate."""
        space, why = self.context.space, f"random draw {number}"
        how = space.sample_uniform if self.options.draw == "uniform" else space.sample
        found = self.draw(rng, how)
        if found is None:
            return self.nothing_new()
        replicate = len(self.context.trials_of(found)) if self.options.repeats else 0
        return Proposal(found, replicate=replicate, why=why, by=self.name)

    def fresh(self, architecture: Architecture) -> bool:
        """With repeats whatever is buildable and within the limits, else what was never tried."""
        if self.options.repeats:
            return self.context.fresh(architecture)
        return super().fresh(architecture) and not self.context.trials_of(architecture)

    @classmethod
    def supports(cls, space: SearchSpace, objectives: Sequence[Objective]) -> str | None:
        """Everything."""
        return None

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "30 random networks, none twice"."""
        again = "" if getattr(options, "repeats", False) else ", none twice"
        return f"{budget.trials:,} random networks{again}"
