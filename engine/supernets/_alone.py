"""What is trained alone after the supernet: what was derived, and a random network of the same cost beside each."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from engine.architecture import Architecture
from engine.strategies.base import Context

#: random networks looked at for one of the same cost, and how far its multiply-adds may be off
PARTNERS, SAME_COST = 1000, 0.05


@dataclass(frozen=True)
class Item:
    """One network to be trained alone.

    Attributes:
        architecture: what.
        pair: number of the pair, from 1.
        derived: of the method; else its random partner.
        replicate: how often it was trained before.
        why: for people.
    """

    architecture: Architecture
    pair: int
    derived: bool
    replicate: int
    why: str


def partner_of(context: Context, a: Architecture, pair: int, taken: Set[str], upto: int | None) -> Architecture | None:
    """A random network of the same cost: the first within `SAME_COST`, else the nearest of those looked at.

    Only networks with a path from input to output are rivals: one without any computes a constant, and whoever is
    compared with it seems to win by eighty points.

    Args:
        context: of the search.
        a: what was derived.
        pair: its number, from which the draws come.
        taken: identities that are not to be had.
        upto: the last trial that it must differ from; None = all.
    """
    rng = np.random.default_rng([context.seed, 0x9A13, pair])
    wanted, best, off = float(context.costs(a)["n_macs"]), None, float("inf")
    for _ in range(PARTNERS):
        other = context.space.sample(rng)
        if context.identity(other) in taken or context.why_not(other, upto) is not None:
            continue
        if not context.space.live_costs(other)[1]:
            continue
        gap = abs(float(context.costs(other)["n_macs"]) - wanted) / max(wanted, 1)
        if gap < off:
            best, off = other, gap
        if gap <= SAME_COST:
            break
    return best
