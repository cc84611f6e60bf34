"""Strategies on a table of trained networks, beside Optuna's: the report of the best reward after so many queries.

    python -m benchmarks.strategies                      # NAS-Bench-201, CIFAR-10, the strategies of the first issue
    python -m benchmarks.strategies --strategies all --peers optuna-tpe --seeds 200 --minutes 60 --json out.json
    python -m benchmarks.strategies --limit 'flops_c10<=p50' --strategies auto,random,'local_search:{"start": 5}'
    python -m benchmarks.strategies --macro              # NAS-Bench-Macro, reward one seed, report the other two
    python -m benchmarks.strategies --synthetic cell-pairs    # a formula with a known optimum, no table
    python -m benchmarks.strategies --csv FILE --space nasbench201 --key ops --reward A,B --report A,B

Every run goes through the same conductor as the product. A query is a row as written; repeats of a row are free, and a
strategy may skip rows it knows to be equal (automatic and model-based ones do, the others are raced with
`duplicates: written`; `NAME:{"duplicates": "canonical"}` says otherwise). Runs are kept under `benchmarks/results/` by
the digest of the code and all else that decides them, so that only what is new is run; `--minutes` runs a piece. The
table of figures covers what is there.

One run of the largest budget serves all budgets, unless `--each` asks for runs of their own: a strategy is told its
budget. Needs the tables of NASWEB_TEST_DATA (default ../shared/data) or `--csv`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes of one thread each

from benchmarks._expected import EXPECTED
from engine.arena import cache, entrants, race, score, synthetic, tables
from engine.arena import figures as drawn
from engine.arena.entrants import Entrant
from engine.arena.problem import Problem
from engine.errors import EngineError

#: beside the repository, or beside the folder of its worktrees
_BESIDE = next((p / "shared" / "data" for p in Path(__file__).parents[2:] if (p / "shared" / "data").is_dir()), "data")
DATA = Path(os.environ.get("NASWEB_TEST_DATA", _BESIDE))
RESULTS = Path(__file__).parent / "results"
NASBENCH201 = {
    "csv": DATA / "nas" / "nasbench201_accuracy.csv.gz", "space": "nasbench201", "key": "ops",
    "reward": "c10_val_ep12", "report": "c10_test_ep200", "budget": "20,50,100,200",
}  # fmt: skip
MACRO = {
    "csv": DATA / "nas" / "nasbench_macro_cifar10.csv.gz", "space": "mobile", "key": "arch",
    "reward": "test_acc_1,test_acc_2,test_acc_3", "report": "test_acc_1,test_acc_2,test_acc_3", "budget": "20,50,100",
}  # fmt: skip
DEFAULT = 'random,largest_first,evolution-10-10=regularized_evolution:{"population":10,"sample":10},local_search'
#: under these labels the published row is expected
_ALIASES = {"evolution-10-10": "regularized_evolution"}

#: what forked workers race on
_PROBLEM: Problem | None = None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(
        prog="benchmarks.strategies", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out.add_argument("--csv", type=Path, help="table, .csv or .csv.gz (default: NAS-Bench-201)")
    out.add_argument("--macro", action="store_true", help="NAS-Bench-Macro instead of NAS-Bench-201")
    out.add_argument("--synthetic", choices=synthetic.LANDSCAPES, help="a formula instead of a table")
    out.add_argument("--space", help="search space of its keys; `mobile` without options is NAS-Bench-Macro's")
    out.add_argument("--space-options", type=json.loads, help="JSON with options of the space")
    out.add_argument("--shape", default="3,32,32", help="shape of one sample (default: CIFAR's)")
    out.add_argument("--classes", type=int, help="number of classes (default: 100 for columns that say c100, else 10)")
    out.add_argument("--key", help="column that names the architecture, or one per decision")
    out.add_argument("--reward", help="reward columns; of several one is drawn per row and run")
    out.add_argument("--report", help="report columns; their mean without the drawn one")
    out.add_argument("--cost", default="", help="column with seconds per query (default: by multiply-adds)")
    out.add_argument("--limit", default="", help="COLUMN<=NUMBER or COLUMN<=pNN, an exact cost")
    out.add_argument("--budget", help="queries, e.g. 20,50,100,200")
    out.add_argument("--each", action="store_true", help="runs of their own for each budget")
    out.add_argument("--seeds", type=int, default=100)
    out.add_argument("--seeds-neural", type=int, default=20, help="for strategies whose code trains networks")
    out.add_argument("--strategies", default=DEFAULT, help='all, or a,b:{"option": 1},label=c:@options.json')
    out.add_argument("--options", type=json.loads, default={}, help="JSON laid over each strategy's options")
    out.add_argument("--peers", default="", help="optuna-tpe,optuna-gp,optuna-nsga2")
    out.add_argument("--against", default="", help="paired tests against these (default: random and auto)")
    out.add_argument("--permute", action="store_true", help="leak test: rewards and reports change places per seed")
    out.add_argument("--rename", type=int, metavar="SEED", help="decisions and options renamed and reordered")
    out.add_argument("--parallel", type=int, default=1, help="results awaited at a time")
    out.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    out.add_argument("--minutes", type=float, help="start no further run after so long")
    out.add_argument("--quick", action="store_true", help="10 seeds, at most 50 queries")
    out.add_argument("--no-cache", action="store_true", help="neither read nor keep results")
    out.add_argument("--json", type=Path, help="write all figures, with curves and paired tests")
    out.add_argument("--plot", type=Path, help="write the curves as an SVG, as the arena draws them")
    return out


def problem_of(args: argparse.Namespace) -> Problem:
    """The problem that is raced on; what is not given is NAS-Bench-201 (or NAS-Bench-Macro)."""
    for name, value in (MACRO if args.macro else NASBENCH201).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.quick:
        args.seeds = min(args.seeds, 10)
        args.budget = ",".join(b for b in args.budget.split(",") if int(b) <= 50) or "20"
    if args.synthetic:
        args.space, args.reward, args.report = args.synthetic, "accuracy", "accuracy"
        return synthetic.problem(args.synthetic, args.limit, args.permute, args.rename)
    reward, report = args.reward.split(","), args.report.split(",")
    shape = tuple(int(x) for x in args.shape.split(","))
    return tables.load(
        tables.Columns.read(args.csv),
        space=args.space,
        key=args.key.split(","),
        reward=reward,
        report=report,
        options=args.space_options,
        data=tables.data_of([*reward, *report], shape, args.classes),
        limit=args.limit,
        cost=args.cost,
        permuted=args.permute,
        renamed=args.rename,
    )


def entrants_of(args: argparse.Namespace, problem: Problem) -> list[Entrant]:
    """Who races: the strategies, the two orders by size, the peers."""
    chosen, refused = entrants.parse(args.strategies, problem.space)
    for name, reason in refused.items():
        print(f"not raced: {name} ({reason})")
    if args.options:
        chosen = [entrants.strategy(e.name, {**e.options, **args.options}, e.label) for e in chosen]
    chosen += [entrants.named(name) for name in entrants.ORDERS]
    chosen += [entrants.named(name) for name in args.peers.split(",") if name]
    return list({e.label: e for e in chosen}.values())


# -- running ------------------------------------------------------------------------------------------
def _one(entrant: Entrant, budget: int, seed: int, parallel: int, marks: tuple[int, ...]) -> race.Run | str:
    """A run, or why there is none: whatever one strategy raises must not end the others' hour."""
    assert _PROBLEM is not None
    try:
        return race.run(_PROBLEM, entrant, budget, seed, parallel=parallel, marks=marks)
    except Exception as e:
        return f"{type(e).__name__}: {e}"


