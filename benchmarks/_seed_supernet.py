"""Fills a database with a weight-sharing search as the product would have left it, for tests and for looking at pages.

`python -m benchmarks._seed_supernet --method darts --stage trials --user local` seeds the data folder of the
environment. Every number is drawn from a formula: nothing is trained.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from engine.architecture import Architecture
    from engine.spaces.base import SearchSpace
    from searches.models import Search

#: how far a search is; each holds all that comes before it
STAGES = ("waiting", "supernet", "score", "trials", "done")
SPACE = {"name": "nasbench201", "cells": 1, "channels": 8}


def seed_supernet(
    *,
    owner: Any,
    method: str = "darts",
    stage: str = "done",
    epochs: int = 30,
    pairs: int = 4,
    repeats: int = 0,
    scores: int = 64,
    trust: float = 0.7,
    skips: bool = False,
    seed: int = 0,
    name: str = "Digits, one supernet",
) -> Search:
    """One weight-sharing search on digits in a space of NAS-Bench-201's cells.

    Args:
        owner: a user.
        method: one that searches among subnets, or one that weighs options.
        stage: how far it is, of `STAGES`; "supernet" stands at two thirds of its epochs.
        epochs: of the supernet.
        pairs: derived networks and their random partners.
        repeats: times that each was trained again.
        scores: subnets of a method that searches among them.
        trust: how far inherited accuracy agrees with accuracy trained alone, 0 to 1.
        skips: the architecture parameters drift into skip connections.
        seed: of everything drawn.
        name: of the search.
    """
    from django.utils import timezone

    from engine import catalog
    from engine.config import SearchConfig
    from engine.data.registry import spec
    from engine.spaces.base import make_space
    from searches.models import Job, Search, SupernetEpoch

    rng = np.random.default_rng(seed)
    cls = catalog.get("strategy", method)
    options = {"epochs": epochs, "repeats": repeats, **({"scores": scores} if cls.searches else {})}
    config = SearchConfig.parse(
        {
            "schema": 1, "name": name, "space": SPACE, "strategy": {"name": method, **options},
            "budget": {"trials": 2 * pairs * (1 + repeats), "epochs": 8}, "seed": 7,
        }
    )  # fmt: skip
    data = spec("digits", {})
    space = make_space(config, data)
    at = STAGES.index(stage)
    now = timezone.now()
    start = now - timedelta(minutes=9)
    ended = stage == "done"
    search = Search.objects.create(
        owner=owner, name=name, config=config.to_json(), data_spec=data.model_dump(mode="json"),
        state=Search.State.COMPLETED if ended else Search.State.RUNNING, started_at=start,
        running_since=None if ended else start, ended_at=now if ended else None, ran_s=540.0 if ended else 0.0,
        seq=100,
    )  # fmt: skip
    rows = _epochs(space, rng, epochs=epochs, mixes=cls.mixes, skips=skips)
    done = at > STAGES.index("supernet")
    shown = rows if done else rows[: 2 * epochs // 3] if at else []
    job = Job.objects.create(
        search=search, kind=Job.Kind.SUPERNET, fidelity=epochs, claim=min(at, 1), started_at=start if at else None,
        payload={"piece": 1, "why": f"{epochs} epochs", "run": 1, "epochs": epochs, "seed": 5},
        state=Job.State.DONE if done else Job.State.RUNNING if at else Job.State.WAITING,
        worker="cpu-1" if at else "", ended_at=start + timedelta(minutes=4) if done else None,
        lease_until=None if done or not at else now + timedelta(days=1),
        progress={} if done or not at else {
            "epoch": len(shown), "epochs": epochs, "batch": 4, "batches": 9, "samples_per_s": 1190.0, "phase": "train"
        },
    )  # fmt: skip
    SupernetEpoch.objects.bulk_create(SupernetEpoch(job=job, epoch=r["epoch"], row=r) for r in shown)
    if at >= STAGES.index("score"):
        _scored_and_trained(search, space, rng, rows, cls, options, at, pairs, repeats, trust, start)
    return search


def _epochs(space: SearchSpace, rng: np.random.Generator, *, epochs: int, mixes: bool, skips: bool) -> list[dict]:
    """Rows as `engine.supernets.epochs` says."""
    from engine.supernets.epochs import rounded, skip_share

    decisions = space.all_decisions()
    pull = {d.name: rng.normal(0, 1, len(d.options)) for d in decisions}
    out = []
    for e in range(1, epochs + 1):
        share = e / epochs
        row: dict[str, Any] = {
            "epoch": e, "train_loss": round(2.3 * float(np.exp(-2.4 * share)) + 0.08 + rng.normal(0, 0.015), 4),
            "accuracy": round(float(0.1 + 0.82 * (1 - np.exp(-3 * share)) + rng.normal(0, 0.01)), 4),
            "samples_per_s": 1190.0, "learning_rate": round(0.025 * (1 - share) + 0.001 * share, 5),
            "duration_s": 12.0 + e % 3 / 5,
        }  # fmt: skip
        if mixes:
            tables: dict[str, dict[Any, float]] = {}
            for d in decisions:
                logits = 1.6 * share * pull[d.name] + rng.normal(0, 0.02, len(d.options))
                logits[[str(o) == "skip_connect" for o in d.options]] += 4.5 * share**2 if skips else -1.5 * share
                p = np.exp(logits - logits.max())
                tables[d.name] = dict(zip(d.options, (p / p.sum()).tolist(), strict=True))
            derived = space.derive(tables)
            offered = {d.name: d.options for d in space.decisions(derived)}
            row |= {
                "held_loss": round(row["train_loss"] + 0.05 + 0.1 * share, 4), "tables": rounded(tables),
                "derived": dict(derived.choices), "skips": skip_share(derived.choices, offered),
                "eigenvalue": round(float(0.2 + (1.4 if skips else 0.15) * share**2 + abs(rng.normal(0, 0.02))), 4),
            }  # fmt: skip
        out.append(row)
    return out


def _quality(space: SearchSpace, a: Architecture, rng: np.random.Generator) -> float:
    """What a network is good for: larger ones mostly better, none of nothing."""
    base = 0.78 + 0.05 * np.log10(max(1, space.costs(a).n_macs) / 1e5)
    return float(np.clip(base + rng.normal(0, 0.02), 0.2, 0.98))


def _scored_and_trained(
    search: Search, space: SearchSpace, rng: np.random.Generator, rows: list[dict], cls: Any,
    options: Mapping[str, Any], at: int, pairs: int, repeats: int, trust: float, start: Any,
) -> None:  # fmt: skip
    """Subnets in jobs of 64, then the derived networks and their random partners."""
    truth: dict[str, float] = {}
    inherited: dict[str, float] = {}

    def known(a: Architecture) -> str:
        if a.key not in truth:
            truth[a.key] = _quality(space, a, rng)
            noise = (1 - trust) * rng.normal(0, 0.05)
            inherited[a.key] = float(np.clip(0.55 + trust * (truth[a.key] - 0.8) + noise, 0.05, 0.99))
        return a.key

    asked: list[Architecture] = []
    seen: set[str] = set()
    while cls.searches and len(asked) < options["scores"]:
        a = space.sample(rng)
        if space.canonical_key(a) not in seen:
            seen.add(space.canonical_key(a))
            asked.append(a)
    if cls.searches:
        good = sorted(asked, key=lambda a: -inherited[known(a)])
    else:
        good = list({a.key: a for a in (space.validate(r["derived"]) for r in reversed(rows))}.values())
        while len(good) < pairs:
            good.append(space.sample(rng))
    good = good[:pairs]
    partners: list[Architecture] = []
    while len(partners) < len(good):
        a = space.sample(rng)
        if space.canonical_key(a) not in {space.canonical_key(b) for b in (*good, *partners)}:
            partners.append(a)
    late = [a for a in (*good, *partners) if a not in asked]
    listed = [*asked, *late]
    if at == 2:  # the search among the subnets is under way
        listed = asked[: len(asked) // 2] if asked else []
    _subnets(search, space, listed, {a.key: inherited[known(a)] for a in listed}, start, under_way=at == 2)
    if at > 2:
        for a in (*good, *partners):
            known(a)
        _trials(search, space, rng, good, partners, truth, cls.name, repeats, start, under_way=at == 3)


def _subnets(
    search: Search, space: SearchSpace, listed: list[Architecture], inherited: Mapping[str, float], start: Any,
    *, under_way: bool,
) -> None:  # fmt: skip
    from searches.models import Job, Subnet

    for piece, first in enumerate(range(0, max(1, len(listed)), 64), start=2):
        batch = listed[first : first + 64]
        state = Job.State.RUNNING if under_way and first + 64 >= len(listed) else Job.State.DONE
        job = Job.objects.create(
            search=search, kind=Job.Kind.SCORE, state=state, worker="cpu-1", claim=1,
            payload={"piece": piece, "why": f"{len(batch)} subnets", "supernet": 1},
            started_at=start + timedelta(minutes=4),
            progress={"batch": 12, "batches": 64, "phase": "score"} if state == Job.State.RUNNING else {},
        )  # fmt: skip
        Subnet.objects.bulk_create(
            Subnet(
                search=search, job=job, supernet=1, piece=piece, position=i, name=space.short_name(a)[:80],
                architecture=dict(a.choices), key=_key(space, a), n_params=space.costs(a).n_params,
                n_macs=space.costs(a).n_macs, accuracy=round(inherited[a.key], 4), loss=1.2, duration_s=0.05,
            )
            for i, a in enumerate(batch, start=1)
        )  # fmt: skip


def _key(space: SearchSpace, a: Architecture) -> str:
    return hashlib.sha256(space.canonical_key(a).encode()).hexdigest()


def _trials(
    search: Search, space: SearchSpace, rng: np.random.Generator, good: list[Architecture],
    partners: list[Architecture], truth: Mapping[str, float], method: str, repeats: int, start: Any, *, under_way: bool,
) -> None:  # fmt: skip
    """Each derived network, then its random partner; both again with other seeds where that is wanted."""
    from searches.models import Job, Point, Trial

    n = 360
    hard = rng.random(n)
    number = 0
    first: dict[int, int] = {}
    trials: list[Trial] = []
    for replicate in range(repeats + 1):
        for pair, couple in enumerate(zip(good, partners, strict=True)):
            for a, derived in zip(couple, (True, False), strict=True):
                number += 1
                beside = None if derived else first[pair]
                if derived and not replicate:
                    first[pair] = number
                accuracy = float(np.clip(truth[a.key] + rng.normal(0, 0.008), 0.1, 1))
                right = np.zeros(n, dtype=bool)
                right[np.argsort(hard + rng.normal(0, 0.05, n))[: round(accuracy * n)]] = True
                costs = space.costs(a)
                why = f"derived, number {pair + 1}" if derived else f"random partner: {costs.n_macs / 1e6:.2f} M"
                trials.append(
                    Trial(
                        search=search, number=number, name=space.short_name(a)[:80], state=Trial.State.COMPLETED,
                        architecture=dict(a.choices), key=_key(space, a), n_params=costs.n_params,
                        n_macs=costs.n_macs, why=why, by=method if derived else "random", seed=number, epochs=8,
                        target_epochs=8, accuracy=float(right.mean()), fidelity=8, source="trained", n_samples=n,
                        correct=np.packbits(right).tobytes(), n_wrong=int(n - right.sum()), duration_s=14.0,
                        worker="cpu-1", started_at=start + timedelta(minutes=5, seconds=14 * number),
                        ended_at=start + timedelta(minutes=5, seconds=14 * (number + 1)),
                        proposal={"replicate": replicate, **({} if derived else {"beside": beside})},
                    )
                )  # fmt: skip
    if under_way:  # the last pair has not come yet
        del trials[-2:]
        last = trials[-1]
        last.state, last.accuracy, last.correct, last.n_wrong = Trial.State.RUNNING, None, None, None
        last.epochs, last.fidelity, last.ended_at = 3, 0, None
    Trial.objects.bulk_create(trials)
    Job.objects.bulk_create(
        Job(
            search=search, trial=t, kind=Job.Kind.TRAIN, fidelity=8, claim=1, worker="cpu-1", started_at=t.started_at,
            state=Job.State.DONE if t.ended_at else Job.State.RUNNING, ended_at=t.ended_at,
            progress={} if t.ended_at else {"epoch": 3, "epochs": 8, "batch": 2, "batches": 17, "phase": "train"},
        )
        for t in trials
    )  # fmt: skip
    Point.objects.bulk_create(
        Point(trial=t, epoch=e, accuracy=(t.accuracy or 0.8) * (1 - 0.5 ** (e + 1)), loss=1.0, train_loss=1.0)
        for t in trials
        for e in range(1, t.epochs + 1)
    )
    done = [t for t in trials if t.accuracy is not None]
    search.n_trials, search.n_completed, search.n_running = len(trials), len(done), len(trials) - len(done)
    search.best = max(done, key=lambda t: (t.accuracy, -t.n_macs))
    search.save()


def main() -> None:
    """Command line."""
    import os
    import sys

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nasweb.settings")
    django.setup()
    from django.contrib.auth import get_user_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="darts")
    parser.add_argument("--stage", default="done", choices=STAGES)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--scores", type=int, default=64)
    parser.add_argument("--trust", type=float, default=0.7)
    parser.add_argument("--skips", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="Digits, one supernet")
    parser.add_argument("--user", default="")
    given = vars(parser.parse_args())
    users = get_user_model().objects.order_by("id")
    user = given.pop("user")
    search = seed_supernet(owner=users.get(username=user) if user else users.first(), **given)
    sys.stdout.write(f"{search.pk}\n")


if __name__ == "__main__":
    main()
