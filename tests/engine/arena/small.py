"""A table of a space with 81 architectures, small enough to reason about."""

from __future__ import annotations

import itertools

import numpy as np

from engine.arena import tables
from engine.arena.problem import Problem

OPTIONS = {"channels": 4, "cells": 1, "operations": ["none", "skip_connect", "nor_conv_1x1"]}


def text(rows: list[dict[str, object]]) -> bytes:
    names = list(rows[0])
    lines = [",".join(names), *(",".join(str(r[n]) for n in names) for r in rows)]
    return ("\n".join(lines) + "\n").encode()


def rows(noise: float = 0.0) -> list[dict[str, object]]:
    """All cells of three operations: more convolutions are better, earlier ones a little more."""
    rng = np.random.default_rng(0)
    out: list[dict[str, object]] = []
    for digits in itertools.product("012", repeat=6):
        key = "".join(digits)
        base = 80 + sum((d == "2") * (1.5 - 0.1 * i) + (d == "1") * 0.3 for i, d in enumerate(digits))
        a, b, c = (round(base + rng.normal(0, 1) * noise, 4) for _ in range(3))
        out.append({"key": key, "a": a, "b": b, "c": c})
    return out


def columns(content: list[dict[str, object]] | bytes) -> tables.Columns:
    return tables.Columns(content if isinstance(content, bytes) else text(content), "small.csv")


def problem(**changes: object) -> Problem:
    given = {"space": "nasbench201", "options": OPTIONS, "key": ["key"], "reward": ["a"], "report": ["b"], **changes}
    return tables.load(columns(given.pop("rows", rows(0.5))), **given)  # type: ignore[arg-type]
