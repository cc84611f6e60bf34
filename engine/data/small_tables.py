"""scikit-learn's own small tables: iris, wine and breast cancer, ready on every machine."""

from __future__ import annotations

import csv
import importlib
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.data.arrays import Arrays, Split, Tell
from engine.data.local import Content, expect_classes, numbers
from engine.data.spec import Column, DataSpec
from engine.data.split import digest, stratified
from engine.errors import DataError


class SmallTableOptions(BaseModel):
    """Options of a small table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split_seed: int = Field(
        0, ge=0, lt=2**32, description="Which samples are trained on; results compare within one seed."
    )


@dataclass(frozen=True)
class SmallTable:
    """A table of numbers without a test split: a fifth is for validation and a fifth is sealed.

    Attributes:
        name, title, summary: as everywhere.
        file: in scikit-learn's data folder.
        loader: name in `sklearn.datasets`, for a scikit-learn that keeps its data elsewhere.
        n: rows.
        columns: their names.
        class_names: one per class.
    """

    name: str
    title: str
    summary: str
    file: str
    loader: str
    n: int
    columns: tuple[str, ...]
    class_names: tuple[str, ...]
    Options: type[BaseModel] = SmallTableOptions

    def availability(self, options: Any = None) -> tuple[bool, str]:
        """Always there."""
        return True, "ships with scikit-learn"

    def spec(self, options: Any) -> DataSpec:
        """The spec, computed from the data itself (a few milliseconds)."""
        return _read(self, options.split_seed).arrays.spec

    def load(self, options: Any, tell: Tell | None = None) -> Arrays:
        """Training and validation split: (n, columns) float32."""
        return _read(self, options.split_seed).copy()

    def load_test(self, options: Any) -> Split:
        """The sealed test split."""
        return _read(self, options.split_seed).test

    def preprocessing(self, options: Any) -> dict[str, Any]:
        """What counts as missing: a blank field is its column's mean."""
        return {"kind": "table", "missing": ["", "?"]}


@lru_cache(maxsize=16)
def _read(source: SmallTable, split_seed: int) -> Content:
    x, y = _raw(source)
    rng = np.random.default_rng([split_seed, source.n])
    take = round(source.n / 5)
    rest, test = stratified(y, take, rng)
    kept, chosen = stratified(y[rest], take, rng)
    train, validation = rest[kept], rest[chosen]
    expect_classes(source.title, y[train], len(source.class_names))
    values = x[train].astype(np.float64)
    spec = DataSpec(
        name=source.name,
        kind="table",
        input_shape=(len(source.columns),),
        n_classes=len(source.class_names),
        class_names=source.class_names,
        sizes={"train": len(train), "validation": len(validation), "test": len(test)},
        digest=digest(x, y),
        split_digest=digest(*(part.astype(np.int64) for part in (train, validation, test))),
        mean=numbers(values.mean(axis=0)),
        std=numbers(values.std(axis=0)),
        columns=tuple(Column(name=name) for name in source.columns),
    )
    arrays = Arrays(spec, Split(x[train], y[train]), Split(x[validation], y[validation]))
    return Content(arrays, Split(x[test], y[test]))


def _raw(source: SmallTable) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """All rows and classes. Reads the file inside the package: importing sklearn takes a second."""
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise DataError(f"{source.title} comes with scikit-learn, which is not installed: pip install scikit-learn")
    path = Path(found.submodule_search_locations[0]) / "datasets" / "data" / source.file
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        try:
            table = np.array(rows, dtype=np.float64)
        except ValueError as e:
            raise DataError(f"{path} is not scikit-learn's table: {e}") from e
    else:
        bunch = getattr(importlib.import_module("sklearn.datasets"), source.loader)()
        table = np.column_stack([bunch.data, bunch.target]).astype(np.float64)
    shape = (source.n, len(source.columns) + 1)
    if table.shape != shape:
        raise DataError(f"{path} is not scikit-learn's table: shape {table.shape} instead of {shape}")
    return table[:, :-1].astype(np.float32), table[:, -1].astype(np.int64)


_CELL = (
    *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points"),
    *("symmetry", "fractal dimension"),
)
SMALL_TABLES = (
    SmallTable(
        name="iris",
        title="Iris",
        summary="150 flowers, 4 numbers each, 3 kinds (scikit-learn)",
        file="iris.csv",
        loader="load_iris",
        n=150,
        columns=("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
        class_names=("setosa", "versicolor", "virginica"),
    ),
    SmallTable(
        name="wine",
        title="Wine",
        summary="178 wines, 13 numbers each, 3 growers (scikit-learn)",
        file="wine_data.csv",
        loader="load_wine",
        n=178,
        columns=(
            *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
            *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines"),
            "proline",
        ),
        class_names=("class_0", "class_1", "class_2"),
    ),
    SmallTable(
        name="breast_cancer",
        title="Breast cancer",
        summary="569 cell samples, 30 numbers each, malignant or benign (scikit-learn)",
        file="breast_cancer.csv",
        loader="load_breast_cancer",
        n=569,
        columns=tuple(
            [f"mean {part}" for part in _CELL]
            + [f"{part} error" for part in _CELL]
            + [f"worst {part}" for part in _CELL]
        ),
        class_names=("malignant", "benign"),
    ),
)
