"""What the search page says: the answering sentence, the facts, what runs, what waits.

Everything is absolute and cheap: counters from the search's row, a handful of rows by index, never the whole history.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import Count, Min, Sum
from django.utils import timezone

from engine.analysis.stats import format_p, told_apart, wilson
from engine.config import SearchConfig
from searches.charts.insight import clock
from searches.models import Job, Search, Trial
from searches.selectors.timeleft import (
    elapsed_s,
    final_estimate_s,
    first_starts,
    supernet_left_s,
    supernets_under_way,
    trials_left_s,
)
from searches.selectors.workers import workers_online
from searches.services.supernets import is_sharing

#: above this a strip of ticks becomes one bar in proportion, and single states are not read any more
MOST_TICKS = 120


@lru_cache(maxsize=256)
def _config(id: int, text: str) -> SearchConfig:
    import json

    return SearchConfig.parse(json.loads(text))


def config_of(search: Search) -> SearchConfig:
    """The search's config as a value (parsed once per process)."""
    import json

    return _config(search.pk, json.dumps(search.config, sort_keys=True))


def rungs_of(config: SearchConfig) -> tuple[int, ...]:
    """Epochs at which trials are judged, the last one excluded."""
    from engine import catalog

    schedule = catalog.get("schedule", config.schedule.name)(config.options("schedule"), config.budget.epochs)
    return tuple(r for r in schedule.rungs if r < config.budget.epochs)


@dataclass
class Answer:
    """The sentence over everything: a fact in bold, what belongs to it in ink, its caveat in grey."""

    lead: str = ""
    fact: str = ""
    more: str = ""
    caveat: str = ""


@dataclass
class Standing:
    """Counts of the header, in words.

    Attributes:
        left, left_s: until the last trial has ended.
        supernet, supernet_left: which supernet is being trained, and how long still.
    """

    done: str = ""
    facts: list[str] = field(default_factory=list)
    elapsed: str = ""
    left: str = ""
    left_s: float | None = None
    supernet: str = ""
    supernet_left: str = ""


def percent(share: float) -> str:
    """`98.9 %`."""
    return f"{100 * share:.1f} %"


def wrong(trial: Trial) -> str:
    """`4 of 360 wrong`, or nothing where only the share is known."""
    return f"{trial.n_wrong} of {trial.n_samples:,} wrong" if trial.n_wrong is not None and trial.n_samples else ""


def best_random(search: Search) -> tuple[Trial | None, int]:
    """The best completed trial that was drawn at random, and how many of these there are."""
    rows = search.trials.filter(by="random", state=Trial.State.COMPLETED)
    return rows.order_by("-accuracy", "number").first(), rows.count()


def answer(search: Search, config: SearchConfig) -> Answer:
    """The headline. It never claims what the data cannot carry."""
    best = search.best
    if search.state == Search.State.FAILED and best is None:
        return Answer(lead="Failed:", caveat=f"{search.reason or 'the reason was not recorded'}.")
    if best is None or best.accuracy is None:
        return Answer(
            lead={
                Search.State.DRAFT: "A draft.",
                Search.State.QUEUED: "Queued.",
                Search.State.RUNNING: "No result yet.",
                Search.State.PAUSED: "Paused before the first result.",
                Search.State.STOPPED: "Cancelled before the first result.",
            }.get(Search.State(search.state), "No trial has finished."),
            caveat=_as_sentence(search.reason) or _first_wait(search) or _beginning(search, config),
        )
    final = best.final.get("metrics", {}) if best.final_state == Trial.FinalState.DONE else {}
    if search.ended and "test_accuracy" in final:
        return sealed_answer(best)
    count = wrong(best)
    text = Answer(lead="Best", fact=percent(best.accuracy), more=f", {count}" if count else "")
    rival, n_random = best_random(search)
    if config.strategy.name == "random" or rival is None:
        text.caveat = f"every one of the {search.n_completed} was drawn at random" if rival is not None else ""
    elif rival.pk == best.pk:
        if n_random < search.n_completed:
            text.caveat = f"one of {n_random} random trials, nothing proposed since is better"
        elif n_random > 1:
            text.caveat = f"all {n_random} finished trials were drawn at random"
        else:
            text.caveat = "the first finished trial, drawn at random"
    elif best.correct and rival.correct and best.n_samples == rival.n_samples:
        # the rival is the luckiest of n_random: that many comparisons
        verdict = told_apart(bytes(best.correct), bytes(rival.correct), best.n_samples, comparisons=n_random)
        tail = f"{_of_random(n_random)} ({rival.n_wrong} wrong)"
        text.caveat = (
            f"better than {tail}, {format_p(verdict.p)}"
            if verdict.p < 0.05
            else f"not distinguishable {'' if search.ended else 'yet '}from {tail}"
        )
    elif best.source == "table":
        gain = 100 * (best.accuracy - (rival.accuracy or 0.0))
        text.caveat = f"{gain:.2f} points above {_of_random(n_random)}, from the table"
    if search.state == Search.State.FAILED:
        text.caveat = f"failed: {search.reason}"
    return text


