"""GDAS: one option per edge, drawn by Gumbel-max; the gradient is that of the relaxed sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.supernets.nets.learner import At
from engine.supernets.nets.mixed import MixedLearner
from engine.supernets.nets.network import Gate

#: purposes of the generators of a step, by turn
_DRAWS = (0x6DA0, 0x6DA1)


def straight_through(logits: Tensor, noise: Tensor, temperature: float) -> tuple[int, Tensor]:
    """A hard sample with the gradient of the soft one (Dong & Yang 2019).

    Args:
        logits: (options,), unnormalized.
        noise: (options,), standard Gumbel.
        temperature: tau.

    Returns:
        The option drawn and its gate, (1,): exactly 1, with the derivative of
        softmax((log softmax(logits) + noise) / tau) at that option.
    """
    soft = torch.softmax((torch.log_softmax(logits, dim=0) + noise) / temperature, dim=0)
    drawn = int(soft.detach().argmax())
    gate = soft[drawn : drawn + 1]
    return drawn, 1 + (gate - gate.detach())


class GumbelLearner(MixedLearner):
    """Each pass draws and computes one option per table."""

    def answer(self, x: Tensor) -> Tensor | None:
        """Options are never trained together: only subnets answer."""
        return None

    _ended = 0

    def gates(self, at: At) -> dict[str, Gate]:
        """One drawn option by table, weighed by its straight-through gate."""
        rng = self.rng(at.step, _DRAWS[at.turn])
        temperature = self.temperature(at.epoch)
        out: dict[str, Gate] = {}
        for table in self.mixture.tables:
            alpha = self.alphas[table.name]
            noise = torch.from_numpy(rng.gumbel(size=len(table.options))).to(alpha)
            drawn, gate = straight_through(alpha, noise, temperature)
            out[table.name] = (drawn,), gate
        return out

    def temperature(self, epoch: int) -> float:
        """tau in an epoch (from 0): a line from the first to the last."""
        o = self.options
        share = epoch / max(1, self.setup.epochs - 1)
        return float(o.temperature + (o.temperature_end - o.temperature) * share)

    def end_epoch(self, epoch: int) -> None:
        """Remembers the epoch for its row."""
        super().end_epoch(epoch)
        self._ended = epoch

    def views(self) -> dict[str, Any]:
        """The temperature of the epoch, too."""
        return super().views() | {"temperature": self.temperature(self._ended)}
