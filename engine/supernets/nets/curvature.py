"""The dominant eigenvalue of a Hessian, by products with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

#: Lanczos vectors at most, and the relative change below which there are enough (rules ask for quarters)
VECTORS, TOLERANCE = 40, 1e-3


def hessian_product(loss: Tensor, leaves: Sequence[Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    """Products of the Hessian of a loss in these leaves, flattened in order (n,), with vectors (n,), in float64."""
    grads = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
    used = [(g, i) for i, g in enumerate(grads) if g is not None and g.requires_grad]

    def product(vector: np.ndarray) -> np.ndarray:
        parts = _split(vector, leaves)
        if not used:
            return np.zeros_like(vector)
        out = torch.autograd.grad(
            [g for g, _ in used], leaves, [parts[i] for _, i in used], retain_graph=True, allow_unused=True
        )
        rows = [torch.zeros_like(a) if g is None else g for g, a in zip(out, leaves, strict=True)]
        return torch.cat([r.detach().reshape(-1) for r in rows]).cpu().double().numpy()

    return product


def _split(vector: np.ndarray, leaves: Sequence[Tensor]) -> list[Tensor]:
    bounds = np.cumsum([a.numel() for a in leaves])[:-1]
    return [torch.as_tensor(v, dtype=a.dtype, device=a.device).view_as(a)
            for v, a in zip(np.split(vector, bounds), leaves, strict=True)]  # fmt: skip


def largest_eigenvalue(product: Callable[[np.ndarray], np.ndarray], n: int, rng: np.random.Generator) -> float:
    """The largest eigenvalue of a symmetric matrix (n, n) by Lanczos's iteration with full reorthogonalization.

    After n steps it is exact; it mostly needs far fewer.

    Args:
        product: matrix times vector (n,).
        n: its side.
        rng: of the first vector.
    """
    q = rng.standard_normal(n)
    basis = [q / np.linalg.norm(q)]
    diagonal: list[float] = []
    beside: list[float] = []
    value = -np.inf
    while True:
        w = product(basis[-1])
        diagonal.append(float(w @ basis[-1]))
        before, value = value, float(np.linalg.eigvalsh(_tridiagonal(diagonal, beside))[-1])
        done = len(basis) >= min(n, VECTORS) or abs(value - before) <= TOLERANCE * abs(value)
        stacked = np.stack(basis)
        for _ in range(2):  # once leaves rounding of the order of what cancels
            w = w - stacked.T @ (stacked @ w)
        norm = float(np.linalg.norm(w))
        if done or norm <= 1e-12 * max(1.0, abs(value)):
            return value
        beside.append(norm)
        basis.append(w / norm)


def _tridiagonal(diagonal: list[float], beside: list[float]) -> np.ndarray:
    return np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
