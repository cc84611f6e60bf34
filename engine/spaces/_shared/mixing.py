"""Writes mixtures: an assembler whose nodes may be slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.architecture import Option
from engine.errors import CannotBuild
from engine.network.assemble import Assembler
from engine.network.plan import Node
from engine.supernets.mixture import Mixture, Slot, Table

#: adds the nodes of one option that reads `x` and returns the id of its output; None = zeros
Branch = Callable[[Assembler, str], str | None]


class _Part(Assembler):
    """An assembler that begins in the middle of a network."""

    def __init__(self, x: str, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self._shapes[x] = shape

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(self._nodes)


class Mixing(Assembler):
    """Collects nodes and slots in order.

    Args:
        input_shape, input_type: as of a plan.
    """

    def __init__(self, input_shape: tuple[int, ...], input_type: str = "float32") -> None:
        super().__init__(input_shape, input_type)
        self._slots: dict[str, Slot] = {}
        self._order: list[str] = []

    def add(self, id: str, op: str, *inputs: str, group: str = "", cell: str = "", **args: object) -> str:
        """As of an assembler."""
        self._order.append(super().add(id, op, *inputs, group=group, cell=cell, **args))
        return id

    def slot(
        self, id: str, table: str, x: str, branches: Mapping[Option, Branch], *, partial: int = 1,
        bypass: Branch | None = None,
    ) -> str:  # fmt: skip
        """Appends a slot and returns its id.

        Args:
            id: unique among nodes and slots.
            table: that decides.
            x: what all options read.
            branches: by option.
            partial, bypass: see `Slot`.

        Raises:
            CannotBuild: the options give different shapes, or the channels cannot be divided.
        """
        channels, *sides = self.shape(x)
        if channels % partial:
            raise CannotBuild(f"{id}: {channels} channels cannot be divided into {partial} parts")
        seen = (channels // partial, *sides)
        alternatives: dict[Option, tuple[Node, ...]] = {}
        shapes: set[tuple[int, ...]] = set()
        for option, write in branches.items():
            part = _Part(x, seen)
            if (end := write(part, x)) is not None:
                shapes.add(part.shape(end))
            alternatives[option] = part.nodes
        shapes = shapes or {seen}  # nothing but zeros
        if len(shapes) != 1:
            raise CannotBuild(f"{id}: the options of a slot give one shape, not {', '.join(map(str, shapes))}")
        shape = shapes.pop()
        passing: tuple[Node, ...] = ()
        if partial > 1:
            if bypass is not None:
                part = _Part(x, (channels - seen[0], *sides))
                bypass(part, x)
                passing = part.nodes
            shape = (shape[0] * partial, *shape[1:])
        self._slots[id] = Slot(id, table, x, alternatives, shape, partial, passing)
        self._shapes[id] = shape
        self._order.append(id)
        return id

    def mixture(self, tables: Sequence[Table]) -> Mixture:
        """The mixture; its last part is the output."""
        nodes = {n.id: n for n in self._nodes}
        parts = tuple(self._slots[i] if i in self._slots else nodes[i] for i in self._order)
        return Mixture(self.input_shape, parts, tuple(tables), self.input_type)
