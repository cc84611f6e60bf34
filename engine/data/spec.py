"""What a data set is, as far as spaces, forms and cards need to know. No arrays, no torch."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

Kind = Literal["image", "signal", "text", "table"]
_KINDS: dict[int, Kind] = {3: "image", 2: "signal", 1: "table"}
_AXES = {"image": 3, "signal": 2, "text": 1, "table": 1}


class Column(BaseModel):
    """One column of a table.

    Attributes:
        name: as in the file.
        categories: what its codes 0, 1, ... stand for; empty for a number. Missing and unseen values are codes too.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    categories: tuple[str, ...] = ()


class DataSpec(BaseModel):
    """Shape and identity of a data set with its three splits.

    Attributes:
        name: name in the data registry.
        problem: kind of target.
        kind: what a sample is; follows from the shape where it is not given.
        input_shape: one sample without batch: (C, H, W) for images, (C, L) for signals, (L,) tokens for text, (F,)
            columns for tables.
        n_classes: number of classes.
        class_names: one name per class.
        sizes: samples in train / validation / sealed test.
        digest: SHA-256 over the arrays' bytes and shapes; identifies the content.
        split_digest: SHA-256 over the split indices (and so over the split's seed).
        mean, std: per channel (per column for tables), of the training split after scaling to the raw unit below; 0 and
            1 for columns of categories and for text.
        scale: raw values are divided by this first (255 for bytes, 16 for digits).
        vocabulary: number of tokens (text): 0 is padding at the end of a sample, 1 an unknown word.
        columns: one per column of a table; empty = numbers without names.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    problem: Literal["classification"] = "classification"
    kind: Kind
    input_shape: tuple[int, ...]
    n_classes: int
    class_names: tuple[str, ...]
    sizes: dict[Literal["train", "validation", "test"], int]
    digest: str
    split_digest: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1.0
    vocabulary: int = 0
    columns: tuple[Column, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _kind(cls, value: Any) -> Any:
        if isinstance(value, dict) and not value.get("kind"):
            return {**value, "kind": _KINDS.get(len(value.get("input_shape", ())))}
        return value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len(self.input_shape) != _AXES[self.kind]:
            raise ValueError(f"{self.kind} data has {_AXES[self.kind]} axes, not the shape {self.input_shape}")
        if self.kind == "text" and self.vocabulary < 2:
            raise ValueError("text needs a vocabulary of at least 2 tokens (padding, unknown)")
        if self.columns and (self.kind != "table" or len(self.columns) != self.input_shape[0]):
            raise ValueError(f"{len(self.columns)} columns do not describe the shape {self.input_shape}")
        return self

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of categories of each column of a table, 0 for numbers."""
        return tuple(len(c.categories) for c in self.columns) or (0,) * self.input_shape[0]

    @property
    def input_type(self) -> Literal["float32", "int64"]:
        """Type of the network's input: whole numbers for tokens. Codes of a table stand among floats."""
        return "int64" if self.kind == "text" else "float32"


def said(data: DataSpec) -> str:
    """ "this data is text": behind what a space would need instead."""
    words = {"image": "images", "signal": "signals", "text": "text", "table": "a table"}
    return f"this data is {words[data.kind]}"
