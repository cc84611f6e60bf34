"""A space that a person writes: decisions with conditions, and a network of allowed modules that uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import BaseModel, Field

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.errors import CannotBuild, InvalidArchitecture, InvalidConfig
from engine.network.assemble import Assembler
from engine.network.plan import NetworkPlan
from engine.spaces._custom import modules as modules
from engine.spaces._custom import outline
from engine.spaces._custom.definition import MAX_NODES, Definition, Step, factors
from engine.spaces._custom.process import CustomProcess
from engine.spaces._offers import Capability
from engine.spaces._options import SpaceOptions

_CONVOLUTIONS: dict[str, Any] = {
    "decisions": [
        {"name": "width", "options": [16, 24, 32], "help": "Channels of the first blocks."},
        {"name": "depth", "options": [2, 3, 4], "help": "Number of blocks."},
        {"name": "activation", "options": ["relu", "silu"], "help": "One for all blocks."},
        {"name": "kernel", "options": [3, 5], "per": "depth", "help": "Of each block's convolution."},
        {"name": "kind", "options": ["plain", "residual"], "per": "depth", "help": "Of each block."},
    ],
    "network": [
        {"use": "conv", "name": "stem", "out_channels": "$width"},
        {"repeat": "$depth", "name": "block", "steps": [
            {"choose": "$kind", "cases": {
                "plain": [{"use": "conv", "out_channels": "$width", "kernel_size": "$kernel"}],
                "residual": [{"residual": [{"use": "conv", "out_channels": "$width", "kernel_size": "$kernel"}]}],
            }},
            {"use": "batch_norm"},
            {"choose": "$activation", "cases": {"relu": [{"use": "relu"}], "silu": [{"use": "silu"}]}},
        ]},
        {"use": "max_pool", "name": "pool"},
        {"use": "conv", "name": "last", "out_channels": "$width*2"},
    ],
}  # fmt: skip
_DENSE: dict[str, Any] = {
    "embedding": 8,
    "decisions": [
        {"name": "depth", "options": [1, 2, 3], "help": "Number of dense layers."},
        {"name": "units", "options": [32, 64, 128], "per": "depth", "help": "Of each layer."},
        {"name": "dropout", "options": [0.0, 0.1, 0.2], "help": "Before the output."},
    ],
    "network": [
        {"use": "flatten"},
        {"repeat": "$depth", "name": "layer", "steps": [
            {"use": "linear", "out_features": "$units"},
            {"use": "relu"},
        ]},
        {"use": "dropout", "p": "$dropout"},
    ],
}  # fmt: skip


class CustomOptions(SpaceOptions):
    """The written space."""

    definition: Definition = Field(
        Definition.model_validate(_CONVOLUTIONS),
        description="Decisions, and the network's steps that use them.",
        json_schema_extra={"yaml": True},
    )


@dataclass
class _Scope:
    """Where a step stands: what names mean there.

    Attributes:
        path: begins the ids of its nodes.
        group: what people call the part.
        turns: decision of each loop around -> which turn this is.
        names: results that can be read, by the name of their step.
    """

    path: str = ""
    group: str = ""
    turns: Mapping[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


class Custom(CustomProcess):
    """Decisions in the written order: with `when` only where it holds, with `per` once for each unit."""

    name: ClassVar[str] = "custom"
    summary: ClassVar[str] = "Written by you: decisions with conditions, and the steps of the network that use them."
    reference: ClassVar[str] = "none: a space of your own"
    Options: ClassVar[type[BaseModel]] = CustomOptions
    caveat: ClassVar[str] = (
        "where conditions hang together so that counting is not feasible, "
        "the size is a bound and uniform sampling is refused"
    )
    unavailable: ClassVar[Mapping[Capability, str]] = {
        "grow": "which option of a written decision makes a larger network that contains the smaller one is not said",
        "morphisms": "the steps are free, so no change of a decision is known to keep the function",
        "supernet": "its parts are put together freely: no place need be the same in two of its networks",
        "mixture": "its parts are put together freely: no place need be the same in two of its networks",
    }

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Every kind of data; whether this definition does, `bind` finds out."""
        return None

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """Convolutions for images, signals and text, dense layers for tables."""
        return {"definition": _DENSE if data.kind == "table" else _CONVOLUTIONS}

    def bind(self, data: DataSpec) -> Custom:
        """The space for a data set.

        Raises:
            InvalidConfig: none of a few drawn architectures can be built for it; the message says why.
        """
        bound = super().bind(data)
        rng = np.random.default_rng(0)
        problem: Exception | None = None
        for _ in range(20):
            try:
                bound.planned(bound.sample(rng))
            except (CannotBuild, InvalidArchitecture) as e:
                problem = e
            else:
                return bound._sized()
        raise InvalidConfig([(("space", "definition"), f"no network can be built of it for {data.name}: {problem}")])

    # -- the network --------------------------------------------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """The written steps, an embedding before them where the data has tokens or categories, a classifier behind.

        Raises:
            CannotBuild: a step does not fit the shape it gets; the message names the step.
        """
        net = self._assembler()
        x = self._entry(net, arch)
        scope = _Scope()
        x = self._steps(net, self._written.network, x, arch, scope)
        axes = len(net.shape(x)) - 1
        if mask := self._mask(net, x):
            x = net.add("global_pool", "mean_over_time", x, *mask, group="global pool")
        elif axes:
            x = net.add("global_pool", f"global_avg_pool{axes}d", x, group="global pool")
        net.add("output", "linear", x, group="output", out_features=self.n_classes)
        plan = net.finish()
        if len(plan.nodes) > MAX_NODES + 10:
            raise CannotBuild(f"the network has {len(plan.nodes):,} operations; at most {MAX_NODES}")
        return plan

    def _entry(self, net: Assembler, arch: Architecture) -> str:
        data = self._bound()
        width = int(self._value(self._written.embedding, arch, _Scope(), "embedding"))
        if data.kind == "text":
            return net.add("embedding", "embedding", "input", group="embedding",
                           num_embeddings=data.vocabulary, embedding_dim=width)  # fmt: skip
        if any(data.cardinalities) and data.kind == "table":
            dims = tuple(min(width, (k + 1) // 2) if k else 0 for k in data.cardinalities)
            return net.add("columns", "table_input", "input", group="columns",
                           cardinalities=data.cardinalities, sizes=dims)  # fmt: skip
        return "input"

    def _mask(self, net: Assembler, x: str) -> tuple[str, ...]:
        """The padding mask of a text, for a sequence that still has its length."""
        data = self._bound()
        if data.kind != "text" or net.shape(x)[1:] != data.input_shape:
            return ()
        if not net.has("padding"):
            net.add("padding", "padding_mask", "input", group="embedding")
        return ("padding",)

    def _value(self, value: Any, arch: Architecture, scope: _Scope, where: str) -> Any:
        """A written value with the chosen options in it."""
        found = factors(value)
        if found is None:
            return value
        values = [self._chosen(f, arch, scope, where) if isinstance(f, str) else f for f in found]
        return prod(cast("list[int]", values)) if len(values) > 1 else values[0]

    def _chosen(self, name: str, arch: Architecture, scope: _Scope, where: str) -> Option:
        per = next(d.per for d in self._written.decisions if d.name == name)
        full = f"{name}_{scope.turns[per]}" if per else name
        if full not in arch.choices:
            raise CannotBuild(f"{where}: uses ${name}, which does not act in this architecture")
        return arch[full]

    def _steps(self, net: Assembler, steps: Sequence[Step], x: str, arch: Architecture, scope: _Scope) -> str:
        for i, step in enumerate(steps, start=1):
            if not all(arch.choices.get(name) in options for name, options in step.when.items()):
                continue
            path = f"{scope.path}s{i}"
            sources = [self._read_name(name, scope, step) for name in step.from_] or [x]
            x = self._step(net, step, sources, arch, scope, path)
            if step.name:
                scope.names[step.name] = x
        return x

    @staticmethod
    def _read_name(name: str, scope: _Scope, step: Step) -> str:
        if name == "input":
            return "input"
        if name not in scope.names:
            raise CannotBuild(
                f"{step.name or step.use or step.form}: reads {name!r}, which does not come before it here"
            )
        return scope.names[name]

    def _step(
        self, net: Assembler, step: Step, sources: list[str], arch: Architecture, scope: _Scope, path: str
    ) -> str:
        group = scope.group or (step.name or step.use).replace("_", " ")
        x = sources[0]
        if step.form == "use":
            if step.use in ("add", "concat"):
                return net.add(f"{path}_{step.use}", step.use, *sources, group=group)
            return self._use(
                net, step, x, arch, scope, f"{path}_{step.name or step.use.rsplit('.', 1)[-1].lower()}", group
            )
        if step.form == "repeat":
            times = int(cast(int, self._value(step.repeat, arch, scope, step.name or "repeat")))
            by = [f for f in factors(step.repeat) or () if isinstance(f, str)]
            word = (step.name or "block").replace("_", " ")
            for k in range(1, times + 1):
                inner = _Scope(
                    f"{path}_{k}_", f"{word} {k}", {**scope.turns, **dict.fromkeys(by, k)}, dict(scope.names)
                )
                x = self._steps(net, step.steps, x, arch, inner)
            return x
        if step.form == "choose":
            option = self._value(step.choose, arch, scope, step.name or "choose")
            word = str(option).lower() if isinstance(option, bool) else str(option)
            inner = _Scope(f"{path}_", scope.group, scope.turns, dict(scope.names))
            return self._steps(net, step.cases[word], x, arch, inner)
        if step.form == "residual":
            inner = _Scope(f"{path}_", group or "residual", scope.turns, dict(scope.names))
            y = self._steps(net, step.residual, x, arch, inner)
            return self._residual(net, x, y, path, group or "residual")
        ends = []
        for k, branch in enumerate(step.branches, start=1):
            inner = _Scope(f"{path}_b{k}_", group or "branches", scope.turns, dict(scope.names))
            ends.append(self._steps(net, branch, x, arch, inner))
        return net.add(f"{path}_{step.join}", step.join, *ends, group=group or "branches")

    @staticmethod
    def _residual(net: Assembler, x: str, y: str, path: str, group: str) -> str:
        before, behind = net.shape(x), net.shape(y)
        if before != behind:
            if len(before) != len(behind) or before[1:] != behind[1:]:
                raise CannotBuild(f"{group}: residual steps must keep the size, not make {behind} of {before}")
            if len(before) == 1:
                x = net.add(f"{path}_project", "linear", x, group=group, out_features=behind[0], bias=False)
            else:
                x = net.add(f"{path}_project", f"conv{len(before) - 1}d", x, group=group,
                            out_channels=behind[0], kernel_size=1, bias=False)  # fmt: skip
        return net.add(f"{path}_add", "add", y, x, group=group)

    def _use(self, net: Assembler, step: Step, x: str, arch: Architecture, scope: _Scope, id: str, group: str) -> str:
        where = step.name or step.use
        found = modules.template(step.use)
        shape = net.shape(x)
        try:
            op = modules.operation(found, len(shape) - 1)
            given: dict[str, Any] = {}
            for name, argument in found.arguments.items():
                value = self._value(step.arguments.get(name, argument.default), arch, scope, where)
                given[argument.to] = argument.check(f"{where}.{name}", value)
        except InvalidArchitecture as e:
            raise CannotBuild(f"{where}: {e}") from e
        if "pool" in op and "kernel_size" in given:
            given["stride"] = given["stride"] or given["kernel_size"]
            if given["padding"] > given["kernel_size"] // 2:
                raise CannotBuild(f"{where}: a padding of {given['padding']} is more than half the window")
        groups = given.get("groups", 1)
        if groups != 1 and (shape[0] % groups or given["out_channels"] % groups):
            raise CannotBuild(f"{where}: {groups} groups do not divide {shape[0]} and {given['out_channels']} channels")
        if op == "dropout" and not given["p"]:
            return x
        if op == "self_attention" and shape[0] % given["heads"]:
            raise CannotBuild(f"{where}: {given['heads']} heads do not divide {shape[0]} channels")
        masks = self._mask(net, x) if found.masked else ()
        return net.add(id, op, x, *masks, group=group, **{**found.fixed, **given})

    # -- words --------------------------------------------------------------------------------
    def title(self, decision: str) -> str:
        """ "kernel of depth 3" is said as "kernel 3"."""
        return decision.replace("_", " ")

    def short_name(self, arch: Architecture) -> str:
        """The options in order, the first dozen."""
        words = [str(int(o)) if isinstance(o, bool) else f"{o:g}" if isinstance(o, float) else str(o)
                 for _, o in arch.items]  # fmt: skip
        text = "-".join(words)
        return text if len(text) <= 40 else f"{text[:34]}…{abs(hash_text(arch.key)):05x}"[:40]

    def outline(self) -> dict[str, Any]:
        """See `_custom.outline`."""
        return outline.outline(self, self._written)


def hash_text(text: str) -> int:
    """A small number that stands for a text, the same in every process."""
    from hashlib import blake2b

    return int.from_bytes(blake2b(text.encode(), digest_size=3).digest())
