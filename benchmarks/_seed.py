"""Fills a database with a search as the product would have left it: for the page benchmark and for looking at pages.

`python -m benchmarks._seed --trials 30 --epochs 40 --user local` seeds the data folder of the environment.
"""

from __future__ import annotations

import argparse
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace
    from searches.models import Search, Trial


def seed_search(
    *,
    owner: Any,
    n_trials: int,
    n_epochs: int,
    name: str = "Digits, small and fast",
    running: int = 2,
    seed: int = 0,
    space_name: str = "layers",
    objectives: tuple[str, ...] = (),
    search_state: str = "",
    final: bool = False,
) -> Search:
    """One search on digits: regularized evolution by its own rules, learning curves from a formula.

    Args:
        owner: a user.
        n_trials: trials of the budget, the last `running` of them under way.
        n_epochs: points of each curve that was not stopped early.
        name: of the search.
        running: 0 makes an ended search.
        seed: of everything drawn.
        space_name: of the catalog.
        objectives: exact costs to keep small beside the accuracy.
        search_state: of the search, where it is not running or completed; a failed one has its reason.
        final: the winner of an ended search is fully trained and has a bundle (for looking at; not a checked one).
    """
    from django.utils import timezone

    from engine.config import SearchConfig
    from engine.data.registry import spec
    from engine.spaces.base import make_space
    from searches.models import Claim, Job, LogLine, Point, Search, Trial

    rng = np.random.default_rng(seed)
    config = SearchConfig.parse(
        {
            "schema": 1,
            "name": name,
            "space": {"name": space_name},
            "objectives": [{"metric": "accuracy"}, *({"metric": m, "direction": "minimize"} for m in objectives)],
            "schedule": {"name": "successive_halving", "min_epochs": max(1, n_epochs // 10), "eta": 3},
            "budget": {"trials": n_trials, "epochs": n_epochs},
            "seed": 7,
        }
    )
    data = spec("digits", {})
    space = make_space(config, data)
    now = timezone.now()
    start = now - timedelta(seconds=12 * n_trials)
    n_val = data.sizes["validation"]
    labels_right = rng.random(n_val)
    trials: list[Trial] = []
    curves: list[np.ndarray] = []
    archs: list[Any] = []
    scores: list[float] = []
    population: list[int] = []
    at = [0.0, 0.0]
    spans = []
    for number in range(1, n_trials + 1):
        parents: list[int] = []
        if number <= 8 or not population:
            arch, by, why = space.sample(rng), "random", f"random, {number} of 8 to start with"
        else:
            drawn = rng.choice(population[-12:], size=min(4, len(population[-12:])), replace=False)
            parent = int(max(drawn, key=lambda n: scores[n - 1]))
            arch = space.mutate(archs[parent - 1], 1, rng)
            parents, by = [parent], "regularized_evolution"
            why = f"#{parent}: {space.describe_change(archs[parent - 1], arch)}"
        costs = space.costs(arch)
        quality = 0.93 + 0.012 * np.log10(costs.n_macs / 1e4) + rng.normal(0, 0.006)
        quality = float(min(0.995, max(0.5, quality)))
        under_way = number > n_trials - running
        state = Trial.State.RUNNING if under_way else Trial.State.COMPLETED
        reason, reached = "", n_epochs
        if not under_way and rng.random() < 0.15:
            state, reached = Trial.State.PRUNED, max(1, n_epochs // 10)
            reason = f"rank 5 of 5 at epoch {reached}, best 4 go on"
        elif not under_way and rng.random() < 0.02:
            state, reached, reason = Trial.State.FAILED, 2, "loss is NaN at epoch 3, batch 11 of 17"
        if under_way:
            reached = int(rng.integers(1, n_epochs + 1))
        epochs = np.arange(1, reached + 1)
        curve = quality - (quality - 0.1) * np.exp(-epochs / (n_epochs / 8)) + rng.normal(0, 0.003, reached)
        curve = np.clip(np.round(curve * n_val) / n_val, 0, 1)
        right = np.zeros(n_val, dtype=bool)  # mostly the same samples are hard for all of them
        right[np.argsort(labels_right + rng.normal(0, 0.04, n_val))[: round(curve[-1] * n_val)]] = True
        lane = int(np.argmin(at))
        took = reached * (0.2 + costs.n_macs / 4e7)
        spans.append((lane, at[lane], at[lane] + took))
        at[lane] += took + 0.1
        failed = state == Trial.State.FAILED
        trials.append(
            Trial(
                number=number, name=space.short_name(arch)[:80], state=state, reason=reason,
                architecture=arch.choices, key=hashlib.sha256(arch.key.encode()).hexdigest(),
                n_params=costs.n_params, n_macs=costs.n_macs, activation_bytes=costs.activation_bytes, why=why[:400],
                by=by, parents=parents, seed=number, epochs=reached, target_epochs=n_epochs,
                accuracy=None if failed else float(right.mean()), fidelity=0 if failed else reached, source="trained",
                metrics={}, correct=None if failed else np.packbits(right).tobytes(), n_samples=n_val,
                n_wrong=None if failed else int(n_val - right.sum()), duration_s=took, worker=f"cpu-{lane + 1}",
                cost={"samples_per_s": 1077 * reached / took, "precision": "float32", "layout": "contiguous"},
                failure_kind="not_finite" if failed else "",
            )
        )  # fmt: skip
        archs.append(arch)
        scores.append(0.0 if failed else float(right.mean()))
        curves.append(curve)
        if state == Trial.State.COMPLETED:
            population.append(number)
    scale = (now - start).total_seconds() / max(at)
    search = Search(
        owner=owner, name=name, config=config.to_json(), data_spec=data.model_dump(mode="json"),
        state=search_state or (Search.State.RUNNING if running else Search.State.COMPLETED), started_at=start,
        running_since=start if running and not search_state else None, ended_at=None if running else now,
        n_trials=n_trials,
        ran_s=0 if running else (now - start).total_seconds(),
    )  # fmt: skip
    search.save()
    for trial, (_, a, b) in zip(trials, spans, strict=True):
        trial.search = search
        trial.started_at = start + timedelta(seconds=a * scale)
        if trial.state != Trial.State.RUNNING:
            trial.ended_at = start + timedelta(seconds=b * scale)
    Trial.objects.bulk_create(trials, batch_size=500)
    points = []
    for trial, curve in zip(trials, curves, strict=True):
        points += [
            Point(trial=trial, epoch=e, accuracy=float(v), loss=float(2.3 - 2 * v), train_loss=float(2.2 - 2 * v))
            for e, v in enumerate(curve, start=1)
        ]
    Point.objects.bulk_create(points, batch_size=2000)
    jobs = [
        Job(
            search=search, trial=t, kind=Job.Kind.TRAIN, fidelity=t.target_epochs, claim=1, worker=t.worker,
            state=Job.State.RUNNING if t.state == Trial.State.RUNNING else Job.State.DONE, started_at=t.started_at,
            ended_at=t.ended_at,
            lease_until=now + timedelta(days=1) if t.state == Trial.State.RUNNING else None,
            progress={"epoch": t.epochs, "epochs": t.target_epochs, "batch": 7, "batches": 17, "samples_per_s": 1158.0,
                      "phase": "train"} if t.state == Trial.State.RUNNING else {},
        )
        for t in trials
    ]  # fmt: skip
    Job.objects.bulk_create(jobs, batch_size=500)
    Claim.objects.bulk_create(
        [
            Claim(job=j, search=search, number=1, worker=j.worker, started_at=j.started_at, ended_at=j.ended_at,
                  outcome=Claim.Outcome.DONE if j.ended_at else "")
            for j in jobs
        ],
        batch_size=500,
    )  # fmt: skip
    LogLine.objects.bulk_create(
        [
            LogLine(search=search, trial=t, at=t.started_at, what="claim", message=f"started on {t.worker}")
            for t in trials
        ],
        batch_size=1000,
    )
    done = [t for t in trials if t.state == Trial.State.COMPLETED]
    by_cost = sorted(done, key=lambda t: (t.n_macs, -(t.accuracy or 0)))
    front: list[Trial] = []
    for t in by_cost:
        if not front or (t.accuracy or 0) > (front[-1].accuracy or 0):
            front.append(t)
            t.on_front = True
    Trial.objects.bulk_update(front, ["on_front"])
    counts = {state: sum(t.state == state for t in trials) for state in Trial.State.values}
    search.n_running, search.n_completed = counts["running"], counts["completed"]
    search.n_pruned, search.n_failed = counts["pruned"], counts["failed"]
    search.best = max(done, key=lambda t: (t.accuracy, -t.n_macs)) if done else None
    search.front = [t.number for t in front]
    search.winners = [search.best.number] if search.best and not running else []
    if search_state == Search.State.FAILED:
        search.reason = "every trial failed: the data folder /srv/images has no classes; it was read at 12:04"
    search.save()
    if final and search.best:
        seed_final(search.best, space=space, epochs=2 * n_epochs, rng=rng)
    return search


def seed_final(trial: Trial, *, space: SearchSpace, epochs: int, rng: np.random.Generator) -> None:
    """A full training with its sealed test, checks and a zip in the storage."""
    import io
    import zipfile

    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage
    from django.utils import timezone

    from engine.architecture import Architecture
    from engine.export.source import model_source
    from searches.models import Artifact, LogLine, Point, Trial

    plan = space.plan(Architecture.of(space.name, trial.architecture))
    steps = np.arange(1, epochs + 1)
    n = trial.n_samples
    top = min(1.0, (trial.accuracy or 0.0) + 0.004)
    curve = top - (top - 0.1) * np.exp(-steps / (epochs / 12)) + rng.normal(0, 0.002, epochs)
    curve = np.clip(np.round(curve * n) / n, 0, 1)
    Point.objects.bulk_create(
        [
            Point(trial=trial, final=True, epoch=int(e), accuracy=float(v), loss=float(2.3 - 2 * v), train_loss=0.5)
            for e, v in zip(steps, curve, strict=True)
        ],
        batch_size=2000,
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("digits/model.py", model_source(plan, title=str(trial)))
        file.writestr("digits/weights.safetensors", rng.bytes(4 * (trial.n_params or 1)))
        for name in ("model.onnx", "architecture.json", "MODEL_CARD.md", "predict.py"):
            file.writestr(f"digits/{name}", f"{trial} ({name})\n" * 40)
    name = default_storage.save(f"seeded/{trial.search_id}-{trial.number}.zip", ContentFile(archive.getvalue()))
    Artifact.objects.create(
        search=trial.search, trial=trial, kind=Artifact.Kind.BUNDLE, name=name, digest="0" * 64,
        bytes=len(archive.getvalue()),
    )  # fmt: skip
    trial.final_state = Trial.FinalState.DONE
    trial.final = {
        "metrics": {"accuracy": float(curve[-1]), "test_accuracy": 355 / 360, "n_test": 360}, "epochs": epochs,
        "cost": {"duration_s": 108.0}, "n_samples": n, "n_wrong": round(n * (1 - float(curve[-1]))),
        "verified_at": timezone.now().isoformat(),
    }  # fmt: skip
    trial.bundle_checks = [
        {"name": "model.py loads in a fresh process, without this project on its path", "ok": True, "detail": ""},
        {"name": "weights.safetensors loads strictly", "ok": True, "detail": f"{trial.n_params:,} parameters"},
        {"name": "model.py against the trained network", "ok": True, "detail": "max difference 0"},
        {"name": "model.onnx against the trained network", "ok": True, "detail": "max difference 4.8e-7, limit 1e-4"},
        {"name": "same count on the full validation split", "ok": True, "detail": "357 of 360, all three"},
        {"name": "predict.py runs on a raw sample", "ok": True, "detail": "preprocessing included"},
    ]
    trial.save()
    LogLine.objects.bulk_create(
        LogLine(search=trial.search, trial=trial, at=timezone.now(), what=what, message=message)
        for what, message in (
            ("final", "started on cpu-1"), ("test", "opened once: 355 of 360 right"),
            ("export", "bundle written, 6 files"), ("verify", "6 of 6 checks passed"),
        )
    )  # fmt: skip


def main() -> None:
    """Command line."""
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nasweb.settings")
    django.setup()
    from django.contrib.auth import get_user_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--running", type=int, default=2)
    parser.add_argument("--name", default="Digits, small and fast")
    parser.add_argument("--space", default="layers")
    parser.add_argument("--objective", action="append", default=[], help="an exact cost to keep small, e.g. n_macs")
    parser.add_argument("--state", default="")
    parser.add_argument("--final", action="store_true")
    parser.add_argument("--user", default="")
    given = parser.parse_args()
    users = get_user_model().objects.order_by("id")
    owner = users.get(username=given.user) if given.user else users.first()
    search = seed_search(
        owner=owner, n_trials=given.trials, n_epochs=given.epochs, name=given.name, running=given.running,
        space_name=given.space, objectives=tuple(given.objective), search_state=given.state, final=given.final,
    )  # fmt: skip
    import sys

    sys.stdout.write(f"{search.pk}\n")


if __name__ == "__main__":
    main()
