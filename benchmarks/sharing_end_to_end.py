"""A whole sharing search beside `auto` with successive halving: same space, data and clock, whichever way it goes.

    python -m benchmarks sharing_end_to_end [-- --seeds 2 --minutes 10]                     # seeds x 2 x minutes

NAS-Bench-201's cells (8 channels, one cell a stage) over Fashion-MNIST, 28x28, 4,000 training and 2,000 validation
images. Everything counts: supernet, scores, networks trained alone, random partners. Only trainings alone, to the last
epoch, give an accuracy. What is reported is the best of those so far at some moments, and when a level was reached.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _small

DATA = {"name": "fashion_mnist", "train": 4000, "validation": 2000}
SPACE = {"name": "nasbench201", "channels": 8, "cells": 1}
EPOCHS = 9
ENTRANTS: dict[str, dict[str, Any]] = {
    "spos": {"strategy": {"name": "spos", "epochs": 40, "scores": 150}, "schedule": "full", "trials": 400},
    "auto, halving": {"strategy": {"name": "auto"}, "schedule": "successive_halving", "trials": 400},
}


def work(piece: Mapping[str, Any]) -> Any:
    """One search: [seconds, accuracy] whenever a network was trained to the end."""
    from engine import loop
    from engine.config import SearchConfig

    entrant = piece["entrant"]
    config = SearchConfig.parse(
        {
            "name": "end to end", "data": {**DATA, "folder": piece["folder"]}, "space": SPACE,
            "strategy": entrant["strategy"], "schedule": entrant["schedule"], "seed": piece["seed"], "parallelism": 1,
            "budget": {"trials": entrant["trials"], "epochs": EPOCHS, "minutes": piece["minutes"]},
            "training": {"threads": 1, "precision": "float32"}, "final": {"enabled": False},
        }
    )  # fmt: skip
    began = time.monotonic()
    seen: list[tuple[float, float]] = []
    marks: dict[str, float] = {}
    told: set[int] = set()

    def progress(conductor: Any, actions: Any) -> None:
        for action in actions:
            if type(action).__name__ == "Launch":
                marks.setdefault(action.kind, time.monotonic() - began)
        for entry in conductor.history:
            report = entry.reports.get(EPOCHS)
            if report is not None and entry.number not in told:
                told.add(entry.number)
                seen.append((time.monotonic() - began, float(report.metrics["accuracy"])))

    loop.run(config, progress=progress, final=False)
    return {"seen": seen, "marks": marks, "s": time.monotonic() - began}


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs both with every seed and prints the table."""
    parser = argparse.ArgumentParser(prog="benchmarks sharing_end_to_end", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = str(_small.test_data().resolve() / "images" / "fashion_mnist")
    asked = [
        {"label": label, "entrant": entrant, "seed": s, "minutes": args.minutes, "folder": folder}
        for s in range(args.seeds)
        for label, entrant in ENTRANTS.items()
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    for piece, result in _small.pieces(work, asked, name="sharing_end_to_end", processes=args.processes):
        found.setdefault(piece["label"], []).append({"seed": piece["seed"], **result})
    moments = [60 * args.minutes * share for share in (0.25, 0.5, 0.75, 1.0)]
    out = []
    print(f"{'':16} best alone after {', '.join(f'{m / 60:.1f}' for m in moments)} min   (each seed)")
    for label, runs in found.items():
        at = [[max((a for s, a in r["seen"] if s <= m), default=np.nan) for m in moments] for r in runs]
        # of the searches that had trained a network by then
        means = [float(np.nanmean(some)) if not np.isnan(some := [row[i] for row in at]).all() else np.nan
                 for i in range(len(moments))]  # fmt: skip
        out.append({"label": label, "at": means, "runs": runs})
        each = "  ".join(f"{100 * row[-1]:.2f} ({len(r['seen'])} networks)" for row, r in zip(at, runs, strict=True))
        print(f"{label:16} {'  '.join(f'{100 * m:6.2f}' for m in means)}   {each}")
    if args.json:
        args.json.write_text(json.dumps(out, indent=1))
    return out
