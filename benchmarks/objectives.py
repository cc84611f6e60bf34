"""Several objectives on NAS-Bench-201: hypervolume of the front after so many queries, ours beside Optuna's.

    python -m benchmarks.objectives      # ehvi, ehvi told the reference point, Optuna's two; 10 seeds, 200 queries
    python -m benchmarks.objectives --seeds 50 --strategies ehvi,parego,nsga2,optuna-nsga2,optuna-motpe --json OUT
    python -m benchmarks.objectives --strategies 'ehvi:{"quantile": 0.5}' --budget 100,200,500

Maximize the validation accuracy after 12 epochs, minimize the latency on a Raspberry Pi 4 and the parameters. The
figure is the hypervolume relative to that of the table's true front, reference point at the table's medians. A query is
a row as written; repeats of a row are free for everyone. Seeds are paired: differences to the first strategy named are
over the same seeds. Printed: mean, standard error, and the lower bound of a one-sided 95 % interval of the mean.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from benchmarks.strategies import DATA
from engine import catalog
from engine.conductor import Conductor, Edit, Result, Start
from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.evaluation.base import Report
from engine.hypervolume import hypervolume
from engine.objectives import front
from engine.spaces.base import SearchSpace, space_of
from engine.strategies.base import Context

OBJECTIVES = [
    {"metric": "accuracy", "direction": "maximize"},
    {"metric": "raspi4", "direction": "minimize"},
    {"metric": "n_params", "direction": "minimize"},
]
CODES = {"none": "0", "skip_connect": "1", "nor_conv_1x1": "2", "nor_conv_3x3": "3", "avg_pool_3x3": "4"}
#: ehvi by itself, and told the reference point that the figure has
TOLD = 'ehvi:{"reference":{"accuracy":0.72278,"raspi4":25.6801,"n_params":344346}}'
DEFAULT = f"ehvi,{TOLD},optuna-nsga2,optuna-motpe"
#: what independent runs gave after 100, 200 and 500 queries
EXPECTED = {
    "optuna-nsga2": {100: 0.775, 200: 0.899, 500: 0.943},
    "optuna-motpe": {100: 0.850, 200: 0.904, 500: 0.958},
    "parego": {100: 0.868, 200: 0.920, 500: 0.962},
}
#: repeats in a row that are told again before a row is drawn at random
REPEATS = 50


@dataclass(frozen=True)
class Table:
    """NAS-Bench-201 with three objectives.

    Attributes:
        space: bound to CIFAR-10.
        row: place of each architecture by its operations' codes.
        losses: (rows, 3).
        reference: medians.
        best: hypervolume of the true front.
    """

    space: SearchSpace
    row: dict[str, int]
    losses: NDArray[np.float64]
    reference: NDArray[np.float64]
    best: float

    def share(self, rows: list[int]) -> float:
        """Hypervolume of these rows, of the true front's."""
        return hypervolume(self.losses[rows], self.reference) / self.best


def _rows(name: str) -> list[dict[str, str]]:
    with gzip.open(DATA / "nas" / name, "rt") as file:
        return list(csv.DictReader(file))


@cache
def table() -> Table:
    """Reads both tables."""
    accuracy, latency = _rows("nasbench201_accuracy.csv.gz"), _rows("nasbench201_latency_ms.csv.gz")
    losses = np.array(
        [
            [-float(a["c10_val_ep12"]) / 100, float(t["raspi4"]), float(a["params_c10"])]
            for a, t in zip(accuracy, latency, strict=True)
        ]
    )
    data = DataSpec(
        name="nasbench201-c10", kind="image", input_shape=(3, 32, 32), n_classes=10,
        class_names=tuple("0123456789"), sizes={"train": 0, "validation": 0, "test": 0}, digest="0" * 64,
        split_digest="0" * 64, mean=(0.0,) * 3, std=(1.0,) * 3,
    )  # fmt: skip
    cls = catalog.get("space", "nasbench201")
    reference = np.median(losses, axis=0)
    best = hypervolume(losses[front(losses)], reference)
    place = {a["ops"]: i for i, a in enumerate(accuracy)}
    return Table(space_of(cls, cls.Options(), data), place, losses, reference, best)


def search(name: str, options: dict[str, Any], budget: int, seed: int) -> tuple[list[int], float]:
    """(rows in the order of their queries, seconds of deciding) of one of ours."""
    t = table()
    names = [d.name for d in t.space.all_decisions()]
    config = SearchConfig.parse(
        {
            "name": f"benchmark of {name}",
            "strategy": {"name": name, **options},
            "space": {"name": "nasbench201"},
            "evaluator": {"name": "tabular"},
            "objectives": OBJECTIVES,
            "duplicates": "written",
            "budget": {"trials": budget, "epochs": 1},
            "parallelism": 1,
            "seed": seed,
            "final": {"enabled": False},
        }
    )
    context = Context(
        space=t.space, objectives=config.objectives, limits={}, budget=config.budget, parallelism=1, seed=seed,
        max_fidelity=1, duplicates="written",
    )  # fmt: skip
    strategy = catalog.get("strategy", name)(config.options("strategy"), context)
    schedule = catalog.get("schedule", "full")(config.options("schedule"), 1, 1)
    conductor = Conductor(config, context, strategy, schedule)
    rows, spent = [], 0.0
    entry: Edit | Result = Edit("start")
    while True:
        began = time.thread_time()
        conductor.observe(entry)
        starts = [a for a in conductor.next_actions() if isinstance(a, Start)]
        spent += time.thread_time() - began
        if not starts:
            return rows, spent
        (start,) = starts
        row = t.row["".join(CODES[str(start.proposal.architecture[n])] for n in names)]
        rows.append(row)
        metrics = {"accuracy": -t.losses[row, 0], "raspi4": t.losses[row, 1]}
        entry = Result(start.trial, 1, Report(metrics, 1, "table"))


