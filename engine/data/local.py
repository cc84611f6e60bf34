"""Data sets that are read from files of this machine, whole and in memory: what their readers share."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.data import store
from engine.data.arrays import Arrays, Split
from engine.data.split import Indices, stratified
from engine.errors import DataError

#: a line longer than this is no sample but a damaged file
LONGEST_LINE = 1_000_000
#: path, size and time of change of each file: as long as they stay, so does what was read
Marks = tuple[tuple[str, int, int], ...]


class LocalOptions(BaseModel):
    """Options of a set with a test split of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split_seed: int = Field(0, ge=0, lt=2**32, description="Which samples are set aside for validation.")
    validation: int | None = Field(
        None, ge=1, description="Samples set aside for validation; empty = the set's usual number."
    )
    train: int | None = Field(
        None, ge=1, description="Train on at most so many samples, the classes in proportion; empty = all."
    )


@dataclass(frozen=True)
class Content:
    """A data set that was read: what a search may look at, and the sealed test split."""

    arrays: Arrays
    test: Split

    def copy(self) -> Arrays:
        """The two open splits, so that nobody changes what others read."""
        train, validation = (
            Split(part.x.copy(), part.y.copy()) for part in (self.arrays.train, self.arrays.validation)
        )
        return Arrays(self.arrays.spec, train, validation)


@dataclass(frozen=True)
class Files:
    """Files that together are one data set, by name, and where they are looked for.

    Attributes:
        name: of the data set: its folder in the data directory is looked at first.
        title: for people.
        folder: folder of the sample data that may hold them.
        names: the files.
    """

    name: str
    title: str
    folder: str
    names: tuple[str, ...]

    def find(self) -> tuple[Path, ...] | None:
        """The files on this machine, or None."""
        for folder in (store.datasets_folder(self.name), store.samples_folder() / self.folder):
            paths = tuple(folder / name for name in self.names)
            if all(path.is_file() for path in paths):
                return paths
        return None

    def availability(self) -> tuple[bool, str]:
        """Whether they are here, and where; a place that does not exist is not named."""
        paths = self.find()
        if paths is not None:
            return True, f"found in {paths[0].parent}"
        return False, f"not on this machine, and not downloaded: it needs {self._wanted()}"

    def marks(self) -> Marks:
        """Identity of the files as they are now.

        Raises:
            DataError: they are not on this machine.
        """
        paths = self.find()
        if paths is None:
            raise DataError(f"{self.title} is not on this machine: put {self._wanted()}")
        try:
            return tuple((str(p), (s := p.stat()).st_size, s.st_mtime_ns) for p in paths)
        except OSError as e:
            raise DataError(f"{self.title} cannot be read: {e}") from e

    def _wanted(self) -> str:
        return (
            f"{' and '.join(self.names)} in the folder datasets/{self.name} of the data directory, "
            "or in the sample data that NASWEB_TEST_DATA names"
        )


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file in UTF-8, plain or `.gz`, without their ends.

    Raises:
        DataError: unreadable, not UTF-8, or with a line of more than a million characters.
    """
    try:
        # gzip's own readline is slow
        with io.BufferedReader(gzip.GzipFile(path)) if path.suffix == ".gz" else path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise DataError(f"{path.name}, line {number}: longer than {LONGEST_LINE:,} bytes")
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as e:
                    raise DataError(f"{path.name}, line {number}: not UTF-8 ({e.reason} at byte {e.start})") from e
                yield text.rstrip("\r\n")
    except (OSError, EOFError) as e:
        raise DataError(f"{path.name} cannot be read: {e}") from e


def partition(
    title: str, y: NDArray[np.int64], n_classes: int, taken: int, options: LocalOptions, salt: int
) -> tuple[Indices, Indices]:
    """Splits the indices of the open samples into (training, validation), the classes in proportion.

    Args:
        title: of the set, for messages.
        y: classes of the samples that are not sealed.
        n_classes: each must have a training sample.
        taken: validation samples where the options do not say.
        options: seed and sizes.
        salt: makes the draws of one set independent of those of another.

    Raises:
        DataError: too few samples, or a class without a training sample.
    """
    rng = np.random.default_rng([options.split_seed, salt])
    train, validation = stratified(y, options.validation or taken, rng)
    train = fewer(y, train, options.train, rng)
    expect_classes(title, y[train], n_classes)
    return train, validation


def fewer(y: NDArray[np.int64], train: Indices, most: int | None, rng: np.random.Generator) -> Indices:
    """At most `most` of the training samples, the classes in proportion."""
    if most is None or most >= len(train):
        return train
    out: Indices = train[stratified(y[train], most, rng)[1]]
    return out


def expect_classes(title: str, y: NDArray[np.int64], n_classes: int) -> None:
    """Raises a DataError where a class has no training sample."""
    missing = np.flatnonzero(np.bincount(y, minlength=n_classes) == 0)
    if missing.size:
        raise DataError(f"{title}: no training sample of class {', '.join(map(str, missing.tolist()))}")


def numbers(values: NDArray[Any]) -> tuple[float, ...]:
    """Statistics as they stand in a spec: eight digits."""
    return tuple(float(f"{v:.8g}") for v in np.atleast_1d(values))
