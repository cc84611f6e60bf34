"""Shared weights and a controller, trained in turn: the torch side of ENAS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.strategies._controllers.net import Learner as Controller
from engine.strategies._controllers.net import reinforce
from engine.strategies._controllers.neural import learning_rate
from engine.strategies._controllers.sequences import Draft, Grammar, entropy
from engine.supernets._drawn import overrun, within
from engine.supernets.epochs import rounded
from engine.supernets.nets.learner import At, Batch, Setup
from engine.supernets.nets.paths import PathLearner, drawn
from engine.supernets.nets.scoring import glance

#: networks from which the probabilities of an epoch are read, where decisions hang on others
SHOWN = 64
#: purposes of draws, see `Learner.rng`
_PATHS, _CONTROLLER, _DERIVED, _VIEWS, _WITHIN = 3, 4, 5, 6, 7


class EnasLearner(PathLearner):
    """An epoch of the weights on networks of the controller, then steps of the controller on the held half.

    Attributes:
        controller: LSTM and its Adam.
        baseline: moving average of the rewards, None before the first.
        updates: of the controller so far.
        anyway: a network within the limits, for when none is near to what the controller writes.

    Raises:
        CannotBuild: nothing within the limits was found.
    """

    halves: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        o = setup.options
        self.grammar = Grammar(self.space)
        self.controller = Controller(
            self.grammar, hidden=o.hidden, squash=o.squash,
            lr=learning_rate(o.controller_rate, setup.epochs * self.held_steps, 1.0),
            rng=np.random.default_rng([setup.seed, 0xE7A5]),
        )  # fmt: skip
        self.baseline: float | None = None
        self.updates = 0
        self._epoch: tuple[tuple[int, int], list[Architecture]] | None = None
        rng = self.rng(0, _WITHIN)
        self.anyway = within(self.space, setup.limits, drawn(self.space, rng), rng)

    # -- the weights --------------------------------------------------------------------------
    def step(self, at: At, train: Batch, held: Batch | None) -> dict[str, Tensor]:
        """The weights of one network of the controller (M = 1)."""
        return self.train_paths([self._path(at)], train, at.rate)

    def _path(self, at: At) -> Architecture:
        """The controller stays as it is through these steps, so the networks of an epoch are written side by side."""
        key = at.epoch, self.updates
        if self._epoch is None or self._epoch[0] != key:
            self._epoch = key, self.paths(self.steps, self.rng(at.epoch, _PATHS))
        paths = self._epoch[1]
        return paths[at.step % len(paths)]

    # -- the controller -----------------------------------------------------------------------
    @property
    def held_steps(self) -> int:
        """As many as the weights have, if nothing else is asked for."""
        return int(self.options.controller_steps or self.steps)

    def held_step(self, at: At, held: Batch) -> dict[str, Tensor]:
        """REINFORCE with the reward on this batch, compared with what was usual."""
        drafts = self.controller.drafts(self.rng(at.step, _CONTROLLER), self.options.samples, 1.0)
        rewards = [self.reward(d.architecture, held) for d in drafts]
        reinforce(self.controller, [d.steps for d in drafts], self.advantages(rewards), self.options.entropy)
        self.updates += 1
        open_ = [entropy(p) for d in drafts for p in d.probabilities if len(p) > 1]
        out = {"entropy": torch.tensor(np.mean(open_) if open_ else 0.0)}
        if self.setup.limits:
            out["within"] = torch.tensor(np.mean([r >= 0 for r in rewards]))
        if measured := [r for r in rewards if r >= 0]:
            out["reward"] = torch.tensor(np.mean(measured))
        return out

    def advantages(self, rewards: Sequence[float]) -> list[float]:
        """Each reward minus the moving average of those before, which then takes it in; the first is its own."""
        out = []
        for reward in rewards:
            before = reward if self.baseline is None else self.baseline
            out.append(reward - before)
            self.baseline = before + (1 - self.options.baseline) * (reward - before)
        return out

    def reward(self, architecture: Architecture, batch: Batch) -> float:
        """Accuracy on a batch under the shared weights, normalized by that batch; 0 for what cannot be built.

        What is beyond a limit is not run. It gets limit / cost - 1 of the limit that it exceeds most: less than any
        network within the limits, and the less the farther it is off, so that the controller finds its way there.
        """
        try:
            if over := overrun(self.space, self.setup.limits, architecture):
                return 1 / (1 + over) - 1
            return float(glance(self, architecture, *batch))
        except CannotBuild:
            return 0.0

    # -- asked --------------------------------------------------------------------------------
    def paths(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Networks of the controller; one of the prior in the place of each that cannot be built.

        What is beyond a limit is changed until it is within.
        """
        return [self._within(a if self._builds(a) else drawn(self.space, rng), rng) for a in self._written(n, rng)]

    def _within(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        try:
            return within(self.space, self.setup.limits, architecture, rng)
        except CannotBuild:
            return self.anyway

    def _written(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        return [d.architecture for d in self.controller.drafts(rng, n, 1.0)]

    def _builds(self, architecture: Architecture) -> bool:
        try:
            self.space.planned(architecture)
        except CannotBuild:
            return False
        return True

    def derived(self) -> list[Architecture]:
        """Networks of the controller by their reward on one minibatch of the held half (section 2.3)."""
        assert self.held_out is not None
        rng = self.rng(self.updates, _DERIVED)
        (batch,) = self.held_out(self.options.batch_size)
        candidates = dict.fromkeys(self.paths(self.options.derive, rng))
        return sorted(candidates, key=lambda a: -self.reward(a, batch))

    def views(self) -> dict[str, Any]:
        """What the controller prefers."""
        drafts = self.controller.drafts(self.rng(self.updates, _VIEWS), SHOWN, 1.0)
        return {"tables": rounded(probabilities(self.grammar, drafts))}

    # -- kept ---------------------------------------------------------------------------------
    def tensors(self) -> dict[str, Tensor]:
        """The controller and its Adam beside the weights."""
        arrays = self.controller.arrays()
        return super().tensors() | {f"controller.{name}": torch.from_numpy(a) for name, a in arrays.items()}

    def about(self) -> dict[str, Any]:
        """Baseline and number of updates beside the rest."""
        return {**super().about(), "baseline": self.baseline, "updates": self.updates}

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Takes over the controller, too."""
        super().restore(tensors, about)
        prefix = "controller."
        self.controller.load(
            {n.removeprefix(prefix): t.cpu().numpy() for n, t in tensors.items() if n.startswith(prefix)}
        )
        self.baseline, self.updates = about["baseline"], int(about["updates"])


def probabilities(grammar: Grammar, drafts: Sequence[Draft]) -> dict[str, dict[Any, float]]:
    """Mean probability of each option of each decision that is open, over the drafts in which it came up."""
    sums: dict[int, np.ndarray[Any, np.dtype[np.float64]]] = {}
    met: dict[int, int] = {}
    for draft in drafts:
        for step, p in zip(draft.steps, draft.probabilities, strict=True):
            row = sums.setdefault(step.decision, np.zeros(len(grammar.decisions[step.decision].options)))
            row[step.offered - grammar.first[step.decision]] += p
            met[step.decision] = met.get(step.decision, 0) + 1
    return {
        grammar.decisions[i].name: dict(zip(grammar.decisions[i].options, (sums[i] / met[i]).tolist(), strict=True))
        for i in sorted(sums)
        if len(grammar.decisions[i].options) > 1
    }
