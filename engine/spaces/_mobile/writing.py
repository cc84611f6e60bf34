"""Mobile networks as text: stage by stage, or one digit a block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from engine.architecture import Option
from engine.errors import InvalidArchitecture
from engine.spaces._mobile.blocks import Settings, StageSettings
from engine.spaces._mobile.options import SKIP, MBConv, parse

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
NOTATION = (
    "Stages from input to output, each with its width, its activation and its blocks of kernel and expansion, with se "
    "for squeeze-excite, e.g. w16 relu k3_e3 | w24 relu k5_e6_se k3_e3 | w48 relu k3_e6; r160 | in front = resized to "
    "160 pixels; where whole operations are all that is decided, one digit a block: 22212220."
)


def written(settings: Settings) -> str:
    """The notation of an architecture."""
    parts = [] if settings.resolution is None else [f"r{settings.resolution}"]
    for stage in settings.stages:
        blocks = " ".join(SKIP if b is None else b.text for b in stage.blocks)
        parts.append(f"w{stage.width} {stage.activation} {blocks}")
    return " | ".join(parts)


def settings_of(text: str, strides: tuple[int, ...]) -> Settings:
    """Reads the notation.

    Args:
        text: what `written` wrote, or a person.
        strides: of the stages, which are not written.

    Raises:
        InvalidArchitecture: says what was received and what would be right.
    """
    parts = [part.split() for part in text.split("|")]
    resolution = None
    if parts[0] and len(parts[0]) == 1 and (match := re.fullmatch(r"r(\d{1,4})", parts[0][0])):
        resolution = int(match[1])
        del parts[0]
    if len(parts) != len(strides):
        raise InvalidArchitecture(
            f"received {text[:60]!r} with {len(parts)} stages; this space has {len(strides)}. {NOTATION}"
        )
    stages = []
    for number, (words, stride) in enumerate(zip(parts, strides, strict=True), start=1):
        width = re.fullmatch(r"w(\d{1,5})", words[0]) if words else None
        if width is None or len(words) < 3:
            raise InvalidArchitecture(
                f"stage {number}: received {' '.join(words)[:60]!r}; write its width, activation and blocks, "
                "e.g. w24 relu k5_e6_se k3_e3"
            )
        try:
            blocks = tuple(parse(word) for word in words[2:])
        except ValueError as e:
            raise InvalidArchitecture(f"stage {number}: {e}") from e
        stages.append(StageSettings(int(width[1]), words[1][:20], stride, blocks))
    return Settings(resolution, tuple(stages))


def choices_of(
    said: Settings, decisions: frozenset[str], settled: Settings, depths: Sequence[Sequence[int]], share: bool
) -> dict[str, Option]:
    """Options by decision; what is no decision here must be as it is settled.

    Args:
        said: what was read.
        decisions: names of all that can be decided.
        settled: an architecture of the space: where it may not differ, it is the rule.
        depths: that each stage may have.
        share: all blocks of a stage decide together.

    Raises:
        InvalidArchitecture: names what differs from what is settled.
    """
    out: dict[str, Option] = {}

    def put(name: str, value: Option, usual: Option) -> None:
        if name in decisions:
            if out.setdefault(name, value) != value:
                raise InvalidArchitecture(f"{name}: the blocks of a stage are alike here, not {out[name]} and {value}")
        elif value != usual:
            raise InvalidArchitecture(f"{name}: received {value!r}; it is settled here as {usual!r}")

    put("resolution", said.resolution, settled.resolution)
    for i, (stage, rule) in enumerate(zip(said.stages, settled.stages, strict=True), start=1):
        name = f"stage{i}"
        put(f"{name}_width", stage.width, rule.width)
        put(f"{name}_activation", stage.activation, rule.activation)
        if len(stage.blocks) not in depths[i - 1]:
            known = ", ".join(map(str, depths[i - 1]))
            raise InvalidArchitecture(f"stage {i}: received {len(stage.blocks)} blocks; its depth is one of {known}")
        put(f"{name}_depth", len(stage.blocks), len(rule.blocks))
        for k, block in enumerate(stage.blocks, start=1):
            prefix = name if share else f"{name}_block{k}"
            usual = rule.blocks[min(k, len(rule.blocks)) - 1]
            if f"{prefix}_op" in decisions:
                put(f"{prefix}_op", SKIP if block is None else block.text, None)
            elif block is None or usual is None or block.groups != usual.groups:
                if block != usual:
                    raise InvalidArchitecture(f"{prefix}: received {_text(block)}; it is like {_text(usual)} here")
            else:
                for knob, value, rules in zip(KNOBS, _knobs(block), _knobs(usual), strict=True):
                    put(f"{prefix}_{knob}", value, rules)
    return out


#: what is decided of a block where no whole operations are offered
KNOBS = ("kernel", "expansion", "se")


def _knobs(block: MBConv) -> tuple[Option, Option, Option]:
    return block.kernel, block.expansion, block.se


def _text(block: MBConv | None) -> str:
    return SKIP if block is None else block.text


def digits_of(text: str, names: list[str], menus: Mapping[str, tuple[Option, ...]]) -> dict[str, Option]:
    """Reads one digit a block.

    Raises:
        InvalidArchitecture: a digit that stands for no operation.
    """
    out: dict[str, Option] = {}
    for name, digit in zip(names, text, strict=True):
        menu = menus[name]
        at = DIGITS.index(digit)
        if at >= len(menu):
            offered = ", ".join(f"{DIGITS[i]} = {o}" for i, o in enumerate(menu))
            raise InvalidArchitecture(f"{name}: received {digit!r}; choose one of {offered}")
        out[name] = menu[at]
    return out
