"""DARTS-PT (Wang et al. 2021): the operation without which the supernet is worst, edge by edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, Field

from engine.supernets._gradient import BilevelOptions
from engine.supernets._selections import selections
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class DartsPtOptions(BilevelOptions):
    """How the selection goes."""

    tune: int = Field(
        5, ge=0, le=1000, description="Epochs in which the supernet recovers between two decisions, on top of its own."
    )
    samples: int = Field(
        5000, ge=16, le=10_000_000, description="Samples of the held half on which a removal is measured, at most."
    )


class DartsPt(SupernetMethod):
    """DARTS, but what is derived follows from removals and not from the size of the alphas.

    Section 4.2, Algorithm 1: for each edge, in random order, each operation is masked in turn; the one whose removal
    lowers the supernet's validation accuracy most is selected, the edge keeps it alone, and the supernet is trained for
    a few epochs before the next edge. Then, node by node, the edges whose removal costs most are kept. The other
    operations keep their weights while one is masked, and after the search the learning rate is a tenth of where it
    began, as published.

    **Deviations.** Removals are measured on the held half of the training split, on at most `samples`, normalized by
    the batch: the validation split stays untouched. The alphas of open edges are trained between decisions, as in the
    published code for NAS-Bench-201. Edges of normal and reduction cells are decided one after another, not a pair at
    a time.
    """

    name = "darts_pt"
    summary = "DARTS that selects by removal: the operation the supernet can do without least, edge by edge."
    reference = "Wang et al. 2021, Rethinking Architecture Selection in Differentiable NAS"
    guide = (
        "Good where DARTS's weights favour skip connections though the supernet needs its convolutions. "
        "Take DARTS- or early stopping where time is short: every edge takes further epochs here."
    )
    group = "gradient"
    mixes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = DartsPtOptions

    def supernet_epochs(self) -> int:
        """Those of DARTS, and `tune` before each decision but the first."""
        space = self.context.space
        n = len(selections(space, space.mixture(norm_pools=True), np.random.default_rng(0)))
        return int(self.options.epochs) + int(self.options.tune) * max(0, n - 1)

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """DARTS and the selection."""
        from engine.supernets.nets.perturbation import PerturbationLearner

        return PerturbationLearner(setup)
