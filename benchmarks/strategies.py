"""Strategies on a table of trained networks: report of the best reward after so many queries, beside the expected.

    python -m benchmarks.strategies [--seeds 100] [--strategies random,local_search] [--budget 20,50] [--json OUT]

Drives the same conductor as the product, one trial at a time, with the `tabular` evaluator. A query is a row as
written, a repeat of a row is free (`duplicates: written`). The figure is the report of the architecture with the best
reward seen so far, mean and standard error over seeds ("best seen" is the best report of all queried, which nobody
could know). Needs the tables of NASWEB_TEST_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from engine.conductor import Conductor, Edit, Result, Start
from engine.config import SearchConfig
from engine.evaluation.base import Work
from engine.evaluation.tabular import TabularEvaluator

DATA = Path(os.environ.get("NASWEB_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
CODES = {"none": "0", "skip_connect": "1", "nor_conv_1x1": "2", "nor_conv_3x3": "3", "avg_pool_3x3": "4"}
#: strategy and options, as benchmarked
VARIANTS: dict[str, dict[str, Any]] = {
    "random": {"name": "random"},
    "largest_first": {"name": "largest_first"},
    "regularized_evolution": {"name": "regularized_evolution", "population": 10, "sample": 10},
    "local_search": {"name": "local_search"},
}
#: what independent implementations gave on NAS-Bench-201, CIFAR-10, at these budgets
EXPECTED_AT = (20, 50, 100, 200)
EXPECTED = {
    "random": (92.99, 93.50, 93.74, 93.89),
    "largest_first": (94.07, 94.36, 94.37, 94.37),
    "regularized_evolution": (93.31, 93.96, 94.18, 94.22),
    "local_search": (93.28, 93.97, 94.19, 94.32),
}


def config(strategy: dict[str, Any], csv: Path, reward: str, report: str, trials: int, seed: int) -> SearchConfig:
    """The search that is benchmarked."""
    return SearchConfig.parse(
        {
            "name": f"benchmark of {strategy['name']}",
            "space": {"name": "nasbench201"},
            "strategy": strategy,
            "evaluator": {
                "name": "tabular", "table": str(csv), "key": ["ops"], "codes": CODES, "reward": reward, "scale": 100,
                "report": {"report": report}, "data_name": "nasbench201-c10", "input_shape": [3, 32, 32],
            },
            "duplicates": "written",
            "budget": {"trials": trials, "epochs": 1},
            "parallelism": 1,
            "seed": seed,
            "final": {"enabled": False},
        }
    )  # fmt: skip


def one(arguments: tuple[dict[str, Any], Path, str, str, tuple[int, ...], int]) -> dict[str, Any]:
    """One seed: the incumbent's reward and report at each budget, the best report seen, seconds of deciding."""
    strategy, csv, reward, report, budgets, seed = arguments
    settings = config(strategy, csv, reward, report, max(budgets), seed)
    evaluator = TabularEvaluator(settings.options("evaluator"))
    data = evaluator.data_spec(settings.options("evaluator"))
    session = evaluator.open(settings, data)
    conductor = Conductor.from_config(settings, data)
    incumbent, rewards, best_report, spent = [], [], [], 0.0
    entry: Edit | Result = Edit("start")
    while True:
        began = time.perf_counter()
        conductor.observe(entry)
        actions = conductor.next_actions()
        spent += time.perf_counter() - began
        if (best := conductor.best()) is not None:
            incumbent.append(100 * best.metrics()["report"])
            rewards.append(100 * best.metrics()["accuracy"])
        starts = [a for a in actions if isinstance(a, Start)]
        if not starts:
            break
        (start,) = starts
        work = Work("train", start.proposal.architecture, 1, 1, seed, Path(), trial=start.trial)
        told = session.evaluate(work, lambda event: None, lambda: None)
        entry = Result(start.trial, 1, told)
        seen = 100 * told.metrics["report"]
        best_report.append(max(seen, best_report[-1]) if best_report else seen)
    at = [min(b, len(incumbent)) - 1 for b in budgets]
    return {
        "seed": seed,
        "report": [incumbent[i] for i in at],
        "reward": [rewards[i] for i in at],
        "best_report": [best_report[i] for i in at],
        "ms_per_trial": 1000 * spent / len(incumbent),
    }


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs and prints; returns one row per strategy."""
    parser = argparse.ArgumentParser(prog="benchmarks.strategies", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--csv", type=Path, default=DATA / "nas" / "nasbench201_accuracy.csv.gz")
    parser.add_argument("--reward", default="c10_val_ep12")
    parser.add_argument("--report", default="c10_test_ep200")
    parser.add_argument("--budget", default="20,50,100,200")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--strategies", default=",".join(VARIANTS))
    parser.add_argument("--options", type=json.loads, default={}, help="JSON laid over each strategy's options")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="write rows with the values of every seed")
    args = parser.parse_args(argv)
    if not args.csv.exists():
        print(f"skipped: {args.csv} is absent; NASWEB_TEST_DATA names the folder of the tables")
        return []
    budgets = tuple(int(b) for b in args.budget.split(","))
    published = args.reward == "c10_val_ep12" and args.report == "c10_test_ep200" and not args.options
    rows: list[dict[str, Any]] = []
    print(f"{'strategy':22} queries   report   ± se  expected   off by   reward  best seen")
    with ProcessPoolExecutor(args.processes) as pool:
        for name in args.strategies.split(","):
            strategy = {**VARIANTS.get(name, {"name": name}), **args.options}
            jobs = [(strategy, args.csv, args.reward, args.report, budgets, seed) for seed in range(args.seeds)]
            runs = list(pool.map(one, jobs, chunksize=5))
            values = {
                k: np.array([r[k] for r in runs]) for k in ("report", "reward", "best_report")
            }  # (seeds, budgets)
            row: dict[str, Any] = {"strategy": name, "seeds": args.seeds, "queries": budgets}
            row["ms_per_trial"] = round(float(np.mean([r["ms_per_trial"] for r in runs])), 3)
            for j, budget in enumerate(budgets):
                mean, se = values["report"][:, j].mean(), values["report"][:, j].std(ddof=1) / np.sqrt(args.seeds)
                known = published and name in EXPECTED and budget in EXPECTED_AT
                expected = EXPECTED[name][EXPECTED_AT.index(budget)] if known else None
                off = "" if expected is None else f"{mean - expected:+.2f}"
                shown = "" if expected is None else f"{expected:.2f}"
                print(
                    f"{name if j == 0 else '':22}{budget:8}{mean:9.2f}{se:7.2f}{shown:>10}{off:>9}"
                    f"{values['reward'][:, j].mean():9.2f}{values['best_report'][:, j].mean():11.2f}"
                )
                row[f"at_{budget}"] = {"mean": round(float(mean), 3), "se": round(float(se), 3), "expected": expected}
            print(f"{'':22}deciding: {row['ms_per_trial']:.2f} ms a trial")
            rows.append(row)
            if args.json:
                args.json.write_text(json.dumps([*rows[:-1], {**row, "runs": runs}], indent=1))
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
