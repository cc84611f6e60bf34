"""What weight sharing derives on NAS-Bench-201, looked up in the table, beside random cells of equal multiply-adds.

    python -m benchmarks derived_cells [-- --epochs 25 --seeds 3]                           # about an hour, two cores
    python -m benchmarks derived_cells -- --full --seeds 5 --processes 16                   # on a GPU

Supernets of NAS-Bench-201's cells are trained on CIFAR-10 (JPEG copies) shrunk to 16x16, with 8 channels and one cell a
stage; on a GPU `--full` takes 32x32, 16 channels and five cells. Each cell that a method derives is looked up in the
table (CIFAR-10 test accuracy after 200 epochs) and paired with the mean of all cells with a path whose multiply-adds
are within 3 % of its own. The constant cell of 3x3 convolutions stands beside them, and where the collapse alarm was
raised, the cell that the option `on_collapse: stop` would have handed over. Methods that search among subnets
score 200 of them by regularized evolution, and besides 100 cells drawn uniformly, whose inherited accuracy is ranked
against the table's, beside what counting multiply-adds alone gives. Methods that weigh latency are left out: nothing is
measured here.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _small
from benchmarks.shared_ranks import drawn, ranks
from engine.supernets.alarm import collapse

SMALL: dict[str, Any] = {
    "space": {"channels": 8, "cells": 1}, "data": {"side": 16, "n_train": 4000, "n_validation": 2000}, "recipe": {},
}  # fmt: skip
FULL: dict[str, Any] = {
    "space": {"channels": 16, "cells": 5}, "data": {"side": 32, "n_train": 40000, "n_validation": 5000},
    "recipe": {"shift": 4, "flip": True},
}  # fmt: skip
SCORES, RANKED = 200, 100
#: of an epoch's row
KEPT = ("epoch", "train_loss", "held_loss", "accuracy", "skips", "tables", "eigenvalue")
METHODS = "darts,gdas,drnas,pc_darts,p_darts,enas,spos,fairnas"


@cache
def table() -> tuple[dict[str, float], dict[str, float]]:
    """(test accuracy after 200 epochs, multiply-adds) by digits, of the cells with a path."""
    path = _small.test_data() / "nas" / "nasbench201_accuracy.csv.gz"
    accuracy, macs = {}, {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            value = float(row["c10_test_ep200"])
            if value != 10.0:  # no path from input to output
                accuracy[row["ops"]], macs[row["ops"]] = value, float(row["flops_c10"])
    return accuracy, macs


def paired(cell: str) -> dict[str, Any]:
    """The table's accuracy of a cell, and that of random ones of the same cost."""
    accuracy, macs = table()
    if cell not in accuracy:
        return {"cell": cell, "accuracy": 10.0, "random": None}
    names = list(accuracy)
    costs = np.array([macs[n] for n in names])
    near = np.abs(costs / macs[cell] - 1) <= 0.03
    others = np.array([accuracy[n] for n in names])[near]
    beaten = float((others < accuracy[cell]).mean())
    return {"cell": cell, "accuracy": accuracy[cell], "random": float(others.mean()), "n": int(near.sum()),
            "beaten": beaten, "macs": macs[cell] / 1e6}  # fmt: skip


def work(piece: Mapping[str, Any]) -> Any:
    """One supernet and what it derives."""
    from engine.spaces.nasbench201 import Nasbench201
    from engine.supernets.nets.scoring import Judge

    arrays = _small.images("cifar10", **piece["data"])
    space = Nasbench201(Nasbench201.Options(**piece["space"])).bind(arrays.spec)
    began = time.perf_counter()
    learner, rows, data = _small.supernet(
        arrays, space, piece["method"], piece["options"], seed=piece["seed"], recipe=piece["recipe"]
    )
    derived, scores = learner.derived(), {}
    if derived:
        cell = space.to_digits(derived[0])
    else:
        judge = Judge(learner, data, 512)
        scores = {c: judge.score(space.from_digits(c)).accuracy for c in drawn(space, RANKED)}
        cell = _searched(space, judge, piece["seed"])
    each = [space.to_digits(space.validate(r["derived"])) for r in rows if r.get("derived")]
    kept = [{k: r[k] for k in KEPT if k in r} for r in rows]
    return {"cell": cell, "each": each, "scores": scores, "rows": kept, "s": time.perf_counter() - began}


