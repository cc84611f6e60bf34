"""What a search would cost, measured on a worker before it is started: the smallest and the largest sampled network."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import numpy as np
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from engine import catalog
from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.data import registry
from engine.errors import CannotBuild, NotOffered
from engine.objectives import within
from engine.spaces.base import SearchSpace, make_space
from searches.models import Job, Search
from searches.services.enqueue import job_enqueue

#: networks sampled to find a small and a large one, and how the costs spread
SAMPLES = 192
#: a measurement of the same search by the same person is used again for so long
FRESH_FOR = timedelta(minutes=15)
#: drafts that only carried a preflight are deleted after so long
KEPT_FOR = timedelta(days=1)
#: marks a draft that only carries a preflight: nobody's search, shown in no list
TOKEN = "preflight:"


def preflight_request(*, owner: AbstractBaseUser, config: SearchConfig) -> Search:
    """Asks a worker to measure the smallest and the largest of some sampled networks within the limits.

    Earlier preflights of the same person that have not begun are dropped; a recent one of an equal config is returned
    instead of a new one. Samples about 200 architectures (some tenths of a second), outside of any transaction.

    Returns:
        A draft (in no list; see `drafts_sweep`) with one job of kind preflight.

    Raises:
        NotOffered: this search trains nothing, or no sampled network is within the limits.
        EngineError: the data or the space do not work out; the message is for people.
    """
    if catalog.get("evaluator", config.evaluator.name).inline:
        raise NotOffered("this search reads its numbers instead of training: there is nothing to measure")
    plain = config.to_json()
    same = (
        Search.objects.filter(
            owner=owner, submit_token__startswith=TOKEN, config=plain, created_at__gt=Now() - FRESH_FOR
        )
        .exclude(jobs__state__in=[Job.State.FAILED, Job.State.CANCELLED])
        .first()
    )
    if same is not None:
        return same
    data = registry.spec(config.data.name, config.data.options())
    space = make_space(config, data)
    payload = sampled(space, config)
    with transaction.atomic():
        _drop_earlier(owner)
        search = Search.objects.create(
            owner=owner,
            name=config.name,
            config=plain,
            data_spec=data.model_dump(mode="json"),
            submit_token=f"{TOKEN}{uuid.uuid4().hex}",
        )
        job = Job.objects.create(search=search, kind=Job.Kind.PREFLIGHT, payload=payload, enqueued_at=Now())
        job_enqueue(job_id=job.pk, claim=job.claim)
    return search


def sampled(space: SearchSpace, config: SearchConfig) -> dict[str, Any]:
    """Samples architectures and picks the ones to measure.

    Returns:
        `{"architectures": [smallest, largest], "n_macs": [multiply-adds of all within the limits, ascending],
        "sampled": number drawn}`, the two being equal where every network costs the same.

    Raises:
        NotOffered: none of them is within the limits; the message names the smallest.
    """
    rng = np.random.default_rng([config.seed, SAMPLES])
    costs: dict[Architecture, dict[str, float]] = {}
    reason = ""
    for _ in range(SAMPLES):
        architecture = space.sample(rng)
        if architecture in costs:
            continue
        try:
            costs[architecture] = space.costs(architecture).as_metrics()
        except CannotBuild as e:
            reason = str(e)
    if not costs:
        raise NotOffered(f"none of {SAMPLES} sampled networks can be built: {reason}")
    allowed = {a: c for a, c in costs.items() if within(c, config.limits)}
    if not allowed:
        least = {name: min(c[name] for c in costs.values()) for name in config.limits}
        said = ", ".join(f"{name} at most {config.limits[name]:,.0f}, least {least[name]:,.0f}" for name in least)
        raise NotOffered(f"none of {SAMPLES} sampled networks is within the limits ({said})")
    ordered = sorted(allowed, key=lambda a: (allowed[a]["n_macs"], a.key))
    ends = ordered[:1] if len(ordered) == 1 else [ordered[0], ordered[-1]]
    return {
        "architectures": [a.to_json() for a in ends],
        "n_macs": [int(allowed[a]["n_macs"]) for a in ordered],
        "sampled": SAMPLES,
        "seed": config.seed,
    }


def _drop_earlier(owner: AbstractBaseUser) -> None:
    """Cancels what this person asked for before: the form has changed since."""
    mine = Job.objects.filter(kind=Job.Kind.PREFLIGHT, search__owner=owner, search__submit_token__startswith=TOKEN)
    mine.filter(state__in=[Job.State.WAITING, Job.State.HELD]).update(state=Job.State.CANCELLED, ended_at=Now())
    mine.filter(state=Job.State.RUNNING).update(order="cancel")


def drafts_sweep() -> int:
    """Deletes drafts that only carried a preflight a day ago; called by the reaper. Returns how many."""
    old = Search.objects.filter(
        state=Search.State.DRAFT, submit_token__startswith=TOKEN, created_at__lt=Now() - KEPT_FOR
    ).exclude(jobs__state__in=[Job.State.RUNNING])
    number = 0
    for search in old[:200]:
        search.delete()
        number += 1
    return number


def expected_epochs(config: SearchConfig) -> float:
    """Epochs a trial trains on average under the search's schedule (the share `keep` of each rung goes on)."""
    schedule = catalog.get("schedule", config.schedule.name)(config.options("schedule"), config.budget.epochs)
    keep = float(getattr(schedule, "keep", 1.0))
    total, before = 0.0, 0
    for i, rung in enumerate(schedule.rungs):
        total += (rung - before) * keep**i
        before = rung
    return total
