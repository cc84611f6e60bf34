"""Options that weight-sharing methods share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SupernetOptions(BaseModel):
    """What all methods share: how the supernet is trained, and what happens afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(
        50, ge=1, le=10_000, description="Epochs of the supernet.", json_schema_extra={"label": "supernet epochs"}
    )
    batch_size: int = Field(64, ge=2, le=65536, description="Samples per step of the supernet.")
    learning_rate: float = Field(0.025, gt=0, le=10, description="Of the shared weights: SGD, a cosine from here.")
    learning_rate_end: float = Field(0.001, ge=0, le=10, description="Where that cosine ends.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of the shared weights.")
    weight_decay: float = Field(3e-4, ge=0, le=1, description="Of the shared weights.")
    clip: float = Field(5.0, ge=0, le=1e6, description="Largest gradient norm of the shared weights; 0 = no clipping.")
    runs: int = Field(
        1, ge=1, le=20, description="Supernets trained, each with another seed; a subnet's score is their mean."
    )
    repeats: int = Field(
        0, ge=0, le=5, description="Times each network that is trained alone is trained again, with other seeds."
    )
    calibration: int = Field(
        512, ge=16, le=100_000, description="Training samples from which a subnet's batch norms take their statistics."
    )
    score_samples: int | None = Field(
        2_000, ge=16, le=10_000_000, description="Validation samples that a subnet is scored on, the same for all; "
        "empty = the whole split.",
    )  # fmt: skip
    start: str = Field(
        "", max_length=64, pattern=r"^([0-9a-f]{64})?$",
        description="Digest of an earlier search's supernet to begin with; empty = from the seed.",
    )  # fmt: skip


class SearchedOptions(SupernetOptions):
    """Of methods whose subnets an ask/tell strategy searches among."""

    search: Literal["auto", "random", "regularized_evolution", "genetic", "local_search", "nsga2", "tpe"] = Field(
        "regularized_evolution", description="Strategy that searches among the subnets."
    )
    scores: int = Field(
        200, ge=2, le=20_000, description="Subnets scored with the shared weights.",
        json_schema_extra={"label": "subnets scored"},
    )  # fmt: skip
