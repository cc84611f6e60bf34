"""Predictions: during training in the training's own setting, and the reference that a bundle is checked against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.training.device import Setting, repeatable

#: samples per forward pass; larger ones fall out of a CPU core's cache
BATCH = 256
GPU_BATCH = 2048
#: the reference is computed in batches of this size everywhere, because another size may change the last bit
REFERENCE_BATCH = 256


@dataclass(frozen=True)
class Scores:
    """How a network did on a split.

    Attributes:
        accuracy: share of 1.
        loss: mean cross-entropy, without label smoothing.
        correct: (n,) bool, in the order of the split.
    """

    accuracy: float
    loss: float
    correct: NDArray[np.bool_]

    @property
    def bits(self) -> bytes:
        """`correct` packed by `numpy.packbits`."""
        return np.packbits(self.correct).tobytes()


def autocast(device: torch.device, setting: Setting) -> torch.autocast:
    """The context in which a network computes under a setting."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=setting.precision == "bfloat16")


@torch.inference_mode()
def scores(module: nn.Module, x: Tensor, y: Tensor, setting: Setting) -> Scores:
    """Scores of a network in eval mode; `x` (n, *shape) normalized and `y` (n,) on its device."""
    size = GPU_BATCH if x.device.type == "cuda" else BATCH
    correct, loss = [], torch.zeros((), dtype=torch.float64, device=x.device)
    with autocast(x.device, setting):
        for start in range(0, len(y), size):
            part, target = x[start : start + size], y[start : start + size]
            out = module(part.contiguous(memory_format=setting.memory_format) if part.ndim == 4 else part).float()
            loss += F.cross_entropy(out, target, reduction="sum")
            correct.append(out.argmax(1) == target)
    right = torch.cat(correct).cpu().numpy()
    return Scores(float(right.mean()), float(loss) / len(y), right)


def reference_logits(module: nn.Module, x: NDArray[np.float32], batch: int = REFERENCE_BATCH) -> NDArray[np.float32]:
    """Logits (n, classes) on the CPU in float32, one thread, contiguous layout.

    The numbers in a bundle come from here, and the check of the exported `model.py` computes the same way, so that
    the two can be required to agree in every bit.

    Args:
        module: on the CPU in float32; put into eval mode here.
        x: (n, *shape), normalized by `engine.data.arrays.normalize`.
        batch: samples per forward pass.
    """
    module.eval()
    with repeatable(torch.device("cpu"), threads=1), torch.inference_mode():
        parts = [module(torch.from_numpy(x[i : i + batch])).numpy() for i in range(0, len(x), batch)]
    return np.concatenate(parts).astype(np.float32, copy=False)


def reference_scores(logits: NDArray[np.float32], y: NDArray[Any]) -> Scores:
    """Scores of logits (n, classes) for classes `y` (n,)."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]
    correct = logits.argmax(axis=1) == y
    return Scores(float(correct.mean()), float(losses.mean()), correct)
