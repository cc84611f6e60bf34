"""What selection by removal has to decide in a mixture. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.architecture import Option

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace
    from engine.supernets.mixture import Mixture


@dataclass(frozen=True)
class Selection:
    """One decision.

    Attributes:
        name: of the table whose operation is decided, or of the group whose edges are.
        options: of the table.
        among: tables of the group; () = a table's operation is decided.
        keeps: how many of those stay.
    """

    name: str
    options: tuple[Option, ...] = ()
    among: tuple[str, ...] = ()
    keeps: int = 0


def selections(space: SearchSpace, mixture: Mixture, rng: np.random.Generator) -> list[Selection]:
    """All decisions: operations, table by table in an order drawn from `rng`; then edges, group by group.

    Where edges are grouped, `none` is no operation to be selected: whether an edge stays is what is decided last.
    """
    even = {t.name: dict.fromkeys(t.options, 1.0) for t in mixture.tables}
    taken = space.chosen(space.derive(even))
    groups: dict[str, list[str]] = {}
    for t in mixture.tables:
        if t.group:
            groups.setdefault(t.group, []).append(t.name)
    keeps = {name: sum(t in taken for t in tables) for name, tables in groups.items()}
    competing = {name for name, tables in groups.items() if keeps[name] < len(tables)}
    out = []
    for i in rng.permutation(len(mixture.tables)):
        t = mixture.tables[int(i)]
        some = tuple(o for o in t.options if o != "none") if t.group else t.options
        out.append(Selection(t.name, some or t.options))
    return out + [Selection(name, among=tuple(groups[name]), keeps=keeps[name]) for name in groups if name in competing]
