"""Supernets of single paths: each step trains one network of the space, or a few, under the shared weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from engine.architecture import Architecture, Option
from engine.errors import CannotBuild
from engine.spaces.base import Decision, SearchSpace
from engine.supernets._drawn import buildable
from engine.supernets.nets.learner import At, Batch, Learner, Setup

#: networks whose sizes say where the ranges of sizes are; and draws until one is within a range
SIZES, DRAWS = 256, 30


def drawn(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """A network of the prior that can be built.

    Raises:
        CannotBuild: none of `TRIES` can.
    """
    return buildable(space, lambda: space.sample(rng))


class PathLearner(Learner):
    """Samples a path a step (Guo et al. 2020, Single Path One-Shot, section 3.1: uniformly).

    Memory is that of one network: nothing else is computed.
    """

    #: gradients of the paths of a step are averaged; otherwise added up
    averaged = True

    def sample(self, rng: np.random.Generator) -> list[Architecture]:
        """The paths of one step; the gradients of several come together before the weights change."""
        return [drawn(self.space, rng)]

    def step(self, at: At, train: Batch, held: Batch | None) -> dict[str, Tensor]:
        """Forward and backward of each sampled path, then one step of the weights they used."""
        return self.train_paths(self.sample(self.rng(at.step)), train, at.rate)

    def train_paths(self, paths: list[Architecture], train: Batch, rate: float) -> dict[str, Tensor]:
        """One step of the weights that these paths use."""
        x, y = train
        share = 1 / len(paths) if self.averaged else 1.0
        total = None
        for path in paths:
            loss = self.loss(self.run(path, x), y)
            (share * loss).backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        self.sgd.step(self.bank.weights, rate)
        assert total is not None
        return {"loss": total / len(paths)}

    def paths(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Paths of the prior."""
        return [drawn(self.space, rng) for _ in range(n)]

    def derived(self) -> list[Architecture]:
        """Nothing: the search among subnets decides."""
        return []


class SizedPathLearner(PathLearner):
    """Draws a range of sizes first, then a path within it (Guo et al. 2020: "uniform constraint sampling").

    The option `sizes` says how many ranges there are; 1 = no matter the size. They have the same width, from the
    smallest to the largest multiply-adds of `SIZES` networks of the prior: small and large networks, which the prior
    seldom draws, are trained as often as those between.

    **Deviations.** The published supernet has seven ranges of 10 million multiply-adds from 290 to 360 million, about
    what is searched for, and takes any path where 500 draws are in vain; here ranges cover all sizes, and the nearest
    of `DRAWS` paths is taken.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.bounds: list[float] = []
        if setup.options.sizes > 1:
            rng = self.rng(0, purpose=2)
            macs = [self._macs(drawn(self.space, rng)) for _ in range(SIZES)]
            self.bounds = np.linspace(min(macs), max(macs), setup.options.sizes + 1).tolist()

    def _macs(self, a: Architecture) -> float:
        return float(self.space.costs(a).n_macs)

    def sample(self, rng: np.random.Generator) -> list[Architecture]:
        """One path of the drawn range, or the nearest to it of `DRAWS`."""
        if not self.bounds:
            return super().sample(rng)
        i = int(rng.integers(len(self.bounds) - 1))
        low, high = self.bounds[i], self.bounds[i + 1]
        best, off = None, float("inf")
        for _ in range(DRAWS):
            a = drawn(self.space, rng)
            macs = self._macs(a)
            away = max(low - macs, macs - high, 0.0)
            if away < off:
                best, off = a, away
            if not away:
                break
        assert best is not None
        return [best]


class FairLearner(PathLearner):
    """Trains every option of every decision equally often (Chu et al. 2021, FairNAS: strict fairness).

    Symbols: m = options of a decision = paths of a step; Y_l,i = `counts`. A path takes, at each decision, one of the
    options trained least often so far, drawn among equals. Where all decisions have m options and are always there,
    that is a permutation of each decision's options a step (Algorithm 1), and the counts are equal after every step.

    Otherwise it is the nearest fair scheme: m is the largest number of options; a decision with fewer goes through its
    own again and again, so that its counts differ by one at most. What exists only under other options is trained when
    it is there, and then the least trained of it first.
    """

    averaged = False  # Algorithm 1 adds them up

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        decisions = self.space.all_decisions()
        # by repr, since 1 == True == 1.0 as keys
        self.places = {d.name: {repr(o): i for i, o in enumerate(d.options)} for d in decisions}
        self.counts = {d.name: [0] * len(d.options) for d in decisions}
        self.width = max(len(d.options) for d in decisions)

    def sample(self, rng: np.random.Generator) -> list[Architecture]:
        """As many paths as the widest decision has options."""
        out = []
        for _ in range(self.width):
            path = self._fair(rng)
            for d in self.space.decisions(path):
                self.counts[d.name][self.places[d.name][repr(path[d.name])]] += 1
            out.append(path)
        return out

    def _fair(self, rng: np.random.Generator) -> Architecture:
        def choose(d: Decision) -> Option:
            trained = [self.counts[d.name][self.places[d.name][repr(o)]] for o in d.options]
            least = [o for o, n in zip(d.options, trained, strict=True) if n == min(trained)]
            return least[int(rng.integers(len(least)))]

        try:
            return buildable(self.space, lambda: self.space._walk(choose))
        except CannotBuild:  # the least trained options do not go together
            return drawn(self.space, rng)

    # -- kept ---------------------------------------------------------------------------------
    def about(self) -> dict[str, Any]:
        """The counts beside the rest: paths depend on them."""
        return {**super().about(), "counts": self.counts}

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Takes over the counts, too."""
        super().restore(tensors, about)
        self.counts = {name: [int(n) for n in row] for name, row in about["counts"].items()}
