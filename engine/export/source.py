"""The text of model.py: a plan as readable PyTorch with literal sizes. Imports nothing of this project."""

from __future__ import annotations

import ast
import importlib
import inspect
import keyword
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from engine.network.costs import costs
from engine.network.operations import OPERATIONS, module_path
from engine.network.plan import NetworkPlan, Node

_WIDTH = 100


@dataclass(frozen=True)
class Cell:
    """A class of model.py that stands for equal repeated cells."""

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    times: int


def model_source(plan: NetworkPlan, *, title: str) -> str:
    """Writes model.py: the used blocks, one class per kind of repeated cell, and `class Network(nn.Module)`.

    The state dict has the keys of `network.build.build(plan)`, and the outputs are equal to the last bit.

    Args:
        plan: the network.
        title: first words of the module's docstring; kept on one line.
    """
    cells = _cell_classes(plan)
    written: set[str] = set()
    classes: list[str] = []
    for cell in cells.values():
        if cell.name not in written:
            written.add(cell.name)
            classes.append(_cell_source(cell))
    parts = [*_blocks(plan), *classes, _network_source(plan, cells)]
    body = "\n\n\n".join(parts)
    line = " ".join(title.split()).replace("\\", "/").replace('"', "'")
    shape = ", ".join(map(str, plan.input_shape))
    kind = "" if plan.input_type == "float32" else f" of {plan.input_type}"
    head = f'"""{line}\n\nInput (B, {shape}){kind}, output (B, {plan.n_outputs}) logits.\n"""\n'
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    imports = ["from __future__ import annotations", ""]
    if "math" in used:
        imports += ["import math", ""]
    imports.append("import torch")
    if "F" in used:
        imports.append("import torch.nn.functional as F")
    imports.append("from torch import nn")
    return head + "\n" + "\n".join(imports) + "\n\n\n" + body + "\n"


