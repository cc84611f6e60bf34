"""All operations of a DARTS cell side by side, and the cell that their strengths make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from engine.architecture import Architecture, Option
from engine.errors import CannotBuild
from engine.network.assemble import Assembler
from engine.spaces._darts.cells import Place, node_args, write_inputs
from engine.spaces._darts.frame import write_network
from engine.spaces._shared.mixing import Branch, Mixing
from engine.supernets.mixture import Mixture, Table

if TYPE_CHECKING:
    from engine.spaces._shares import Strengths
    from engine.spaces.darts import Darts

_MISSING = float("-inf")


def weight_names(space: Darts, arch: Architecture) -> dict[str, str]:
    """An operation's weights belong to its edge (state -> node) of the cell, whichever of the node's terms it is.

    What reads the output of a cell has weights for each number of joined nodes: where that is decided (several `steps`,
    `combine="loose"`), cells that join as many share them.
    """
    names = {}
    cells = space.cells(arch)
    for at in range(space.opt.layers):
        for n, (i, op1, j, op2) in enumerate(cells[at in space.reductions], start=2):
            node = f"cell{at + 1}_node{n}"
            if op1 != "none":
                names[f"{node}_op1"] = f"{node}_from{i}"
            if op2 != "none":
                names[f"{node}_op2"] = f"{node}_from{j}"
    return names


class Terms(NamedTuple):
    """What a node's two terms can be in a (restricted) space: pairs of states, operations of either term."""

    pairs: tuple[tuple[int, int], ...]
    first: tuple[str, ...]
    second: tuple[str, ...]

    @property
    def edges(self) -> dict[int, tuple[str, ...]]:
        """Operations by state, of the states that a pair names."""
        out: dict[int, set[str]] = {}
        for i, j in self.pairs:
            out.setdefault(i, set()).update(self.first)
            out.setdefault(j, set()).update(self.second)
        order = dict.fromkeys((*self.first, *self.second))
        return {i: tuple(op for op in order if op in out[i]) for i in sorted(out)}


def terms_of(space: Darts, kind: str, n: int) -> Terms:
    """The terms of node `n`: from two states, unless a restriction leaves one state for both."""
    kept = {d.name.rsplit("_", 1)[1]: space.kept(d) for d in space.node_decisions(kind, n)}
    if space.opt.inputs == "any":
        every = [(cast(int, i), cast(int, j)) for i in kept["in1"] for j in kept["in2"]]
        pairs = tuple(p for p in every if p[0] != p[1]) or tuple(every)
    elif n == 2:
        pairs = ((0, 1),)
    else:
        pairs = tuple((int(i), int(j)) for i, j in (str(pair).split(",") for pair in kept["inputs"]))
    first, second = ([op for op in space.operations if op in kept[f"op{k}"]] for k in (1, 2))
    return Terms(pairs, tuple(first), tuple(second))


def nodes_of(space: Darts) -> Iterator[tuple[str, int, Terms]]:
    """(kind of cell, number, terms) of every node of the largest cells."""
    for kind, last in largest(space).items():
        for n in range(2, last + 2):
            yield kind, n, terms_of(space, kind, n)


def largest(space: Darts) -> dict[str, int]:
    """Most nodes of each kind of cell."""
    decided = {d.name: max(cast(int, o) for o in space.kept(d)) for d in space.sizes}
    return {kind: decided.get(f"{kind}_nodes", space.opt.steps[0]) for kind in space.kinds}


def table_name(kind: str, n: int, source: int) -> str:
    """ "normal3_from1"."""
    return f"{kind}{n}_from{source}"


def mixture(space: Darts, partial: int, norm_pools: bool) -> Mixture:
    """Every edge of every cell a slot over its operations (Liu et al. 2019, section 2.2); cells of a kind share tables.

    The edges into one node are a group. Channels that pass by a reduction's edges (`partial`) are halved by max
    pooling, as in PC-DARTS (Xu et al. 2020). No auxiliary classifier.

    **Deviations.** Where the number of nodes is decided, the cells have the largest: a weight says nothing about how
    many nodes there should be.
    """
    o = space.opt
    tables: dict[str, Table] = {}
    edges: dict[tuple[str, int], dict[int, tuple[str, ...]]] = {}
    for kind, n, terms in nodes_of(space):
        edges[kind, n] = terms.edges
        for i, ops in edges[kind, n].items():
            tables[table_name(kind, n, i)] = Table(table_name(kind, n, i), ops, group=f"{kind}{n}")
    counts = list(largest(space).values())
    net = Mixing(space.input_shape)

    def cell(place: Place) -> str:
        kind = space.kinds[-1] if place.reduction else space.kinds[0]
        states = write_inputs(net, place)
        for n in range(2, counts[-1 if place.reduction else 0] + 2):
            slots = []
            for i, ops in edges[kind, n].items():
                id, stride = f"{place.name}_node{n}_from{i}", place.stride(i)
                branches: dict[Option, Branch] = {op: _branch(id, op, place, stride, partial, norm_pools) for op in ops}
                slots.append(
                    net.slot(
                        f"{id}_mixed", table_name(kind, n, i), states[i], branches,
                        partial=partial, bypass=_halved(f"{id}_bypass", place) if stride == 2 else None,
                    )
                )  # fmt: skip
            states.append(net.add(f"{place.name}_node{n}", "add", *slots, **place.part))
        return net.add(f"{place.name}_output", "concat", *states[2:], **place.part)

    write_network(net, o, space.n_classes, cell)
    return net.mixture(list(tables.values()))


