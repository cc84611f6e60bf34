"""Changes of a network that keep its function: which tensors of the child come from which of the parent. No torch.

`network.inherit` carries the weights out. Chen, Goodfellow & Shlens 2016, Net2Net: a wider layer repeats units (their
mapping g) and divides what reads them by how often each stands there; a deeper one begins as the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.architecture import Architecture


@dataclass(frozen=True)
class Made:
    """How one tensor of the child is made.

    First `fill`, or a copy of the parent's tensor `source` with the positions `take` of some axes; then divided, then
    put into the middle of zeros.

    Attributes:
        source: name of a tensor of the parent; "" = made of `fill`.
        fill: zeros, ones, "identity" (a convolution or matrix that hands its input on), or "fresh": as initialized.
        take: axis -> which positions of the source stand there, repeated ones for widened layers.
        divide: axis -> divisor of each position (after `take`).
        pad: axis -> zeros before and behind.
        factor: multiplies everything.
    """

    source: str = ""
    fill: Literal["zeros", "ones", "identity", "fresh"] = "fresh"
    take: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    divide: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    pad: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    factor: float = 1.0


@dataclass(frozen=True)
class Morphism:
    """One function-preserving change.

    Attributes:
        child: the changed architecture.
        what: one phrase, e.g. "block 3 twice as wide".
        weights: tensors of the child by name; those not named are the parent's of the same name.
    """

    child: Architecture
    what: str
    weights: Mapping[str, Made]