def _of_random(n: int) -> str:
    return f"the best of {n} random trials" if n > 1 else "the one random trial"


def sealed_answer(trial: Trial) -> Answer:
    """The number to take away: the sealed test after full training, with its counts and interval."""
    metrics = trial.final["metrics"]
    n = int(metrics.get("n_test", 0))
    share = float(metrics["test_accuracy"])
    right = round(share * n)
    low, high = wilson(right, n) if n else (0.0, 1.0)
    return Answer(
        fact=f"{percent(share)} on the sealed test",
        lead="",
        more=f", {n - right:,} of {n:,} wrong",
        caveat=f"between {100 * low:.1f} and {100 * high:.1f} % with 95 % confidence",
    )


def _as_sentence(text: str) -> str:
    text = text.rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _first_wait(search: Search) -> str:
    return _as_sentence(f"{search.waiting[0]['what']}: {search.waiting[0]['why']}") if search.waiting else ""


def _beginning(search: Search, config: SearchConfig) -> str:
    """What a search that has no result yet is going to do."""
    if search.state not in (Search.State.QUEUED, Search.State.RUNNING):
        return ""
    from engine import catalog

    plan = catalog.get("strategy", config.strategy.name).plan(config, earlier=len(config.experience))
    n = config.budget.epochs
    before = "the supernet, its scores and " if is_sharing(search.config) else ""
    return _as_sentence(f"{plan}; the first result appears after {before}{n:,} epoch{'' if n == 1 else 's'}")


def trials_budget(search: Search, config: SearchConfig) -> int:
    """Trials it may try in all, with what people added while it ran."""
    return config.budget.trials + search.extra_trials


def standing(search: Search, config: SearchConfig, now: datetime) -> Standing:
    """The line under the headline."""
    budget = trials_budget(search, config)
    ended = search.n_completed + search.n_pruned + search.n_failed + search.n_cancelled
    out = Standing(done=f"{ended:,} of {budget:,} trials ended")
    for count, word in (
        (search.n_running, "running"),
        (search.n_paused, "paused"),
        (search.n_pruned, "stopped early"),
        (search.n_failed, "failed"),
    ):
        if count:
            out.facts.append(f"{count:,} {word}")
    out.elapsed = f"{clock(elapsed_s(search, now))} {'in all' if search.ended else 'elapsed'}"
    first = first_starts([search]).get(search.pk)
    out.left_s = trials_left_s(search, now, ended=ended, budget=budget, first=first)
    out.left = _left(out.left_s)
    out.supernet, seconds = supernets_under_way([search], now).get(search.pk, ("", None))
    out.supernet_left = _left(seconds)
    return out


def _left(seconds: float | None) -> str:
    """`4:12`; "" for what is not known, or over at once."""
    return clock(seconds) if seconds is not None and seconds >= 1 else ""


def ticks(search: Search, config: SearchConfig) -> list[dict[str, Any]] | None:
    """One tick a trial in the order of proposal, up to the budget; None above `MOST_TICKS` (draw `shares` then)."""
    total = max(trials_budget(search, config), search.n_trials)
    if total > MOST_TICKS:
        return None
    out: list[dict[str, Any]] = []
    rows = search.trials.order_by("number").values_list("state", "epochs", "target_epochs")
    for state, epochs, target in rows:
        tick: dict[str, Any] = {"state": state}
        if state == Trial.State.RUNNING:
            tick["percent"] = round(100 * epochs / max(1, target or config.budget.epochs))
        out.append(tick)
    return out + [{"state": "left"}] * (0 if search.ended else total - len(out))


def shares(search: Search, config: SearchConfig) -> dict[str, int]:
    """Counts by state for the bar in proportion."""
    left = 0 if search.ended else max(0, trials_budget(search, config) - search.n_trials)
    return {
        "completed": search.n_completed,
        "pruned": search.n_pruned,
        "failed": search.n_failed,
        "cancelled": search.n_cancelled,
        "running": search.n_running,
        "paused": search.n_paused,
        "waiting": search.n_waiting,
        "left": left,
    }


@dataclass
class Now:
    """One piece of work under way."""

    job: Job
    trial: Trial | None
    epoch: int
    epochs: int
    batch: int
    batches: int
    samples_per_s: float | None
    phase: str
    left: str


def running_now(search: Search, config: SearchConfig) -> list[Now]:
    """Jobs under way, the oldest claim first (at most 24 are shown; the counts say the rest)."""
    jobs = search.jobs.filter(state=Job.State.RUNNING).select_related("trial").order_by("started_at", "id")[:24]
    out = []
    for job in jobs:
        p = job.progress or {}
        trial = job.trial
        epochs = int(p.get("epochs") or job.fidelity or 0)
        epoch = int(p.get("epoch") or (trial.epochs if trial and job.kind == Job.Kind.TRAIN else 0))
        left = ""
        if trial and trial.epochs and trial.duration_s and job.kind == Job.Kind.TRAIN:
            left = clock(trial.duration_s / trial.epochs * max(0, epochs - epoch))
        elif job.kind == Job.Kind.SUPERNET:
            left = _left(supernet_left_s(search, job, timezone.now()))
        out.append(
            Now(
                job=job,
                trial=trial,
                epoch=epoch,
                epochs=epochs,
                batch=int(p.get("batch") or 0),
                batches=int(p.get("batches") or 0),
                samples_per_s=p.get("samples_per_s"),
                phase=str(p.get("phase") or ""),
                left=left,
            )
        )
    return out


