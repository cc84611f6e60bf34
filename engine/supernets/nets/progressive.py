"""P-DARTS: deeper and deeper mixtures over fewer and fewer options, with dropout behind skip connections."""

from __future__ import annotations

import math
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from engine.architecture import Option
from engine.spaces.base import SearchSpace
from engine.supernets.epochs import SKIPS
from engine.supernets.mixture import Mixture, Slot
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.learner import At, Setup, SharedSGD, cosine
from engine.supernets.nets.network import MixtureNetwork
from engine.supernets.nets.staged import StagedLearner

#: of the three stages (Chen et al. 2019, on CIFAR-10): share of the final depth, of the options, of the dropout
DEPTHS, OPTIONS, DROPOUTS = (5 / 20, 11 / 20, 17 / 20), (8 / 8, 5 / 8, 3 / 8), (0.0, 0.4 / 0.7, 1.0)
#: what a space may call its depth
DEPTH = ("layers", "cells")
#: dropout at the end of a stage is exp(-DECAY) of that at its start
DECAY = 3.0
#: purposes of the generators of a step, by turn
_DRAWS = (0xD809, 0xD80A)


def at_depth(space: SearchSpace, share: float) -> SearchSpace:
    """The space with a shallower network around the same decisions; itself where no option is the depth."""
    values: dict[str, Any] = space.options.model_dump()
    names = [d.name for d in space.all_decisions()]
    for field in DEPTH:
        full = values.get(field)
        if not isinstance(full, int):
            continue
        for depth in range(max(1, math.floor(share * full + 0.5)), full):
            try:
                other = space.skeleton(**{field: depth})
            except ValidationError:  # too shallow for this space
                continue
            return other if [d.name for d in other.all_decisions()] == names else space
    return space


class ProgressiveLearner(StagedLearner):
    """Three stages; each begins with fresh weights and alphas."""

    def __init__(self, setup: Setup) -> None:
        self._masks: tuple[float, torch.Generator] | None = None
        super().__init__(setup, stages=3)

    def level(self, stage: int) -> int:
        """Which of the paper's three stages one is; with fewer, the last is the last."""
        return 2 if self.stages == 1 else round(2 * stage / (self.stages - 1))

    def count(self, options: int, stage: int) -> int:
        """The paper's share, at least two."""
        return min(options, max(2, math.floor(options * OPTIONS[self.level(stage)] + 0.5)))

    def make_mixture(self) -> Mixture:
        """As deep as the first stage is."""
        self.space = at_depth(self.setup.space, DEPTHS[self.level(0)])
        return super().make_mixture()

    def make_network(self) -> MixtureNetwork:
        """With dropout behind skip connections."""
        return MixtureNetwork(self.mixture, self.bank, self.dropped)

    def enter(self, stage: int) -> None:
        """A deeper network with fresh weights over the options that are left."""
        s, o = self.setup, self.options
        self.space = at_depth(s.space, DEPTHS[self.level(stage)])
        seed = s.seed + 1_000_003 * stage
        self.bank = Bank(seed=seed, device=s.device, layout=s.setting.memory_format, affine=False)
        self.sgd = SharedSGD(momentum=o.momentum, weight_decay=o.weight_decay, clip=o.clip)
        self.begin(self.space.mixture(norm_pools=True).keep(self.kept), seed)

    def rate(self, step: int, steps: int) -> float:
        """A cosine a stage."""
        each = steps // self.setup.epochs
        first, last = self.bounds[self.stage], self.bounds[self.stage + 1]
        o = self.options
        return cosine(step - first * each, (last - first) * each, o.learning_rate, o.learning_rate_end)

    # -- dropout ----------------------------------------------------------------------------------
    def dropout(self, epoch: int) -> float:
        """Rate behind skip connections in an epoch (from 0)."""
        full = float(self.options.dropout) * DROPOUTS[self.level(self.stage_of(epoch))]
        (done, length), ahead = self.within(epoch), self.ahead(epoch)
        if done < ahead:
            return full * (length - done - 1) / length
        return full * math.exp(-DECAY * (done - ahead) / max(1, length - ahead))

    def logits(self, x: Tensor, at: At) -> Tensor:
        """One forward pass of a step, with masks of its own."""
        seed = int(self.rng(at.step, _DRAWS[at.turn]).integers(1 << 62))
        self._masks = self.dropout(at.epoch), torch.Generator(self.setup.device).manual_seed(seed)
        try:
            return super().logits(x, at)
        finally:
            self._masks = None

    def dropped(self, slot: Slot, option: Option, out: Tensor) -> Tensor:
        """What a skip connection gives, in a step: each value 0 with the rate, the others scaled up."""
        if self._masks is None or option not in SKIPS or self._masks[0] == 0:
            return out
        rate, generator = self._masks
        mask = torch.rand(out.shape, generator=generator, device=out.device) >= rate
        return out * (mask.to(out.dtype) / (1 - rate))

    def said(self, epoch: int) -> str:
        """Depth and dropout, too."""
        values = self.space.options.model_dump()
        depth = [f"{f} {values[f]}" for f in DEPTH if isinstance(values.get(f), int)][:1]
        rate = self.dropout(epoch)
        return ", ".join([super().said(epoch), *depth, *([f"dropout {rate:.2f} behind skips"] if rate else [])])
