"""What a weight-sharing search says of its supernets: which phase it is in, their epochs, what they would hand over.

A page costs a handful of queries by index, whatever was trained; the architectures of scored subnets are never read
with the jobs that scored them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Max, Q
from django.http import Http404

from engine import catalog
from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.errors import EngineError
from engine.spaces.base import SearchSpace, make_space
from engine.supernets.epochs import SKIPS
from searches.models import Artifact, Job, Search, SupernetEpoch
from searches.selectors.overview import config_of, trials_budget
from searches.services.supernets import PIECES

#: what of an epoch's row is one number or one phrase
SCALARS = (
    "train_loss", "held_loss", "accuracy", "skips", "eigenvalue", "reward", "entropy", "within", "samples_per_s",
    "note", "ended",
)  # fmt: skip


class NotShared(Http404):
    """The search trains no supernet: its page has no such tab."""


def require_sharing(search: Search) -> None:
    """Does nothing where the search trains a supernet.

    Raises:
        NotShared: it trains none.
    """
    if method_of(search) is None:
        raise NotShared("this search trains no supernet")


def method_of(search: Search) -> type[Any] | None:
    """The weight-sharing method that a search names; None where it names a strategy."""
    found: type[Any] | None = catalog.plugins("supernet").get(config_of(search).strategy.name)
    return found


@dataclass
class Run:
    """One supernet.

    Attributes:
        job: that trains it.
        place: from 1, in the order of training.
        epochs: it is trained for.
        epoch: the last one that ended, 0 before.
        last: row of that one (`engine.supernets.epochs`).
        ended: why it was ended early, "" otherwise.
    """

    job: Job
    place: int
    epochs: int
    epoch: int = 0
    last: Mapping[str, Any] = field(default_factory=dict)
    ended: str = ""

    @property
    def done(self) -> bool:
        """Whether it is trained."""
        return self.job.state == Job.State.DONE


@dataclass
class Phase:
    """One step of the search: its title, its state, how far it is."""

    name: str
    title: str
    state: str
    text: str = ""


@dataclass
class Sharing:
    """How a weight-sharing search stands.

    Attributes:
        method: its class.
        runs: supernets that were begun or wait.
        planned: supernets there will be.
        phases: measure (where it measures), supernet, score, alone.
        sentence: how it is going; next: what comes then.
        scored: subnets scored so far.
        stoppable: a supernet is being trained and nobody has ended it yet.
    """

    method: type[Any]
    runs: list[Run]
    planned: int
    phases: list[Phase]
    sentence: str
    next: str
    scored: int
    stoppable: bool

    @property
    def now(self) -> Run | None:
        """The newest supernet that has begun, or else the next to begin."""
        return newest(self.runs)


def runs_of(search: Search) -> list[Run]:
    """All supernets with their last epoch. Three queries."""
    jobs = list(search.jobs.filter(kind=Job.Kind.SUPERNET).order_by("id"))
    lasts = SupernetEpoch.objects.filter(job__in=jobs).order_by().values("job").annotate(n=Max("epoch"))
    at = {row["job"]: row["n"] for row in lasts}
    runs = [Run(job, i, int(job.fidelity or job.payload.get("epochs") or 0)) for i, job in enumerate(jobs, start=1)]
    wanted = Q(pk__in=[])
    for job, epoch in at.items():
        wanted |= Q(job=job, epoch=epoch)
    rows = dict(SupernetEpoch.objects.filter(wanted).values_list("job", "row")) if at else {}
    for run in runs:
        run.epoch, run.last = at.get(run.job.pk, 0), rows.get(run.job.pk, {})
        run.ended = str(run.last.get("ended") or "")
    return runs


def sharing(search: Search) -> Sharing:
    """How it stands. Some seven queries.

    Raises:
        NotShared: it trains no supernet.
    """
    method = method_of(search)
    if method is None:
        raise NotShared("this search trains no supernet")
    config = config_of(search)
    options: Any = config.options("strategy")
    runs = runs_of(search)
    counts: dict[tuple[str, str], int] = {
        (row["kind"], row["state"]): row["n"]
        for row in search.jobs.filter(kind__in=PIECES).order_by().values("kind", "state").annotate(n=Count("pk"))
    }
    scored = search.subnets.count() if search.n_trials or any(k == Job.Kind.SCORE for k, _ in counts) else 0
    out = Sharing(method, runs, int(options.runs), [], "", "", scored, False)
    out.stoppable = any(r.job.state == Job.State.RUNNING and not r.job.order for r in runs) and not search.ended
    out.phases = _phases(search, config, out, counts)
    out.sentence = _sentence(search, config, out)
    out.next = _next(search, out, options)
    return out


# -- phases ----------------------------------------------------------------------------------------
def _phases(search: Search, config: SearchConfig, s: Sharing, counts: Mapping[tuple[str, str], int]) -> list[Phase]:
    options: Any = config.options("strategy")
    out = []
    if s.method.measures or any(kind == Job.Kind.MEASURE for kind, _ in counts):
        state = _state(search, counts, Job.Kind.MEASURE, done=bool(counts.get((Job.Kind.MEASURE, Job.State.DONE))))
        out.append(Phase("measure", "latency of operations", state))
    trained = sum(r.done for r in s.runs)
    state = _state(search, counts, Job.Kind.SUPERNET, done=trained >= s.planned)
    now = s.now
    text = ""
    if now is not None and now.epoch and state != "waiting":
        text = f"epoch {now.epoch:,} of {now.epochs:,}"
        if s.planned > 1:
            text = f"{now.place} of {s.planned}, {text}"
    out.append(Phase("supernet", "supernet", state, text))
    alone = search.n_trials > 0 and state == "done"
    state = _state(search, counts, Job.Kind.SCORE, done=alone)
    if state == "waiting" and s.scored:  # between two batches
        state = "running"
    most = max(s.scored, int(options.scores)) if s.method.searches and not alone else 0
    text = f"{s.scored:,} of {most:,}" if most and s.scored else f"{s.scored:,}" if s.scored else ""
    out.append(Phase("score", "scores of subnets", state, text))
    ended = search.n_completed + search.n_pruned + search.n_failed + search.n_cancelled
    if search.ended:
        state = "done" if ended else "cancelled"
    else:
        state = "paused" if search.state == Search.State.PAUSED and alone else "running" if alone else "waiting"
        if search.decided and not search.n_running and not search.n_waiting:
            state = "done"
    text = f"{ended:,} of {trials_budget(search, config):,}" if search.n_trials else ""
    out.append(Phase("alone", "trained alone, beside random", state, text))
    return out


def _state(search: Search, counts: Mapping[tuple[str, str], int], kind: str, *, done: bool) -> str:
    """State of a phase from those of its jobs."""
    if counts.get((kind, Job.State.RUNNING)):
        return "running"
    if done:
        return "done"
    for state, word in ((Job.State.HELD, "paused"), (Job.State.WAITING, "waiting"), (Job.State.FAILED, "failed")):
        if counts.get((kind, state)):
            return word
    return "cancelled" if search.ended else "waiting"


# -- words -----------------------------------------------------------------------------------------
def _sentence(search: Search, config: SearchConfig, s: Sharing) -> str:
    now = s.now
    state = {p.name: p.state for p in s.phases}
    if now is None:
        if state.get("measure") == "running":
            return "Operations are being measured on the worker's device."
        return "No supernet was trained." if search.ended else "The supernet waits."
    which = f"Supernet {now.place} of {s.planned}"
    if now.job.state == Job.State.FAILED:
        return f"{which} failed: {now.job.reason.rstrip('.') or 'the reason was not recorded'}."
    if not now.epoch:
        running = now.job.state == Job.State.RUNNING
        return f"{which} is in its first epoch of {now.epochs:,}." if running else f"{which} waits for a free slot."
    text = f"{which}: epoch {now.epoch:,} of {now.epochs:,}, loss {now.last.get('train_loss', float('nan')):.2f}"
    if now.ended:
        text = f"{which} ended early, after epoch {now.epoch:,} of {now.epochs:,}: {now.ended}"
    elif now.done:
        text = f"{which} is trained: {now.epoch:,} epochs, loss {now.last.get('train_loss', float('nan')):.2f}"
    if skips := skip_words(search, now.last.get("derived")):
        text += f"; what it derives has {skips}"
    return f"{text}."


def _next(search: Search, s: Sharing, options: Any) -> str:
    """What comes then; "" where nothing does."""
    if search.ended:
        return ""
    state = {p.name: p.state for p in s.phases}
    alone = "trained alone, each beside a random network of its cost"
    if state["supernet"] != "done":
        if s.method.searches:
            return f"Then {options.scores:,} subnets are scored with its weights, and the best are {alone}."
        return f"Then what it derives is {alone}."
    if state["score"] != "done":
        return f"Then the best are {alone}." if s.method.searches else f"Then what was derived is {alone}."
    return ""


def skip_words(search: Search, choices: Mapping[str, Any] | None) -> str:
    """ "2 of 6 skip connections" of an architecture; "" where the space has none, or nothing is derived."""
    if not choices or (space := space_of(search)) is None:
        return ""
    try:
        offered = space.decisions(Architecture.of(space.name, choices))
    except (EngineError, KeyError, ValueError):
        return ""
    places = [d.name for d in offered if any(o in SKIPS for o in d.options)]
    if not places:
        return ""
    n = sum(choices[p] in SKIPS for p in places)
    return f"{n} of {len(places)} skip connection{'' if len(places) == 1 else 's'}"


def weights(search: Search, run: Run) -> str:
    """Digest of the weights of a trained supernet, with which another search may begin; "" where they are gone."""
    kept = search.artifacts.filter(kind=Artifact.Kind.SUPERNET, name=run.job.checkpoint)
    return kept.values_list("digest", flat=True).first() or ""


# -- epochs ----------------------------------------------------------------------------------------
def run_chosen(runs: Sequence[Run], text: str) -> Run | None:
    """The supernet that `?run=` names by its place, else the newest that has begun."""
    if text.isascii() and text.isdigit() and len(text) < 5 and 0 < int(text) <= len(runs):
        return runs[int(text) - 1]
    return newest(runs)


def newest(runs: Sequence[Run]) -> Run | None:
    """The newest supernet that has begun, or else the next to begin."""
    begun = [r for r in runs if r.epoch or r.job.state == Job.State.RUNNING]
    return begun[-1] if begun else runs[0] if runs else None


def scalars(run: Run) -> list[dict[str, Any]]:
    """One number each of all epochs, in order; tables are left where they are. One query."""
    rows = run.job.epochs.order_by("epoch").values_list("epoch", *(f"row__{name}" for name in SCALARS))
    return [{"epoch": e, **{n: v for n, v in zip(SCALARS, values, strict=True) if v is not None}}
            for e, *values in rows]  # fmt: skip


def tables(run: Run) -> list[tuple[int, Mapping[str, Mapping[str, float]]]]:
    """Probabilities of all epochs that have some, in order. One query."""
    rows = run.job.epochs.order_by("epoch").values_list("epoch", "row__tables")
    return [(e, t) for e, t in rows if t]


def space_of(search: Search) -> SearchSpace | None:
    """The space of a search, bound to its data; None before the data is known or where it no longer exists."""
    if not search.data_spec:
        return None
    try:
        return make_space(config_of(search), DataSpec.model_validate(search.data_spec))
    except (EngineError, ValueError):
        return None


@dataclass
class Derived:
    """What a supernet would hand over after an epoch.

    Attributes:
        epoch: which; 0 for what a search among subnets found.
        architecture: what.
        name: as of a trial.
        changed: against the epoch before, in words; "" for the first.
        n_params, n_macs: exact.
        skips: "2 of 6 skip connections", or "".
        trial: number of the trial that trains the same network alone, if one does.
        scored: accuracy with shared weights of what a search among subnets found.
    """

    epoch: int
    architecture: Architecture
    name: str
    changed: str
    n_params: int
    n_macs: int
    skips: str
    trial: int | None
    scored: float | None = None


def derived(search: Search, run: Run, epoch: int) -> Derived | None:
    """What the supernet would hand over after that epoch; None where the method derives nothing. Two queries."""
    space = space_of(search)
    rows = dict(run.job.epochs.filter(epoch__in=[epoch - 1, epoch]).values_list("epoch", "row__derived"))
    if space is None or not rows.get(epoch):
        return None
    architecture = space.validate(rows[epoch])
    before = rows.get(epoch - 1)
    changed = space.describe_change(space.validate(before), architecture) if before else ""
    return _derived(search, space, epoch, architecture, changed)


def best_subnet(search: Search) -> Derived | None:
    """The best of the scored subnets, where a search among them decides. Two queries."""
    space = space_of(search)
    best = search.subnets.filter(accuracy__isnull=False).order_by("-supernet", "-accuracy", "piece", "position").first()
    if space is None or best is None:
        return None
    found = _derived(search, space, 0, space.validate(best.architecture), "")
    found.scored = best.accuracy
    return found


def _derived(search: Search, space: SearchSpace, epoch: int, architecture: Architecture, changed: str) -> Derived:
    costs = space.costs(architecture)
    written = config_of(search).duplicates == "written"
    key = architecture.key if written else space.canonical_key(architecture)
    digest = hashlib.sha256(key.encode()).hexdigest()
    trial = search.trials.filter(key=digest).order_by("number").values_list("number", flat=True).first()
    return Derived(
        epoch, architecture, space.short_name(architecture), changed, costs.n_params, costs.n_macs,
        skip_words(search, architecture.choices), trial,
    )  # fmt: skip


def epoch_line(*, job: int, epoch: int) -> str:
    """An epoch of a supernet in a line."""
    found = SupernetEpoch.objects.select_related("job").get(job_id=job, epoch=epoch)
    row, n = found.row, found.job.fidelity
    text = f"supernet  epoch {epoch:>3} of {n}   loss {row['train_loss']:.3f}   {100 * row['accuracy']:.1f} % shared"
    return text if row.get("skips") is None else f"{text}   {100 * row['skips']:.0f} % skips"
