"""What can be set about derivation trees, and ready-made instances."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.spaces._options import Names, Scale, offers
from engine.spaces._shared.cell_network import CellOptions
from engine.spaces.base import Preset

Rule = Literal["seq", "branch_add", "branch_cat", "residual"]
RULES = {
    "seq": "one behind the other",
    "branch_add": "side by side, added",
    "branch_cat": "side by side, channels joined, then conv 1×1",
    "residual": "added to its own input",
}


class TreeOptions(CellOptions):
    """The skeleton, and the grammar of the tree."""

    rules: Names[Rule] = Field(
        ("seq", "branch_add", "branch_cat", "residual"),
        description="How parts are put together.",
        json_schema_extra=offers(*RULES, labels=RULES),
    )
    parts: Scale[Annotated[int, Field(ge=2, le=3)]] = Field(
        (2, 3), description="Parts of a sequence or a branching.", json_schema_extra=offers(2, 3, unit="parts")
    )
    depth: int = Field(4, ge=1, le=5, description="Most levels of the tree, operations included.")
    max_leaves: int = Field(8, ge=1, le=24, description="Most operations in the tree.")


PRESETS: tuple[Preset, ...] = (
    Preset("shallow", "Small trees", "Up to five operations on three levels: enumerable in parts, quick to train.",
           "Schrodi et al. 2023", {"depth": 3, "max_leaves": 5, "cells": 1}),
    Preset("hierarchical", "One deep tree a stage", "Up to 16 operations on five levels in place of repeated cells.",
           "Schrodi et al. 2023, Construction of Hierarchical NAS Spaces based on Context-free Grammars",
           {"depth": 5, "max_leaves": 16, "cells": 1}),
    Preset("residual-chains", "Sequences and residuals", "Chains of convolutions with short cuts, as in ResNets.",
           "Ericsson et al. 2024, einspace",
           {"rules": ["seq", "residual"], "operations": ["conv1", "conv3", "conv5", "skip"], "depth": 4,
            "max_leaves": 9}),
)  # fmt: skip
