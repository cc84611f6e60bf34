"""Spoken digits as one-dimensional signals of a fixed length."""

from __future__ import annotations

import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from engine.data.arrays import Arrays, Split, Tell
from engine.data.local import Content, Files, LocalOptions, Marks, numbers, partition
from engine.data.spec import DataSpec
from engine.data.split import digest
from engine.errors import DataError

#: samples per second of the clips
RATE = 8000
#: of 16-bit samples
SCALE = 32768.0
N_VALIDATION = 300
#: takes below this one are the sealed test split, as the set's authors have it
TEST_TAKES = 5


class SignalOptions(LocalOptions):
    """Options of the spoken digits."""

    length: int = Field(
        6000,
        ge=512,
        le=20_000,
        description="Samples of a clip that are read, at 8,000 a second; what is shorter ends in silence.",
    )
    stride: int = Field(2, ge=1, le=8, description="So many neighbouring samples become one, their mean.")


def fit(clip: NDArray[Any], length: int, stride: int) -> NDArray[np.int16]:
    """A clip (n,) as (length // stride,): cut or filled with silence, then each `stride` samples' mean, rounded."""
    out = np.zeros(length // stride * stride, dtype=np.float64)
    n = min(len(clip), len(out))
    out[:n] = clip[:n]
    means: NDArray[np.int16] = np.rint(out.reshape(-1, stride).mean(axis=1)).astype(np.int16)
    return means


class SpokenDigits:
    """The Free Spoken Digit Dataset: four speakers, ten digits, 8 kHz, 16 bits."""

    name = "fsdd"
    title = "Spoken digits"
    summary = "2,000 clips of four speakers saying a digit, 8 kHz, 10 classes (FSDD)"
    Options: type[BaseModel] = SignalOptions
    files = Files("fsdd", "the Free Spoken Digit Dataset", "audio", ("fsdd_dev_4speakers.npz",))

    def availability(self, options: Any = None) -> tuple[bool, str]:
        """Whether the file is on this machine."""
        return self.files.availability()

    def spec(self, options: Any) -> DataSpec:
        """The spec, computed from the file (well under a second, once per process)."""
        return _read(options, self.files.marks()).arrays.spec

    def load(self, options: Any, tell: Tell | None = None) -> Arrays:
        """Training and validation split: (n, 1, L) int16."""
        return _read(options, self.files.marks()).copy()

    def load_test(self, options: Any) -> Split:
        """The sealed test split: the first five takes of every speaker and digit."""
        return _read(options, self.files.marks()).test

    def preprocessing(self, options: Any) -> dict[str, Any]:
        """How a clip becomes a sample."""
        return {"kind": "signal", "rate": RATE, "length": options.length, "stride": options.stride}


@lru_cache(maxsize=4)
def _read(options: SignalOptions, marks: Marks) -> Content:
    samples, offsets, y, takes = _clips(Path(marks[0][0]))
    x = np.stack(
        [fit(samples[a:b], options.length, options.stride) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    )[:, None]  # (n, 1, L)
    test, opened = np.flatnonzero(takes < TEST_TAKES), np.flatnonzero(takes >= TEST_TAKES)
    if not test.size:
        raise DataError(f"{Path(marks[0][0]).name}: no clip has a take below {TEST_TAKES}, so there is no test split")
    train, validation = partition(SpokenDigits.title, y[opened], 10, N_VALIDATION, options, len(y))
    train, validation = opened[train], opened[validation]
    scaled = x[train].astype(np.float32) / np.float32(SCALE)
    spec = DataSpec(
        name="fsdd",
        kind="signal",
        input_shape=x.shape[1:],
        n_classes=10,
        class_names=tuple(str(i) for i in range(10)),
        sizes={"train": len(train), "validation": len(validation), "test": len(test)},
        digest=digest(samples, offsets, y),
        split_digest=digest(*(part.astype(np.int64) for part in (train, validation, test))),
        mean=numbers(scaled.mean(dtype=np.float64)),
        std=numbers(scaled.std(dtype=np.float64)),
        scale=SCALE,
    )
    arrays = Arrays(spec, Split(x[train], y[train]), Split(x[validation], y[validation]))
    return Content(arrays, Split(x[test], y[test]))


def _clips(path: Path) -> tuple[NDArray[np.int16], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All samples in one row, where each clip begins (and the last one ends), its digit and its take.

    Raises:
        DataError: not such a file, or clips that are empty or have no digit.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            samples, offsets, digits, takes = (file[name] for name in ("samples", "offsets", "digit", "take"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
        raise DataError(f"{path.name} cannot be read: {e}") from e
    if samples.ndim != 1 or samples.dtype != np.int16:
        raise DataError(f"{path.name}: samples are {samples.dtype} of shape {samples.shape}, expected int16 in a row")
    n = len(digits)
    if not (offsets.shape == (n + 1,) and digits.shape == takes.shape == (n,) and n):
        raise DataError(
            f"{path.name}: {offsets.size} offsets, {digits.size} digits and {takes.size} takes do not belong together"
        )
    lengths = np.diff(offsets.astype(np.int64))
    if offsets[0] != 0 or offsets[-1] != len(samples) or (lengths < 1).any():
        bad = int(np.argmax(lengths < 1))
        raise DataError(f"{path.name}: clip {bad} is empty, or the offsets do not cover the {len(samples):,} samples")
    if (wrong := np.flatnonzero((digits < 0) | (digits > 9))).size:
        raise DataError(f"{path.name}: clip {wrong[0]} has the unknown label {digits[wrong[0]]}; the labels are 0 to 9")
    return samples, offsets.astype(np.int64), digits.astype(np.int64), takes.astype(np.int64)
