"""The search of the strategies whose policy is a recurrent controller. Torch is imported with its first proposal."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.strategies._controllers.policy import PolicySearch
from engine.strategies._controllers.sequences import Draft, Step, tokens_of
from engine.strategies.base import Arrays, Context

if TYPE_CHECKING:
    from engine.strategies._controllers.net import Learner

Sequences = Sequence[Sequence[Step]]
#: learning rate times updates stays near this where the rate is left open, between the two bounds
TRAVEL, SLOWEST, FASTEST = 2.0, 0.00035, 0.01


class ControllerOptions(BaseModel):
    """The network and how it learns; what all controllers share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(64, ge=4, le=512, description="Width of the controller: of its embeddings and of its LSTM.")
    squash: float | None = Field(
        2.5, gt=0, le=100, description="Bound of a logit (tanh), so that no option is ever ruled out; empty = none."
    )
    lr: float | None = Field(
        None, gt=0, le=1, description="Learning rate of Adam; empty = larger the fewer updates the budget allows."
    )
    baseline: float = Field(0.9, ge=0, lt=1, description="Memory of the moving average that rewards are compared with.")
    entropy: float = Field(0.01, ge=0, le=10, description="Weight of the entropy bonus, which keeps the policy open.")


def learning_rate(lr: float | None, trials: int, updates_per_trial: float) -> float:
    """The rate given, or one with which the updates of a budget lead about as far as those of the papers."""
    if lr is not None:
        return lr
    return float(np.clip(TRAVEL / max(1.0, trials * updates_per_trial), SLOWEST, FASTEST))


class ControllerSearch(PolicySearch):
    """A policy that is a recurrent controller, updated whenever a batch of rewards is complete.

    A sequence is scored under the controller as it is when its batch is complete: late results, and architectures of
    others, count as if it wrote them now.
    """

    tries, together = 9, 4

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.batch = self._batch_size()
        self._waiting: list[tuple[Sequence[Step], float]] = []  # sequences with rewards, not yet learned from
        self._learner: Learner | None = None
        self._loaded: Arrays = {}

    # -- for subclasses --------------------------------------------------------------------------
    @abstractmethod
    def _batch_size(self) -> int:
        """Rewards per update."""

    @abstractmethod
    def _updates_per_trial(self) -> float:
        """Steps of the optimizer per result, for the learning rate."""

    @abstractmethod
    def _update(self, learner: Learner, sequences: Sequences, rewards: Sequence[float]) -> None:
        """Learns from one batch."""

    # -- the policy ------------------------------------------------------------------------------
    @property
    def learner(self) -> Learner:
        """The controller; made, or brought back from a snapshot, when it is needed first."""
        if self._learner is None:
            from engine.strategies._controllers.net import Learner

            lr = learning_rate(self.options.lr, self.context.budget.trials, self._updates_per_trial())
            self._learner = Learner(
                self.grammar, hidden=self.options.hidden, squash=self.options.squash, lr=lr,
                rng=np.random.default_rng([self.context.seed, 0, 0x7274]),
            )  # fmt: skip
            if self._loaded:
                self._learner.load(self._loaded)
                self._loaded = {}
        return self._learner

    def _drafts(self, rng: np.random.Generator, n: int, temperature: float) -> Sequence[Draft]:
        return self.learner.drafts(rng, n, temperature)

    def _learn(self, architecture: Architecture, reward: float) -> None:
        self._waiting.append((self.grammar.read(architecture), reward))
        if len(self._waiting) >= self.batch:
            waiting, self._waiting = self._waiting, []
            self._update(self.learner, [s for s, _ in waiting], [r for _, r in waiting])

    # -- kept ------------------------------------------------------------------------------------
    def arrays(self) -> Arrays:
        """Weights, Adam's moments, and the batch that is not complete."""
        learned: Arrays = self._learner.arrays() if self._learner is not None else self._loaded
        waiting: dict[str, Any] = {}
        if self._waiting:
            waiting = {
                "waiting": tokens_of([s for s, _ in self._waiting]),
                "waiting_rewards": np.array([r for _, r in self._waiting]),
            }
        return {**super().arrays(), **learned, **waiting}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave; the network is made when it is needed."""
        super().load_arrays(arrays)
        names = ("weights", "adam_m", "adam_v", "adam_steps")
        self._loaded = {name: np.array(arrays[name]) for name in names if name in arrays}
        self._learner, self._waiting = None, []
        if "waiting" in arrays:
            read = self.grammar.places.from_tokens
            for row, reward in zip(arrays["waiting"], arrays["waiting_rewards"], strict=True):
                self._waiting.append((self.grammar.read(read([int(t) for t in row])), float(reward)))