def _searched(space: Any, judge: Any, seed: int) -> str:
    """The best of the subnets that regularized evolution scores."""
    from engine.config import Budget
    from engine.objectives import Objective
    from engine.strategies.base import Context
    from engine.supernets._inner import Inner

    context = Context(
        space=space, objectives=(Objective(),), limits={}, budget=Budget(), parallelism=1, seed=seed, max_fidelity=1
    )
    inner = Inner("regularized_evolution", SCORES, context)
    while asked := inner.ask(64):
        found = [judge.score(a) for a in asked]
        inner.tell([{"accuracy": f.accuracy, "loss": f.loss} for f in found])
    return str(space.to_digits(inner.ranked(1)[0]))


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(prog="benchmarks derived_cells", description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--options", type=json.loads, default={}, help="of the methods, as JSON")
    parser.add_argument("--full", action="store_true", help="the published size, for a GPU")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    size = FULL if args.full else SMALL
    asked = [
        {"method": m, "options": {"epochs": args.epochs, **args.options}, "seed": s, **size}
        for s in range(args.seeds)
        for m in args.methods.split(",")
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    stopped: dict[str, list[dict[str, Any]]] = {}
    for piece, result in _small.pieces(work, asked, name="derived_cells", processes=args.processes):
        looked = {**result, **paired(result["cell"]), "seed": piece["seed"]}
        found.setdefault(piece["method"], []).append(looked)
        stopped.setdefault(piece["method"], []).append({**looked, **paired(heeded(piece["method"], result))})
        said = {k: looked[k] for k in ("seed", "cell", "accuracy", "random")}
        print(json.dumps({"method": piece["method"], **said, "s": round(looked["s"])}), flush=True)
    out = []
    print(f"\n{'method':22} {'derived, mean':>14} {'random alike':>13} {'difference':>11}  each (cells)")
    for method in [m for m in args.methods.split(",") if m in found]:
        out.append(told(method, found[method]))
        if any(a["cell"] != b["cell"] for a, b in zip(found[method], stopped[method], strict=True)):
            out.append(told(f"{method}, alarm heeded", stopped[method]))
    constant = paired("333333")
    print(f"{'all conv3x3':22} {constant['accuracy']:14.2f} {constant['random']:13.2f}")
    ranked = {method: [r["scores"] for r in runs if r["scores"]] for method, runs in found.items()}
    if any(ranked.values()):
        print_ranks({method: scores for method, scores in ranked.items() if scores})
    if args.json:
        args.json.write_text(json.dumps(out, indent=1))
    return out


def heeded(method: str, result: Mapping[str, Any]) -> str:
    """The cell handed over where the collapse alarm ends the training, which methods with alphas offer."""
    from engine import catalog

    alarm = collapse(result["rows"])
    if not alarm["alarmed"] or "on_collapse" not in catalog.get("strategy", method).Options.model_fields:
        return str(result["cell"])
    return str(result["each"][(alarm["before"] or alarm["epoch"]) - 1])


def told(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Prints the line of a method, and gives what it says."""
    runs = sorted(runs, key=lambda r: r["seed"])
    mean = float(np.mean([r["accuracy"] for r in runs]))
    alike = [r["random"] if r["random"] is not None else np.nan for r in runs]
    difference = [r["accuracy"] - a for r, a in zip(runs, alike, strict=True)]
    each = "  ".join(f"{r['accuracy']:.2f} ({r['cell']})" for r in runs)
    figures = {"accuracy": mean, "random": float(np.nanmean(alike)), "difference": float(np.nanmean(difference))}
    print(f"{name:22} {mean:14.2f} {np.nanmean(alike):13.2f} {np.nanmean(difference):+11.2f}  {each}")
    return {"method": name, **figures, "s": float(np.median([r["s"] for r in runs])), "runs": runs}


def print_ranks(found: Mapping[str, list[dict[str, float]]]) -> None:
    """How inherited accuracy ranks the drawn cells, beside their multiply-adds."""
    accuracy, macs = table()
    cells = list(next(iter(found.values()))[0])
    truth, cost = (np.array([of[c] for c in cells]) for of in (accuracy, macs))
    larger = cost >= np.median(cost)
    rows = [ranks("multiply-adds", [cost], truth, larger)]
    rows += [ranks(m, [np.array([s[c] for c in cells]) for s in each], truth, larger) for m, each in found.items()]
    print(f"\n{len(cells)} cells: Spearman, all (each seed) / larger half (each seed) / Kendall / top 5")
    for r in rows:
        each, half = (" ".join(f"{v:.2f}" for v in r[k]) for k in ("each", "half_each"))
        print(
            f"{r['name']:14} {r['spearman']:.3f} ({each})  {r['half']:.3f} ({half})  {r['kendall']:.3f}  "
            f"{r['top5']:.2f}"
        )
