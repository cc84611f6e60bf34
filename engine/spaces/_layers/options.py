"""Options of the space `layers`: which options each decision offers, and the fixed parts around them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from engine.spaces._options import MAX_CHANNELS, MAX_DEPTH, Channels, Depth, Names, Scale, SpaceOptions, offers

Operation = Literal["conv3", "conv5", "conv7", "sep3", "sep5", "sep7", "conv1", "max3", "avg3"]
Norm = Literal["batch", "group", "none", "layer"]
Activation = Literal["relu", "silu", "gelu", "tanh", "elu", "leaky_relu", "hard_swish"]
Pool = Literal["max", "avg"]
HeadPool = Literal["avg", "flatten"]

OPERATIONS = {
    "conv3": "conv 3×3",
    "conv5": "conv 5×5",
    "conv7": "conv 7×7",
    "sep3": "separable 3×3",
    "sep5": "separable 5×5",
    "sep7": "separable 7×7",
    "conv1": "conv 1×1",
    "max3": "max pool 3×3",
    "avg3": "avg pool 3×3",
}
MAX_DENSE = 4
#: blocks that may all be connected: every pair of them is a decision
MAX_CONNECTED = 32


def _empty_or_ascending(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(value)) != len(value):
        raise ValueError("each option once")
    return tuple(sorted(value))


class LayersOptions(SpaceOptions):
    """Which options each decision offers; a decision with one option is settled.

    What is decided only where an option asks for it (stride, width, dropout and pooling of single blocks, flattening,
    several dense layers, connections between any blocks) is no decision at all otherwise.
    """

    depth: Scale[Depth] = Field(
        (3, 4, 5, 6), description="Number of blocks.", json_schema_extra=offers(*range(1, 9), unit="blocks")
    )
    width: Scale[Channels] = Field(
        (16, 24, 32, 48),
        description="Channels of the stem and the first blocks.",
        json_schema_extra=offers(8, 16, 24, 32, 48, 64, unit="channels"),
    )
    operation: Names[Operation] = Field(
        ("conv3", "conv5", "sep3", "sep5"),
        description="Convolution of a block, each block by itself (pooling comes behind a convolution 1×1).",
        json_schema_extra=offers(*OPERATIONS, labels=OPERATIONS, advanced=True),
    )
    connections: Literal["residual", "any"] = Field(
        "residual",
        description="What a skip may join to a block's output: its own input, or each earlier block (ENAS macro).",
        json_schema_extra=offers(
            "residual", "any", labels={"residual": "its own input", "any": "any earlier block"}, advanced=True
        ),
    )
    skip: Names[bool] = Field(
        (False, True),
        description="Whether a block's input is added to its output, each block by itself.",
        json_schema_extra=offers(False, True, labels={False: "no skip", True: "skip"}, advanced=True),
    )
    stem_kernel: int = Field(
        3, ge=0, le=128, description="Window of the first convolution, before the blocks; 0 = no stem.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    stem_stride: int = Field(
        1, ge=1, le=16, description="Stride of the first convolution.", json_schema_extra={"advanced": True}
    )
    stride: Scale[Literal[1, 2]] = Field(
        (1,),
        description="Stride of a block's convolution, each block by itself.",
        json_schema_extra=offers(1, 2, advanced=True),
    )
    block_width: tuple[Channels, ...] = Field(
        (),
        max_length=32,
        description="Channels of a block, each block by itself; none = the width, widened behind each pooling.",
        json_schema_extra=offers(8, 16, 24, 32, 48, 64, 96, 128, unit="channels", advanced=True),
    )
    block_factor: Scale[float] = Field(
        (1.0,),
        description="Factor on the channels of a block, each block by itself.",
        json_schema_extra=offers(0.5, 1.0, 1.5, 2.0, advanced=True),
    )
    block_dropout: Scale[float] = Field(
        (0.0,),
        description="Dropout rate at the end of a block, each block by itself.",
        json_schema_extra=offers(0.0, 0.1, 0.2, 0.3, advanced=True),
    )
    pool_after: tuple[Annotated[int, Field(ge=0, le=MAX_DEPTH)], ...] = Field(
        (2, 4),
        max_length=12,
        description="Blocks behind which the image is halved (while it has 4 pixels or more, and blocks follow); "
        "0 = behind the stem.",
        json_schema_extra=offers(*range(9), unit="blocks", labels={0: "stem"}, advanced=True),
    )
    pool_where: Names[bool] = Field(
        (True,),
        description="Whether it is pooled there, each place by itself.",
        json_schema_extra=offers(True, False, labels={True: "pooled", False: "not pooled"}, advanced=True),
    )
    pool_last: bool = Field(
        False, description="Pool behind the last block, too, where it is listed.", json_schema_extra={"advanced": True}
    )
    pool_size: int = Field(
        2, ge=2, le=16, description="Window and stride of the pooling: 2 halves.", json_schema_extra={"advanced": True}
    )
    pool: Names[Pool] = Field(
        ("max", "avg"),
        description="Kind of pooling, one for all.",
        json_schema_extra=offers("max", "avg", advanced=True),
    )
    widen: Scale[Literal[1, 2, 4]] = Field(
        (1, 2),
        validate_default=True,
        description="Factor on the channels behind each pooling.",
        json_schema_extra=offers(1, 2, 4, labels={1: "×1", 2: "×2", 4: "×4"}, advanced=True),
    )
    norm: Names[Norm] = Field(
        ("batch", "group", "none"),
        description="Normalisation, one for all blocks.",
        json_schema_extra=offers("batch", "group", "layer", "none", advanced=True),
    )
    activation: Names[Activation] = Field(
        ("relu", "silu", "gelu"),
        description="Activation, one for all blocks.",
        json_schema_extra=offers("relu", "silu", "gelu", "tanh", "elu", "leaky_relu", "hard_swish", advanced=True),
    )
    head_pool: Names[HeadPool] = Field(
        ("avg",),
        description="How the last image becomes a vector: the average of each channel, or all of its values.",
        json_schema_extra=offers("avg", "flatten", labels={"avg": "global average"}, advanced=True),
    )
    dense: Scale[int] = Field(
        (0, 64, 128),
        description="Units of a dense layer before the output; 0 = none.",
        json_schema_extra=offers(0, 32, 64, 128, 256, unit="units", labels={0: "none"}, advanced=True),
    )
    dense_layers: int = Field(
        1, ge=1, le=MAX_DENSE, description="Dense layers before the output at most, each with units of its own.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    dropout: Scale[float] = Field(
        (0.0, 0.1, 0.2, 0.3),
        description="Dropout rate before the output.",
        json_schema_extra=offers(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, advanced=True),
    )

    @field_validator("connections")
    @classmethod
    def _connected(cls, value: str, info: ValidationInfo) -> str:
        depth = info.data.get("depth")
        if value == "any" and depth and max(depth) > MAX_CONNECTED:
            pairs = max(depth) * (max(depth) - 1) // 2
            raise ValueError(
                f"{max(depth)} blocks have {pairs:,} pairs to decide about; at most {MAX_CONNECTED} blocks for any"
            )
        return value

    @field_validator("block_width")
    @classmethod
    def _widths(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return _empty_or_ascending(value)

    @field_validator("block_factor")
    @classmethod
    def _factors(cls, value: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        if bad := [v for v in value if not 0.0625 <= v <= 16]:
            raise ValueError(f"factors are between 1/16 and 16, not {bad[0]:g}")
        if info.data.get("block_width") and value != (1.0,):
            raise ValueError("a block's channels are a number or a factor: leave block width empty, or this at 1")
        return value

    @field_validator("pool_after")
    @classmethod
    def _pools(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each block once")
        return tuple(sorted(value))

    @field_validator("widen")
    @classmethod
    def _widest(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        width, pools, depth = (info.data.get(name) for name in ("width", "pool_after", "depth"))
        if width and pools is not None and depth and not info.data.get("block_width"):
            factor = max(info.data.get("block_factor") or (1.0,))
            times = sum(1 for k in pools if k < max(depth))
            widest = round(max(width) * max(value) ** times * factor)
            if widest > MAX_CHANNELS:
                raise ValueError(
                    f"×{max(value)} behind every pooling makes {widest:,} channels of {max(width)}; "
                    f"at most {MAX_CHANNELS:,}: lower the width or the factor, or pool less often"
                )
        return value

    @field_validator("dense")
    @classmethod
    def _units(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if bad := [v for v in value if not 0 <= v <= 16384]:
            raise ValueError(f"units are between 0 (none) and 16,384, not {bad[0]}")
        return value

    @field_validator("dense_layers")
    @classmethod
    def _any_dense(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("dense") == (0,):
            raise ValueError("several dense layers need units: offer more than 0 (none) at dense")
        return value

    @field_validator("dropout", "block_dropout")
    @classmethod
    def _rates(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if bad := [v for v in value if not 0 <= v <= 0.9]:
            raise ValueError(f"rates are between 0 and 0.9, not {bad[0]}")
        return value
