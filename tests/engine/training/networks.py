"""Small hand-made networks and sessions, so that the loop is tested without a search space."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.architecture import Architecture
from engine.config import Recipe, SearchConfig
from engine.data import registry
from engine.errors import CannotBuild
from engine.evaluation.base import Work
from engine.evaluation.trained import TrainedSession

SMALL = Architecture.of("hand_made", {"width": 6})


class Small(nn.Module):
    """Convolution, batch norm, dropout, dense: everything that has a state or draws."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.deep = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(width * 16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        x = nn.functional.max_pool2d(torch.relu(self.deep(x)), 2)
        out: torch.Tensor = self.head(self.drop(x.flatten(1)))
        return out


class Explodes(Small):
    """Its logits become infinite in the step after `steps` training batches."""

    def __init__(self, width: int, steps: int) -> None:
        super().__init__(width)
        self.left = steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = super().forward(x)
        if self.training:
            self.left -= 1
        return out * float("inf") if self.left < 0 else out


class Huge(Small):
    """Asks for more memory than any machine has, in its first forward pass."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + torch.ones(2**50).sum()


def network(architecture: Architecture) -> nn.Module:
    """The network of a hand-made architecture."""
    kind = architecture.choices.get("kind")
    width = int(architecture["width"])  # type: ignore[arg-type]
    if kind == "explodes":
        return Explodes(width, int(architecture["steps"]))  # type: ignore[arg-type]
    if kind == "huge":
        return Huge(width)
    if kind == "impossible":
        raise CannotBuild("pooled below 1×1 at block 4")
    return Small(width)


def session(make: Callable[[Architecture], nn.Module] = network, **recipe: Any) -> TrainedSession:
    """A session on the digits in float32."""
    recipe = {"precision": "float32", **recipe}
    config = SearchConfig.model_construct(
        data=SearchConfig.model_fields["data"].default, training=Recipe(**recipe), seed=0
    )
    return TrainedSession(config, registry.spec("digits"), make)


def work(folder: Path, **changes: Any) -> Work:
    """Three epochs of the small network in a fixed setting."""
    values: dict[str, Any] = {
        "kind": "train",
        "architecture": SMALL,
        "fidelity": 3,
        "max_fidelity": 3,
        "seed": 11,
        "folder": folder,
        "extra": {"setting": {"precision": "float32", "layout": "contiguous", "threads": 1}},
    }
    return Work(**(values | changes))


def never() -> None:
    """Goes on."""
