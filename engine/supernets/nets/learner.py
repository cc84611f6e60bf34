"""What trains a supernet: a learner takes steps, says what it would derive, and can be stopped and resumed anywhere."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.architecture import Architecture
from engine.spaces.base import SearchSpace
from engine.supernets.latency import Latency
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.beginning import inherit
from engine.supernets.nets.elastic import ElasticBank, cover
from engine.training.device import Setting
from engine.training.inference import autocast


@dataclass(frozen=True)
class Setup:
    """What a learner is given.

    Attributes:
        space: bound to the data, restricted as the search wants it.
        options: the method's.
        device, setting: where and how it computes.
        seed: of weights and of every draw.
        epochs: it will be trained for (`SupernetMethod.supernet_epochs`).
        run: which of the search's supernets it is, from 1.
        limits: on exact costs, of the search; no network beyond them is trained alone.
        samples: of the training split.
        label_smoothing: of the search's recipe.
        latency_ms: {table: {option as text: milliseconds}}, of what `measure` measured on a worker's device, and
            {"": {"": milliseconds}} for all that stands outside of the slots; {} = not measured.
    """

    space: SearchSpace
    options: Any
    device: torch.device
    setting: Setting
    seed: int
    epochs: int
    samples: int
    label_smoothing: float = 0.0
    latency_ms: Latency = field(default_factory=dict)
    run: int = 1
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class At:
    """Which step it is.

    Attributes:
        epoch: from 0.
        step: of all, from 0.
        rate: learning rate of the shared weights now.
        turn: which forward pass of the step draws: 0 that of the weights, 1 that of the architecture parameters.
    """

    epoch: int
    step: int
    rate: float
    turn: int = 0


#: samples (B, *input_shape) and classes (B,)
Batch = tuple[Tensor, Tensor]
#: the first so many samples of the held half in an order that is drawn once, as they are (no augmentation), in batches
HeldOut = Callable[[int], Iterable[Batch]]


class SharedSGD:
    """SGD with momentum for weights of which a step uses some: the others keep weight and momentum as they are.

    Args:
        momentum, weight_decay: Sutskever et al. 2013's form, as torch's; the decay is part of the gradient.
        clip: largest norm of the gradient of a step; 0 = no clipping.
    """

    def __init__(self, *, momentum: float = 0.9, weight_decay: float = 3e-4, clip: float = 5.0) -> None:
        self.momentum, self.weight_decay, self.clip = momentum, weight_decay, clip
        self.buffers: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def step(self, parameters: Iterable[Tensor], rate: float) -> None:
        """One step for all parameters that have a gradient; takes the gradients away."""
        params = [p for p in parameters if p.grad is not None]
        if not params:
            return
        grads: list[Tensor] = [p.grad for p in params if p.grad is not None]
        if self.clip:
            torch.nn.utils.clip_grad_norm_(params, self.clip)
        if self.weight_decay:
            torch._foreach_add_(grads, params, alpha=self.weight_decay)
        held = []
        for p in params:
            if p not in self.buffers:
                self.buffers[p] = torch.zeros_like(p)
            held.append(self.buffers[p])
        torch._foreach_mul_(held, self.momentum)
        torch._foreach_add_(held, grads)
        torch._foreach_add_(params, held, alpha=-rate)
        for p in params:
            p.grad = None

    @torch.no_grad()
    def ahead(self, parameters: Sequence[Tensor], grads: Sequence[Tensor | None], rate: float) -> list[Tensor]:
        """Where a step along these gradients would lead, without clipping; parameters and momentum stay as they are."""
        out = []
        for p, g in zip(parameters, grads, strict=True):
            if g is None:
                out.append(p.detach().clone())
                continue
            step = g + self.weight_decay * p
            if (held := self.buffers.get(p)) is not None:
                step = step + self.momentum * held
            out.append(p - rate * step)
        return out


class Learner(ABC):
    """Trains the supernet of one space by one method.

    Every draw of a step comes from (seed, step), so that a resumed training needs no state of a generator; dropout
    draws from torch's global generator, which the training keeps.

    Attributes:
        halves: it needs a second batch each step: the training split is halved then, and the validation split stays
            untouched (Liu et al. 2019, section 3: the bilevel problem).
        elastic: in spaces whose options differ in size, small networks run on slices of large ones' weights.
        bank: the shared weights.
        sgd: their optimizer.
        held_out: the held half, for what looks at it between epochs; the training sets it where there are `halves`.
    """

    halves: ClassVar[bool] = False
    elastic: ClassVar[bool] = True
    held_out: HeldOut | None = None

    def __init__(self, setup: Setup, *, affine: bool = True) -> None:
        self.setup, self.space, self.options = setup, setup.space, setup.options
        self.bank = self.make_bank(affine)
        o = setup.options
        self.sgd = SharedSGD(momentum=o.momentum, weight_decay=o.weight_decay, clip=o.clip)

    def make_bank(self, affine: bool) -> Bank:
        """The bank of this setup: empty, or with the largest operations of a space whose networks are slices."""
        s = self.setup
        if self.elastic and s.space.elastic:
            return ElasticBank(cover(s.space), seed=s.seed, device=s.device, layout=s.setting.memory_format)
        return Bank(seed=s.seed, device=s.device, layout=s.setting.memory_format, affine=affine)

    @property
    def steps(self) -> int:
        """Steps of an epoch: batches of the half that the shared weights are trained on."""
        n = self.setup.samples
        return len(batches_of(n - n // 2 if self.halves else n, self.options.batch_size))

    # -- trained ------------------------------------------------------------------------------
    @abstractmethod
    def step(self, at: At, train: Batch, held: Batch | None) -> dict[str, Tensor]:
        """One step.

        Args:
            at: which.
            train: for the shared weights.
            held: for what chooses among architectures, from the other half; None unless `halves`.

        Returns:
            Values to average over the epoch, still on the device: "loss" at least.
        """

    @property
    def held_steps(self) -> int:
        """Steps on the held half that follow the batches of each epoch (ENAS: of the controller); needs `halves`."""
        return 0

    def held_step(self, at: At, held: Batch) -> dict[str, Tensor]:
        """One of these; `at.step` counts them over all epochs, from 0. What it gives is averaged over them."""
        return {}

    def begin_epoch(self, epoch: int) -> None:  # noqa: B027 - optional hook
        """Before the first step of an epoch (from 0)."""

    def end_epoch(self, epoch: int) -> None:  # noqa: B027 - optional hook
        """After its last step, before it is measured and kept."""

    def stop_reason(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Why training should end here, after an epoch; "" = it goes on.

        Args:
            rows: of all epochs so far, see `engine.supernets.epochs`.
        """
        return ""

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of the shared weights at a step (from 0) of so many: one cosine over all of them."""
        return cosine(step, steps, self.options.learning_rate, self.options.learning_rate_end)

    # -- asked --------------------------------------------------------------------------------
    @abstractmethod
    def paths(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """`n` architectures as the method would choose them now: the supernet is measured on them."""

    def answer(self, x: Tensor) -> Tensor | None:
        """Logits of the supernet as a whole, where options were trained together; None = only its subnets answer."""
        return None

    @abstractmethod
    def derived(self) -> list[Architecture]:
        """What it would hand over now, the best first; [] where a search among subnets decides that."""

    def views(self) -> dict[str, Any]:
        """JSON of one epoch for the page; known names are listed at `engine.supernets.epochs`."""
        return {}

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy with the recipe's label smoothing, in float32 at least."""
        exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return F.cross_entropy(exact, y, label_smoothing=self.setup.label_smoothing)

    def rng(self, step: int, purpose: int = 0) -> np.random.Generator:
        """The generator of a step."""
        return np.random.default_rng([self.setup.seed, 0x57E9, purpose, step])

    def run(self, architecture: Architecture, x: Tensor) -> Tensor:
        """Logits of one subnet under the shared weights, in the mode the bank is in."""
        with autocast(self.setup.device, self.setup.setting):
            plan = self.space.planned(architecture)
            return self.bank.run(plan, x, self.space.weight_names(architecture))

    def blocks_of(self, architecture: Architecture) -> list[nn.Module]:
        """The shared operations that `run` uses for it, each once."""
        return self.bank.blocks_of(self.space.planned(architecture), self.space.weight_names(architecture))

    def descend(self, loss: Tensor, rate: float) -> None:
        """One step of the shared weights along a loss."""
        loss.backward()  # type: ignore[no-untyped-call]
        self.sgd.step(self.bank.weights, rate)

    # -- begun --------------------------------------------------------------------------------
    def begin_from(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> tuple[int, int]:
        """Takes over the weights of another search's supernet that have the same place here; before the first step.

        Args:
            tensors, about: what that supernet's learner gave, of any method.

        Returns:
            (tensors taken over, tensors there were).
        """
        return inherit(self.bank, self.space, tensors, about["keys"])

    # -- kept ---------------------------------------------------------------------------------
    def tensors(self) -> dict[str, Tensor]:
        """Everything trained, by name, for a checkpoint; subclasses add architecture parameters and optimizers."""
        out = {f"bank.{n}": t for n, t in self.bank.named_weights()}
        for name, p in self.bank.named_parameters():
            if p in self.sgd.buffers:
                out[f"momentum.{name}"] = self.sgd.buffers[p]
        return out

    def about(self) -> dict[str, Any]:
        """JSON beside `tensors`."""
        return {"keys": self.bank.keys()}

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Takes over what `tensors` and `about` gave, bit for bit; of a learner that has taken no step."""
        self.bank.hold(about["keys"])
        with torch.no_grad():
            for name, t in self.bank.named_weights():
                t.copy_(tensors[f"bank.{name}"])
            for name, p in self.bank.named_parameters():
                if (buffer := tensors.get(f"momentum.{name}")) is not None:
                    self.sgd.buffers[p] = torch.empty_like(p).copy_(buffer)


def cosine(step: int, steps: int, high: float, low: float) -> float:
    """Learning rate of a step: half a cosine from `high` to `low` (Loshchilov & Hutter 2017, equation 5)."""
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))


def batches_of(n: int, size: int) -> list[tuple[int, int]]:
    """Bounds of an epoch's batches; a last one of a single sample has no variance for a batch norm and is left out."""
    return [(i, min(i + size, n)) for i in range(0, n, size) if n - i > 1 or n == 1]
