"""A process beside a stack that acts on its database as the pages would: one JSON line in, one JSON line out.

The tests' own Django speaks to a test database; a stack's data lie elsewhere, so this is another process with the
stack's environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from tests.waiting import wait_until

ENDED = ("completed", "stopped", "failed")


class Remote:
    """Calls the functions below in a process with the environment `env` of a stack."""

    def __init__(self, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.remote"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(json.dumps([name, arguments]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            if not line:
                raise AssertionError(f"{name} ended the process")
            answer = json.loads(line)
            if "error" in answer:
                raise AssertionError(answer["error"])
            return answer["value"]

        return call

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()

    # -- waiting ---------------------------------------------------------------------------------
    def ended(self, search: int, *, timeout_s: float = 60) -> dict[str, Any]:
        """The search once it has ended; its rows fit together then."""
        what = f"search {search} ends"
        wait_until(lambda: self.state(search=search) in ENDED, what, timeout_s=timeout_s, every_s=0.1)
        value: dict[str, Any] = self.look(search=search)
        assert value["wrong"] == [], value["wrong"]
        return value

    def until(self, search: int, condition: Any, what: str, *, timeout_s: float = 40) -> dict[str, Any]:
        """The search as soon as `condition(look)` holds."""

        def check() -> Any:
            value = self.look(search=search)
            return value if condition(value) else None

        return dict(wait_until(check, what, timeout_s=timeout_s, every_s=0.05))


# -- what the other process does --------------------------------------------------------------------------------------
def create(config: dict[str, Any]) -> dict[str, Any]:
    """Creates and starts a search; how long the answer took."""
    from searches.services import lifecycle
    from tests.factories import config_make

    parsed = config_make(**config)
    began = time.monotonic()
    search = lifecycle.search_create(owner=_owner(), config=parsed, start=True)
    return {"id": search.pk, "state": search.state, "seconds": time.monotonic() - began}


def _owner() -> Any:
    from django.contrib.auth import get_user_model

    return get_user_model().objects.get_or_create(username="local")[0]


def act(action: str, search: int, **arguments: Any) -> int | None:
    """`lifecycle.search_<action>`; the id of the search it answers."""
    from searches.models import Search
    from searches.services import lifecycle

    answer = getattr(lifecycle, f"search_{action}")(search=Search.objects.get(pk=search), by=_owner(), **arguments)
    return answer.pk if answer is not None else None


def state(search: int) -> str:
    """State of a search."""
    from searches.models import Search

    return str(Search.objects.values_list("state", flat=True).get(pk=search))


def look(search: int) -> dict[str, Any]:
    """All of a search that tests look at."""
    from searches.models import Claim, Job, Point, Search, Trial
    from searches.selectors.checks import inconsistencies

    row = Search.objects.get(pk=search)
    points = Point.objects.filter(trial__search_id=search).order_by("trial__number", "epoch")
    return {
        "state": row.state,
        "reason": row.reason,
        "seq": row.seq,
        "cursor": row.cursor,
        "best": row.best.number if row.best else None,
        "front": row.front,
        "trials": list(
            Trial.objects.filter(search_id=search).order_by("number").values(
                "number", "state", "reason", "failure_kind", "traceback", "accuracy", "metrics", "epochs", "key",
                "duration_s",
            )
        ),
        "jobs": list(
            Job.objects.filter(search_id=search).order_by("id").values(
                "id", "trial__number", "kind", "state", "claim", "failures", "losses", "worker", "fidelity",
                "checkpoint", "progress",
            )
        ),
        "claims": list(
            Claim.objects.filter(search_id=search).order_by("id").values("job_id", "number", "outcome", "worker")
        ),
        "points": [list(p) for p in points.values_list("trial__number", "epoch", "accuracy")],
        "wrong": inconsistencies(search=row),
    }  # fmt: skip


def supernet(search: int) -> dict[str, Any]:
    """The only supernet of a search: its stored epochs, and how many of them its official checkpoint holds.

    {"job", "state", "worker", "epochs": [number], "saved"}; "saved" is 0 where there is no checkpoint.
    """
    from django.core.files.storage import default_storage
    from safetensors import safe_open

    from searches.models import Job

    job = Job.objects.get(search_id=search, kind=Job.Kind.SUPERNET)
    saved = 0
    if job.checkpoint:
        with safe_open(default_storage.path(job.checkpoint), framework="numpy") as file:
            saved = json.loads(file.metadata()["nasweb"])["progress"]["epoch"]
    return {
        "job": job.pk, "state": job.state, "worker": job.worker, "saved": saved,
        "epochs": list(job.epochs.order_by("epoch").values_list("epoch", flat=True)),
    }  # fmt: skip


def race(seeds: int, budget: int) -> int:
    """Starts a race of two strategies on a synthetic problem."""
    from searches.services import racing

    problem = {"synthetic": "cell-additive", "limit": ""}
    return racing.race_create(
        owner=_owner(), name="race", problem=problem, entrants=["random", "local_search"], budget=budget, seeds=seeds
    ).pk


def race_look(race: int) -> dict[str, Any]:
    """All of a race that tests look at."""
    from searches.models import Race, RaceRun

    row = Race.objects.get(pk=race)
    runs = RaceRun.objects.filter(race_id=race).order_by("entrant", "seed")
    return {
        "state": row.state, "n_done": row.n_done, "claim": row.claim, "drawn": row.n_drawn,
        "runs": [[r.entrant, r.seed, r.result["rows"]] for r in runs],
    }  # fmt: skip


def deliver(job: int, claim: int, times: int) -> None:
    """Sends one job's message several times."""
    from nasweb.celery import app

    for _ in range(times):
        app.send_task("searches.tasks.run_job", args=(job, claim), queue="trials")


def session() -> str:
    """Key of a logged-in session of the local user."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    store = import_module(settings.SESSION_ENGINE).SessionStore()
    user = _owner()
    store[SESSION_KEY], store[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store.create()
    return f"{settings.SESSION_COOKIE_NAME}={store.session_key}"


def events(search: int) -> list[list[Any]]:
    """Every event: kind and data as JSON text."""
    from searches.models import Event

    rows = Event.objects.filter(search_id=search).order_by("seq")
    return [[e.seq, e.kind, json.dumps(e.data, allow_nan=False)] for e in rows]


def main() -> None:
    """Answers until the pipe closes."""
    import os
    import traceback

    import django

    django.setup()
    out = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"value": globals()[name](**arguments)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        out.write(json.dumps(answer, default=str) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
