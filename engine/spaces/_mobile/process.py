"""The decisions of the `mobile` space, laid out once per space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import cast

from engine.architecture import Option
from engine.spaces._decision import Decision
from engine.spaces._mobile.blocks import Settings, StageSettings
from engine.spaces._mobile.options import SKIP, MBConv, MobileOptions, Stage, parse

Choices = dict[str, Option]
_HELP = {
    "depth": "Number of blocks of this stage.",
    "width": "Channels behind each block of this stage.",
    "activation": "Activation of this stage's blocks.",
    "kernel": "Kernel of the depthwise convolution.",
    "expansion": "Channels inside, as a multiple of the input's.",
    "se": "Squeeze-excite behind the depthwise convolution.",
    "op": "The whole block: kernel and expansion, or skipped.",
}
_parse = lru_cache(maxsize=256)(parse)


@dataclass(frozen=True)
class StageProcess:
    """One stage's decisions; what has one option is settled and stands in `settled`.

    Attributes:
        name: "stage1".
        stride: of its first block.
        depths: every depth it may have.
        before: decisions of the whole stage, in order.
        blocks: decisions of each block.
        prefixes: of each block's decisions ("stage1" where the stage decides as one).
        settled: the first option of everything, by the name a decision would have.
    """

    name: str
    stride: int
    depths: tuple[int, ...]
    before: tuple[Decision, ...]
    blocks: tuple[tuple[Decision, ...], ...]
    prefixes: tuple[str, ...]
    settled: Choices

    def depth(self, choices: Choices) -> int:
        """Number of blocks as chosen."""
        return cast(int, choices.get(f"{self.name}_depth", self.depths[0]))

    def decisions(self, depth: int) -> tuple[Decision, ...]:
        """All of a stage of this depth, in order."""
        return (*self.before, *(d for block in self.blocks[:depth] for d in block))

    def settings(self, choices: Choices) -> StageSettings:
        """What is chosen and settled of it."""
        said = {**self.settled, **choices}
        n = self.name
        return StageSettings(
            cast(int, said[f"{n}_width"]),
            cast(str, said[f"{n}_activation"]),
            self.stride,
            tuple(self.block(said, prefix) for prefix in self.prefixes[: self.depth(choices)]),
        )

    @staticmethod
    def block(said: Choices, prefix: str) -> MBConv | None:
        """The block whose decisions begin with `prefix`; None = skipped."""
        if (text := said.get(f"{prefix}_op")) is not None:
            return _parse(str(text))
        return MBConv(
            cast(int, said[f"{prefix}_kernel"]), cast(float, said[f"{prefix}_expansion"]), bool(said[f"{prefix}_se"])
        )


class Process:
    """All decisions of a space in their order.

    Args:
        options: of the space.
    """

    def __init__(self, options: MobileOptions) -> None:
        self.options = options
        size = options.resolution
        self.first = (
            (Decision("resolution", tuple(sorted(size)), True, "input", "Shorter side of the resized image."),)
            if len(size) > 1
            else ()
        )
        self.stages = tuple(self._stage(s, f"stage{i}", i) for i, s in enumerate(options.stages, start=1))

    def _stage(self, stage: Stage, name: str, number: int) -> StageProcess:
        o, group = self.options, f"stage {number}"
        settled: Choices = {}

        def decided(prefix: str, offered: Mapping[str, tuple[Option, ...]], group: str) -> tuple[Decision, ...]:
            settled.update({f"{prefix}_{knob}": options[0] for knob, options in offered.items()})
            ordered = ("depth", "width", "kernel", "expansion")
            return tuple(
                Decision(f"{prefix}_{knob}", options, knob in ordered, group, _HELP[knob])
                for knob, options in offered.items()
                if len(options) > 1
            )

        whole = {"depth": stage.depth, "width": stage.width, "activation": stage.activation or o.activation}
        before = decided(name, whole, group)
        menu = o.menu_of(stage)
        apart: dict[str, tuple[Option, ...]] = {
            "kernel": stage.kernel or o.kernel, "expansion": stage.expansion or o.expansion, "se": stage.se or o.se,
        }  # fmt: skip

        def offered(first: bool) -> Mapping[str, tuple[Option, ...]]:
            if not menu:
                return apart
            return {"op": tuple(op for op in menu if op != SKIP) if first and not o.first_skip else menu}

        deepest = max(stage.depth)
        if o.share == "stage":
            before += decided(name, offered(True), group)
            return StageProcess(
                name, stage.stride, stage.depth, before, ((),) * deepest, (name,) * deepest, settled
            )  # fmt: skip
        prefixes = tuple(f"{name}_block{k}" for k in range(1, deepest + 1))
        blocks = tuple(
            decided(prefix, offered(k == 1), f"{group} block {k}") for k, prefix in enumerate(prefixes, start=1)
        )
        return StageProcess(name, stage.stride, stage.depth, before, blocks, prefixes, settled)

    @cached_property
    def every(self) -> list[Decision]:
        """Every decision that can occur, in order."""
        return [*self.first, *(d for stage in self.stages for d in stage.decisions(max(stage.depths)))]

    def next(self, partial: Choices) -> Decision | None:
        """The first that is open."""
        for decision in self.first:
            if decision.name not in partial:
                return decision
        for stage in self.stages:
            for decision in stage.before:
                if decision.name not in partial:
                    return decision
            for block in stage.blocks[: stage.depth(partial)]:
                for decision in block:
                    if decision.name not in partial:
                        return decision
        return None

    def settings(self, choices: Choices) -> Settings:
        """What is chosen and settled."""
        own = self.options.resolution[0] if len(self.options.resolution) == 1 else None
        resolution = cast(int | None, choices.get("resolution", own))
        return Settings(resolution, tuple(stage.settings(choices) for stage in self.stages))

    def weights(self, stage: StageProcess, partial: Choices, allowed: dict[str, tuple[Option, ...]]) -> dict[int, int]:
        """Number of ways to decide what is open of a stage, by depth."""

        def ways(decisions: tuple[Decision, ...]) -> int:
            return prod(len(allowed.get(d.name, d.options)) for d in decisions if d.name not in partial)

        name = f"{stage.name}_depth"
        depths = (stage.depth(partial),) if name in partial else allowed.get(name, stage.depths)
        whole = ways(tuple(d for d in stage.before if d.name != name))
        return {cast(int, d): whole * prod(map(ways, stage.blocks[: cast(int, d)])) for d in depths}
