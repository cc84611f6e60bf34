"""The cell of NAS-Bench-201 as a value: its operations, its published writings, its identity. No networks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, cast

from engine.architecture import Architecture, Option
from engine.errors import InvalidArchitecture
from engine.network import canonical
from engine.network.structure import NO_WAY, Step, structure_of

Operation = Literal["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
#: in the order of the digits of the published tables
OPS: tuple[Operation, ...] = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: (from, to) in the order of the published string
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
NAMES = tuple(f"edge{a}_{b}" for a, b in EDGES)
#: name, from, to
WIRES = tuple((name, a, b) for name, (a, b) in zip(NAMES, EDGES, strict=True))


def string_of(arch: Architecture) -> str:
    """The published string, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
    nodes = ["|".join(f"{arch[name]}~{a}" for name, a, b in WIRES if b == node) for node in (1, 2, 3)]
    return "+".join(f"|{text}|" for text in nodes)


def choices_of(text: str) -> dict[str, str]:
    """Reads the published string, or six digits, one an edge.

    Raises:
        InvalidArchitecture: neither.
    """
    if re.fullmatch(r"[0-9]+", text):
        if not re.fullmatch(r"[0-4]{6}", text):
            raise InvalidArchitecture(f"received {text[:20]!r}; a cell has six digits of 0 to 4")
        return {name: OPS[int(d)] for name, d in zip(NAMES, text, strict=True)}
    found = re.fullmatch(r"\|(OP0)\|\+\|(OP0)\|(OP1)\|\+\|(OP0)\|(OP1)\|(OP2)\|".replace("OP", "[a-z0-9_]+~"), text)
    if not found:
        raise InvalidArchitecture(
            f"received {text[:80]!r}; a cell reads |op~0|+|op~0|op~1|+|op~0|op~1|op~2| with op one of "
            f"{', '.join(OPS)}, or six digits of 0 to 4"
        )
    return dict(zip(NAMES, (part[:-2] for part in found.groups()), strict=True))


def digits_of(arch: Architecture) -> str:
    """Six digits, one an edge: 0 none, 1 skip, 2 conv 1×1, 3 conv 3×3, 4 average pooling."""
    return "".join(str(OPS.index(cast(Operation, arch[name]))) for name in NAMES)


def fed(choices: Mapping[str, Option]) -> set[int]:
    """The nodes that receive anything: all that a path of operations leads to from node 0."""
    reached = {0}
    for name, a, b in WIRES:  # in topological order of their targets
        if a in reached and choices[name] != "none":
            reached.add(b)
    return reached


def live(arch: Architecture) -> list[str]:
    """The edges on a path from the input to the output that are not `none`."""
    start, read = fed(arch.choices), {3}
    real = [(name, a, b) for name, a, b in WIRES if arch[name] != "none"]
    for _, a, b in reversed(real):
        if b in read:
            read.add(a)
    return [name for name, a, b in real if a in start and b in read]


def shape(arch: Architecture) -> dict[str, float]:
    """`network.structure` of the cell alone."""
    acting, steps, states = set(live(arch)), list[Step](), {0: -1}
    for node in (1, 2, 3):
        terms = []
        for name, a, b in WIRES:
            if b == node and name in acting:
                op = str(arch[name])
                steps.append(Step((states[a],), op.startswith("nor_conv"), op == "avg_pool_3x3"))
                terms.append(len(steps) - 1)
        if terms:
            steps.append(Step(tuple(terms)))
            states[node] = len(steps) - 1
    return structure_of(steps) if steps else dict(NO_WAY)


def cell_form(arch: Architecture) -> str:
    """Exact canonical text of the cell (`network.canonical`).

    The rules one by one, and how many of the 15,625 cells they leave apart:

    1. `none` and what is on no path from input to output is dropped, `skip_connect` is contracted, sums are
       flattened, nodes are renumbered: 5,425 classes.
    2. Copies of average pooling on one input are one, counted as often as they stand there (they have no weights):
       5,260 classes.
    3. Average pooling is linear: of a sum it is the sum of the poolings of its terms: 5,044 classes.

    Fewer would be wrong: with random weights no two of the 5,044 compute the same, however weights are exchanged.
    Convolutions are never merged: two of them on one input have weights of their own. An operation that only zeros
    reach is dead because the network is built so (see `Nasbench201.plan`).
    """
    items: list[canonical.Item] = []
    states = [-1]
    for node in (1, 2, 3):
        terms = []
        for name, a, b in WIRES:
            op = str(arch[name])
            if b == node and op != "none":
                role: Literal["identity", "op"] = "identity" if op == "skip_connect" else "op"
                pool = op == "avg_pool_3x3"
                items.append(canonical.Item(op, role, pool, (states[a],), True, pool))
                terms.append(len(items) - 1)
        items.append(canonical.Item("sum", "sum", True, tuple(terms)))
        states.append(len(items) - 1)
    return canonical.canonical_form(tuple(items), states[3])


def iso_class_string(arch: Architecture) -> str:
    """The unique string of the published code (Dong & Yang 2020): it gives the 6,466 classes of the table's column.

    A node is the sorted sum of what comes in, `#` where that is nothing; a skip hands on its source's string. It
    splits equal cells (a sum that a skip hands on is not sorted anew, a `#` beside others counts) and merges cells
    that differ: one convolution read twice looks like two convolutions. `cell_form` does neither.
    """
    strings = ["0"]
    for node in (1, 2, 3):
        parts = []
        for name, a, b in WIRES:
            if b != node:
                continue
            op = str(arch[name])
            if op == "none" or strings[a] == "#":
                parts.append("#")
            elif op == "skip_connect":
                parts.append(strings[a])
            else:
                parts.append(f"({strings[a]})@{op}")
        strings.append("+".join(sorted(parts)))
    return strings[3]
