"""The data sets by name. Torch-free to import, to list and to describe; reading torchvision's archives needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from engine.data.arrays import Arrays, Split, Tell
from engine.data.digits import Digits
from engine.data.image_sets import IMAGES
from engine.data.images import ImageSet
from engine.data.signals import SpokenDigits
from engine.data.small_tables import SMALL_TABLES
from engine.data.spec import DataSpec
from engine.data.tables import ADULT
from engine.data.text import TEXTS
from engine.errors import DataError, InvalidConfig


class Source(Protocol):
    """One data set: what it is called, whether it is here, its spec and its arrays."""

    @property
    def name(self) -> str:
        """Name in a search's `data`."""

    @property
    def title(self) -> str:
        """For people."""

    @property
    def summary(self) -> str:
        """One line: how many of what."""

    @property
    def Options(self) -> type[BaseModel]:
        """Model of its options."""

    def availability(self, options: Any = None) -> tuple[bool, str]:
        """Whether it can be read without a network, and how it gets or got here."""

    def spec(self, options: Any) -> DataSpec:
        """Its spec, without torch and without a network."""

    def load(self, options: Any, tell: Tell | None = None) -> Arrays:
        """Training and validation split."""

    def load_test(self, options: Any) -> Split:
        """The sealed test split."""

    def preprocessing(self, options: Any) -> dict[str, Any] | None:
        """What turns raw input into `x` beside the spec (words, a clip's rate and length); None = the spec says all."""


@dataclass(frozen=True)
class DatasetInfo:
    """What the form shows of a data set.

    Attributes:
        name: name in a search's `data`.
        title, summary: for people.
        available: whether it is on this machine.
        how: where it is, or what happens on first use ("not on this machine: downloads 170 MB on first use").
        options: model of its options, with help and bounds.
        fetched: whether a worker can fetch it on first use where it is not on this machine.
    """

    name: str
    title: str
    summary: str
    available: bool
    how: str
    options: type[BaseModel]
    fetched: bool = False


@cache
def sources() -> dict[str, Source]:
    """All data sets by name, the ready ones first."""
    every: list[Source] = [Digits(), *SMALL_TABLES, *IMAGES, *TEXTS, SpokenDigits(), ADULT]
    return {source.name: source for source in every}


def datasets() -> dict[str, DatasetInfo]:
    """What there is, for the form. Looks at the disk (a few file names), reads nothing."""
    out = {}
    for name, source in sources().items():
        available, how = source.availability()
        fetched = isinstance(source, ImageSet)
        out[name] = DatasetInfo(name, source.title, source.summary, available, how, source.Options, fetched)
    return out


def spec(name: str, options: Mapping[str, Any] | None = None) -> DataSpec:
    """The spec of a data set, without torch and without a network.

    A torchvision set that is not on this machine yet has its published shape, classes and sizes and an empty
    `digest`, which is filled in once a worker has read it. Everything else stays the same.

    Raises:
        InvalidConfig: unknown name or options.
        DataError: local files that cannot be read.
    """
    source, valid = _resolve(name, options)
    return source.spec(valid)


def load(name: str, options: Mapping[str, Any] | None = None, *, tell: Tell | None = None) -> Arrays:
    """Training and validation split as numpy arrays. Downloads where needed: call it in a worker's child only.

    Raises:
        InvalidConfig: unknown name or options.
        DataError: not here and not to be had, or unreadable; the message says what to do.
    """
    source, valid = _resolve(name, options)
    return source.load(valid, tell)


def load_test(name: str, options: Mapping[str, Any] | None = None) -> Split:
    """The sealed test split. For the final training alone.

    Raises:
        InvalidConfig, DataError: as `load`.
    """
    source, valid = _resolve(name, options)
    return source.load_test(valid)


def preprocessing(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """What turns raw input into a sample beside the spec, as JSON; None where the spec says all.

    `{"kind": "text", "words", "length"}` (words by number from 2 on), `{"kind": "signal", "rate", "length", "stride"}`
    or `{"kind": "table", "missing"}`.

    Raises:
        InvalidConfig, DataError: as `load`.
    """
    source, valid = _resolve(name, options)
    return source.preprocessing(valid)


def validate(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The options in full, defaults filled in.

    Raises:
        InvalidConfig: every problem with its path below "data".
    """
    return _resolve(name, options)[1].model_dump(mode="json")


def _resolve(name: str, options: Mapping[str, Any] | None) -> tuple[Source, BaseModel]:
    have = sources()
    if name not in have:
        raise InvalidConfig([(("data", "name"), f"no data set is called {name!r}; there are {', '.join(have)}")])
    source = have[name]
    try:
        return source, source.Options.model_validate(dict(options or {}))
    except ValidationError as e:
        raise InvalidConfig([(("data", *x["loc"]), str(x["msg"])) for x in e.errors()]) from e


__all__ = [
    "DataError",
    "DatasetInfo",
    "Source",
    "datasets",
    "load",
    "load_test",
    "preprocessing",
    "sources",
    "spec",
    "validate",
]
