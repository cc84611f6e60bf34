"""The options of the cell space of NASNet and DARTS, and its ready-made instances."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from engine.spaces._darts.cells import ALL_OPS, DARTS_OPS, NASNET_OPS, PNAS_OPS, WORDS, Combine, Operation
from engine.spaces._options import Names, Scale, SpaceOptions, offers
from engine.spaces.base import Preset

#: state pairs of a node grow with the square of its number
MAX_STEPS = 8


class DartsOptions(SpaceOptions):
    """The cells, and the network around them."""

    channels: int = Field(
        36, ge=2, le=512, description="Channels of each node in the first cells; each reduction doubles them."
    )
    layers: int = Field(
        20, ge=3, le=60, description="Number of cells; those at one and at two thirds of the depth halve the size."
    )
    steps: Scale[Annotated[int, Field(ge=1, le=MAX_STEPS)]] = Field(
        (4,),
        description="Intermediate nodes of a cell (DARTS 4, NASNet 5); with several, each kind of cell decides.",
        json_schema_extra=offers(*range(1, 6), unit="nodes"),
    )
    operations: Names[Operation] = Field(
        DARTS_OPS,
        description="Operations a term can take (those of the form 1×k k×1 on images only).",
        json_schema_extra=offers(*ALL_OPS, labels=WORDS),
    )
    inputs: Literal["distinct", "any"] = Field(
        "distinct",
        description="Whether a node's two terms read two states (DARTS), or any two, also one twice (NASNet).",
        json_schema_extra=offers(
            "distinct", "any", labels={"distinct": "two different states", "any": "any two"}, advanced=True
        ),
    )
    combine: Combine = Field(
        "all",
        description="What a cell joins to its output: all nodes (DARTS), or those no other node reads (NASNet).",
        json_schema_extra=offers(
            "all", "loose", labels={"all": "all nodes", "loose": "nodes nobody reads"}, advanced=True
        ),
    )
    one_cell: bool = Field(
        False,
        description="One cell for both kinds, as in PNAS: in reductions it reads its inputs with stride 2.",
        json_schema_extra={"advanced": True},
    )
    stem: Literal["small", "large"] = Field(
        "small",
        description="Small images keep their size before the first cell; large ones are halved three times.",
        json_schema_extra=offers(
            "small", "large", labels={"small": "one convolution", "large": "three of stride 2"}, advanced=True
        ),
    )
    auxiliary: bool = Field(
        False,
        description="A second classifier at two thirds of the depth, in training only.",
        json_schema_extra={"advanced": True},
    )

    @field_validator("steps")
    @classmethod
    def _without_gaps(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[-1] - value[0] != len(value) - 1:
            raise ValueError(f"numbers of nodes without gaps, such as 2, 3, 4; not {', '.join(map(str, value))}")
        return value

    @field_validator("operations")
    @classmethod
    def _something(cls, value: tuple[Operation, ...]) -> tuple[Operation, ...]:
        if value == ("none",):
            raise ValueError("none alone makes no network; keep at least one more")
        return value


PRESETS = (
    Preset(
        "darts", "DARTS", "4 nodes, 8 operations, all nodes joined; 20 cells of 36 channels for CIFAR-10.",
        "Liu, Simonyan & Yang 2019, DARTS: Differentiable Architecture Search",
    ),
    Preset(
        "darts-search", "DARTS (search size)", "The same cells in the network they are searched in: 8 of 16 channels.",
        "Liu, Simonyan & Yang 2019, DARTS, section 3.1", {"channels": 16, "layers": 8},
    ),
    Preset(
        "darts-imagenet", "DARTS (ImageNet)", "14 cells of 48 channels behind a stem that halves images three times.",
        "Liu, Simonyan & Yang 2019, DARTS, section 3.3", {"channels": 48, "layers": 14, "stem": "large"},
    ),
    Preset(
        "nasnet", "NASNet", "5 blocks, 13 operations, any two inputs; the states nobody reads are joined.",
        "Zoph et al. 2018, Learning Transferable Architectures for Scalable Image Recognition",
        {"channels": 32, "steps": (5,), "operations": NASNET_OPS, "inputs": "any", "combine": "loose"},
    ),
    Preset(
        "amoebanet", "AmoebaNet", "NASNet's cells with the 8 operations that evolution searched.",
        "Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search",
        {"steps": (5,), "operations": PNAS_OPS, "inputs": "any", "combine": "loose"},
    ),
    Preset(
        "pnas", "PNAS", "One cell that grows from 1 to 5 blocks, 8 operations, all nodes joined.",
        "Liu et al. 2018, Progressive Neural Architecture Search",
        {"channels": 48, "layers": 11, "steps": (1, 2, 3, 4, 5), "operations": PNAS_OPS, "inputs": "any",
         "one_cell": True},
    ),
    Preset(
        "small", "Small cells", "5 cells of 8 channels with 2 to 4 nodes: for images of 8×8 pixels and short signals.",
        "Liu, Simonyan & Yang 2019, DARTS, scaled down", {"channels": 8, "layers": 5, "steps": (2, 3, 4)},
    ),
)  # fmt: skip
