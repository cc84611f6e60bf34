"""Options of the `mobile` space: its stages and what their blocks may be."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from engine.spaces._options import MAX_CHANNELS, MAX_DEPTH, Channels, Depth, Names, Scale, SpaceOptions, offers

T = TypeVar("T", bound=Hashable)

Kernel = Literal[3, 5, 7, 9]
Activation = Literal["relu", "relu6", "hard_swish", "silu", "gelu"]
Expansion = Annotated[float, Field(ge=1, le=16)]
Squeeze = Literal["expanded", "input"]

SKIP = "skip"
_OPERATION = re.compile(r"k([3579])_e(\d{1,2}(?:\.\d{1,2})?)(_g2)?(_se)?")
#: channels inside a block, at most
_MAX_HIDDEN = 16384


@dataclass(frozen=True)
class MBConv:
    """One inverted residual block (Sandler et al. 2018, section 3.3).

    Attributes:
        kernel: of the depthwise convolution.
        expansion: channels inside, as a multiple of the input's.
        se: squeeze-excite behind the depthwise convolution.
        groups: of the two 1×1 convolutions; 2 brings a channel shuffle behind the first (Wu et al. 2019).
    """

    kernel: int
    expansion: float
    se: bool = False
    groups: int = 1

    @property
    def text(self) -> str:
        """ "k5_e6_se"."""
        groups = f"_g{self.groups}" if self.groups > 1 else ""
        return f"k{self.kernel}_e{self.expansion:g}{groups}{'_se' if self.se else ''}"

    @property
    def words(self) -> str:
        """ "5×5 ×6 SE"."""
        groups = f" {self.groups} groups" if self.groups > 1 else ""
        return f"{self.kernel}×{self.kernel} ×{self.expansion:g}{groups}{' SE' if self.se else ''}"


def parse(text: str) -> MBConv | None:
    """Reads "k5_e6_se"; None = "skip".

    Raises:
        ValueError: neither.
    """
    if text == SKIP:
        return None
    match = _OPERATION.fullmatch(text)
    if match is None or not 1 <= float(match[2]) <= 16:
        raise ValueError(
            f"{text[:30]!r} is no operation; write skip, or k3_e6: kernel 3, 5, 7 or 9, expansion 1 to 16, "
            "then _g2 for grouped 1×1 convolutions, then _se for squeeze-excite"
        )
    return MBConv(int(match[1]), float(match[2]), bool(match[4]), 2 if match[3] else 1)


def _operation(text: str) -> str:
    block = parse(text)
    return SKIP if block is None else block.text


def _listed(value: Any) -> Any:
    """A single value stands for a list of one."""
    return [value] if isinstance(value, int | float | str) else value


def _distinct(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if len({repr(v) for v in value}) != len(value):
        raise ValueError("each option once")
    return value


def _sorted(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(value))


#: of one stage alone; empty = as for all stages
_OwnNames = Annotated[tuple[T, ...], Field(max_length=32), BeforeValidator(_listed), AfterValidator(_distinct)]
_OwnScale = Annotated[_OwnNames[T], AfterValidator(_sorted)]
OperationName = Annotated[str, Field(max_length=24), AfterValidator(_operation)]


class Stage(BaseModel):
    """Blocks of one width; the first of them may halve the image. What is left empty is as for all stages."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    width: Annotated[Scale[Channels], BeforeValidator(_listed)] = Field(
        description="Channels behind each of its blocks: one number, or several to choose from."
    )
    depth: Annotated[Scale[Depth], BeforeValidator(_listed)] = Field((1,), description="Number of blocks.")
    stride: Literal[1, 2] = Field(1, description="Of its first block; 2 halves the image (while it has 2 pixels).")
    kernel: _OwnScale[Kernel] = Field((), description="Kernels of this stage alone.")
    expansion: _OwnScale[Expansion] = Field((), description="Expansions of this stage alone.")
    se: _OwnNames[bool] = Field((), description="Squeeze-excite in this stage alone.")
    activation: _OwnNames[Activation] = Field((), description="Activations of this stage alone.")
    operations: _OwnNames[OperationName] = Field((), description="Whole operations of this stage alone.")


