"""The input of tables: numbers as they are, categories through embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import CannotBuild
from engine.network.operation import Args, Operation, Shape

_BLOCKS = "engine.network.blocks.tables"


def _embedded(args: Args, shapes: Sequence[Shape]) -> Shape:
    counts, sizes = args["cardinalities"], args["sizes"]
    if shapes[0] != (len(counts),):
        raise CannotBuild(f"a table of {len(counts)} columns got the shape {shapes[0]}")
    if len(sizes) != len(counts):
        raise CannotBuild(f"{len(sizes)} sizes of embeddings do not describe {len(counts)} columns")
    return (sum(size if count else 1 for count, size in zip(counts, sizes, strict=True)),)


def _embedding_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """One row per category; looking one up multiplies nothing."""
    return sum(count * size for count, size in zip(args["cardinalities"], args["sizes"], strict=True)), 0


def operations() -> list[Operation]:
    """The table's input."""
    return [
        Operation(
            "table_input", "embed", f"{_BLOCKS}:TableInput", _embedded, _embedding_cost,
            lambda a: ("embeddings", f"of {sum(1 for c in a['cardinalities'] if c)} columns"),
        ),
    ]  # fmt: skip
