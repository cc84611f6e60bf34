"""ProxylessNAS: binary gates, of which two are compared in an architecture step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from engine.supernets.mixture import Mixture
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.learner import At, Batch
from engine.supernets.nets.network import Gate
from engine.supernets.nets.timed import TimedLearner

#: purposes of the generators of a step: the path of the weights, the two of the architecture parameters
_PATH, _PAIR = 0xB1A0, 0xB1A1


def pair_of(p: Sequence[float], rng: np.random.Generator) -> tuple[int, ...]:
    """Two options drawn by their probabilities without putting back, the active one first; one where there is one.

    Cai, Zhu & Han 2019, section 3.2.1; which of the two is active is drawn by the softmax over the two.
    """
    weights = np.asarray(p, dtype=float) + 1e-12  # two must be left, however sure it is
    if len(weights) == 1:
        return (0,)
    a, b = rng.choice(len(weights), size=2, replace=False, p=weights / weights.sum())
    return (int(a), int(b)) if rng.random() * (weights[a] + weights[b]) < weights[a] else (int(b), int(a))


def gate_gradient(alpha: Tensor, slopes: Tensor) -> Tensor:
    """dL/dalpha_i = sum_j dL/dg_j p_j (1[i = j] - p_i), p = softmax(alpha) (section 3.2.1, equation 4).

    Args:
        alpha: (options,) of those that exist.
        slopes: (options,): dL/dg_j.
    """
    p = torch.softmax(alpha, dim=0)
    return p * (slopes - (p * slopes).sum())


class BinaryLearner(TimedLearner):
    """A drawn path for the weights, two for the architecture parameters."""

    def answer(self, x: Tensor) -> Tensor | None:
        """Options are never trained together: only subnets answer."""
        return None

    def make_bank(self, affine: bool) -> Bank:
        """Norms learn scale and shift: gates are 0 or 1, so that a norm undoes none of them."""
        return super().make_bank(True)

    def make_mixture(self) -> Mixture:
        """A path is a network as a plan has it."""
        return self.space.mixture()

    def begin(self, mixture: Mixture, seed: int) -> None:
        """Adam without its first moment: a step is about the two paths of that step."""
        super().begin(mixture, seed)
        o = self.options
        self.adam = torch.optim.Adam(
            list(self.alphas.values()),
            lr=o.rate(self.steps * self.setup.epochs),
            betas=(0.0, 0.999),
            weight_decay=o.alpha_decay,
        )

    def gates(self, at: At) -> dict[str, Gate]:
        """One option by table, drawn by its probability."""
        rng = self.rng(at.step, _PATH)
        out: dict[str, Gate] = {}
        for name, row in self.strengths().items():
            p = np.array(list(row.values()))
            out[name] = (int(rng.choice(len(p), p=p / p.sum())),), None
        return out

    def architecture_step(self, at: At, train: Batch, held: Batch) -> Tensor:
        """Compares two options of every table; the weights stay."""
        rng = self.rng(at.step, _PAIR)
        pairs = {name: pair_of(list(row.values()), rng) for name, row in self.strengths().items()}
        slopes, loss = self.slopes(pairs, held)
        self.move(pairs, slopes)
        return loss

    def slopes(self, pairs: dict[str, tuple[int, ...]], held: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """(dL/dg of the options of each pair, by table; cross-entropy), for gates that are 1 for the first option.

        L is the loss of section 3.3.1, its latency that of the pairs alone.
        """
        x, y = held
        leaves = {
            name: torch.tensor([1.0, 0.0][: len(pair)], device=self.setup.device, requires_grad=True)
            for name, pair in pairs.items()
        }
        loss = self.loss(self.forward(x, {name: (pair, leaves[name]) for name, pair in pairs.items()}), y)
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        out = {
            name: torch.zeros_like(g) if slope is None else slope
            for (name, g), slope in zip(leaves.items(), found, strict=True)
        }
        if weight := self.options.latency_weight:
            per_ms = weight / self.reference_ms()
            for name, pair in pairs.items():
                out[name] = out[name] + per_ms * self.option_ms[name][list(pair)]
        return out, loss.detach()

    def reference_ms(self) -> float:
        """Latency that counts as 1: what was asked for, else that of all options alike."""
        if self.options.reference_ms is not None:
            return float(self.options.reference_ms)
        alike = {t.name: torch.full((len(t.options),), 1 / len(t.options)) for t in self.mixture.tables}
        return max(1e-9, float(self.expected_ms({n: w.to(self.setup.device) for n, w in alike.items()})))

    def move(self, pairs: dict[str, tuple[int, ...]], slopes: dict[str, Tensor]) -> None:
        """One step of the alphas of each pair, shifted so that the others keep their probabilities."""
        before = {name: a.detach().clone() for name, a in self.alphas.items()}
        for name, pair in pairs.items():
            two, a = list(pair), self.alphas[name]
            a.grad = torch.zeros_like(a)
            a.grad[two] = gate_gradient(before[name][two], slopes[name])
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, pair in pairs.items():
                two, a = list(pair), self.alphas[name]
                moved = a[two] + (torch.logsumexp(before[name][two], 0) - torch.logsumexp(a[two], 0))
                a.copy_(before[name])
                a[two] = moved
