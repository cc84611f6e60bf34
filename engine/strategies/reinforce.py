"""REINFORCE with a recurrent controller (Zoph and Le 2017; the network of ENAS, Pham et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from engine.strategies._controllers.neural import ControllerOptions, ControllerSearch, Sequences

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.strategies._controllers.net import Learner


class Options(ControllerOptions):
    """The controller, and its batch."""

    batch: int = Field(1, ge=1, le=1000, description="Results per update of the controller.")


class Reinforce(ControllerSearch):
    """An LSTM writes the decisions token by token, offered only what can be completed; REINFORCE teaches it.

    Symbols: theta_c = the controller's weights, a_1..a_T = tokens of the decisions, R = reward, b = `baseline`, m =
    `batch`; loss = - mean over the batch of (R - b) sum_t log P(a_t | a_1..a_(t-1)) - `entropy` * mean of sum_t H_t.

    Deviations: one layer of 64 as in ENAS's code, not two of 35. Rewards are ranks among the last results (several
    objectives by domination), not cubed accuracies. The learning rate, published as 0.0006 for 12,800 networks and
    0.00035 for 20,000 (Zoph et al. 2018), rises as the budget falls when left empty. Sequences are scored under the
    controller as it is when their batch is complete, also late ones and those of others; known networks teach again at
    no cost (`PolicySearch`). The entropy bonus is larger than published: with hundreds of trials an early
    favourite must not stay the only one.
    """

    name = "reinforce"
    summary = "A recurrent network writes architectures decision by decision and learns by policy gradient"
    reference = "Zoph and Le 2017, Neural Architecture Search with Reinforcement Learning; Pham et al. 2018, ENAS"
    group = "reinforcement"
    guide = (
        "The classic controller: for long conditional spaces with many hundreds of trials. "
        "With fewer, evolution or a model-based strategy finds good networks sooner."
    )
    Options = Options

    def _batch_size(self) -> int:
        size: int = self.options.batch
        return size

    def _updates_per_trial(self) -> float:
        return 1 / self.batch

    def _update(self, learner: Learner, sequences: Sequences, rewards: Sequence[float]) -> None:
        from engine.strategies._controllers.net import reinforce

        reinforce(learner, sequences, [self._advantage(r) for r in rewards], self.options.entropy)

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "200 networks written decision by decision by a controller that learns from every result"."""
        batch: int = getattr(options, "batch", 1)
        every = "every result" if batch == 1 else f"every {batch:,} results"
        return f"{budget.trials:,} networks written decision by decision by a controller that learns from {every}"