def _branch(id: str, op: str, place: Place, stride: int, partial: int, norm_pools: bool) -> Branch:
    """Writes one operation of an edge."""

    def write(net: Assembler, x: str) -> str | None:
        if op == "none":
            return None
        dims = len(net.input_shape) - 1
        kind, args = node_args(op, dims, stride, place.channels // partial)
        net.add(id, kind, x, **place.part, **args)
        if norm_pools and "pool" in op:
            return net.add(f"{id}_norm", f"batch_norm{dims}d", id, **place.part, affine=False)
        return id

    return write


def _halved(id: str, place: Place) -> Branch:
    """Halves what passes by; an odd size is rounded up, as the operations of stride 2 do."""

    def write(net: Assembler, x: str) -> str:
        shape = net.shape(x)
        args: dict[str, Any] = {"kernel_size": 2, "stride": 2, "ceil_mode": any(side % 2 for side in shape[1:])}
        return net.add(id, f"max_pool{len(shape) - 1}d", x, **place.part, **args)

    return write


def taken(space: Darts, arch: Architecture) -> dict[str, Option]:
    """The operations of an architecture by edge.

    Raises:
        CannotBuild: it is no path of the mixture: fewer nodes, or a node that reads one state twice.
    """
    out: dict[str, Option] = {}
    most = largest(space)
    for kind, cell in zip(space.kinds, space.cells(arch), strict=False):
        if len(cell) != most[kind]:
            raise CannotBuild(f"side by side the cells have {most[kind]} nodes, this one has {len(cell)}")
        for n, (i, op1, j, op2) in enumerate(cell, start=2):
            if i == j:
                raise CannotBuild(f"node {n} reads state {i} twice; side by side each state is read once")
            out[table_name(kind, n, i)] = op1
            out[table_name(kind, n, j)] = op2
    return out


def derive(space: Darts, strengths: Strengths) -> Architecture:
    """Of each node the two edges, from different states, whose strongest operation other than `none` is strongest.

    Liu et al. 2019, section 2.4: the top k = 2 operations "among all non-zero candidate operations collected from all
    the previous nodes", from distinct nodes; k follows from the space. Of equals the earlier one. What a row lacks is
    weaker than all it has; edges without a row come last.

    **Deviations.** An edge keeps `none` where nothing else has any strength (a pruned mixture, a written one; a softmax
    never says so). In a restricted space, the strongest edge is taken first, then the strongest that it can be paired
    with. Where the number of nodes is decided, the cells have the largest.
    """
    choices: dict[str, Option] = {f"{kind}_nodes": last for kind, last in largest(space).items() if space.sizes}
    for kind, n, terms in nodes_of(space):
        rows = {i: strengths.get(table_name(kind, n, i), {}) for i in terms.edges}
        best: dict[tuple[int, int], tuple[float, str]] = {}
        for k, ops in enumerate((terms.first, terms.second)):
            for i, row in rows.items():
                best[k, i] = _strongest(row, ops)

        def rank(pair: tuple[int, int], best: Mapping[tuple[int, int], tuple[float, str]] = best) -> list[float]:
            return sorted((best[k, i][0] for k, i in enumerate(pair)), reverse=True)

        i, j = max(terms.pairs, key=rank)
        choices |= space.choices_of(kind, n, (i, best[0, i][1], j, best[1, j][1]))
    return space.validate(choices)


def _strongest(row: Mapping[Option, float], ops: tuple[str, ...]) -> tuple[float, str]:
    """(strength, operation) of the strongest that is not `none`."""
    others = [op for op in ops if op != "none"]
    if not others:
        return _MISSING, "none"
    op = max(others, key=lambda o: row.get(o, _MISSING))
    strength = row.get(op, _MISSING)
    if strength in (0, _MISSING) and "none" in ops and row.get("none", 0) > 0:
        return strength, "none"
    return strength, op
