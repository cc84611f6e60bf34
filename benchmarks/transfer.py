"""Learning across searches: CIFAR-10 on NAS-Bench-201 after a finished search on CIFAR-100.

    python -m benchmarks.transfer                     # 20 source searches, 20 searches after them
    python -m benchmarks.transfer --quick             # 4 of each
    python -m benchmarks.transfer --learners transfer --source auto --json out.json

Source: searches of 200 queries on `c100_val_ep12`, one per seed. After it, each learner searches CIFAR-10
(`c10_val_ep12`, judged by `c10_test_ep200`) with 50 queries, read off at 20 and 50, under the same seeds:

    related      with the source's results
    shuffled     with the same results, permuted over its networks
    unrelated    with a search on NAS-Bench-Macro (another space)
    none         without experience

beside `replay`: the source's best by reward, one after another, without any learning. Differences are paired by seed.
Runs are kept under `benchmarks/results/` like those of `benchmarks.strategies`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache as once
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.strategies import MACRO, NASBENCH201, RESULTS
from engine.arena import cache, entrants, race, score, tables
from engine.arena.problem import Problem
from engine.experience import Experience, Tried
from engine.objectives import Objective

ARMS = ("related", "none", "shuffled", "unrelated")
BUDGETS = (20, 50)
#: queries of a source
SOURCE = 200


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(
        prog="benchmarks.transfer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out.add_argument("--learners", default="transfer,meta_surrogate", help="strategies that learn across searches")
    out.add_argument("--source", default="gaussian_process", help="strategy of the earlier searches")
    out.add_argument("--seeds", type=int, default=20, help="source searches, and searches after them")
    out.add_argument("--arms", default=",".join(ARMS))
    out.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    out.add_argument("--quick", action="store_true", help="4 seeds")
    out.add_argument("--json", type=Path, help="write all figures")
    return out


# -- problems and experience --------------------------------------------------------------------------
@once
def problem_of(which: str) -> Problem:
    """"c10", "c100" or "macro"."""
    given = MACRO if which == "macro" else NASBENCH201
    reward, report = (
        (given["reward"], given["report"]) if which == "macro" else (f"{which}_val_ep12", f"{which}_test_ep200")
    )
    columns = [*reward.split(","), *report.split(",")]
    return tables.load(
        tables.Columns.read(given["csv"]), space=given["space"], key=given["key"].split(","), reward=reward.split(","),
        report=report.split(","), data=tables.data_of(columns),
    )  # fmt: skip


def kept(which: str, name: str, budget: int, also: dict[str, object] | None = None) -> cache.Results:
    """The runs there are."""
    return cache.Results(RESULTS, problem_of(which), entrants.strategy(name), budget, also=also)


def source_run(which: str, strategy: str, seed: int) -> race.Run:
    """A finished earlier search."""
    return race.run(problem_of(which), entrants.strategy(strategy), SOURCE, seed)


def experience_from(problem: Problem, run: race.Run, *, shuffled: bool = False) -> Experience:
    """What a run measured; `shuffled` = its results change places over its networks."""
    rewards = problem.view(run.seed).rewards[run.rows] / problem.scale
    if shuffled:
        rewards = np.random.default_rng([run.seed, 0x5F]).permutation(rewards)
    data = problem.space.data
    assert data is not None
    return Experience(
        name=f"{problem.name} {run.seed}",
        space=problem.space.name,
        options=problem.space.options.model_dump(mode="json"),
        data={"kind": data.kind, "input_shape": list(data.input_shape), "n_classes": data.n_classes, "sizes": {}},
        objectives=(Objective(),),
        source="table",
        fidelity=1,
        trials=tuple(
            Tried(problem.architectures[row].choices, (-float(r),), {})
            for row, r in zip(run.rows, rewards, strict=True)
        ),
    )


def replayed(run: race.Run) -> race.Run:
    """The source's best by reward, queried on CIFAR-10 in that order."""
    rewards = problem_of("c100").view(run.seed).rewards[run.rows]
    rows = [run.rows[i] for i in np.argsort(-rewards, kind="stable")][: max(BUDGETS)]
    return race.Run(run.seed, rows, [0.0] * len(rows))