def peer(name: str, budget: int, seed: int) -> tuple[list[int], float]:
    """The same of a sampler of Optuna; rows that it repeats are told again and cost nothing."""
    import warnings

    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    t = table()
    names = [d.name for d in t.space.all_decisions()]
    samplers = {
        "optuna-nsga2": lambda: optuna.samplers.NSGAIISampler(population_size=20, seed=seed),
        "optuna-motpe": lambda: optuna.samplers.TPESampler(multivariate=True, seed=seed, constant_liar=False),
    }
    study = optuna.create_study(directions=["minimize"] * 3, sampler=samplers[name]())
    rng = np.random.default_rng([seed, 1])
    rows: list[int] = []
    seen: set[int] = set()
    spent, repeats = 0.0, 0
    while len(rows) < budget:
        began = time.thread_time()
        trial = study.ask()
        codes = [trial.suggest_categorical(n, tuple("01234")) for n in names]
        row = t.row["".join(codes)]
        if row in seen and (repeats := repeats + 1) >= REPEATS:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            row = int(rng.choice(np.setdiff1d(np.arange(len(t.losses)), rows)))
            key = next(k for k, i in t.row.items() if i == row)
            kinds = {n: optuna.distributions.CategoricalDistribution(tuple("01234")) for n in names}
            params = dict(zip(names, key, strict=True))
            study.add_trial(optuna.create_trial(values=t.losses[row].tolist(), params=params, distributions=kinds))
        else:
            study.tell(trial, t.losses[row].tolist())
        spent += time.thread_time() - began
        if row not in seen:
            seen.add(row)
            rows.append(row)
            repeats = 0
    return rows, spent


def one(arguments: tuple[str, tuple[int, ...], int]) -> dict[str, Any]:
    """One seed: share of the hypervolume at each budget, milliseconds a query."""
    text, budgets, seed = arguments
    name, _, options = text.partition(":")
    if name.startswith("optuna-"):
        rows, spent = peer(name, max(budgets), seed)
    else:
        rows, spent = search(name, json.loads(options or "{}"), max(budgets), seed)
    return {
        "seed": seed,
        "share": [table().share(rows[:b]) for b in budgets],
        "ms": 1000 * spent / max(1, len(rows)),
    }


def split(text: str) -> list[str]:
    """Names with options in JSON, separated by commas that are not inside of braces."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [p.strip() for p in parts if p.strip()]


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs and prints; returns one row per strategy."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.objectives", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strategies", default=DEFAULT, help=f"a,b:{{options}},... (default: {DEFAULT})")
    parser.add_argument("--budget", default="100,200", help="queries; one run of the largest serves all")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="write rows with the values of every seed")
    args = parser.parse_args(argv)
    if not (DATA / "nas" / "nasbench201_latency_ms.csv.gz").exists():
        print(f"skipped: {DATA / 'nas'} is absent; NASWEB_TEST_DATA names the folder of the tables")
        return []
    from scipy.stats import t as student

    budgets = tuple(sorted(int(b) for b in args.budget.split(",")))
    table()  # before forking: read once
    rows: list[dict[str, Any]] = []
    first: NDArray[np.float64] | None = None
    print(f"{'strategy':24} queries   share    ± se  95 % bound  expected  to the first")
    with ProcessPoolExecutor(args.processes, mp_context=multiprocessing.get_context("fork")) as pool:
        for text in split(args.strategies):
            seeds = range(args.first_seed, args.first_seed + args.seeds)
            runs = list(pool.map(one, [(text, budgets, seed) for seed in seeds]))
            shares = np.array([r["share"] for r in runs])
            first = shares if first is None else first
            quantile = float(student.ppf(0.95, max(1, len(runs) - 1)))
            row: dict[str, Any] = {"strategy": text, "seeds": list(seeds), "queries": budgets, "runs": runs}
            for j, budget in enumerate(budgets):
                mean, se = _mean(shares[:, j])
                apart, apart_se = _mean(shares[:, j] - first[:, j])
                known = EXPECTED.get(text, {}).get(budget)
                print(
                    f"{text[:24] if j == 0 else '':24}{budget:8}{mean:8.4f}{se:8.4f}{mean - quantile * se:12.4f}"
                    f"{'' if known is None else f'{known:.3f}':>10}  {apart:+.4f} ± {apart_se:.4f}",
                    flush=True,
                )
                row[f"at_{budget}"] = {"mean": mean, "se": se, "bound": mean - quantile * se, "expected": known}
            row["ms"] = float(np.mean([r["ms"] for r in runs]))
            print(f"{'':24}deciding: {row['ms']:.1f} ms a query")
            rows.append(row)
            if args.json:
                args.json.write_text(json.dumps(rows, indent=1))
    return rows


def _mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and its standard error."""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean()), float(error)


if __name__ == "__main__":
    main(sys.argv[1:])
