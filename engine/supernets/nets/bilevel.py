"""The second-order gradient of DARTS: through one step of the weights that have not taken it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

Loss = Callable[[], Tensor]
#: how the Hessian-vector product is taken: exactly, by differentiating a gradient, or as in the paper
Product = Literal["exact", "finite"]
#: numerator of the paper's step: epsilon = 0.01 / norm of the vector (Liu et al. 2019, section 2.3, footnote 2)
EPSILON = 0.01


def unrolled_gradient(
    train: Loss, held: Loss, weights: Sequence[Tensor], alphas: Sequence[Tensor],
    ahead: Callable[[Sequence[Tensor], Sequence[Tensor | None]], list[Tensor]], rate: float, *,
    product: Product = "exact", epsilon: float = EPSILON,
) -> tuple[list[Tensor], Tensor]:  # fmt: skip
    """Gradient of L_val(w', alpha) in alpha, where w' = w - xi (v + grad_w L_train(w, alpha)) is a step not yet taken.

    Liu et al. 2019, section 2.3, equations 6 to 8:

        grad_alpha L_val(w', alpha) - xi grad^2_(alpha, w) L_train(w, alpha) grad_w' L_val(w', alpha)

    What momentum and weight decay add to the step, v, does not depend on alpha, so that the second term stays as it is;
    a clipped gradient would not leave it so, and the step is taken without clipping, as in the paper. The product is
    taken exactly, by differentiating grad_w L_train again, or as the difference of two gradients in alpha (equation 8),
    at w + epsilon d and w - epsilon d for d = grad_w' L_val, whose error is of order (epsilon |d|)^2 where the loss is
    smooth. Between the two points a ReLU network has kinks: what they do to the gradient is in the difference, averaged
    over its step, and not in the exact product, so that the two differ by more than rounding there.

    Args:
        train, held: L_train and L_val of one batch each, computed anew with what the leaves hold when they are called.
        weights: leaves; they hold what they held, bit for bit, when this returns.
        alphas: leaves.
        ahead: w' from the weights and their gradients in L_train (None where there is none).
        rate: xi, the learning rate of that step.
        product: how.
        epsilon: of the difference, over the norm of d.

    Returns:
        The gradients, in the order of `alphas`, and L_val(w', alpha), detached.
    """
    grads = torch.autograd.grad(train(), weights, allow_unused=True)
    with holding(weights, ahead(weights, grads)):
        loss = held()
        both = torch.autograd.grad(loss, [*alphas, *weights], allow_unused=True)
    first = [_filled(g, a) for g, a in zip(both, alphas, strict=False)]
    along = [_filled(g, w) for g, w in zip(both[len(alphas) :], weights, strict=True)]
    mixed = _exact(train, weights, alphas, along) if product == "exact" else _finite(
        train, weights, alphas, along, epsilon
    )  # fmt: skip
    return [g - rate * m for g, m in zip(first, mixed, strict=True)], loss.detach()


def _exact(train: Loss, weights: Sequence[Tensor], alphas: Sequence[Tensor], along: list[Tensor]) -> list[Tensor]:
    """grad^2_(alpha, w) L_train times `along`."""
    grads = torch.autograd.grad(train(), weights, create_graph=True, allow_unused=True)
    used = [(g, v) for g, v in zip(grads, along, strict=True) if g is not None and g.requires_grad]
    if not used:
        return [torch.zeros_like(a) for a in alphas]
    outputs, vectors = zip(*used, strict=True)
    out = torch.autograd.grad(outputs, alphas, grad_outputs=vectors, allow_unused=True)
    return [_filled(g, a) for g, a in zip(out, alphas, strict=True)]


def _finite(
    train: Loss, weights: Sequence[Tensor], alphas: Sequence[Tensor], along: list[Tensor], epsilon: float
) -> list[Tensor]:
    """The same as a difference (equation 8)."""
    norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(v) for v in along])))
    if norm == 0:
        return [torch.zeros_like(a) for a in alphas]
    step = epsilon / norm
    sides = []
    for sign in (1, -1):
        with holding(weights, [w + sign * step * v for w, v in zip(_values(weights), along, strict=True)]):
            grads = torch.autograd.grad(train(), alphas, allow_unused=True)
        sides.append([_filled(g, a) for g, a in zip(grads, alphas, strict=True)])
    return [(up - down) / (2 * step) for up, down in zip(*sides, strict=True)]


@contextmanager
def holding(leaves: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """The leaves hold these values inside; afterwards they hold what they held."""
    before = [t.clone() for t in _values(leaves)]
    _put(leaves, values)
    try:
        yield
    finally:
        _put(leaves, before)


@torch.no_grad()
def _put(leaves: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for leaf, value in zip(leaves, values, strict=True):
        leaf.copy_(value)


def _values(leaves: Sequence[Tensor]) -> list[Tensor]:
    return [t.detach() for t in leaves]


def _filled(gradient: Tensor | None, like: Tensor) -> Tensor:
    """Zeros where nothing depends on a leaf."""
    return torch.zeros_like(like) if gradient is None else gradient.detach()
