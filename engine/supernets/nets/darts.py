"""DARTS's learner: first or second order, and what watches and regularizes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.architecture import Option
from engine.supernets.epochs import SKIPS
from engine.supernets.mixture import Slot
from engine.supernets.nets.bilevel import unrolled_gradient
from engine.supernets.nets.curvature import hessian_product, largest_eigenvalue
from engine.supernets.nets.learner import At, Batch, Setup
from engine.supernets.nets.mixed import MixedLearner
from engine.supernets.nets.network import MixtureNetwork
from engine.supernets.nets.scoring import by_batch, norms


class DartsLearner(MixedLearner):
    """Steps of the alphas through the weights as they are, or through a step that the weights have not taken yet.

    All passes normalize by the batch. Running statistics of batch norms follow the weights' own pass alone: what the
    alphas' passes saw, at weights that are never kept, does not enter them.

    Attributes:
        watches: whether the eigenvalue is measured every epoch.
        eigenvalue: the last epoch's, where it is.
        drop_path: share of an option's samples that are dropped at the end of the training; it rises from 0.
    """

    def __init__(self, setup: Setup) -> None:
        self.eigenvalue: float | None = None
        self.drop_path: float = getattr(setup.options, "drop_path", 0.0)
        self.watches: bool = getattr(setup.options, "eigenvalue", False)
        self._dropping: torch.Generator | None = None
        self._kept = 1.0
        super().__init__(setup)

    def make_network(self) -> MixtureNetwork:
        """The mixture, with dropped paths around its options."""
        return MixtureNetwork(self.mixture, self.bank, self._around)

    # -- steps --------------------------------------------------------------------------------
    def step(self, at: At, train: Batch, held: Batch | None) -> dict[str, Tensor]:
        """As of every mixture, with dropped paths where they are wanted."""
        self._kept = 1 - self.drop_path * at.epoch / max(1, self.setup.epochs)
        try:
            return super().step(at, train, held)
        finally:
            self._kept, self._dropping = 1.0, None

    def logits(self, x: Tensor, at: At) -> Tensor:
        """One pass of a step; paths are dropped from (seed, step, turn): a turn computed again drops the same."""
        if self._kept < 1:
            seed = int(self.rng(2 * at.step + at.turn, purpose=0xD209).integers(2**62))
            self._dropping = torch.Generator(self.setup.device).manual_seed(seed)
        return super().logits(x, at)

    def _around(self, slot: Slot, option: Option, out: Tensor) -> Tensor:
        """Whole samples of an option are dropped, those of skip connections never (Zela et al. 2020, section 5.1)."""
        if self._dropping is None or option in SKIPS:
            return out
        draw = torch.rand(len(out), generator=self._dropping, device=out.device)
        kept = (draw < self._kept).to(out.dtype) / self._kept
        return out * kept.view(-1, *[1] * (out.ndim - 1))

    def architecture_step(self, at: At, train: Batch, held: Batch) -> Tensor:
        """Equation 6 with xi = the weights' learning rate (second order) or 0 (first order)."""
        with by_batch(norms([self.bank])):
            if self.options.order == "first":
                return super().architecture_step(at, train, held)
            grads, loss = self.second_order(at, train, held)
        self.descend_along(grads)
        return loss

    def second_order(self, at: At, train: Batch, held: Batch) -> tuple[list[Tensor], Tensor]:
        """Gradients of the alphas, in their order, and the held-out loss after the step ahead."""
        weights = [w for w in self.bank.weights if w.requires_grad]
        return unrolled_gradient(
            lambda: self.loss(self.logits(train[0], at), train[1]),
            lambda: self.loss(self.logits(held[0], replace(at, turn=1)), held[1]),
            weights,
            list(self.alphas.values()),
            lambda w, g: self.sgd.ahead(w, g, at.rate),
            at.rate,
            product=self.options.hessian,
        )

    # -- watched ------------------------------------------------------------------------------
    def end_epoch(self, epoch: int) -> None:
        """Looks at the curvature, where it is watched."""
        super().end_epoch(epoch)
        if self.watches:
            self.eigenvalue = self.curvature(epoch)

    def curvature(self, epoch: int) -> float:
        """Largest eigenvalue of the Hessian of the held-out loss in the alphas, over one batch without augmentation.

        Zela et al. 2020, section 4.1: lambda_max of grad^2_alpha L_val. It is never negative: adding the same to all
        alphas of a table changes nothing.
        """
        assert self.held_out is not None
        alphas = list(self.alphas.values())
        samples = self.options.batch_size
        x, y = next(iter(self.held_out(samples)))
        with by_batch(norms([self.bank])):
            loss = self.loss(self.forward(x, self.gates(At(epoch, 0, 0.0, turn=1))), y)
        product = hessian_product(loss, alphas)
        return largest_eigenvalue(product, sum(a.numel() for a in alphas), np.random.default_rng(self.setup.seed))

    def views(self) -> dict[str, Any]:
        """The eigenvalue, too, where it is watched."""
        out = super().views()
        return out if self.eigenvalue is None else {**out, "eigenvalue": self.eigenvalue}

    # -- kept ---------------------------------------------------------------------------------
    def about(self) -> dict[str, Any]:
        """The last eigenvalue, too."""
        return super().about() | {"eigenvalue": self.eigenvalue}

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Takes over the eigenvalue, too."""
        super().restore(tensors, about)
        self.eigenvalue = about.get("eigenvalue")