# -- blocks ---------------------------------------------------------------------------------------
def _block_class(node: Node) -> type[Any]:
    module, name = OPERATIONS[node.op].block.split(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def _blocks(plan: NetworkPlan) -> list[str]:
    """Sources of the blocks that torch.nn lacks, in order of first use."""
    used: dict[str, str] = {}
    for node in plan.nodes:
        operation = OPERATIONS[node.op]
        if operation.expression or operation.block.startswith("torch.") or operation.block in used:
            continue
        used[operation.block] = inspect.getsource(_block_class(node)).strip()
    return list(used.values())


def _constructor(node: Node) -> str:
    """`nn.Conv2d(48, 96, 3, padding=1, bias=False)`: required arguments by place, others where not the default."""
    cls = _block_class(node)
    prefix = "nn." if OPERATIONS[node.op].block.startswith("torch.nn:") else ""
    parameters = _parameters(OPERATIONS[node.op].block)
    placed = [name for name, p in parameters.items() if name in node.args and p.default is inspect.Parameter.empty]
    words = [repr(node.args[name]) for name in placed]
    for name, value in node.args.items():
        if name not in placed and parameters[name].default != value:
            words.append(f"{name}={value!r}")
    return f"{prefix}{cls.__name__}({', '.join(words)})"


@cache
def _parameters(block: str) -> Mapping[str, inspect.Parameter]:
    """Parameters of a block's constructor."""
    module, name = block.split(":")
    return inspect.signature(getattr(importlib.import_module(module), name).__init__).parameters


def _has_module(node: Node) -> bool:
    return not OPERATIONS[node.op].expression


# -- cells ----------------------------------------------------------------------------------------
def _cell_classes(plan: NetworkPlan) -> dict[str, Cell]:
    """The class of each cell: cells of equal operations and sizes share one."""
    groups = plan.closed_cells()  # one that is read from inside is written out instead
    looks: dict[str, tuple[Any, ...]] = {}
    inputs: dict[str, tuple[str, ...]] = {}
    for cell, nodes in groups.items():
        place = {node.id: i for i, node in enumerate(nodes)}
        inputs[cell] = tuple(dict.fromkeys(i for node in nodes for i in node.inputs if i not in place))
        place |= {name: -1 - i for i, name in enumerate(inputs[cell])}
        looks[cell] = (
            tuple(plan.shape_of(i) for i in inputs[cell]),
            *((module_path(n)[-1], n.op, tuple(n.args.items()), tuple(place[i] for i in n.inputs)) for n in nodes),
        )
    times = Counter(looks.values())
    names: dict[tuple[Any, ...], str] = {}
    out = {}
    for cell, nodes in groups.items():
        if looks[cell] not in names:
            name = "".join(word.capitalize() for word in re.findall(r"[A-Za-z0-9]+", nodes[0].group)) + "Cell"
            while name in names.values() or not name.isidentifier():
                name = f"Another{name}"
            names[looks[cell]] = name
        out[cell] = Cell(names[looks[cell]], tuple(nodes), inputs[cell], times[looks[cell]])
    return out


def _cell_source(cell: Cell) -> str:
    several = len(cell.inputs) > 1
    arguments = {name: f"x{i}" if several else "x" for i, name in enumerate(cell.inputs)}
    shape = ", ".join(map(str, cell.nodes[-1].shape))
    often = "once" if cell.times == 1 else f"{cell.times} times"
    lines = [
        f"class {cell.name}(nn.Module):",
        f'    """The cell of {cell.nodes[0].group} ({often}): output (B, {shape})."""',
        "",
    ]
    modules = [f"self.{module_path(n)[-1]} = {_constructor(n)}" for n in cell.nodes if _has_module(n)]
    if modules:
        lines += [
            "    def __init__(self) -> None:",
            "        super().__init__()",
            *(f"        {m}" for m in modules),
            "",
        ]
    given = ", ".join(f"{name}: torch.Tensor" for name in arguments.values())
    lines.append(f"    def forward(self, {given}) -> torch.Tensor:")
    lines += _forward(list(cell.nodes), arguments, {n.id: module_path(n)[-1] for n in cell.nodes})
    return "\n".join(lines)


# -- the network ----------------------------------------------------------------------------------
def _network_source(plan: NetworkPlan, cells: dict[str, Cell]) -> str:
    lines = ["class Network(nn.Module):", f'    """{_sizes(plan)}"""', ""]
    lines += ["    def __init__(self) -> None:", "        super().__init__()"]
    steps: list[Node] = []
    calls: dict[str, str] = {}
    paths: dict[str, str] = {}
    opened: set[str] = set()
    for node in plan.nodes:
        paths[node.id] = ".".join(module_path(node))
        cell = cells.get(node.cell)
        if cell is None:
            if _has_module(node):
                *outer, _ = module_path(node)
                if outer and outer[0] not in opened:  # a cell that is read from inside: a plain container
                    opened.add(outer[0])
                    lines.append(f"        self.{outer[0]} = nn.Module()")
                lines.append(f"        self.{'.'.join(module_path(node))} = {_constructor(node)}")
            steps.append(node)
        elif node.id == cell.nodes[-1].id:
            attribute = module_path(node)[0]
            lines.append(f"        self.{attribute} = {cell.name}()")
            # the whole cell is one step that reads what it reads from outside
            steps.append(Node(node.id, "identity", {}, cell.inputs, node.shape, node.group))
            calls[node.id] = f"self.{attribute}"
            paths[node.id] = attribute
    lines += ["", "    def forward(self, x: torch.Tensor) -> torch.Tensor:"]
    lines += _forward(steps, {"input": "x"}, paths, calls, training=frozenset(plan.auxiliary))
    return "\n".join(lines)


def _sizes(plan: NetworkPlan) -> str:
    total = costs(plan)
    return f"{total.n_params:,} parameters, {total.n_macs:,} multiply-adds for one sample."


def _before(nodes: list[Node], targets: Iterable[str]) -> set[str]:
    """Ids of the targets and of all the operations that lead to them."""
    found = set(targets)
    for node in reversed(nodes):
        if node.id in found:
            found.update(node.inputs)
    return found


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="        # ", subsequent_indent="        # ")


