"""Data sets and methods in one line each."""

from __future__ import annotations

import re
from typing import Any

from engine import catalog
from engine.catalog import in_words
from engine.data.spec import DataSpec
from engine.errors import EngineError
from searches.forms.check import Checked
from searches.forms.values import Values


def first(text: str) -> str:
    """The first sentence, to stand behind a colon."""
    first = text.split(". ")[0].rstrip(".")
    return first[:1].lower() + first[1:] if first[1:2].islower() or first[1:2] == " " else first


#: families in which a person writes everything: offered behind those that are there
WRITTEN = ("list", "custom")


_NAME = re.compile(r"`([a-z0-9_]+)`|\b([a-z0-9]+(?:_[a-z0-9]+)+)\b")


def spelled(text: str) -> str:
    """A text of the catalog with the names in it as people write them: "`ehvi` fills" -> "EHVI fills"."""
    return _NAME.sub(lambda found: in_words(found[1] or found[2]), text)


def source_of(cls: type[Any]) -> str:
    """The paper of a plug-in, or "" where it has none."""
    text = str(cls.reference)
    return "" if text.lower().startswith("none") else text


def data_short(data: DataSpec) -> str:
    """What kind of samples: "8×8 images"."""
    if data.kind == "image":
        return f"{data.input_shape[1]}×{data.input_shape[2]} images"
    if data.kind == "signal":
        return f"signals of length {data.input_shape[1]:,}"
    if data.kind == "text":
        return f"texts of up to {data.input_shape[0]:,} words"
    return f"tables of {data.input_shape[0]:,} columns"


def data_words(data: DataSpec) -> str:
    """What the data is: "8×8 grey images, 10 classes; 1,077 train, 360 validation, 360 sealed test"."""
    what = data_short(data)
    if data.kind == "image":
        channels, height, width = data.input_shape
        colour = {1: "grey ", 3: "colour "}.get(channels, f"{channels}-channel ")
        what = f"{height}×{width} {colour}images"
    elif data.kind == "signal" and data.input_shape[0] > 1:
        what += f" in {data.input_shape[0]:,} channels"
    elif data.kind == "text":
        what += f" out of {data.vocabulary - 2:,}"  # padding and the unknown word are none
    elif data.kind == "table" and (named := sum(1 for n in data.cardinalities if n)):
        what += f", {named:,} of them categories"
    sizes = data.sizes
    parts = [
        f"{sizes[k]:,} {word}"
        for k, word in (("train", "train"), ("validation", "validation"), ("test", "sealed test"))
        if sizes.get(k)
    ]
    return f"{what}, {data.n_classes:,} classes; {', '.join(parts)}"


def schedule_words(v: Values, checked: Checked) -> str:
    """What the schedule will do with the epochs of a trial."""
    name = str(v["schedule"]["name"])
    cls = catalog.plugins("schedule").get(name)
    if cls is None:
        return ""
    if checked.config is not None and checked.config.schedule.name == name:
        try:
            return str(cls.sentence(checked.config.options("schedule"), checked.config.budget.epochs))
        except (EngineError, ValueError):
            return str(cls.summary)
    return str(cls.summary)
