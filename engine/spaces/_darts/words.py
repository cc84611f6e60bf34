"""What decisions and options of DARTS cells are called, and the outline of the space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from engine.architecture import Option
from engine.spaces._darts.cells import WORDS
from engine.spaces._outline import Outline, input_words

if TYPE_CHECKING:
    from engine.spaces.darts import Darts

KINDS = {"normal": "normal cell", "reduce": "reduction cell", "cell": "cell"}
_BRIEF = {"normal": "normal ", "reduce": "reduction ", "cell": ""}
NTH = {1: "first", 2: "second"}
_PARTS = {
    "inputs": "inputs",
    "in1": "first input",
    "in2": "second input",
    "op1": "first operation",
    "op2": "second operation",
}


def title(decision: str) -> str:
    """ "normal node 3: inputs", "reduction node 2: first operation", "normal nodes"."""
    kind = next(k for k in KINDS if decision.startswith(k))
    rest = decision.removeprefix(kind)
    if rest == "_nodes":
        return f"{_BRIEF[kind]}nodes"
    n, what = rest.split("_")
    if what.startswith("from"):  # a table of the mixture
        return f"{_BRIEF[kind]}node {n} from {_state(int(what[4:]))}"
    return f"{_BRIEF[kind]}node {n}: {_PARTS[what]}"


def option(decision: str, value: Option) -> str:
    """ "separable 3×3", "last cell", "last cell but one + node 2"."""
    if decision.endswith("_nodes"):
        return str(value)
    if decision.endswith("_inputs"):
        return " + ".join(_state(int(i)) for i in str(value).split(","))
    return WORDS[str(value)] if str(value) in WORDS else _state(cast(int, value))


def _state(i: int) -> str:
    return ("last cell but one", "last cell")[i] if i < 2 else f"node {i}"


def outline(space: Darts) -> dict[str, Any]:
    """Stem, cells and reductions in turn, head; each kind of cell is decided where it stands first."""
    o, out = space.opt, Outline(space)
    kind, shape = (space.data.kind, space.data.input_shape) if space.data else ("image", ())
    out.part("input", "input", *input_words(kind, shape))
    stem = f"conv 3×3, {3 * o.channels} channels" if o.stem == "small" else "three convolutions of stride 2"
    out.part("stem", "conv", "stem", stem if kind == "image" else stem.replace("3×3", "3"))
    edges = (0, *space.reductions, o.layers)
    shown: set[str] = set()

    def cells(id: str, kind: str, what: str, detail: str, repeat: str | None = None) -> None:
        out.part(id, "cell", what, detail, decide=[] if kind in shown else _decided(space, kind), repeat=repeat)
        shown.add(kind)

    for stage in (1, 2, 3):
        channels = o.channels * 2 ** (stage - 1)
        if stage > 1:
            cells(f"reduction{stage - 1}", space.kinds[-1], "reduction cell", f"{channels} channels, half the size")
        if n := edges[stage] - edges[stage - 1] - (stage > 1):
            times = f"{n} times" if n > 1 else "once"
            cells(
                f"stage{stage}", space.kinds[0], "normal cell", f"{channels} channels, {times}",
                times if n > 1 else None,
            )  # fmt: skip
    out.part("global", "pool", "global avg")
    out.part("output", "output", "linear", f"{space.data.n_classes} classes" if space.data else "")
    out.chain()
    return out.done()


def _decided(space: Darts, kind: str) -> list[Any]:
    """A kind of cell's decisions; operations in one line, and what the nodes read, of which later ones have more."""
    lines: dict[tuple[Any, ...], list[str]] = {}
    said: dict[tuple[Any, ...], str] = {}
    for d in space.all_decisions():
        if d.name.startswith(kind):
            what = d.name.rsplit("_", 1)[-1]
            term = what[:-1] == "op"
            line = ("op", d.options) if term else (what, ())
            words = "operations, each term" if term else f"{_PARTS.get(what, what)}, each node"
            lines.setdefault(line, []).append(d.name)
            said[line] = f"{_BRIEF[kind]}{words} by itself"
    return [names[0] if len(names) == 1 else (names, said[line]) for line, names in lines.items()]