def _forward(
    nodes: list[Node],
    known: dict[str, str],
    paths: dict[str, str],
    calls: dict[str, str] | None = None,
    training: frozenset[str] = frozenset(),
) -> list[str]:
    """Body of a forward method: a chain of operations is one line, with the shape of its result behind it.

    Args:
        nodes: the steps.
        known: variables of what is read from outside.
        paths: attribute of each node's module, dotted inside containers.
        calls: steps that are a whole cell, and what is called for them.
        training: auxiliary logits, of which nothing is run here.
    """
    calls = calls or {}
    names = {id: path.replace(".", "_") for id, path in paths.items()}
    live, all_nodes = _before(nodes, {nodes[-1].id}), nodes
    dead = [node for node in nodes if node.id not in live and _has_module(node)]
    nodes = [node for node in nodes if node.id in live]
    uses = Counter(i for node in nodes for i in node.inputs)
    variable = dict(known)  # node -> variable or, while its chain is open, expression
    taken = {*known.values(), *names.values(), "torch", "nn", "F", "self"}
    out: list[str] = []
    side = _before(all_nodes, training)
    for ids, remark in (
        ([node.id for node in dead if node.id not in side], "the output does not depend on {}: counted, never run"),
        ([node.id for node in dead if node.id in side], "{}: took part in training alone"),
    ):
        if ids:
            out += _comment(remark.format(", ".join(names[i] for i in ids)))
    for i, node in enumerate(nodes):
        terms = [variable[name] for name in node.inputs]
        text = _expression(node, terms, paths, calls)
        if i == len(nodes) - 1:
            out.append(f"        return {text}{_shape(node)}")
        elif OPERATIONS[node.op].role in ("identity", "sum") and len(terms) == 1 and node.id not in calls:
            variable[node.id] = terms[0]
        elif uses[node.id] == 1 and len(text) < _WIDTH // 2 and _continues(node, nodes[i + 1], calls):
            variable[node.id] = text
        else:
            name = _variable(names[node.id], node, taken)
            out.append(f"        {name} = {text}{_shape(node)}")
            variable[node.id] = name
    return out


def _continues(node: Node, follower: Node, calls: dict[str, str]) -> bool:
    """Whether the next step goes onto the same line: conv, norm, activation; dense, dropout."""
    return (
        follower.inputs == (node.id,)
        and OPERATIONS[node.op].kind not in ("pool", "add", "concat")
        and OPERATIONS[follower.op].kind in ("norm", "act", "drop", "dense")
        and node.id not in calls
        and follower.id not in calls
    )


def _shape(node: Node) -> str:
    return f"  # (B, {', '.join(map(str, node.shape))})"


def _variable(name: str, node: Node, taken: set[str]) -> str:
    """A free name; what `block1_norm` or `block1_silu` ends is called `block1`."""
    short = name.rsplit("_", 1)[0] if OPERATIONS[node.op].kind in ("norm", "act") and "_" in name else name
    if short in taken or keyword.iskeyword(short):
        short = f"{name}_" if keyword.iskeyword(name) or name in ("x", "torch", "nn", "F", "self") else name
    taken.add(short)
    return short


def _expression(node: Node, terms: list[str], paths: dict[str, str], calls: dict[str, str]) -> str:
    operation = OPERATIONS[node.op]
    if node.id in calls:
        return f"{calls[node.id]}({', '.join(terms)})"
    if operation.expression == "+":
        return " + ".join(terms)
    if operation.expression == "cat":
        return f"torch.cat([{', '.join(terms)}], dim=1)"
    if operation.expression:
        # {x} is the first input, {x0}, {x1}, ... are all of them
        whole = [_operand(term) for term in terms]
        return operation.expression.format(x=whole[0], **{f"x{i}": term for i, term in enumerate(whole)})
    return f"self.{paths[node.id]}({', '.join(terms)})"


def _operand(term: str) -> str:
    """The term as it may stand beside any operator."""
    whole = isinstance(ast.parse(term, mode="eval").body, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
    return term if whole else f"({term})"
