"""One named choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.architecture import Option


@dataclass(frozen=True)
class Decision:
    """One named choice.

    Attributes:
        name: stable identifier, a key of `Architecture.choices`.
        options: what can be chosen, at least one, no two equal.
        ordered: the options are a scale (depth, width), not names.
        group: what a person calls the part it belongs to, e.g. "block 2".
        help: one sentence.
    """

    name: str
    options: tuple[Option, ...]
    ordered: bool = False
    group: str = ""
    help: str = ""


def draw(options: Sequence[Option], rng: np.random.Generator) -> Option:
    """One of them, uniformly."""
    return options[int(rng.integers(len(options)))]
