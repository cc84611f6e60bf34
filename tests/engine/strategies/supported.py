"""Which strategy serves which space with how many objectives; and with what options tests drive it.

`pins/<strategy>.json` holds `{"options": {...}, "refused": ["space", "space 2", ...]}`: options that make it quick, and
exactly what it refuses ("space" = with any number of objectives, "space 1" / "space 2" = with one / several). No file:
its own options, and it refuses nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.docs import example_spaces, support

PINS = Path(__file__).parent / "pins"
#: spaces tests are driven on, best first: one small enough to be listed, one with conditions
SMALL: dict[str, Any] = {
    "name": "nasbench201", "cells": 1, "operations": ["none", "skip_connect", "nor_conv_3x3"],
}  # fmt: skip
HOMES: tuple[dict[str, Any], ...] = (SMALL, {"name": "layers"})


def pin(strategy: str) -> dict[str, Any]:
    """What is pinned of a strategy."""
    path = PINS / f"{strategy}.json"
    return {"options": {}, "refused": [], **(json.loads(path.read_text()) if path.exists() else {})}


def quick(strategy: str) -> dict[str, Any]:
    """The strategy's part of a config, with options that make it quick."""
    return {"name": strategy, **pin(strategy)["options"]}


def serves(strategy: str, space: str, objectives: int = 1) -> bool:
    """Whether it serves this space."""
    return support()[strategy][space, objectives] is None


def objectives_of(strategy: str) -> list[int]:
    """1 and 2, or what it serves of these at home."""
    return [n for n in (1, 2) if any(serves(strategy, home["name"], n) for home in HOMES)]


def home(strategy: str, objectives: int = 1) -> dict[str, Any]:
    """The first space of `HOMES` that it serves."""
    return next(h for h in HOMES if serves(strategy, h["name"], objectives))


def first(strategy: str) -> int:
    """1, or 2 where it serves several objectives only."""
    return objectives_of(strategy)[0]


def in_turn() -> list[tuple[str, str, int]]:
    """(strategy, space, number of objectives): each space that a strategy serves once, 1 and 2 in turn.

    So each strategy meets both numbers, and each space does. What is served with one of them alone is met with that.
    """
    spaces, out = list(example_spaces()), []
    for i, (strategy, row) in enumerate(support().items()):
        for j, space in enumerate(spaces):
            served = [n for n in (1, 2) if row[space, n] is None]
            if served:
                out.append((strategy, space, served[(i + j) % len(served)]))
    return out
