"""Time of an ask and tell after so many results, on NAS-Bench-201 without a limit.

    python -m benchmarks.asking                                     # gaussian_process at 50 to 300 results
    python -m benchmarks.asking --strategies tpe,regularized_evolution --at 1000,5000

Milliseconds of one core for the strategy and its conductor, over the thirty queries around each number of results:
mean (what a search pays), median, and the longest (where a model is tuned). One seed, one process.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from benchmarks import strategies
from engine.arena import entrants, race

#: queries before and behind a number of results
AROUND = (10, 20)


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs and prints; returns one row per strategy and number of results."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.asking", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strategies", default="gaussian_process", help="a,b:{options},...")
    parser.add_argument("--at", default="50,100,200,300", help="results that are known")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if not strategies.NASBENCH201["csv"].exists():
        print("skipped: the tables are absent; NASWEB_TEST_DATA names their folder")
        return []
    problem = strategies.problem_of(strategies.parser().parse_args([]))
    chosen, _ = entrants.parse(args.strategies, problem.space)
    marks = sorted(int(n) for n in args.at.split(","))
    rows = []
    print(f"{'strategy':28} results    mean  median  longest, ms")
    for entrant in chosen:
        ms = np.array(race.run(problem, entrant, marks[-1] + AROUND[1], args.seed).ms)
        for n in marks:
            some = ms[max(0, n - AROUND[0]) : n + AROUND[1]]
            row = {"mean": float(some.mean()), "median": float(np.median(some)), "longest": float(some.max())}
            print(f"{entrant.label[:28]:28}{n:8}{row['mean']:8.1f}{row['median']:8.1f}{row['longest']:9.1f}")
            rows.append({"strategy": entrant.label, "results": n, **row})
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
