"""What is trained alone after the supernet: what was derived, and a random network of the same cost beside each."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.architecture import Architecture
from engine.spaces.base import SearchSpace
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

    def to_json(self) -> list[Any]:
        """For a snapshot."""
        return [dict(self.architecture.choices), self.pair, self.derived, self.replicate, self.why]


@dataclass(frozen=True)
class Round:
    """Items that were planned together after an extension of the budget.

    Attributes:
        after: pieces that had been launched before; those that score these items come next.
        items: all pairs, and again with other seeds where that is wanted.
    """

    after: int
    items: Sequence[Item]

    def to_json(self) -> list[Any]:
        """For a snapshot."""
        return [self.after, [item.to_json() for item in self.items]]

    @classmethod
    def from_json(cls, value: Sequence[Any], space: SearchSpace) -> Round:
        """What `to_json` gave."""
        after, items = value
        return cls(int(after), [Item(space.validate(choices), *rest) for choices, *rest in items])


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


def pairs_of(
    context: Context, derived: Sequence[Architecture], before: Sequence[Item], *, upto: int | None, repeats: int,
    why: Callable[[Architecture, int], str],
) -> list[Item]:  # fmt: skip
    """Items for these and their partners: all pairs once, then again with other seeds where that is wanted.

    Args:
        context: of the search.
        derived: to be trained alone.
        before: items there are already.
        upto: the last trial that a partner must differ from: a restart, which plans again, finds more of them.
        repeats: times that each is trained again.
        why: of a derived network and the number of its pair, for people.
    """
    taken = {context.identity(a) for a in [*derived, *(item.architecture for item in before)]}
    first = 1 + max((item.pair for item in before), default=0)
    pairs = []
    for i, a in enumerate(derived, start=first):
        partner = partner_of(context, a, i, taken, upto)
        pairs.append((i, a, partner))
        if partner is not None:
            taken.add(context.identity(partner))
    out: list[Item] = []
    for replicate in range(repeats + 1):
        for i, a, partner in pairs:
            again = f", again (seed {replicate + 1})" if replicate else ""
            out.append(Item(a, i, True, replicate, why(a, i) + again))
            if partner is not None:
                mine, beside = (float(context.costs(n)["n_macs"]) / 1e6 for n in (partner, a))
                cost = f"{mine:.2f} M multiply-adds beside {beside:.2f} M"
                out.append(Item(partner, i, False, replicate, f"random partner: {cost}{again}"))
    return out
