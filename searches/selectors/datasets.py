"""The data sets, with what is known of each, and a few of its pictures."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image

from engine.data import registry
from engine.data.spec import DataSpec
from engine.errors import EngineError
from searches.forms.words import data_short, data_words

PICTURES = 12


@dataclass
class DatasetRow:
    """One data set as the page shows it."""

    name: str
    title: str
    summary: str
    available: bool
    how: str
    fetched: bool = False
    spec: DataSpec | None = None
    words: str = ""
    short: str = ""
    sizes: str = ""
    what: str = ""
    problem: str = ""
    columns: str = ""
    samples: list[tuple[str, str]] = field(default_factory=list)


def dataset_rows() -> list[DatasetRow]:
    """All data sets of the registry. Reads published specs and file names; pictures only of what lies here."""
    rows = []
    for name, info in registry.datasets().items():
        row = DatasetRow(name, info.title, info.summary, info.available, info.how, info.fetched)
        if not info.available and not info.fetched:  # `how` says what it needs: nothing more is known of it
            rows.append(row)
            continue
        try:
            row.spec = registry.spec(name)
            row.words, row.short = data_words(row.spec), data_short(row.spec)
            row.sizes = row.words.partition("; ")[2]
            row.what = row.words.partition(f", {row.spec.n_classes:,} classes")[0]
            row.columns = ", ".join(c.name for c in row.spec.columns)
        except (EngineError, OSError) as e:
            row.problem = str(e)
        if name == "digits" and row.spec is not None:
            row.samples = digit_pictures()
        rows.append(row)
    return rows


@lru_cache(maxsize=1)
def digit_pictures() -> list[tuple[str, str]]:
    """The first training sample of each class of the digits, as `(class name, data URL of a PNG)`.

    The digits ship with scikit-learn and are 8x8 pixels: a picture is about 120 bytes.
    """
    split = registry.load("digits").train
    out = []
    for label in range(10):
        picture = split.x[int(np.argmax(split.y == label)), 0].astype(np.float32)
        grey = 255 - np.clip(picture * (255 / 16), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(grey, mode="L").save(file, format="PNG")
        out.append((str(label), f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"))
    return out[:PICTURES]