def waits(search: Search, config: SearchConfig, *, online: int) -> list[dict[str, str]]:
    """What waits and why, for people: every wait has its reason."""
    out: list[dict[str, str]] = []
    warn = "warn"
    offline = search.state in Search.LIVE and search.state != Search.State.PAUSED and not online
    if search.state == Search.State.QUEUED and not offline:
        out.append({"what": "The start", "why": search.reason or "it is queued and starts by itself", "level": ""})
    if search.state == Search.State.PAUSED:
        why = search.reason or "paused by you; it continues where it stopped"
        out.append({"what": "Everything", "why": why.rstrip("."), "level": ""})
    if offline:
        why = "no worker is online: start one with “make run” or “manage.py worker”; nothing is lost meanwhile"
        n = search.n_waiting + search.n_running
        what = f"{n:,} trial{'' if n == 1 else 's'}" if n else "Everything"
        out.append({"what": "The start" if search.state == Search.State.QUEUED else what, "why": why, "level": warn})
    elif search.state == Search.State.RUNNING and search.n_waiting:
        noun = "trial" if search.n_waiting == 1 else "trials"
        out.append({"what": f"{search.n_waiting:,} {noun}", "why": "no free slot: all workers are busy", "level": ""})
    # that it is paused is said once
    said = [w for w in search.waiting or [] if w["what"] != "the search"]
    out += [{"what": str(w["what"]), "why": str(w["why"]), "level": ""} for w in said]
    if search.state in (Search.State.RUNNING, Search.State.FINISHING):
        finals = [
            n
            for n in search.trials.filter(final_state=Trial.FinalState.WAITING)
            .order_by("number")
            .values_list("number", flat=True)[:6]
        ]
        for n in finals:
            out.append({"what": f"Full training of #{n}", "why": "no free slot yet", "level": ""})
        if not finals and search.state == Search.State.RUNNING and config.final.enabled and search.n_trials:
            why = "until the last trial has ended: any of them can still win"
            out.append({"what": "Full training of the winner", "why": why, "level": ""})
    budget = trials_budget(search, config)
    if search.state == Search.State.RUNNING and search.n_trials >= budget:
        why = f"all {budget:,} trials of the budget are given out"
        out.append({"what": "No further proposals", "why": why, "level": "extend"})
    return out


def winner(search: Search) -> Trial | None:
    """The trial a person would take now."""
    return search.best


def winner_facts(trial: Trial, config: SearchConfig) -> dict[str, Any]:
    """Numbers under the drawing of the winner."""
    low_high = None
    if trial.n_samples and trial.n_wrong is not None:
        low, high = wilson(trial.n_samples - trial.n_wrong, trial.n_samples)
        low_high = f"{100 * low:.1f}–{100 * high:.1f} %"
    estimate = final_estimate_s(trial, config)
    final = trial.final.get("metrics", {}) if trial.final_state == Trial.FinalState.DONE else {}
    n_test = int(final.get("n_test", 0)) if "test_accuracy" in final else 0
    return {
        "accuracy": percent(trial.accuracy) if trial.accuracy is not None else "–",
        "wrong": wrong(trial),
        "interval": low_high,
        "duration": clock(trial.duration_s),
        "estimate": clock(estimate) if estimate else "",
        "final": final,
        "sealed": percent(final["test_accuracy"]) if "test_accuracy" in final else "",
        "sealed_wrong": f"{n_test - round(final['test_accuracy'] * n_test)} of {n_test:,} wrong" if n_test else "",
        "bundle": trial.artifacts.filter(kind="bundle").order_by("-id").first(),
    }


def failures(search: Search) -> list[dict[str, Any]]:
    """Why trials failed: each reason once, with how many and the first of them; the most frequent first."""
    failed = search.trials.filter(state=Trial.State.FAILED).order_by()
    rows = failed.values("reason").annotate(n=Count("pk"), first=Min("number")).order_by("-n", "first")[:5]
    return [{**row, "reason": row["reason"] or "the reason was not recorded"} for row in rows]


def disk_bytes(search: Search) -> int:
    """Bytes its files take in the storage."""
    return search.artifacts.aggregate(n=Sum("bytes"))["n"] or 0


def page(search: Search) -> dict[str, Any]:
    """Everything all tabs share."""
    now = timezone.now()
    config = config_of(search)
    online = workers_online()
    return {
        "search": search,
        "config": config,
        "answer": answer(search, config),
        "standing": standing(search, config, now),
        "ticks": ticks(search, config),
        "shares": shares(search, config),
        "budget": trials_budget(search, config),
        "bundle": search.best.artifacts.filter(kind="bundle").order_by("-id").first()
        if search.ended and search.best and search.best.final_state == Trial.FinalState.DONE
        else None,
        "online": len(online),
        "slots": sum(w.slots for w in online),
    }