def learner_run(name: str, arm: str, source: race.Run | None) -> race.Run:
    """One search on CIFAR-10 after a source."""
    seed = source.seed if source is not None else 0
    given: list[Experience] = []
    if source is not None and arm != "none":
        which = "macro" if arm == "unrelated" else "c100"
        given = [experience_from(problem_of(which), source, shuffled=arm == "shuffled")]
    return race.run(problem_of("c10"), entrants.strategy(name), max(BUDGETS), seed, marks=BUDGETS, experience=given)


# -- running ------------------------------------------------------------------------------------------
def filled(
    results: cache.Results, seeds: Sequence[int], processes: int, run: Callable[..., race.Run], *arguments: Any,
    each: dict[int, Any] | None = None,
) -> dict[int, race.Run]:  # fmt: skip
    """Runs what is missing, and gives all by seed."""
    missing = results.missing(seeds)
    if missing:
        with ProcessPoolExecutor(processes) as pool:
            last = [each[s] if each is not None else s for s in missing]
            for done in pool.map(run, *([a] * len(missing) for a in arguments), last):
                results.add(done)
        print(f"{results.path.stem}: {len(missing)} runs", file=sys.stderr)
    return {s: results.runs[s] for s in seeds}


def all_runs(args: argparse.Namespace) -> dict[str, dict[int, race.Run]]:
    """Runs by "learner/arm", and "replay"."""
    seeds = range(args.seeds)
    sources = filled(kept("c100", args.source, SOURCE), seeds, args.processes, source_run, "c100", args.source)
    out = {"replay": {s: replayed(run) for s, run in sources.items()}}
    arms = args.arms.split(",")
    others = sources
    if "unrelated" in arms:
        others = filled(kept("macro", args.source, SOURCE), seeds, args.processes, source_run, "macro", args.source)
    code = cache.digest_of(entrants.strategy(args.source), "nasbench201")
    for name in args.learners.split(","):
        for arm in arms:
            also = {"arm": arm, "source": args.source, "source code": code} if arm != "none" else {"arm": arm}
            results = kept("c10", name, max(BUDGETS), also)
            each = others if arm == "unrelated" else sources
            out[f"{name}/{arm}"] = filled(results, seeds, args.processes, learner_run, name, arm, each=each)
    return out


def figures(runs: dict[str, dict[int, race.Run]]) -> dict[str, Any]:
    """Reports and paired differences, by label and budget."""
    problem = problem_of("c10")
    scored = {label: score.score(problem, label, list(found.values()), max(BUDGETS)) for label, found in runs.items()}
    out: dict[str, Any] = {"reports": {}, "differences": {}, "seeds": len(runs["replay"])}
    for label, s in scored.items():
        assert s is not None
        out["reports"][label] = {b: asdict(score.Spread.of(np.array(list(s.at(b).values())))) for b in BUDGETS}
    for label, s in scored.items():
        name, _, arm = label.partition("/")
        for other in ("replay", f"{name}/none"):
            if arm and other in scored and other != label and (other != "replay" or arm == "related"):
                for b in BUDGETS:
                    pair = score.paired(s.at(b), scored[other].at(b))  # type: ignore[union-attr]
                    if pair is not None:
                        out["differences"].setdefault(f"{label} - {other.rpartition('/')[2]}", {})[b] = asdict(pair)
    return out


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs what is missing and prints; returns one row per learner and arm."""
    args = parser().parse_args(argv)
    if not NASBENCH201["csv"].exists():
        print("skipped: the tables are absent; NASWEB_TEST_DATA names their folder")
        return []
    if args.quick:
        args.seeds = min(args.seeds, 4)
    out = figures(all_runs(args))
    print(f"{'report of the best reward':44}" + "".join(f"{b:>8} queries" for b in BUDGETS))
    for label, row in out["reports"].items():
        print(f"{label:44}" + "".join(f"{row[b]['mean']:9.2f} ± {row[b]['se']:.2f}" for b in BUDGETS))
    print(f"paired differences over {out['seeds']} seeds [one-sided 95 % lower bound]")
    for label, row in out["differences"].items():
        cells = (f"{p['difference']:+9.3f} ± {p['se']:.3f} [{p['lower']:+.3f}]" for p in row.values())
        print(f"{label:44}" + "".join(cells))
    if args.json:
        args.json.write_text(json.dumps({"source": args.source, **out}, indent=1))
    rows = out["reports"].items()
    return [{"run": label, **{f"at_{b}": round(row[b]["mean"], 3) for b in BUDGETS}} for label, row in rows]


if __name__ == "__main__":
    main(sys.argv[1:])
