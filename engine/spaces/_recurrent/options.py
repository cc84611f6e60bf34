"""The options of the recurrent space."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.spaces._options import Names, Scale, SpaceOptions, offers

Activation = Literal["tanh", "relu", "sigmoid", "identity"]
Output = Literal["all", "ends"]
Pool = Literal["last", "mean", "max"]

OUTPUTS = {"all": "mean of all nodes", "ends": "mean of loose ends"}
POOLS = {"last": "last state", "mean": "mean of states", "max": "max of states"}


class RecurrentOptions(SpaceOptions):
    """Which options each decision offers; a decision with one option is settled."""

    nodes: Scale[Annotated[int, Field(ge=1, le=16)]] = Field(
        (3, 4, 5, 6), description="Nodes of the cell, the first state not counted.",
        json_schema_extra=offers(2, 3, 4, 5, 6, 7, 8, 11, unit="nodes"),
    )  # fmt: skip
    activation: Names[Activation] = Field(
        ("tanh", "relu", "sigmoid", "identity"), description="Activation of a node, each by itself.",
        json_schema_extra=offers("tanh", "relu", "sigmoid", "identity"),
    )  # fmt: skip
    output: Names[Output] = Field(
        ("all",), description="Mean that is the next state: of all nodes (DARTS), of those no node reads (ENAS).",
        json_schema_extra=offers(*OUTPUTS, labels=OUTPUTS, advanced=True),
    )  # fmt: skip
    width: Scale[Annotated[int, Field(ge=2, le=1024)]] = Field(
        (32, 64, 96, 128), description="Channels of the state.",
        json_schema_extra=offers(16, 32, 64, 96, 128, 256, unit="channels"),
    )  # fmt: skip
    layers: Scale[Annotated[int, Field(ge=1, le=4)]] = Field(
        (1, 2), description="Layers with this cell, each reading the states of the one before.",
        json_schema_extra=offers(1, 2, 3, unit="layers"),
    )  # fmt: skip
    embedding: Scale[Annotated[int, Field(ge=2, le=1024)]] = Field(
        (32, 64, 128), description="Channels of a step: of the word vectors (text), of the convolutions (signals).",
        json_schema_extra=offers(16, 32, 64, 128, 256, unit="channels"),
    )  # fmt: skip
    pool: Names[Pool] = Field(
        ("last", "mean"), description="What the output reads.",
        json_schema_extra=offers(*POOLS, labels=POOLS, advanced=True),
    )  # fmt: skip
    dropout: Scale[Annotated[float, Field(ge=0, le=0.9)]] = Field(
        (0.0, 0.1, 0.3), description="Dropout rate before every layer and before the output.",
        json_schema_extra=offers(0.0, 0.1, 0.2, 0.3, 0.5, advanced=True),
    )  # fmt: skip
    steps: int = Field(
        32, ge=4, le=128,
        description="Steps that a signal is brought to at most, by convolutions: the cell runs once a step.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