class MobileOptions(SpaceOptions):
    """The stages, what a block of them may be, and what stands before and behind them.

    What has one option is settled and no decision.
    """

    stages: tuple[Stage, ...] = Field(
        (
            Stage(width=(16,), depth=(1, 2)),
            Stage(width=(24, 32), depth=(1, 2, 3), stride=2),
            Stage(width=(48, 64), depth=(1, 2, 3), stride=2),
        ),
        min_length=1, max_length=12,
        description="Stages from input to output: width, depth, stride; further fields hold for this stage alone.",
        json_schema_extra={"yaml": True},
    )  # fmt: skip
    kernel: Scale[Kernel] = Field(
        (3, 5),
        description="Kernel of the depthwise convolution.",
        json_schema_extra=offers(3, 5, 7, 9, labels={k: f"{k}×{k}" for k in (3, 5, 7, 9)}),
    )
    expansion: Scale[Expansion] = Field(
        (3.0, 6.0),
        description="Channels inside a block, as a multiple of its input's.",
        json_schema_extra={**offers(1.0, 2.0, 3.0, 4.0, 6.0), "words": "×{}"},
    )
    se: Names[bool] = Field(
        (False, True),
        description="Behind the depthwise convolution.",
        json_schema_extra={
            **offers(False, True, labels={False: "without", True: "with"}),
            "label": "squeeze-excite",
        },
    )
    activation: Names[Activation] = Field(
        ("relu",),
        description="Activation, one for each stage.",
        json_schema_extra=offers("relu", "relu6", "hard_swish", "silu", "gelu"),
    )
    operations: tuple[OperationName, ...] = Field(
        (), max_length=36,
        description="Whole operations instead of kernel, expansion and squeeze-excite apart: skip, k3_e3, k5_e6_se.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    share: Literal["block", "stage"] = Field(
        "block", description="Each block decides by itself, or all of a stage together.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    resolution: tuple[Annotated[int, Field(ge=1, le=2048)], ...] = Field(
        (), max_length=64,
        description="Shorter side of the image, which is resized first; empty = as it is.",
        json_schema_extra={"unit": "pixels", "advanced": True},
    )  # fmt: skip
    stem_width: Channels = Field(16, description="Channels of the stem.", json_schema_extra={"advanced": True})
    stem_stride: Literal[1, 2] = Field(
        1, description="2 halves the image in the stem.", json_schema_extra={"advanced": True}
    )
    stem_activation: Activation = Field(
        "relu", description="Activation of the stem.", json_schema_extra={"advanced": True}
    )
    first_skip: bool = Field(
        False,
        description="Whether the first block of a stage may be skipped too: a 1×1 convolution and norm in its place.",
        json_schema_extra={"advanced": True},
    )
    expand_always: bool = Field(
        False,
        description="Whether a block of expansion 1 has the first 1×1 convolution, too (FBNet).",
        json_schema_extra={"advanced": True},
    )
    squeeze: Squeeze = Field(
        "expanded",
        description="Squeeze-excite: a quarter of the channels inside with a hard gate (MobileNetV3), or a quarter of "
        "the block's input with a sigmoid (EfficientNet).",
        json_schema_extra={"advanced": True},
    )
    head_conv: int = Field(
        0, ge=0, le=MAX_CHANNELS, description="Channels of a 1×1 convolution behind the last stage; 0 = none.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    head_dense: int = Field(
        0, ge=0, le=16384, description="Units of a dense layer before the output; 0 = none.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    head_activation: Activation = Field(
        "relu", description="Activation of the head.", json_schema_extra={"advanced": True}
    )
    dropout: float = Field(
        0.0, ge=0, le=0.9, description="Dropout rate before the output.", json_schema_extra={"advanced": True}
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for name in ("operations", "resolution"):
            _distinct(getattr(self, name))
        if sum(max(s.depth) for s in self.stages) > 2 * MAX_DEPTH:
            raise ValueError(f"at most {2 * MAX_DEPTH} blocks in all stages together")
        before: tuple[int, ...] = (self.stem_width,)
        for i, stage in enumerate(self.stages, start=1):
            blocks = self.blocks_of(stage)
            if not self.first_skip and blocks == (None,):
                raise ValueError(f"stage {i}: its first block cannot be skipped (first_skip), so offer an operation")
            widths = (*before, *stage.width)
            if any(b is not None and b.groups > 1 for b in blocks) and any(w % 2 for w in widths):
                raise ValueError(f"stage {i}: operations in two groups need even widths")
            if max(widths) * max((b.expansion for b in blocks if b is not None), default=1) > _MAX_HIDDEN:
                raise ValueError(f"stage {i}: more than {_MAX_HIDDEN:,} channels inside a block; lower the expansion")
            before = stage.width
        return self

    def menu_of(self, stage: Stage) -> tuple[str, ...]:
        """Whole operations that the blocks of a stage choose from; () = kernel, expansion and SE apart."""
        apart = stage.kernel or stage.expansion or stage.se
        return stage.operations or (() if apart else self.operations)

    def blocks_of(self, stage: Stage) -> tuple[MBConv | None, ...]:
        """Every block that a stage may have; None = skipped."""
        if menu := self.menu_of(stage):
            return tuple(parse(text) for text in menu)
        return tuple(
            MBConv(k, e, s)
            for k in stage.kernel or self.kernel
            for e in stage.expansion or self.expansion
            for s in stage.se or self.se
        )
