"""Ready-made recurrent spaces and published cells for the gallery."""

from __future__ import annotations

from typing import Any

from engine.spaces._offers import Preset
from engine.spaces._recurrent.genotype import read

DARTS_V1 = (
    "Genotype(recurrent=[('relu', 0), ('relu', 1), ('tanh', 2), ('relu', 3), ('relu', 4), ('identity', 1), "
    "('relu', 5), ('relu', 1)], concat=range(1, 9))"
)
DARTS_V2 = (
    "Genotype(recurrent=[('sigmoid', 0), ('relu', 1), ('relu', 1), ('identity', 1), ('tanh', 2), ('sigmoid', 5), "
    "('tanh', 3), ('relu', 5)], concat=range(1, 9))"
)
ENAS = (
    "Genotype(recurrent=[('tanh', 0), ('tanh', 1), ('relu', 1), ('tanh', 3), ('tanh', 3), ('relu', 3), ('relu', 4), "
    "('relu', 7), ('relu', 8), ('relu', 8), ('relu', 8)], concat=[2, 5, 6, 9, 10, 11])"
)
_LIU = "Liu, Simonyan & Yang 2019, DARTS: Differentiable Architecture Search"
_PHAM = "Pham et al. 2018, Efficient Neural Architecture Search via Parameter Sharing"
_OPEN = "The published cell; width, layers and what is around it are open."
_AROUND: dict[str, Any] = {"width": (64, 128, 256), "embedding": (64, 128), "dropout": (0.1, 0.3, 0.5)}


def _only(genotype: str) -> dict[str, list[Any]]:
    """The restriction that leaves one cell."""
    cell, _ = read(genotype)
    kept: dict[str, list[Any]] = {}
    for i, (activation, source) in enumerate(zip(cell.activations, cell.inputs, strict=True), start=1):
        kept[f"node{i}_activation"] = [activation]
        if i > 1:
            kept[f"node{i}_from"] = [source]
    return kept


PRESETS = (
    Preset(
        "darts", "DARTS cells", "Eight nodes of four activations; the next state is the mean of all of them.", _LIU,
        {**_AROUND, "nodes": (8,), "output": ("all",)},
        "text",
    ),
    Preset(
        "enas", "ENAS cells", "Eleven nodes behind the first; the next state is the mean of the loose ends.", _PHAM,
        {**_AROUND, "nodes": (11,), "output": ("ends",)},
        "text",
    ),
    Preset(
        "darts-v1", "DARTS, first order (V1)", _OPEN, _LIU,
        {**_AROUND, "nodes": (8,), "output": ("all",), "restrict": _only(DARTS_V1)},
        "text",
    ),
    Preset(
        "darts-v2", "DARTS, second order (V2)", _OPEN, _LIU,
        {**_AROUND, "nodes": (8,), "output": ("all",), "restrict": _only(DARTS_V2)},
        "text",
    ),
    Preset(
        "enas-cell", "ENAS, the cell found", _OPEN, _PHAM,
        {**_AROUND, "nodes": (11,), "output": ("ends",), "restrict": _only(ENAS)},
        "text",
    ),
)  # fmt: skip
