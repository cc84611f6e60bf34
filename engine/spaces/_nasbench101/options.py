"""The options of the cells of NAS-Bench-101."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from engine.spaces._nasbench101.cells import MAX_VERTICES, WORDS, Operation
from engine.spaces._options import Names, Scale, SpaceOptions, offers

_OFFERED: tuple[Operation, ...] = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")


class Nasbench101Options(SpaceOptions):
    """The cell's limits, and the skeleton around it."""

    vertices: Scale[Annotated[int, Field(ge=2, le=MAX_VERTICES)]] = Field(
        (2, 3, 4, 5, 6, 7),
        description="Vertices of the cell, input and output included.",
        json_schema_extra=offers(*range(2, MAX_VERTICES + 1), unit="vertices"),
    )
    edges: int = Field(9, ge=1, le=21, description="Most edges of a cell (9 as published).")
    operations: Names[Operation] = Field(
        _OFFERED, description="Operations a vertex can take.", json_schema_extra=offers(*_OFFERED, labels=WORDS)
    )
    channels: int = Field(128, ge=8, le=1024, description="Channels of the first stack; each further one doubles them.")
    stacks: int = Field(3, ge=1, le=5, description="Stacks of cells; the size is halved between them (3 as published).")
    cells: int = Field(3, ge=1, le=12, description="Cells in each stack (3 as published).")

    @field_validator("edges")
    @classmethod
    def _enough(cls, value: int, info: ValidationInfo) -> int:
        vertices = info.data.get("vertices")
        if vertices and value < max(vertices) - 1:
            raise ValueError(f"{max(vertices)} vertices on a path need at least {max(vertices) - 1} edges, not {value}")
        return value
