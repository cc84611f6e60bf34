"""Limits on what is derived: at most so many skip connections in a cell. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.architecture import Architecture
from engine.supernets.epochs import SKIPS

if TYPE_CHECKING:
    from engine.spaces._shares import Strengths
    from engine.spaces.base import SearchSpace


def in_normal_cell(table: str) -> bool:
    """Whether a table is one of a normal cell, by its name; where a space has one kind of cell, all of them are."""
    return not table.startswith("reduce")


def limited(
    space: SearchSpace, strengths: Strengths, most: int | None, counts: Callable[[str], bool] = in_normal_cell
) -> Architecture:
    """What the strongest options make with at most `most` skip connections.

    Chen et al. 2019 (P-DARTS; their M = 2, in the normal cell): while there are too many, the weakest skip connection
    that was derived is taken away and the architecture derived anew, so that another edge may come in where edges
    compete. One at a time, as in the published code, where the paper keeps the M strongest, takes away all others and
    repeats that.

    Args:
        space: gives the mixture.
        strengths: by table, the larger the stronger.
        most: skip connections; None = no limit.
        counts: which tables are counted and limited.

    Returns:
        An architecture; it has more where an edge offers nothing but a skip connection.
    """
    left = {name: dict(row) for name, row in strengths.items()}
    gone: set[str] = set()
    while True:
        derived = space.derive(left)
        if most is None:
            return derived
        skips = [
            (strengths[name].get(option, 0.0), name, option)
            for name, option in space.chosen(derived).items()
            if option in SKIPS and counts(name) and name in strengths
        ]
        open_ = [skip for skip in skips if skip[1] not in gone]
        if len(skips) <= most or not open_:
            return derived
        _, name, option = min(open_, key=lambda skip: skip[:2])
        left[name][option] = float("-inf")
        gone.add(name)
