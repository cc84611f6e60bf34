"""PPO with a recurrent controller (Schulman et al. 2017; as used for search by Zoph et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from engine.strategies._controllers.neural import ControllerOptions, ControllerSearch, Sequences

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.strategies._controllers.net import Learner


class Options(ControllerOptions):
    """The controller, and how it uses a batch."""

    batch: int | None = Field(
        None, ge=1, le=1000, description="Results per update; empty = a twentieth of the trials, 4 to 20."
    )
    epochs: int = Field(4, ge=1, le=50, description="Steps of the optimizer on each batch.")
    clip: float = Field(0.2, gt=0, lt=1, description="How far the ratio to the old policy may leave 1.")


def batch_of(options: BaseModel, trials: int) -> int:
    """Results per update for a budget."""
    given: int | None = getattr(options, "batch", None)
    return given or min(20, max(4, trials // 20))


class PPO(ControllerSearch):
    """The controller of `reinforce`, with the clipped surrogate: several careful steps on each batch.

    Symbols: pi_old = the policy when a batch is complete, r_t = pi / pi_old of one token, epsilon = `clip`, A = reward
    minus `baseline`; each of `epochs` steps goes up the mean over the batch of
    sum_t min(r_t A, clip(r_t, 1 - epsilon, 1 + epsilon) A) + `entropy` * sum_t H_t.

    Deviations: the baseline is a moving average, as Zoph et al. 2018 have it, and no value network. pi_old is the
    policy at the update, not at the proposal, which also serves late results and networks of others. The batch of 20
    and the learning rate of 0.00035, published for 20,000 networks, scale with the budget when left empty. Rewards are
    ranks among the last results; known networks teach again at no cost (`PolicySearch`).
    """

    name = "ppo"
    summary = "The recurrent controller, trained by clipped policy steps on batches of results"
    reference = (
        "Schulman et al. 2017, Proximal Policy Optimization; Zoph et al. 2018, Learning Transferable Architectures"
    )
    group = "reinforcement"
    guide = (
        "The steadier controller where many trials run in parallel and results come late. "
        "With a small budget it learns from few batches: take evolution or a model-based strategy."
    )
    Options = Options

    def _batch_size(self) -> int:
        return batch_of(self.options, self.context.budget.trials)

    def _updates_per_trial(self) -> float:
        epochs: int = self.options.epochs
        return epochs / self.batch

    def _update(self, learner: Learner, sequences: Sequences, rewards: Sequence[float]) -> None:
        import torch

        from engine.strategies._controllers.net import clipped_surrogate

        advantages = torch.tensor([self._advantage(r) for r in rewards])[:, None]  # (batch, 1)
        old = None
        for _ in range(self.options.epochs):
            scores = learner.scores(sequences)
            if old is None:
                old = scores.log_p.detach()
            surrogate = clipped_surrogate(scores.log_p, old, advantages, self.options.clip) * scores.mask
            gain = surrogate.sum(1) + self.options.entropy * scores.entropy.sum(1)
            learner.descend(-gain.mean())

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "200 networks written by a controller that learns from every 10 results in 4 clipped steps"."""
        batch, epochs = batch_of(options, budget.trials), getattr(options, "epochs", 4)
        return (
            f"{budget.trials:,} networks written by a controller that learns from every {batch:,} results in "
            f"{epochs} clipped steps"
        )