Job = tuple[cache.Results, Entrant, int, int]


def jobs_of(
    args: argparse.Namespace, results: dict[tuple[str, int], cache.Results], who: list[Entrant]
) -> Iterator[Job]:
    """Runs that are missing, seed by seed, so that a piece of the work covers everybody alike."""
    by_label = {e.label: e for e in who}
    for seed in range(args.seeds):
        for (label, budget), kept in results.items():
            entrant = by_label[label]
            if seed < (args.seeds_neural if cache.learns_weights(entrant) else args.seeds) and kept.missing([seed]):
                yield kept, entrant, budget, seed


def run_all(args: argparse.Namespace, problem: Problem, jobs: list[Job], budgets: tuple[int, ...]) -> dict[str, str]:
    """Runs them until done or out of time.

    Returns:
        why entrants failed, by label; what they did before is kept.
    """
    global _PROBLEM
    _PROBLEM = problem
    problem.row_of, problem.classes, problem.feasible  # noqa: B018 - computed once, before the workers fork
    broken: dict[str, str] = {}
    flying: dict[Future[race.Run | str], Job] = {}
    end = time.monotonic() + 60 * args.minutes if args.minutes else float("inf")
    todo, done, total, said = iter(jobs), 0, len(jobs), time.monotonic()
    with ProcessPoolExecutor(args.processes, mp_context=multiprocessing.get_context("fork")) as pool:
        while True:
            while len(flying) < 2 * args.processes and time.monotonic() < end:
                job = next((j for j in todo if j[1].label not in broken), None)
                if job is None:
                    break
                kept, entrant, budget, seed = job
                flying[pool.submit(_one, entrant, budget, seed, args.parallel, budgets)] = job
            if not flying:
                return broken
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                kept, entrant, _, seed = flying.pop(future)
                done += 1
                told = future.result()
                if isinstance(told, race.Run):
                    kept.add(told)
                elif entrant.label not in broken:
                    broken[entrant.label] = told
                    print(f"failed: {entrant.label}, seed {seed}: {told}", file=sys.stderr)
            if time.monotonic() - said > 20:
                said = time.monotonic()
                print(f"{done:,} of {total:,} runs", file=sys.stderr)


