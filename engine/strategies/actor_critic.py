"""Actor-critic over partial architectures (Mnih et al. 2016, A2C; advantages of Schulman et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, Field

from engine.encodings import Vector
from engine.strategies._controllers.neural import ControllerOptions, ControllerSearch, Sequences

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.strategies._controllers.net import Learner


class Options(ControllerOptions):
    """The controller, and its critic."""

    batch: int = Field(2, ge=1, le=1000, description="Results per update of actor and critic.")
    lam: float = Field(
        0.95, ge=0, le=1, description="Lambda: 0 = one-step differences of values, 1 = reward minus value."
    )
    value_weight: float = Field(0.5, ge=0, le=10, description="Weight of the critic's squared error in the loss.")


class ActorCritic(ControllerSearch):
    """The controller writes; a value head on the same LSTM says what each partial architecture will come to.

    Symbols: s_t = the first t - 1 choices, V = the value head, R = reward at the end (none before), gamma = 1, lambda =
    `lam`. delta_t = V(s_(t+1)) - V(s_t), and R - V(s_T) at the last choice; A_t = sum_k lambda^k delta_(t+k). Loss:
    minus the mean of sum_t A_t log pi(a_t | s_t) + `entropy` * sum_t H_t, plus `value_weight` times the mean of
    sum_t (V(s_t) - A_t - V_old(s_t))^2.

    Deviations: actor and critic read the choices by one LSTM instead of a convolutional net over screens. Rewards are
    ranks among the last results. Updates come with results, in their order; sequences are scored as the networks are
    then (late results and those of others too), and known networks teach again at no cost (`PolicySearch`).
    """

    name = "actor_critic"
    summary = "A controller and a critic: a value of each half-written architecture says which choice earned the reward"
    reference = (
        "Mnih et al. 2016, Asynchronous Methods for Deep RL; Schulman et al. 2016, Generalized Advantage Estimation"
    )
    group = "reinforcement"
    guide = (
        "For long sequences of decisions, where one reward at the end says little about each choice. "
        "In short ones the plain controller learns the same with less."
    )
    Options = Options

    def _batch_size(self) -> int:
        size: int = self.options.batch
        return size

    def _updates_per_trial(self) -> float:
        return 1 / self.batch

    def _update(self, learner: Learner, sequences: Sequences, rewards: Sequence[float]) -> None:
        import torch

        for reward in rewards:  # the critic stands in its place; people see it beside the critic's work
            self._advantage(reward)
        scores = learner.scores(sequences)
        values = scores.values.detach().numpy().astype(np.float64)
        a = np.zeros(values.shape, dtype=np.float32)
        for row, (steps, reward) in enumerate(zip(sequences, rewards, strict=True)):
            a[row, : len(steps)] = advantages(values[row, : len(steps)], reward, self.options.lam)
        advantage = torch.from_numpy(a)
        target = advantage + scores.values.detach()
        gain = (advantage * scores.log_p + self.options.entropy * scores.entropy).sum(1)
        error = ((scores.values - target) ** 2 * scores.mask).sum(1)
        learner.descend(-gain.mean() + self.options.value_weight * error.mean())

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "200 networks written by a controller whose critic values every half-written one"."""
        return f"{budget.trials:,} networks written by a controller whose critic values every half-written one"


def advantages(values: Vector, reward: float, lam: float) -> Vector:
    """Generalized advantages (T,) of one sequence with its reward at the end, gamma = 1 (Schulman et al. 2016, eq. 16).

    Args:
        values: (T,) V(s_1) ... V(s_T), before each choice.
        reward: after the last choice.
        lam: lambda.
    """
    after = np.append(values[1:], reward)
    out = after - values
    for t in range(len(out) - 2, -1, -1):
        out[t] += lam * out[t + 1]
    return out
