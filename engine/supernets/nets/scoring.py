"""Measures subnets under the weights of their supernet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from engine.architecture import Architecture
from engine.supernets.nets.learner import Learner
from engine.training.inference import Scores, scores
from engine.training.loop import DeviceData

_BatchNorm = nn.modules.batchnorm._BatchNorm
#: samples of one pass at most while statistics are taken
PASS = 256


def norms(modules: Iterable[nn.Module]) -> list[_BatchNorm]:
    """The batch norms in these modules."""
    return [m for module in modules for m in module.modules() if isinstance(m, _BatchNorm)]


@contextmanager
def by_batch(found: list[_BatchNorm]) -> Iterator[None]:
    """Batch norms use the statistics of the batch and keep their running ones as they are."""
    before = [(m, m.training, m.track_running_stats) for m in found]
    for m in found:
        m.training, m.track_running_stats = True, False
    try:
        yield
    finally:
        for m, training, tracking in before:
            m.training, m.track_running_stats = training, tracking


def few(n: int, samples: int, device: torch.device) -> Tensor:
    """Rows of `samples` of `n` in their order, always the same: a split may lie class by class, as folders do."""
    if samples >= n:
        return torch.arange(n, device=device)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    return order[:samples].sort().values.to(device)


class Judge:
    """Scores subnets of a learner on the validation split.

    Args:
        learner: trained.
        data: on the device.
        samples: of the training split, from which the batch norms of each subnet take their statistics anew (Guo et
            al. 2020: those of the supernet are a mixture over all its paths).
        on: validation samples that scores are measured on; None = all.
    """

    def __init__(self, learner: Learner, data: DeviceData, samples: int, on: int | None = None) -> None:
        self.learner, self.data = learner, data
        self.seen = data.augmentation.plain(few(len(data.train_y), samples, data.train_y.device))
        self.x, self.y = data.validation_x, data.validation_y
        if on is not None and on < len(self.y):
            self.x, self.y = self._few(on)

    def _few(self, samples: int) -> tuple[Tensor, Tensor]:
        """Some validation samples and their classes."""
        x, y = self.data.validation_x, self.data.validation_y
        rows = few(len(y), samples, y.device)
        layout = self.learner.setup.setting.memory_format
        return x[rows].contiguous(memory_format=layout) if x.ndim == 4 else x[rows], y[rows]

    def score(self, architecture: Architecture) -> Scores:
        """Accuracy and loss on the validation samples, with statistics of its own in every batch norm."""
        learner = self.learner
        learner.bank.eval()
        found = norms(learner.blocks_of(architecture))
        self._recalibrate(architecture, found)
        subnet = _Subnet(learner, architecture)
        return scores(subnet, self.x, self.y, learner.setup.setting)

    @torch.no_grad()
    def _recalibrate(self, architecture: Architecture, found: list[_BatchNorm]) -> None:
        if not found:
            return
        before = [m.momentum for m in found]
        for m in found:
            m.reset_running_stats()
            m.momentum = None  # the mean over all passes
            m.train()
        try:
            # passes of one size, give or take a sample: each counts alike, and none is of a single one
            for part in self.seen.tensor_split(-(-len(self.seen) // PASS)):
                self.learner.run(architecture, part)
        finally:
            for m, momentum in zip(found, before, strict=True):
                m.momentum = momentum
                m.train(False)

    @torch.no_grad()
    def quick(self, architectures: list[Architecture], samples: int) -> float:
        """Mean accuracy of these subnets on some validation samples, normalized by the batch."""
        x, y = self._few(samples)
        right = [glance(self.learner, architecture, x, y) for architecture in architectures]
        return float(torch.stack(right).mean()) if right else 0.0

    @torch.no_grad()
    def whole(self, samples: int) -> float | None:
        """Accuracy of the supernet as a whole on those samples, normalized by the batch; None = it has no answer."""
        learner = self.learner
        x, y = self._few(samples)
        learner.bank.eval()
        with by_batch(norms([learner.bank])):
            logits = learner.answer(x)
        learner.bank.train()
        return None if logits is None else float((logits.argmax(1) == y).float().mean())


@torch.no_grad()
def glance(learner: Learner, architecture: Architecture, x: Tensor, y: Tensor) -> Tensor:
    """Accuracy of a subnet on a batch, normalized by that batch; the supernet goes on training as if nobody looked.

    Raises:
        CannotBuild: there is no such network.
    """
    found = norms(learner.blocks_of(architecture))
    learner.bank.eval()
    with by_batch(found):
        right = (learner.run(architecture, x).argmax(1) == y).float().mean()
    learner.bank.train()
    return right


class _Subnet(nn.Module):
    """A subnet as a module that `scores` can run; it owns no weights."""

    def __init__(self, learner: Learner, architecture: Architecture) -> None:
        super().__init__()
        self._learner, self._architecture = learner, architecture

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch."""
        return self._learner.run(self._architecture, x)
