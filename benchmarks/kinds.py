"""Text, signals and tables through the whole path: a short search, full training, one look at the sealed test.

    python -m benchmarks.kinds [--trials 4] [--epochs 6] [--only trec_transformer] [--json OUT]

The examples of these kinds of data, cut to a few trials, in this process. Beside each accuracy stands the share of the
most frequent class of the sealed test split: what a network that has learned nothing would get. Needs the data of
NASWEB_TEST_DATA (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import engine
from engine.config import SearchConfig
from engine.data import registry

EXAMPLES = Path(__file__).parents[1] / "examples"
KINDS = ("adult_mlp", "trec_transformer", "fsdd_layers")


def run(name: str, trials: int, epochs: int) -> dict[str, Any]:
    """One example, cut."""
    value = SearchConfig.from_yaml((EXAMPLES / f"{name}.yaml").read_text()).to_json()
    value["budget"] |= {"trials": trials, "epochs": epochs, "minutes": None}
    value["schedule"] = {"name": "full"}
    value["final"] = {"enabled": True, "epochs": 2 * epochs}
    value["parallelism"] = 1
    config = SearchConfig.parse(value)
    begun = time.perf_counter()
    result = engine.run(config)
    spent = time.perf_counter() - begun
    assert result.best is not None and result.final is not None
    labels = registry.load_test(config.data.name, config.data.options()).y
    return {
        "example": name, "trials": trials, "epochs": epochs,
        "best_quick": round(result.best.metrics()["accuracy"], 4),
        "validation": round(result.final.metrics["accuracy"], 4),
        "sealed_test": round(result.final.metrics["test_accuracy"], 4),
        "most_frequent_class": round(float(np.bincount(labels).max() / len(labels)), 4),
        "seconds": round(spent),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Runs, prints a table, returns the rows."""
    parser = argparse.ArgumentParser(prog="benchmarks.kinds", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    rows = []
    print("| example | best, quick | validation, full | sealed test | most frequent class | seconds |")
    print("|---|---|---|---|---|---|")
    for name in args.only.split(","):
        config = SearchConfig.from_yaml((EXAMPLES / f"{name}.yaml").read_text())
        if not registry.datasets()[config.data.name].available:
            print(f"skipped: {config.data.name} is absent; NASWEB_TEST_DATA names the folder of the data")
            continue
        row = run(name, args.trials, args.epochs)
        rows.append(row)
        figures = [row[k] for k in ("best_quick", "validation", "sealed_test", "most_frequent_class", "seconds")]
        print(f"| {name} | {' | '.join(map(str, figures))} |", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