class Unkept(cache.Results):
    """Results of this run only."""

    def _read(self) -> None:
        pass

    def add(self, run: race.Run) -> None:
        """In memory."""
        self.runs[run.seed] = run


# -- figures ------------------------------------------------------------------------------------------
def figures(
    args: argparse.Namespace, problem: Problem, results: dict[tuple[str, int], cache.Results], budgets: tuple[int, ...]
) -> dict[str, Any]:
    """Everything that is printed or written."""
    most = max(budgets)
    seeds = range(args.seeds)
    scored: dict[int, list[score.Scored]] = {}
    for run_budget in sorted({b for _, b in results}):
        scored[run_budget] = [
            s
            for (label, b), kept in results.items()
            if b == run_budget
            and (s := score.score(problem, label, [kept.runs[i] for i in seeds if i in kept.runs], b))
        ]
    at = {b: scored[b if args.each else most] for b in budgets}
    labels = list(dict.fromkeys(s.label for found in at.values() for s in found))
    against = [a for a in (args.against.split(",") if args.against else ("random", "auto")) if a in labels]
    out: dict[str, Any] = {
        "problem": problem.described(), "limit": problem.limit_text, "budgets": list(budgets), "each": args.each,
        "parallel": args.parallel, "ceilings": score.ceilings(problem, seeds[:50]), "entrants": {}, "paired": {},
        "curves": drawn.figures(
            problem, {label: list(kept.runs.values()) for (label, b), kept in results.items() if b == most}, most
        )["curves"],
        "ranks": {b: score.ranks(found, b) for b, found in at.items()},
    }  # fmt: skip
    for label in labels:
        mine = {b: s for b, found in at.items() for s in found if s.label == label}
        entry = out["entrants"][label] = {"ms": {}, "rows": {}, "seeds": len(next(iter(mine.values())).seeds)}
        for b, s in mine.items():
            entry["rows"][b] = s.row(b)
            entry["ms"][b] = round(float(s.ms.mean()), 3)
        entry["reports"] = {b: s.at(b) for b, s in mine.items()}
    for other in against:
        for label in labels:
            for b, found in at.items():
                pair = {s.label: s.at(b) for s in found if s.label in (label, other)}
                if label != other and len(pair) == 2 and (p := score.paired(pair[label], pair[other])):
                    out["paired"].setdefault(other, {}).setdefault(label, {})[b] = asdict(p)
    return out


