"""Inherited weights, by real training: strategies that inherit, the same without, and random, at equal epochs paid.

Every trial of every run trains for the same few epochs on scikit-learn's digits. Three numbers of each run: the best
validation accuracy seen (what a search would call its best), the accuracy of that very network with the weights it has
then on the sealed test split (the choice was made by validation, so this one is fair), and the test accuracy of the
same architecture trained from scratch with a full recipe: what the architecture is worth without what it inherited.

    python -m benchmarks inheritance [-- --seeds 4 --trials 24 --epochs 2 --space layers]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("random", {"name": "random"}),
    ("large_scale_evolution", {"name": "large_scale_evolution"}),
    ("large_scale_evolution, from seeds", {"name": "large_scale_evolution", "inherit": False}),
    ("morphism_climb", {"name": "morphism_climb"}),
    ("morphism_climb, from seeds", {"name": "morphism_climb", "inherit": False}),
)
#: what is compared, with the heads of the table
MEASURED = {"validation": "valid %", "test": "test %", "from_scratch": "scratch %", "last_third": "last third %"}


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs every variant with every seed; one row a variant."""
    parser = argparse.ArgumentParser(prog="benchmarks inheritance", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=2, help="of each trial")
    parser.add_argument("--full", type=int, default=12, help="epochs of the training from scratch; 0 = leave it out")
    parser.add_argument("--space", default="layers", help="layers, or another one that serves digits and has morphisms")
    parser.add_argument("--macs", type=float, default=500_000, help="limit on multiply-adds, for everybody")
    parser.add_argument("--options", type=json.loads, default={}, help="options of the strategies, as JSON")
    parser.add_argument("--only", default="", help="variants whose names begin so, separated by commas")
    parser.add_argument("--json", type=Path, help="where the rows of all runs go")
    args = parser.parse_args(argv)
    only = tuple(filter(None, args.only.split(",")))
    variants = [v for v in VARIANTS if not only or v[0].startswith(only)]
    runs = []
    for seed in range(args.first, args.first + args.seeds):
        for name, strategy in variants:
            own = args.options if name != "random" else {}
            runs.append({"variant": name, "seed": seed, **once({**strategy, **own}, seed, args)})
            print(json.dumps(runs[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(runs, indent=1))
    return table([name for name, _ in variants], runs)


def once(strategy: dict[str, Any], seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One search, its best network as it stands, and its architecture from scratch."""
    import engine
    from engine.config import SearchConfig

    space = {"name": args.space, **({"cells": 1} if args.space == "nasbench201" else {})}
    config = SearchConfig.parse(
        {
            "name": "inheritance", "data": "digits", "space": space, "strategy": strategy, "seed": seed,
            "budget": {"trials": args.trials, "epochs": args.epochs}, "limits": {"n_macs": args.macs},
            "training": {"precision": "float32", "threads": 1},
            "final": {"enabled": args.full > 0, "epochs": max(1, args.full)},
        }
    )  # fmt: skip
    began, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        out = engine.run(config, workdir=folder)
        best = out.best
        assert best is not None, out.finish
        report = best.reports[best.fidelity]
        tested = test_accuracy(config, best.architecture, Path(report.artifacts["checkpoint"]))
    entries = list(out.conductor.history)
    last = [e.metrics()["accuracy"] for e in entries[-(args.trials // 3) :] if e.reports]
    return {
        "validation": report.metrics["accuracy"],
        "test": tested,
        "from_scratch": out.final.metrics["test_accuracy"] if out.final is not None else None,
        "last_third": float(np.mean(last)),
        "epochs_paid": sum(e.fidelity for e in entries),
        "inherited_epochs": int(report.cost.get("inherited_epochs", 0)),
        "n_params": int(best.costs["n_params"]),
        "duration_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
    }


def test_accuracy(config: Any, architecture: Any, path: Path) -> float:
    """Of the averaged weights in a checkpoint, on the sealed test split, by the reference (CPU, float32)."""
    from engine.data import registry
    from engine.data.arrays import normalize
    from engine.network.build import build
    from engine.spaces.base import make_space
    from engine.training import checkpoint
    from engine.training.inference import reference_logits, reference_scores

    spec = registry.spec(config.data.name, config.data.options())
    network = build(make_space(config, spec).plan(architecture))
    tensors = checkpoint.load(path)[0]
    averaged = {k.removeprefix("average."): t for k, t in tensors.items() if k.startswith("average.")}
    network.load_state_dict(averaged)
    test = registry.load_test(config.data.name, config.data.options())
    return float(reference_scores(reference_logits(network, normalize(test.x, spec)), test.y).accuracy)


def table(names: list[str], runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard error by variant, printed; and the paired difference to random and to the twin from seeds."""
    by = {name: [r for r in runs if r["variant"] == name] for name in names}
    heads = "".join(f"{head:>18}" for head in MEASURED.values())
    print(f"\n{'variant':<36}{heads}{'inherited':>11}{'params':>9}{'paid':>6}{'CPU s':>7}")
    rows = []
    for name, mine in by.items():
        row: dict[str, Any] = {"variant": name, "seeds": len(mine)}
        cells = ""
        for what in MEASURED:
            values = [r[what] for r in mine if r[what] is not None]
            row[what] = _mean(values)
            cells += f"{_words(row[what]):>18}"
            for other, label in (("random", "over_random"), (f"{name}, from seeds", "over_seeds")):
                if other in by and other != name and values and len(by[other]) == len(mine):
                    theirs = [r[what] for r in by[other]]
                    row.setdefault(label, {})[what] = _mean(np.subtract(values, theirs).tolist())
        for what in ("inherited_epochs", "n_params", "epochs_paid", "cpu_s"):
            row[what] = float(np.mean([r[what] for r in mine]))
        rows.append(row)
        print(
            f"{name:<36}{cells}{row['inherited_epochs']:>11.1f}{row['n_params']:>9,.0f}{row['epochs_paid']:>6.0f}"
            f"{row['cpu_s']:>7.1f}"
        )
    for row in rows:
        for label in ("over_random", "over_seeds"):
            if label in row:
                cells = "".join(f"{_words(row[label].get(what)):>18}" for what in MEASURED)
                print(f"{row['variant'][:24] + ' ' + label.replace('_', ' '):<36}{cells}")
    print(f"{os.cpu_count()} cores, load at the end {os.getloadavg()[0]:.1f}")
    return rows


def _mean(values: list[float]) -> tuple[float, float] | None:
    """Mean and standard error."""
    if not values:
        return None
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return float(np.mean(values)), error


def _words(value: tuple[float, float] | None) -> str:
    return "–" if value is None else f"{100 * value[0]:.2f} ± {100 * value[1]:.2f}"
