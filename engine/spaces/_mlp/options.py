"""Options and presets of the space `mlp`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from engine.spaces._options import Channels, Names, Scale, SpaceOptions, offers
from engine.spaces.base import Preset

Norm = Literal["none", "batch", "layer"]
Activation = Literal["relu", "silu", "gelu", "tanh", "elu", "selu", "leaky_relu", "mish"]
MAX_EMBEDDING = 512


class MlpOptions(SpaceOptions):
    """Which options each decision offers; a decision with one option is settled."""

    depth: Scale[Annotated[int, Field(ge=1, le=32)]] = Field(
        (1, 2, 3, 4), description="Number of hidden layers.", json_schema_extra=offers(*range(1, 9), unit="layers")
    )
    width: Scale[Channels] = Field(
        (16, 32, 64, 128),
        description="Units of a hidden layer.",
        json_schema_extra=offers(8, 16, 32, 64, 128, 256, 512, unit="units"),
    )
    widths: Literal["each", "one"] = Field(
        "each",
        description="Whether each hidden layer has a width of its own, or one holds for all.",
        json_schema_extra=offers("each", "one", labels={"each": "each layer", "one": "one for all"}, advanced=True),
    )
    block: Literal["plain", "resnet"] = Field(
        "plain",
        description="A hidden layer is one dense layer, or a residual block of two with one width for all.",
        json_schema_extra=offers("plain", "resnet", labels={"resnet": "residual block"}, advanced=True),
    )
    expansion: Scale[Literal[1, 2, 4]] = Field(
        (1, 2),
        description="Width inside a residual block, as a multiple.",
        json_schema_extra=offers(1, 2, 4, labels={1: "×1", 2: "×2", 4: "×4"}, advanced=True),
    )
    activation: Names[Activation] = Field(
        ("relu", "silu", "gelu", "tanh"),
        description="Activation, one for all.",
        json_schema_extra=offers("relu", "silu", "gelu", "tanh", "elu", "selu", "leaky_relu", "mish", advanced=True),
    )
    norm: Names[Norm] = Field(
        ("none", "batch", "layer"),
        description="Normalisation, one for all.",
        json_schema_extra=offers("none", "batch", "layer", advanced=True),
    )
    dropout: Scale[float] = Field(
        (0.0, 0.1, 0.3),
        description="Dropout rate behind each hidden layer.",
        json_schema_extra=offers(0.0, 0.1, 0.2, 0.3, 0.5, advanced=True),
    )
    residual: Names[bool] = Field(
        (False, True),
        description="Whether each hidden layer from the second on adds its input to its output.",
        json_schema_extra=offers(False, True, labels={False: "plain", True: "residual"}, advanced=True),
    )
    embedding: Scale[int] = Field(
        (0, 8),
        description="Numbers a category becomes (at most as many as there are categories); 0 = by rule, 1.6 n^0.56.",
        json_schema_extra=offers(0, 2, 4, 8, 16, labels={0: "by rule"}, advanced=True),
    )

    @field_validator("dropout")
    @classmethod
    def _rates(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if bad := [v for v in value if not 0 <= v <= 0.9]:
            raise ValueError(f"rates are between 0 and 0.9, not {bad[0]}")
        return value

    @field_validator("embedding")
    @classmethod
    def _sizes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if bad := [v for v in value if not 0 <= v <= MAX_EMBEDDING]:
            raise ValueError(f"sizes are between 0 (by rule) and {MAX_EMBEDDING}, not {bad[0]}")
        return value


PRESETS = (
    Preset(
        "dictionary",
        "Layers, neurons, activation",
        'The smallest space in use, {"layers": 3, "neurons": 64, "activation": "relu"}: one width, nothing else.',
        "Bergstra & Bengio 2012, Random Search for Hyper-Parameter Optimization",
        {
            "depth": (1, 2, 3, 4), "width": (16, 32, 64, 128), "widths": "one", "activation": ("relu", "tanh", "elu"),
            "norm": ("none",), "dropout": (0.0,), "residual": (False,), "embedding": (0,),
        },
        "table",
    ),
    Preset(
        "snn",
        "Self-normalizing",
        "Deep networks of selu layers of one width without norms.",
        "Klambauer et al. 2017, Self-Normalizing Neural Networks",
        {
            "depth": (2, 3, 4, 8, 16), "width": (32, 64, 128, 256), "widths": "one", "activation": ("selu",),
            "norm": ("none",), "dropout": (0.0, 0.05, 0.1), "residual": (False,),
        },
        "table",
    ),
    Preset(
        "resnet",
        "ResNet for tables",
        "Residual blocks of batch norm, dense, activation, dropout, dense, dropout.",
        "Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data",
        {
            "depth": (1, 2, 3, 4, 6, 8), "width": (64, 128, 256), "block": "resnet", "expansion": (1, 2, 4),
            "activation": ("relu",), "norm": ("batch",), "dropout": (0.0, 0.1, 0.2, 0.5),
        },
        "table",
    ),
)  # fmt: skip