def show(args: argparse.Namespace, out: dict[str, Any]) -> None:
    """The figures as text."""
    setting = (args.space, args.reward, args.report, args.limit.replace(" ", ""))
    plain = not args.permute and args.rename is None and args.parallel == 1 and not args.space_options
    expected = EXPECTED.get(setting, {}) if plain else {}
    print(f"{out['problem']['name']}, {out['limit'] or 'no limit'}; reward {args.reward}, report {args.report}")
    print(f"{'':34} queries   report   ± se   lower expected  recommended   reward  class found   ms  rank  seeds")
    for label, entry in out["entrants"].items():
        for i, (b, row) in enumerate(entry["rows"].items()):
            known = expected.get(_ALIASES.get(label, label), {}).get(b)
            rep, rec, found = row["report"], row["recommended"], row["found"]
            print(
                f"{label[:34] if not i else '':34}{b:8}{rep['mean']:9.2f}{rep['se']:7.2f}{rep['lower']:8.2f}"
                f"{'' if known is None else f'{known:.2f}':>9}"
                f"{'' if rec is None else '{mean:.2f} ± {se:.2f}'.format(**rec):>13}{row['reward']['mean']:9.2f}"
                f"{100 * found['share']:6.0f}% >{100 * found['lower']:3.0f}%{entry['ms'][b]:6.1f}"
                f"{out['ranks'][b].get(label, float('nan')):6.1f}" + (f"{entry['seeds']:7}" if not i else "")
            )
    c = out["ceilings"]
    print(
        f"ceilings: report of the best reward {c['best_reward']:.2f}, best class mean {c['best_class']:.2f}, "
        f"best report {c['best_report']:.2f}"
    )
    for other, table in out["paired"].items():
        print(f"against {other}: difference of reports [one-sided 95 % lower bound], p of Wilcoxon's test, paired t")
        for label, by_budget in table.items():
            cells = [
                f"{b}: {p['difference']:+.3f} [{p['lower']:+.3f}] {p['p_wilcoxon']:.1g} {p['p_t']:.1g}"
                for b, p in by_budget.items()
            ]
            print(f"  {label[:32]:32}" + " | ".join(cells))


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs what is missing and prints; returns one row per entrant."""
    args = parser().parse_args(argv)
    if args.csv is None and not args.synthetic and not (MACRO if args.macro else NASBENCH201)["csv"].exists():
        print("skipped: the tables are absent; NASWEB_TEST_DATA names their folder, or give --csv")
        return []
    try:
        problem = problem_of(args)
        who = entrants_of(args, problem)
    except EngineError as e:
        sys.exit(f"cannot race: {e}")
    budgets = tuple(sorted(int(b) for b in args.budget.split(",")))
    kind = Unkept if args.no_cache else cache.Results
    runs = budgets if args.each else budgets[-1:]
    results = {(e.label, b): kind(RESULTS, problem, e, b, args.parallel) for e in who for b in runs}
    jobs = list(jobs_of(args, results, who))
    broken = run_all(args, problem, jobs, budgets) if jobs else {}
    out = {**figures(args, problem, results, budgets), "failed": broken}
    show(args, out)
    if left := len(list(jobs_of(args, results, who))):
        print(f"{left:,} runs are missing; the same command goes on with them")
    if args.json:
        args.json.write_text(json.dumps(out, indent=1))
    if args.plot and out["curves"]:
        from benchmarks._plots import plot

        plot(out, args.plot)
    return [
        {
            "strategy": label,
            "seeds": e["seeds"],
            "ms_per_trial": e["ms"],
            **{f"at_{b}": {k: round(row["report"][k], 3) for k in ("mean", "se")} for b, row in e["rows"].items()},
        }
        for label, e in out["entrants"].items()
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
