"""The options of the encoder space, and the words for its operations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from engine.spaces._options import Names, Scale, SpaceOptions, offers

Operation = Literal[
    "attention", "conv1", "conv3", "conv5", "conv7", "sep3", "sep5", "sep7", "gru", "lstm", "avg3", "max3"
]
Position = Literal["none", "sinusoidal", "learned"]
Activation = Literal["relu", "gelu", "silu"]
Pool = Literal["mean", "max", "first"]

OPERATIONS: dict[str, str] = {
    "attention": "attention",
    **{f"conv{k}": f"conv {k}" for k in (1, 3, 5, 7)},
    **{f"sep{k}": f"separable {k}" for k in (3, 5, 7)},
    "gru": "GRU",
    "lstm": "LSTM",
    "avg3": "avg 3",
    "max3": "max 3",
}
POOLS = {"mean": "mean", "max": "max", "first": "class token"}


class TransformerOptions(SpaceOptions):
    """Which options each decision offers; a decision with one option is settled."""

    depth: Scale[Annotated[int, Field(ge=1, le=32)]] = Field(
        (1, 2, 3, 4), description="Number of blocks.", json_schema_extra=offers(1, 2, 3, 4, 6, 8, 12, unit="blocks")
    )
    width: Scale[Annotated[int, Field(ge=4, le=1024, multiple_of=2)]] = Field(
        (32, 64, 96, 128),
        description="Channels of every step; of text, the length of the word vectors.",
        json_schema_extra=offers(16, 32, 48, 64, 96, 128, 192, 256, unit="channels"),
    )
    operation: Names[Operation] = Field(
        ("attention", "conv3", "sep5", "gru", "max3"),
        description="What mixes the steps in a block, each block by itself.",
        json_schema_extra=offers(*OPERATIONS, labels=OPERATIONS),
    )
    heads: Scale[Annotated[int, Field(ge=1, le=32)]] = Field(
        (2, 4, 8),
        description="Heads of an attention, each block by itself; those that divide the width.",
        json_schema_extra=offers(1, 2, 3, 4, 6, 8, 12, unit="heads"),
    )
    ratio: Scale[Annotated[int, Field(ge=0, le=8)]] = Field(
        (1, 2, 4),
        description="Hidden channels of the feed-forward part as a multiple of the width, each block by itself.",
        json_schema_extra=offers(
            0, 1, 2, 3, 4, 6, labels={0: "none", **{k: f"×{k}" for k in (1, 2, 3, 4, 6)}}, advanced=True
        ),
    )
    skips: bool = Field(
        False,
        description="Whether a block may add the output of one earlier block to its input.",
        json_schema_extra={"advanced": True},
    )
    position: Names[Position] = Field(
        ("none", "sinusoidal", "learned"),
        description="What tells the steps apart.",
        json_schema_extra=offers("none", "sinusoidal", "learned", advanced=True),
    )
    activation: Names[Activation] = Field(
        ("relu", "gelu"),
        description="Activation, one for all blocks.",
        json_schema_extra=offers("relu", "gelu", "silu", advanced=True),
    )
    pool: Names[Pool] = Field(
        ("mean", "max"),
        description="What becomes of the steps before the output.",
        json_schema_extra=offers(*POOLS, labels=POOLS, advanced=True),
    )
    dropout: Scale[Annotated[float, Field(ge=0, le=0.9)]] = Field(
        (0.0, 0.1, 0.3),
        description="Dropout rate behind the stem and in every block.",
        json_schema_extra=offers(0.0, 0.1, 0.2, 0.3, 0.5, advanced=True),
    )
    patch: Scale[Annotated[int, Field(ge=1, le=64)]] = Field(
        (2, 4),
        description="Side of the patches (images); those of which at least four cover the image.",
        json_schema_extra=offers(1, 2, 4, 8, 16, unit="pixels", advanced=True),
    )
    steps: int = Field(
        64,
        ge=4,
        le=1024,
        description="Steps that a signal is brought to at most, by the convolutions in front.",
        json_schema_extra={"advanced": True},
    )

    @field_validator("heads")
    @classmethod
    def _divide(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        widths, operations = info.data.get("width"), info.data.get("operation")
        if widths and operations and "attention" in operations and not any(w % h == 0 for w in widths for h in value):
            raise ValueError(
                f"attention needs heads that divide the width: none of {', '.join(map(str, value))} divides "
                f"one of {', '.join(map(str, widths))}"
            )
        return value
