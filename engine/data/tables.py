"""Tables in CSV files with columns of numbers and of categories."""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from engine.data.arrays import Arrays, Split, Tell
from engine.data.local import Content, Files, LocalOptions, Marks, lines, numbers, partition
from engine.data.spec import Column, DataSpec
from engine.data.split import digest
from engine.errors import DataError

#: the first two categories of every column of categories
MISSING, OTHER = "(missing)", "(other)"
#: what stands in a file where a value is missing
BLANKS = ("", "?")


class TableOptions(LocalOptions):
    """Options of a table."""

    min_count: int = Field(
        10,
        ge=1,
        le=100_000,
        description="A category with fewer training rows counts as “other”, like one that training never saw.",
    )


@dataclass(frozen=True)
class TableSet:
    """A table in a training and a test file with the same header.

    Attributes:
        name, title, summary: as everywhere.
        files: training file, test file.
        target: column that holds the class.
        class_names: as they stand in that column.
        categories: columns whose values are names; all others hold numbers.
        n_validation: taken off the training file unless an option says otherwise.
    """

    name: str
    title: str
    summary: str
    files: Files
    target: str
    class_names: tuple[str, ...]
    categories: tuple[str, ...]
    n_validation: int
    Options: type[BaseModel] = TableOptions

    def availability(self, options: Any = None) -> tuple[bool, str]:
        """Whether the files are on this machine."""
        return self.files.availability()

    def spec(self, options: Any) -> DataSpec:
        """The spec, computed from the files (about half a second, once per process)."""
        return _read(self, options, self.files.marks()).arrays.spec

    def load(self, options: Any, tell: Tell | None = None) -> Arrays:
        """Training and validation split: (n, columns) float32, codes among numbers."""
        return _read(self, options, self.files.marks()).copy()

    def load_test(self, options: Any) -> Split:
        """The sealed test split: the set's own test file."""
        return _read(self, options, self.files.marks()).test

    def preprocessing(self, options: Any) -> dict[str, Any]:
        """What counts as missing; the categories are in the spec, and a missing number is its column's mean."""
        return {"kind": "table", "missing": list(BLANKS)}


@dataclass(frozen=True)
class _Table:
    """One file: the header without the target, its columns as written, and the classes."""

    header: list[str]
    columns: list[list[str]]
    y: NDArray[np.int64]
    name: str


@lru_cache(maxsize=4)
def _read(source: TableSet, options: TableOptions, marks: Marks) -> Content:
    first, second = (_open(source, path) for path in _paths(marks))
    if first.header != second.header:
        raise DataError(f"{second.name} has other columns than {first.name}")
    train, validation = partition(
        source.title, first.y, len(source.class_names), source.n_validation, options, len(first.y) + len(second.y)
    )
    columns: list[Column] = []
    parts: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
    means, stds = [], []
    for name, *values in zip(first.header, first.columns, second.columns, strict=True):
        if name in source.categories:
            column = _categories(name, [values[0][i] for i in train], options.min_count)
            coded = [_codes(column, v) for v in values]
            mean, std = 0.0, 1.0
        else:
            column = Column(name=name)
            floats = [_floats(table.name, name, v) for table, v in zip((first, second), values, strict=True)]
            mean, std = _statistics(first.name, name, floats[0][train])
            coded = [np.where(np.isnan(v), mean, v).astype(np.float32) for v in floats]
        columns.append(column)
        means.append(mean)
        stds.append(std)
        for part, codes in zip(parts, coded, strict=True):
            part.append(codes)
    x, test_x = (np.stack(part, axis=1) for part in parts)
    content = "\n".join("\t".join(v) for t in (first, second) for v in (t.header, *t.columns))
    spec = DataSpec(
        name=source.name,
        kind="table",
        input_shape=(len(columns),),
        n_classes=len(source.class_names),
        class_names=source.class_names,
        sizes={"train": len(train), "validation": len(validation), "test": len(second.y)},
        digest=digest(np.frombuffer(content.encode(), dtype=np.uint8), first.y, second.y),
        split_digest=digest(train.astype(np.int64), validation.astype(np.int64)),
        mean=tuple(means),
        std=tuple(stds),
        columns=tuple(columns),
    )
    arrays = Arrays(spec, Split(x[train], first.y[train]), Split(x[validation], first.y[validation]))
    return Content(arrays, Split(test_x, second.y))


