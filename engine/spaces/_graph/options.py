"""What can be set about free graphs, and ready-made instances."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from engine.spaces._options import Names, Scale, offers
from engine.spaces._shared.cell_network import CellOptions, Join
from engine.spaces.base import Preset


class GraphOptions(CellOptions):
    """The skeleton, and the bounds of the graph."""

    nodes: Scale[int] = Field(
        (3, 4, 5, 6, 7), description="Number of operations in the graph.",
        json_schema_extra=offers(*range(1, 17), unit="nodes"),
    )  # fmt: skip
    max_edges: int = Field(
        12, ge=1, le=136,
        description="Most connections, those from the cell's input included; each node needs one at least.",
    )  # fmt: skip
    join: Names[Join] = Field(
        ("sum", "concat"), description="How several inputs become one, the same everywhere in the cell.",
        json_schema_extra=offers("sum", "concat", labels={"concat": "channels joined, then conv 1×1"}),
    )  # fmt: skip

    @field_validator("nodes")
    @classmethod
    def _nodes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if bad := [v for v in value if not 1 <= v <= 16]:
            raise ValueError(f"a graph has 1 to 16 nodes, not {bad[0]}")
        return value

    @field_validator("max_edges")
    @classmethod
    def _edges(cls, value: int, info: ValidationInfo) -> int:
        nodes = info.data.get("nodes")
        if nodes and value < max(nodes):
            raise ValueError(f"{max(nodes)} nodes need {max(nodes)} edges at least, not {value}: each reads something")
        return value


PRESETS: tuple[Preset, ...] = (
    Preset("seven", "Seven nodes", "Seven operations and up to 12 edges, two cells in each of three stages.",
           "Ying et al. 2019, NAS-Bench-101 (bounds)", {"nodes": [7], "max_edges": 12}),
    Preset("one-graph", "One graph, no cells", "A single graph of up to 16 operations behind one reduction.",
           "Zhang et al. 2019, D-VAE (graphs of operations)",
           {"nodes": [8, 10, 12, 14, 16], "max_edges": 32, "stages": 2, "cells": 1, "join": ["concat"]}),
    Preset("convolutions", "Only convolutions, added", "Convolutions of three sizes in graphs of 2 to 5 nodes.",
           "Ying et al. 2019, NAS-Bench-101",
           {"nodes": [2, 3, 4, 5], "max_edges": 9, "cells": 1, "join": ["sum"],
            "operations": ["conv1", "conv3", "conv5"]}),
)  # fmt: skip
