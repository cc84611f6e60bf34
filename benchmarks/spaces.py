"""Search spaces: samples, mutations, canonical keys and costs a second, beside plain draws of the same choices.

    python -m benchmarks.spaces [--only darts,graph] [--keys 100000] [--seconds 1.5] [--json OUT]

Every space runs with its own options on data of CIFAR-10's size (text, signals and tables for those that serve no
images). "plain draws" is the bare loop: `rng.integers` once per active decision of the same architectures, what any
sampler that draws one by one must at least do. Every key and cost is of an architecture drawn just before, never of one
asked for twice on purpose; small spaces repeat themselves, and tables that a space keeps of its parts are part of its
speed. The last table times `--keys` canonical keys of the two spaces with a goal: `graph` with 7 nodes and `darts`,
each to be done in 60 s.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from engine import catalog
from engine.architecture import Architecture
from engine.data.spec import Column, DataSpec
from engine.spaces.base import SearchSpace, space_of

ROUNDS = 5
GOALS = {"graph": {"nodes": [7]}, "darts": {}}
_COLUMNS = tuple(Column(name=f"c{i}", categories=tuple("abcde"[:k])) for i, k in enumerate((0,) * 6 + (3, 5)))


def _spec(kind: Any, shape: tuple[int, ...], **more: Any) -> DataSpec:
    n = shape[0] if kind != "text" else 1
    return DataSpec(
        name=f"{kind} of the benchmark", kind=kind, input_shape=shape, n_classes=10,
        class_names=tuple(map(str, range(10))), sizes={"train": 50_000, "validation": 5_000, "test": 10_000},
        digest="0" * 64, split_digest="0" * 64, mean=(0.0,) * n, std=(1.0,) * n, **more,
    )  # fmt: skip


DATA = (
    _spec("image", (3, 32, 32)),
    _spec("text", (24,), vocabulary=3000),
    _spec("table", (8,), columns=_COLUMNS),
)


def bound(name: str, options: dict[str, Any] | None = None) -> SearchSpace:
    """A space of the catalog for the first data it serves."""
    cls: type[SearchSpace] = catalog.get("space", name)
    data = next(d for d in DATA if cls.fits(d) is None)
    return space_of(cls, cls.Options.model_validate(options if options is not None else cls.suggested(data)), data)


def rate(act: Callable[[int], object], seconds: float) -> float:
    """Calls a second: median of `ROUNDS` rounds, the first calls not counted."""
    for i in range(3):
        act(i)
    rates = []
    at = 3
    for _ in range(ROUNDS):
        n, begun = 0, time.perf_counter()
        while (spent := time.perf_counter() - begun) < seconds / ROUNDS:
            for _ in range(8):
                act(at)
                at += 1
            n += 8
        rates.append(n / spent)
    return median(rates)


def rate_of_fresh(act: Callable[[Architecture], object], draw: Callable[[], Architecture], seconds: float) -> float:
    """Calls a second on architectures drawn for them, drawing not counted: median of `ROUNDS` rounds."""
    act(draw())
    rates = []
    for _ in range(ROUNDS):
        n, spent = 0, 0.0
        while spent < seconds / ROUNDS:
            archs = [draw() for _ in range(64)]
            begun = time.perf_counter()
            for arch in archs:
                act(arch)
            spent += time.perf_counter() - begun
            n += len(archs)
        rates.append(n / spent)
    return median(rates)


def measure(space: SearchSpace, seconds: float) -> dict[str, Any]:
    """One row."""
    rng = np.random.default_rng(0)
    pool = [space.sample(rng) for _ in range(400)]
    n_options = [[len(d.options) for d in space.decisions(a)] for a in pool[:50]]

    def draws(i: int) -> None:
        for n in n_options[i % 50]:
            rng.integers(n)

    def fresh() -> Architecture:
        return space.sample(rng)

    samples = rate(lambda i: fresh(), seconds)
    plain = rate(draws, seconds)
    can_change = space.size() > 1
    return {
        "space": space.name,
        "decisions": round(float(np.mean([len(a.items) for a in pool])), 1),
        "samples_per_s": round(samples),
        "plain_draws_per_s": round(plain),
        "ratio": round(samples / plain, 2),
        "mutations_per_s": round(rate(lambda i: space.mutate(pool[i % 400], 1, rng), seconds)) if can_change else None,
        "keys_per_s": round(rate_of_fresh(space._canonical_key, fresh, seconds)),
        "costs_per_s": round(rate_of_fresh(space._costs, fresh, seconds)),
    }


def many_keys(name: str, n: int) -> dict[str, Any]:
    """Seconds for `n` canonical keys of fresh samples; drawing them is not counted."""
    space = bound(name, GOALS[name])
    rng = np.random.default_rng(1)
    archs = [space.sample(rng) for _ in range(n)]
    begun = time.perf_counter()
    found = {space.canonical_key(a) for a in archs}
    spent = time.perf_counter() - begun
    return {"space": name, "keys": n, "seconds": round(spent, 1), "per_100000_s": round(spent * 100_000 / n, 1),
            "different": len(found), "written": len(set(archs)), "goal_s": 60}  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    heads = list(rows[0])
    lines = [f"| {' | '.join(h.replace('_', ' ') for h in heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        cells = [f"{v:,}" if isinstance(v, int) else "–" if v is None else str(v) for v in row.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Measures, prints two tables, returns the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="names separated by commas; all where empty")
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=1.5, help="per figure")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    names = [n for n in args.only.split(",") if n] or list(catalog.plugins("space"))
    rows = [measure(bound(name), args.seconds) for name in names]
    print(table(rows))
    goals = [many_keys(name, args.keys) for name in GOALS if name in names and args.keys]
    if goals:
        print("\n" + table(goals))
    if args.json:
        args.json.write_text(json.dumps([*rows, *goals], indent=1))
    return [*rows, *goals]


if __name__ == "__main__":
    for found in main(sys.argv[1:]):
        print(json.dumps(found))