def _paths(marks: Marks) -> list[Path]:
    return [Path(path) for path, _, _ in marks]


def _open(source: TableSet, path: Path) -> _Table:
    """Reads a file column by column.

    Raises:
        DataError: no header, a missing or doubled column, a ragged row, an unknown or missing class.
    """
    reader = csv.reader(lines(path), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if source.target not in header:
            raise DataError(
                f"{path.name}, line 1: no column is called {source.target!r}, the target; there are {header}"
            )
        doubled = sorted(name for name, n in Counter(header).items() if n > 1)
        absent = sorted(set(source.categories) - set(header))
        if doubled or absent:
            what = f"{doubled} more than once" if doubled else f"{absent} missing"
            raise DataError(f"{path.name}, line 1: column {what}")
        rows, width = [], len(header)
        for row in reader:
            if len(row) != width:
                raise DataError(f"{path.name}, line {reader.line_num}: {len(row)} fields, the header has {width}")
            rows.append(row)
    except csv.Error as e:
        raise DataError(f"{path.name}, line {reader.line_num}: {e}") from e
    if not rows:
        raise DataError(f"{path.name} holds no row")
    columns = [[value.strip() for value in column] for column in zip(*rows, strict=True)]
    classes = columns.pop(header.index(source.target))
    header.remove(source.target)
    labels = {name: i for i, name in enumerate(source.class_names)}
    for number, label in enumerate(classes, start=2):
        if label not in labels:
            what = "the target is missing" if label in BLANKS else f"unknown label {label[:60]!r}"
            raise DataError(
                f"{path.name}, line {number}, column {source.target}: {what}; "
                f"the labels are {', '.join(source.class_names)}"
            )
    return _Table(header, columns, np.array([labels[v] for v in classes], dtype=np.int64), path.name)


def _categories(name: str, values: list[str], min_count: int) -> Column:
    """The column's categories: missing, other, then those of the training rows in alphabetical order."""
    counts = Counter(v for v in values if v not in BLANKS)
    if not counts:
        raise DataError(f"column {name}: no training row has a value")
    kept = sorted(v for v, n in counts.items() if n >= min_count and v not in (MISSING, OTHER))
    return Column(name=name, categories=(MISSING, OTHER, *kept))


def _codes(column: Column, values: list[str]) -> NDArray[np.float32]:
    numbers = {category: i for i, category in enumerate(column.categories)} | dict.fromkeys(BLANKS, 0)
    return np.array([numbers.get(v, 1) for v in values], dtype=np.float32)


def _floats(file: str, name: str, values: list[str]) -> NDArray[np.float64]:
    """A column of numbers, NaN where one is missing.

    Raises:
        DataError: something that is no finite number, by line and column.
    """
    try:  # all of them at once; what is missing or wrong is looked for only where there is something
        whole = np.array(values, dtype=np.float64)
        if np.isfinite(whole).all():
            return whole
    except ValueError:
        pass
    out = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        if value in BLANKS:
            continue
        try:
            out[i] = float(value)
        except ValueError:
            out[i] = math.inf
        if not math.isfinite(out[i]):
            raise DataError(f"{file}, line {i + 2}, column {name}: {value[:60]!r} is no number")
    return out


def _statistics(file: str, name: str, values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and deviation of the training rows that have a value; a column that never changes is divided by 1."""
    if np.isnan(values).all():
        raise DataError(f"{file}, column {name}: no training row has a value")
    mean, std = numbers(np.array([np.nanmean(values), np.nanstd(values)]))
    return mean, std or 1.0


ADULT = TableSet(
    name="adult",
    title="Adult income",
    summary="48,842 people of a census, 6 numbers and 8 categories each; income above 50,000 or not",
    files=Files("adult", "Adult", "tabular", ("adult_train.csv.gz", "adult_test.csv.gz")),
    target="income",
    class_names=("<=50K", ">50K"),
    categories=(
        *("workclass", "education", "marital-status", "occupation"),
        *("relationship", "race", "sex", "native-country"),
    ),
    n_validation=5000,
)
