"""Stratified splits of exact sizes, and digests of arrays."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError

Indices = NDArray[np.intp]


def quotas(counts: NDArray[np.intp], take: int) -> NDArray[np.intp]:
    """How many to take of each class so that `take` are taken in all, in proportion (largest remainders).

    Ties go to the lower class, so that the answer depends on the counts alone.
    """
    exact = counts * take / counts.sum()
    out: NDArray[np.intp] = np.floor(exact).astype(np.intp)
    order = np.argsort(-(exact - out), kind="stable")
    out[order[: take - int(out.sum())]] += 1
    return out


def stratified(y: NDArray[Any], take: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Splits the indices of `y` (n,) into (rest, taken), with the classes in proportion.

    Args:
        y: class of each sample.
        take: size of the second part.
        rng: draws which samples of a class are taken.

    Returns:
        Two sorted index arrays that together hold every index once.

    Raises:
        DataError: `take` leaves nothing for one of the parts.
    """
    if not 0 < take < len(y):
        raise DataError(f"cannot set {take:,} of {len(y):,} samples aside: at least one must be left on each side")
    classes, counts = np.unique(y, return_counts=True)
    taken = []
    for label, quota in zip(classes, quotas(counts, take), strict=True):
        members = np.flatnonzero(y == label)
        taken.append(rng.permutation(members)[:quota])
    chosen = np.zeros(len(y), dtype=bool)
    chosen[np.concatenate(taken)] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def digest(*arrays: NDArray[Any]) -> str:
    """SHA-256 (hex) over shapes, types and bytes of the arrays, in order."""
    out = hashlib.sha256()
    for array in arrays:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        out.update(f"{little.dtype.str}{little.shape}".encode())
        out.update(np.ascontiguousarray(little).data)
    return out.hexdigest()
