"""REINFORCE on independent logits (Williams 1992; Dong and Yang 2020, the RL baseline of NAS-Bench-201)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.encodings import Vector
from engine.strategies._controllers.policy import PolicySearch
from engine.strategies._controllers.sequences import Draft, Pen, Step, flattened, pick, softmax
from engine.strategies.base import Arrays, Context

if TYPE_CHECKING:
    from engine.config import Budget

#: decay rates and floor of Adam (Kingma and Ba 2015)
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Options(BaseModel):
    """The learner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lr: float = Field(0.1, gt=0, le=10, description="Learning rate of Adam, in units of a logit.")
    baseline: float = Field(0.9, ge=0, lt=1, description="Memory of the moving average that rewards are compared with.")
    entropy: float = Field(0.0, ge=0, le=10, description="Weight of the entropy bonus, which keeps the policy open.")


class FactorizedReinforce(PolicySearch):
    """One logit for each option of each decision; no decision knows what the others chose.

    Symbols: theta = `logits`, pi = softmax over the options offered, b = `baseline`. After each result theta goes up
    (R - b) * d log pi / d theta + `entropy` * dH / d theta by Adam (as the benchmark's own code does).

    Deviations: rewards are ranks among the last results (-1 to 1, several objectives by domination), not accuracies. A
    network drawn again teaches again at no cost, at most 16 times a proposal; see `PolicySearch`, also for failed
    trials and for those of others, which are scored under the policy as it is.
    """

    name = "factorized_reinforce"
    summary = "Policy gradient on one probability per option: what did well becomes likelier"
    reference = "Williams 1992, REINFORCE; Dong and Yang 2020, NAS-Bench-201 (as its RL baseline)"
    group = "reinforcement"
    guide = (
        "Cheap and steady where each decision matters by itself, from two hundred trials on. "
        "Below that, or where decisions depend on each other, take evolution or a model."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        n = self.grammar.n_tokens + 1
        self.logits, self._m, self._v = np.zeros(n), np.zeros(n), np.zeros(n)
        self._updates = 0

    def _drafts(self, rng: np.random.Generator, n: int, temperature: float) -> Sequence[Draft]:
        out = []
        for _ in range(n):
            pen = Pen(self.grammar)
            while pen.decision is not None:
                p = softmax(self.logits[pen.offered])
                pen.choose(pick(flattened(p, temperature), rng.random()), p)
            out.append(pen.draft())
        return out

    def _learn(self, architecture: Architecture, reward: float) -> None:
        advantage = self._advantage(reward)
        self._climb(gradient(self.logits, self.grammar.read(architecture), advantage, self.options.entropy))

    def _climb(self, g: Vector) -> None:
        """One step of Adam uphill."""
        self._updates += 1
        self._m += (1 - BETA1) * (g - self._m)
        self._v += (1 - BETA2) * (g * g - self._v)
        m, v = self._m / (1 - BETA1**self._updates), self._v / (1 - BETA2**self._updates)
        self.logits = self.logits + self.options.lr * m / (np.sqrt(v) + EPSILON)

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "200 networks drawn option by option, each option likelier the better its networks did"."""
        return f"{budget.trials:,} networks drawn option by option, each option likelier the better its networks did"

    def state(self) -> dict[str, Any]:
        """The number of updates; logits and moments are arrays."""
        return {**super().state(), "updates": self._updates}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self._updates = int(state["updates"])

    def arrays(self) -> Arrays:
        """Logits and Adam's moments."""
        return {**super().arrays(), "logits": self.logits, "adam_m": self._m, "adam_v": self._v}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave."""
        super().load_arrays(arrays)
        self.logits, self._m, self._v = (np.array(arrays[k]) for k in ("logits", "adam_m", "adam_v"))


def gradient(logits: Vector, steps: Sequence[Step], advantage: float, bonus: float = 0.0) -> Vector:
    """d (advantage * log pi(steps) + bonus * H(pi)) / d logits, shape of `logits`; H sums over the steps taken."""
    g = np.zeros_like(logits)
    for step in steps:
        p = softmax(logits[step.offered])
        here = -advantage * p
        here[step.chosen] += advantage
        if bonus:
            log_p = np.log(np.maximum(p, 1e-300))
            here -= bonus * p * (log_p - (p * log_p).sum())
        g[step.offered] += here
    return g
