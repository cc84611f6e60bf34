"""scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels, ready on every machine."""

from __future__ import annotations

import gzip
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.data.arrays import Arrays, Split, Tell
from engine.data.spec import DataSpec
from engine.data.split import Indices, digest, stratified
from engine.errors import DataError

SCALE = 16.0
N_VALIDATION = N_TEST = 360


class DigitsOptions(BaseModel):
    """Options of the digits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split_seed: int = Field(
        0, ge=0, lt=2**32, description="Which samples are trained on; results compare within one seed."
    )


class Digits:
    """1,077 training, 360 validation and 360 sealed test samples, the classes in proportion."""

    name = "digits"
    title = "Digits"
    summary = "1,797 handwritten digits, 8×8 grey, 10 classes (scikit-learn)"
    Options: type[BaseModel] = DigitsOptions

    def availability(self, options: BaseModel | None = None) -> tuple[bool, str]:
        """Always there."""
        return True, "ships with scikit-learn"

    def spec(self, options: Any) -> DataSpec:
        """The spec, computed from the data itself (about 30 ms the first time)."""
        return _spec(options.split_seed)

    def load(self, options: Any, tell: Tell | None = None) -> Arrays:
        """Training and validation split."""
        x, y = _raw()
        train, validation, _ = _indices(options.split_seed)
        spec = _spec(options.split_seed)
        return Arrays(spec, Split(x[train], y[train]), Split(x[validation], y[validation]))

    def load_test(self, options: Any) -> Split:
        """The sealed test split."""
        x, y = _raw()
        test = _indices(options.split_seed)[2]
        return Split(x[test], y[test])

    def preprocessing(self, options: Any) -> None:
        """Nothing beside the spec."""
        return None


@lru_cache(maxsize=1)
def _raw() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All images (1797, 1, 8, 8) and classes. Reads the file inside the package: importing sklearn takes a second."""
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise DataError("the digits come with scikit-learn, which is not installed: pip install scikit-learn")
    path = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    if path.exists():
        with gzip.open(path, "rt") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    else:  # a scikit-learn that keeps it elsewhere
        from sklearn.datasets import load_digits

        bunch = load_digits()
        table = np.column_stack([bunch.data, bunch.target]).astype(np.uint8)
    if table.shape != (1797, 65) or table[:, :64].max() > SCALE or table[:, 64].max() > 9:
        raise DataError(f"{path} is not the digits table: shape {table.shape} instead of (1797, 65)")
    return table[:, :64].reshape(-1, 1, 8, 8), table[:, 64].astype(np.int64)


@lru_cache(maxsize=16)
def _indices(split_seed: int) -> tuple[Indices, Indices, Indices]:
    y = _raw()[1]
    rng = np.random.default_rng([split_seed, 1797])
    rest, test = stratified(y, N_TEST, rng)
    train, validation = stratified(y[rest], N_VALIDATION, rng)
    return rest[train], rest[validation], test


@lru_cache(maxsize=16)
def _spec(split_seed: int) -> DataSpec:
    x, y = _raw()
    parts = _indices(split_seed)
    scaled = x[parts[0]].astype(np.float64) / SCALE
    return DataSpec(
        name="digits",
        kind="image",
        input_shape=(1, 8, 8),
        n_classes=10,
        class_names=tuple(str(i) for i in range(10)),
        sizes={"train": len(parts[0]), "validation": len(parts[1]), "test": len(parts[2])},
        digest=digest(x, y),
        split_digest=digest(*(p.astype(np.int64) for p in parts)),
        mean=(round(float(scaled.mean()), 6),),
        std=(round(float(scaled.std()), 6),),
        scale=SCALE,
    )
