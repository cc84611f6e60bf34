"""What it costs to orchestrate a trial: real Celery, real Redis, a job, a message, a claim, fenced writes and events each.

An evaluator of zero length (the synthetic table) and no child process. Beside it Optuna's SQLite storage adding finished
trials with 8 parameters and 10 values on the same machine. Prints a table and one JSON line.

    python benchmarks/orchestration.py [--trials 1000 10000] [--postgres]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def ours(trials: int, home: Path) -> dict[str, Any]:
    """Wall time of one search of `trials` trials on a stack of its own, after one small search that warms it up."""
    from engine.config import SearchConfig
    from nasweb.supervisor import Stack
    from searches.models import Claim, Event, Job, Search
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

    with Stack(home, web=False, workers=1, concurrency=2):
        run(20)
        search, seconds = run(trials)
    assert search.state == "completed", search.reason
    wrong = inconsistencies(search=search)
    jobs = Job.objects.filter(search=search, state="done").count()
    claims = Claim.objects.filter(search=search, outcome="done").count()
    assert not wrong and search.n_trials == trials and jobs == trials and claims == trials, (wrong, jobs, claims)
    search.refresh_from_db()
    return {
        "trials": trials,
        "ms_per_trial": 1000 * seconds / trials,
        "events": search.seq,
        "events_kept": Event.objects.filter(search=search).count(),
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
    return {"trials": trials, "ms_per_trial": 1000 * (time.perf_counter() - began) / trials}


def main() -> None:
    """Runs everything once and prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--optuna", type=int, default=1_000, help="trials to add to Optuna's storage; 0 = none")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nwb-") as folder:
        home = Path(folder) / "d"
        home.mkdir()
        os.environ["NASWEB_DATA_DIR"] = str(home)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nasweb.settings")
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        load = os.getloadavg()[0]
        rows = [ours(n, home) for n in given.trials]
        optuna_row = optunas(given.optuna, Path(folder)) if given.optuna else None
    for row in rows:
        print(f"ours    {row['trials']:>6,} trials  {row['ms_per_trial']:6.2f} ms a trial  {row['events']:,} events")
    if optuna_row:
        print(f"Optuna  {optuna_row['trials']:>6,} trials  {optuna_row['ms_per_trial']:6.2f} ms a finished trial added")
    ratio = rows[-1]["ms_per_trial"] / rows[0]["ms_per_trial"]
    print(f"ratio {rows[-1]['trials']:,} / {rows[0]['trials']:,}: {ratio:.2f}; load before: {load:.1f} on {os.cpu_count()} cores")
    print(json.dumps({"ours": rows, "optuna": optuna_row, "ratio": ratio, "load": load}))


if __name__ == "__main__":
    main()
