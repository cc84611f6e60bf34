"""FBNet: all options of a slot, weighed by a Gumbel softmax that hardens."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engine.architecture import Architecture
from engine.supernets.nets.learner import At, Batch
from engine.supernets.nets.network import Gate
from engine.supernets.nets.timed import TimedLearner

#: purposes of the generators of a step, by turn, and of the networks that are handed over
_NOISE, _HANDED = (0xFB0, 0xFB1), 0xFB2
#: the paper's factor of the temperature, and the epochs it was chosen for
_ANNEALING, _EPOCHS = 0.956, 90


def latency_factor(ms: Tensor, scale: float, power: float) -> Tensor:
    """alpha log(LAT)^beta (Wu et al. 2019), LAT in microseconds and at least e.

    Args:
        ms: (), milliseconds.
        scale: alpha.
        power: beta.
    """
    return scale * torch.log((1000 * ms).clamp_min(math.e)) ** power


class RelaxedLearner(TimedLearner):
    """Each pass weighs all options by a relaxed sample of its own."""

    _ended = 0

    def temperature(self, epoch: int) -> float:
        """tau in an epoch (from 0)."""
        factor = self.options.annealing
        if factor is None:
            factor = _ANNEALING ** (_EPOCHS / self.setup.epochs)
        return float(self.options.temperature * factor**epoch)

    def weights(self, at: At) -> dict[str, Tensor]:
        """m of a pass by table, (options,): softmax((theta + g) / tau), g standard Gumbel."""
        rng, tau = self.rng(at.step, _NOISE[at.turn]), self.temperature(at.epoch)
        out = {}
        for table in self.mixture.tables:
            theta = self.alphas[table.name]
            noise = torch.from_numpy(rng.gumbel(size=len(table.options))).to(theta)
            out[table.name] = torch.softmax((theta + noise) / tau, dim=0)
        return out

    def gates(self, at: At) -> dict[str, Gate]:
        """All options, weighed by the sample of this pass."""
        return {name: (range(len(m)), m) for name, m in self.weights(at).items()}

    def architecture_step(self, at: At, train: Batch, held: Batch) -> Tensor:
        """One step of theta on cross-entropy times the latency's factor, both of one sample."""
        x, y = held
        m = self.weights(replace(at, turn=1))
        loss = self.loss(self.forward(x, {name: (range(len(w)), w) for name, w in m.items()}), y)
        o = self.options
        factor = latency_factor(self.expected_ms(m), o.latency_scale, o.latency_weight) if o.latency_weight else 1.0
        self.descend_alphas(loss * factor)
        return loss.detach()

    def derived(self) -> list[Architecture]:
        """The most probable network, then drawn ones, each once."""
        first = super().derived()
        rng = self.rng(0, _HANDED)
        drawn = [] if self.handed is not None else [self.sampled(rng) for _ in range(self.options.samples)]
        return list(dict.fromkeys([*first, *drawn]))

    def end_epoch(self, epoch: int) -> None:
        """Remembers the epoch for its row."""
        super().end_epoch(epoch)
        self._ended = epoch

    def views(self) -> dict[str, Any]:
        """The temperature of the epoch, too."""
        return super().views() | {"temperature": self.temperature(self._ended)}
