"""A supernet of single paths: each step trains one network of the space, or a few, under the shared weights."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from engine.architecture import Architecture
from engine.supernets.nets.learner import At, Batch, Learner


class PathLearner(Learner):
    """Samples a path a step (Guo et al. 2020, Single Path One-Shot, section 3.1: uniformly).

    Memory is that of one network: nothing else is computed.
    """

    def sample(self, rng: np.random.Generator) -> list[Architecture]:
        """The paths of one step; the gradients of several are added up before the weights change."""
        return [self.space.sample(rng)]

    def step(self, at: At, train: Batch, held: Batch | None) -> dict[str, Tensor]:
        """Forward and backward of each sampled path, then one step of the weights they used."""
        x, y = train
        paths = self.sample(self.rng(at.step))
        total = None
        for path in paths:
            loss = self.loss(self.run(path, x), y) / len(paths)
            loss.backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        self.sgd.step(self.bank.parameters(), at.rate)
        assert total is not None
        return {"loss": total}

    def paths(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Paths of the prior."""
        return [self.space.sample(rng) for _ in range(n)]

    def derived(self) -> list[Architecture]:
        """Nothing: the search among subnets decides."""
        return []
