"""What the predictors' networks share: weights per member, one thread, full batches, Adam along a cosine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import cos, pi

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order whatever the machine is busy with: equal numbers after a restart."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def generator(rng: np.random.Generator) -> torch.Generator:
    """A torch generator seeded from the proposal's."""
    return torch.Generator().manual_seed(int(rng.integers(2**62)))


class Dense(nn.Module):
    """A linear layer for each member of an ensemble at once: (members, n, inputs) to (members, n, outputs).

    Args:
        members, inputs, outputs: sizes.
        draw: its weights come from it, uniform within 1 / sqrt(inputs) as in `nn.Linear`.
    """

    def __init__(self, members: int, inputs: int, outputs: int, draw: torch.Generator) -> None:
        super().__init__()
        bound = max(1, inputs) ** -0.5
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound, generator=draw))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound, generator=draw))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


def train(net: nn.Module, loss: Callable[[], Tensor], *, steps: int, lr: float, decay: float = 0.0) -> None:
    """Adam on full batches for `steps` steps, the learning rate along half a cosine to zero.

    Args:
        net: its parameters are trained.
        loss: of the whole training set, the sum over members that share no weights.
        steps, lr, decay: steps, first learning rate, decoupled weight decay.
    """
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=decay, fused=True)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.5 * lr * (1 + cos(pi * step / steps))
        optimizer.zero_grad(set_to_none=True)
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
