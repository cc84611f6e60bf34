"""Meta-SGD on small dense networks: first weights and a step size for each of them, learned over many searches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.predictors._tasks import Task

#: searches per outer step, and trials that are predicted from those that are known
BATCH, QUERY = 3, 48
#: trials that are known of a search in an outer step: from, to
SUPPORT = (6, 48)
#: step sizes before anything is learned; the paper draws them from a similar range
ALPHA = (0.02, 0.1)

Weights = list[Tensor]


def first_weights(members: int, widths: Sequence[int], draw: torch.Generator) -> Weights:
    """Matrices (members, in, out) and offsets (members, 1, out), in turn, as He et al. 2015 draw them."""
    out: Weights = []
    for a, b in zip(widths, widths[1:], strict=False):
        out.append(torch.randn(members, a, b, generator=draw) * (2 / a) ** 0.5)
        out.append(torch.zeros(members, 1, b))
    out[-2] = out[-2] * 0.1  # predictions begin near the mean
    return out


def hidden(weights: Weights, x: Tensor) -> Tensor:
    """(members, n, width) of the last layer but one, for x (members, n, inputs) or (n, inputs)."""
    for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = torch.nn.functional.silu(x @ w + b)
    return x


def predicted(weights: Weights, x: Tensor) -> Tensor:
    """(members, n)."""
    return (hidden(weights, x) @ weights[-2] + weights[-1]).squeeze(-1)


def adapted(weights: Weights, alphas: Weights, x: Tensor, y: Tensor, steps: int, *, learning: bool = False) -> Weights:
    """theta' = theta - alpha * gradient, element by element (Li et al. 2017, eq. 1), so many times.

    Args:
        weights, alphas: theta and alpha.
        x, y: (members, n, inputs) or (n, inputs), and (members, n) or (n,).
        steps: how often.
        learning: keep what is needed to differentiate through it.
    """
    with torch.enable_grad():
        if not learning:
            weights = [w.detach().requires_grad_() for w in weights]
        for _ in range(steps):
            loss = (predicted(weights, x) - y).square().mean(-1).sum()
            slopes = torch.autograd.grad(loss, weights, create_graph=learning)
            weights = [w - a * g for w, a, g in zip(weights, alphas, slopes, strict=True)]
            if not learning:
                weights = [w.detach().requires_grad_() for w in weights]
    return weights if learning else [w.detach() for w in weights]


def meta_trained(
    tasks: Sequence[Task], widths: Sequence[int], *, members: int, outer: int, inner: int, lr: float,
    rng: np.random.Generator,
) -> tuple[Weights, Weights]:  # fmt: skip
    """theta and alpha that predict the rest of a search well after `inner` steps on a few of its trials.

    Li et al. 2017, Algorithm 1, with Adam for the outer step. Each member has weights and searches of its own.
    """
    draw = torch.Generator().manual_seed(int(rng.integers(2**62)))
    weights = [w.requires_grad_() for w in first_weights(members, widths, draw)]
    logs = [
        torch.empty_like(w).uniform_(float(np.log(ALPHA[0])), float(np.log(ALPHA[1])), generator=draw).requires_grad_()
        for w in weights
    ]
    adam = torch.optim.Adam([*weights, *logs], lr=lr)
    chances = np.array([t.weight for t in tasks])
    chances /= chances.sum()
    xs = [torch.from_numpy(t.rows).float() for t in tasks]
    ys = [torch.from_numpy(t.losses).float() for t in tasks]
    for step in range(outer):
        adam.param_groups[0]["lr"] = lr * (1 - step / outer)
        adam.zero_grad()
        for task in rng.choice(len(tasks), size=BATCH, p=chances).tolist():
            x, y = xs[task], ys[task]
            n = int(rng.integers(SUPPORT[0], min(SUPPORT[1], len(y) // 2 + 1) + 1)) if len(y) > 2 * SUPPORT[0] else 4
            places = np.argsort(rng.random((members, len(y))), axis=1)[:, : n + QUERY]
            known, rest = places[:, :n], places[:, n:]
            alphas = [a.exp() for a in logs]
            after = adapted(weights, alphas, x[known], y[known], inner, learning=True)
            ((predicted(after, x[rest]) - y[rest]).square().mean(-1).sum() / BATCH).backward()
        torch.nn.utils.clip_grad_norm_([*weights, *logs], 5.0 * members)
        adam.step()
    return [w.detach() for w in weights], [a.detach().exp() for a in logs]


def to_array(weights: Weights) -> NDArray[np.float32]:
    """(members, all weights of one)."""
    return np.concatenate([w.reshape(len(w), -1).numpy() for w in weights], axis=1)


def from_array(array: NDArray[np.float32], widths: Sequence[int]) -> Weights:
    """What `to_array` wrote."""
    out, at = [], 0
    for a, b in zip(widths, widths[1:], strict=False):
        for shape in ((a, b), (1, b)):
            n = shape[0] * shape[1]
            out.append(torch.from_numpy(array[:, at : at + n].copy()).reshape(len(array), *shape))
            at += n
    return out
