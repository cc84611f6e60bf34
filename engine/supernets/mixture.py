"""A mixture: a network in which all options of a decision stand side by side, for methods that weigh them. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from engine.architecture import Option
from engine.network.plan import Node


@dataclass(frozen=True)
class Table:
    """What competes: one row of architecture parameters (alphas). Slots of repeated cells share one.

    Attributes:
        name: unique; the decision's name where one decision is what competes.
        options: in the order of the row.
        group: tables of one group compete with each other, too: the edges into one node, of which a cell keeps two.
    """

    name: str
    options: tuple[Option, ...]
    group: str = ""


@dataclass(frozen=True)
class Slot:
    """One place where the options of a table stand side by side; its output is their weighted sum.

    Attributes:
        id: unique among slots and nodes; nodes read it like a node.
        table: name of the table that decides.
        input: id of the node or slot that every option reads.
        alternatives: nodes of each option, in order, the first reading `input`, the last giving the output; none at
            all = zeros. Their ids are the names of their weights (`SearchSpace.weight_names`).
        shape: output without batch.
        partial: the options see the first 1 / partial of the channels, the others pass by (PC-DARTS); 1 = all.
        bypass: nodes for the channels that pass by, where the output is smaller than the input.
    """

    id: str
    table: str
    input: str
    alternatives: Mapping[Option, tuple[Node, ...]]
    shape: tuple[int, ...]
    partial: int = 1
    bypass: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Inside:
    """Of a node that is a mixture inside: a recurrent cell whose nodes weigh what they make of all earlier ones.

    Attributes:
        edges: (source, node) of the cell -> table; nodes from 1, sources from 0.
        norms: batch norms behind the cell's nodes, from 0; () = none.
    """

    edges: Mapping[tuple[int, int], str]
    norms: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Mixture:
    """A whole network of nodes and slots.

    Attributes:
        input_shape: one sample without batch.
        parts: in an order in which each reads only earlier ones (or `"input"`); the last gives the logits.
        tables: every table that a slot names, in order.
        input_type: type of the input tensor; "int64" for tokens.
        inside: nodes that are mixtures inside, by id.
    """

    input_shape: tuple[int, ...]
    parts: tuple[Node | Slot, ...]
    tables: tuple[Table, ...]
    input_type: str = "float32"
    inside: Mapping[str, Inside] = field(default_factory=dict)
    by_name: dict[str, Table] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {t.name: t for t in self.tables})

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots, in order."""
        return tuple(p for p in self.parts if isinstance(p, Slot))

    def joined(self) -> dict[str, tuple[str, ...]]:
        """Tables whose slots come together, by group: as the tables name it, else those that one node adds up.

        A group without a name is called after its tables. A table that stands alone is a group of one; a table is in
        the first group that it is found in.
        """
        groups: dict[str, list[str]] = {}
        for table in self.tables:
            if table.group:
                groups.setdefault(table.group, []).append(table.name)
        seen = {name for names in groups.values() for name in names}
        table_of = {s.id: s.table for s in self.slots}
        for part in self.parts:
            if isinstance(part, Node) and part.op == "add":
                together = dict.fromkeys(table_of[i] for i in part.inputs if i in table_of)
                if together and not seen & set(together):
                    groups["+".join(together)] = list(together)
                    seen.update(together)
        for table in self.tables:
            if table.name not in seen:
                groups[table.name] = [table.name]
        return {group: tuple(names) for group, names in groups.items()}

    def keep(self, allowed: Mapping[str, Collection[Option]]) -> Mixture:
        """The mixture in which the named tables keep only these options; a table may keep a single one.

        Raises:
            ValueError: no such table, or none of its options is left.
        """
        tables = []
        for name in allowed:
            if name not in self.by_name:
                raise ValueError(f"no table is called {name!r}; there are {', '.join(self.by_name)}")
        for table in self.tables:
            kept = tuple(o for o in table.options if o in allowed.get(table.name, table.options))
            if not kept:
                raise ValueError(f"{table.name}: keep at least one of {', '.join(map(str, table.options))}")
            tables.append(replace(table, options=kept))
        options = {t.name: t.options for t in tables}
        parts = [
            replace(p, alternatives={o: p.alternatives[o] for o in options[p.table]}) if isinstance(p, Slot) else p
            for p in self.parts
        ]
        return replace(self, parts=tuple(parts), tables=tuple(tables))
