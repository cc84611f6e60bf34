"""What a data set is, as far as spaces, forms and cards need to know. No arrays, no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class DataSpec(BaseModel):
    """Shape and identity of a data set with its three splits.

    Attributes:
        name: name in the data registry.
        problem: kind of target.
        input_shape: one sample without batch: (C, H, W) for images, (C, L) for signals, (F,) for tables.
        n_classes: number of classes.
        class_names: one name per class.
        sizes: samples in train / validation / sealed test.
        digest: SHA-256 over the arrays' bytes and shapes; identifies the content.
        split_digest: SHA-256 over the split indices (and so over the split's seed).
        mean, std: per channel, of the training split after scaling to the raw unit below.
        scale: raw values are divided by this first (255 for bytes, 16 for digits).
    """

    model_config = ConfigDict(frozen=True)

    name: str
    problem: Literal["classification"] = "classification"
    input_shape: tuple[int, ...]
    n_classes: int
    class_names: tuple[str, ...]
    sizes: dict[Literal["train", "validation", "test"], int]
    digest: str
    split_digest: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1.0
