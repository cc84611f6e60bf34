"""What orchestrating a trial costs: real Celery and Redis, a job, a message, a claim, fenced writes and events each.

Run: `python -m benchmarks orchestration`. An evaluator of zero length (the synthetic table, 10 epochs) and no child
process; counts are recomputed from the rows and compared. Beside it Optuna's SQLite storage adding finished trials with
8 parameters and 10 values on the same machine.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil


def ours(trials: int, home: Path) -> dict[str, Any]:
    """Wall time of one search of `trials` trials on a stack of its own, after one small search that warms it up."""
    from engine.config import SearchConfig
    from nasweb.supervisor import Stack
    from searches.models import Claim, Job, Search
    from searches.selectors.checks import inconsistencies
    from searches.services import lifecycle

    owner = _owner()

    def run(n: int) -> tuple[Search, float]:
        config = SearchConfig.parse(
            {
                "schema": 1,
                "name": f"{n} trials",
                "space": "layers",
                "strategy": "regularized_evolution",
                "evaluator": {"name": "tabular"},
                "budget": {"trials": n, "epochs": 10},
                "parallelism": 8,
            }
        )
        search = lifecycle.search_create(owner=owner, config=config, start=False)
        began = time.perf_counter()
        lifecycle.search_start(search=search, by=owner)
        while True:
            search.refresh_from_db(fields=["state", "reason", "n_trials"])
            if search.ended:
                return search, time.perf_counter() - began
            time.sleep(0.05)

    with Stack(home, web=False, workers=1, concurrency=2) as stack:
        run(20)
        processes = {name: psutil.Process(pid) for name, pid in stack.pids().items()}
        before = {name: sum(p.cpu_times()[:2]) for name, p in processes.items()}
        search, seconds = run(trials)
        cpu = {name: round(1000 * (sum(p.cpu_times()[:2]) - before[name]) / trials, 2) for name, p in processes.items()}
    assert search.state == "completed", search.reason
    wrong = inconsistencies(search=search)
    jobs = Job.objects.filter(search=search, state="done").count()
    claims = Claim.objects.filter(search=search, outcome="done").count()
    assert not wrong and search.n_trials == trials and jobs == trials and claims == trials, (wrong, jobs, claims)
    search.refresh_from_db()
    return {
        "what": "ours",
        "trials": trials,
        "ms_per_trial": 1000 * seconds / trials,
        "cpu_ms_per_trial": cpu,
        "events": search.seq,
        "load": os.getloadavg()[0],
    }


def _owner() -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get_or_create(username="local")[0]


def optunas(trials: int, home: Path) -> dict[str, Any]:
    """Optuna adding finished trials, each with 8 parameters and 10 intermediate values."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=f"sqlite:///{home / 'optuna.sqlite3'}")
    distributions = {f"p{i}": optuna.distributions.FloatDistribution(0, 1) for i in range(8)}
    began = time.perf_counter()
    for n in range(trials):
        study.add_trial(
            optuna.trial.create_trial(
                params={name: (n * 7 + i) % 100 / 100 for i, name in enumerate(distributions)},
                distributions=distributions,
                value=n / trials,
                intermediate_values={step: step / 10 for step in range(10)},
            )
        )
    return {"what": "Optuna", "trials": trials, "ms_per_trial": 1000 * (time.perf_counter() - began) / trials}


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs everything once."""
    parser = argparse.ArgumentParser(prog="orchestration")
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--optuna", type=int, default=1_000, help="trials to add to Optuna's storage; 0 = none")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="nwb-") as folder:
        home = Path(folder) / "d"
        home.mkdir()
        os.environ["NASWEB_DATA_DIR"] = str(home)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nasweb.settings")
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        rows = []
        for n in given.trials:
            rows.append(ours(n, home))
            print(f"ours    {n:>6,} trials {rows[-1]['ms_per_trial']:7.2f} ms a trial (goal 20)", flush=True)
        if len(rows) > 1:
            print(f"{given.trials[-1]:,} / {given.trials[0]:,} trials: {_ratio(rows):.2f}x a trial (goal 1.2)")
        if given.optuna:
            rows.append(optunas(given.optuna, Path(folder)))
            print(f"Optuna  {given.optuna:>6,} trials {rows[-1]['ms_per_trial']:7.2f} ms a finished trial added")
    return rows


def _ratio(rows: list[dict[str, Any]]) -> float:
    return float(rows[-1]["ms_per_trial"] / rows[0]["ms_per_trial"])
