"""Can the scores be trusted, and did the search beat random? What is trained alone answers both.

Accuracy under shared weights and accuracy trained alone meet in one place only: the order they put the same networks
into. Nothing here subtracts one from the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from engine.analysis.paired import MeanDifference, mean_difference
from engine.analysis.stats import Verdict, format_p, told_apart
from engine.analysis.trust import LEAST, Agreement, Interval, advantage, agreement
from searches.models import Job, Search, Trial
from searches.selectors.overview import config_of
from searches.selectors.supernet import method_of

#: networks trained twice from which two trainings are compared
LEAST_TWICE = 3


@dataclass(frozen=True, slots=True)
class Trained:
    """One training alone, to the end."""

    number: int
    name: str
    key: str
    level: tuple[str, int]
    accuracy: float
    n_macs: int
    by: str
    replicate: int
    beside: int | None
    n_samples: int


@dataclass(frozen=True, slots=True)
class Both:
    """A network with both accuracies; shares of 1, never to be compared with each other.

    Attributes:
        kind: "derived", "random", or "other" for what a person proposed.
        again: accuracy of a second training with another seed.
    """

    number: int
    name: str
    kind: str
    inherited: float
    alone: float
    n_macs: int
    again: float | None = None


@dataclass(frozen=True)
class Trust:
    """What the panel says.

    Attributes:
        both: networks with both accuracies, in the order of their trials.
        shared: agreement of inherited accuracy with accuracy alone; counted: of multiply-adds with it.
        twice: of two trainings with each other, where at least `LEAST_TWICE` networks have two.
        ahead: Spearman of the inherited accuracy less that of the multiply-adds.
        n_twice: networks that were trained twice.
        fact, caveat: the verdict; ceiling: what two trainings say, or what to do to know.
        picked: how many of them were picked by their inherited accuracy.
        missing: which networks that were trained alone are not among them, and why; "" = all are.
    """

    both: tuple[Both, ...]
    shared: Agreement
    counted: Agreement
    twice: Agreement | None
    ahead: Interval
    n_twice: int
    fact: str
    caveat: str
    ceiling: str
    picked: int
    missing: str = ""


def trained(search: Search) -> list[Trained]:
    """All that were trained alone to the end, at the level (source, epochs) that most of them have. One query."""
    done = search.trials.filter(state=Trial.State.COMPLETED, accuracy__isnull=False).order_by("number")
    rows = [
        Trained(number, name, key, (source, fidelity), accuracy, n_macs or 0, by, replicate or 0, beside, n_samples)
        for number, name, key, source, fidelity, accuracy, n_macs, by, replicate, beside, n_samples in done.values_list(
            "number", "name", "key", "source", "fidelity", "accuracy", "n_macs", "by", "proposal__replicate",
            "proposal__beside", "n_samples",
        )
    ]  # fmt: skip
    if not rows:
        return []
    counts = Counter(r.level for r in rows)
    level = max(counts, key=lambda at: (counts[at], at[1]))
    return [r for r in rows if r.level == level]


def both_of(search: Search, rows: Sequence[Trained]) -> tuple[list[Both], list[tuple[float, float]]]:
    """Networks that have both accuracies; and (first, second) training of all that were trained twice. One query.

    Of several trainings the first stands for a network: what one training says is what a score has to foretell.
    """
    first: dict[str, Trained] = {}
    again: dict[str, float] = {}
    for row in rows:
        if row.key not in first:
            first[row.key] = row
        elif row.key not in again:
            again[row.key] = row.accuracy
    by_supernet: dict[str, dict[int, float]] = {}
    subnets = search.subnets.filter(key__in=list(first), accuracy__isnull=False).order_by("supernet", "piece")
    for key, accuracy, supernet in subnets.values_list("key", "accuracy", "supernet"):
        by_supernet.setdefault(key, {})[supernet] = accuracy
    # what the search goes by: the mean over all its supernets; of some of them only it would not be comparable
    judges = {n for found in by_supernet.values() for n in found}
    scored = {key: sum(found.values()) / len(found) for key, found in by_supernet.items() if found.keys() == judges}
    method = config_of(search).strategy.name
    kinds = {method: "derived", "random": "random"}
    both = [
        Both(r.number, r.name, kinds.get(r.by, "other"), scored[k], r.accuracy, r.n_macs, again.get(k))
        for k, r in first.items()
        if k in scored
    ]
    return both, [(first[k].accuracy, value) for k, value in again.items()]


def trust(search: Search) -> Trust:
    """The panel as it is now. Two queries, three where a network has no inherited accuracy; the resamples are drawn
    again only when a result is new.
    """
    rows = trained(search)
    both, twice = both_of(search, rows)
    method = method_of(search)
    panel = _judged(tuple(both), tuple(twice), bool(method and method.searches))
    return replace(panel, missing=_missing(search, rows, {b.number for b in both}))


def _missing(search: Search, rows: Sequence[Trained], numbers: Collection[int]) -> str:
    """What a method derived, or drew beside it, and what no supernet has scored. One query where there is such."""
    name = config_of(search).strategy.name
    first: dict[str, Trained] = {}
    for row in rows:
        first.setdefault(row.key, row)
    own = [row for row in first.values() if row.by in (name, "random")]
    n = sum(row.number not in numbers for row in own)
    if not n:
        return ""
    failed = search.jobs.filter(kind=Job.Kind.SCORE, state=Job.State.FAILED).order_by("-id")
    reason = failed.values_list("reason", flat=True).first()
    networks = f"{n} of {len(own)} networks" if len(own) > 1 else "The one network"
    text = f"{networks} trained alone {'have' if n > 1 else 'has'} no accuracy with shared weights"
    return f"{text}: {reason.rstrip('.')}." if reason else f"{text}."


@lru_cache(maxsize=64)
def _judged(both: tuple[Both, ...], twice: tuple[tuple[float, float], ...], searches: bool) -> Trust:
    alone, inherited = [b.alone for b in both], [b.inherited for b in both]
    macs = [float(b.n_macs) for b in both]
    shared, counted = agreement(inherited, alone), agreement(macs, alone)
    second = agreement([a for a, _ in twice], [b for _, b in twice]) if len(twice) >= LEAST_TWICE else None
    ahead = advantage(alone, inherited, macs)
    fact, caveat = _verdict(shared, counted, ahead)
    picked = sum(b.kind == "derived" for b in both) if searches else 0
    return Trust(both, shared, counted, second, ahead, len(twice), fact, caveat, _ceiling(second, len(twice)), picked)


# -- words -----------------------------------------------------------------------------------------
def number(value: float) -> str:
    """ "0.62", "−0.10", "–" where it is not defined."""
    return "–" if math.isnan(value) else f"{value:.2f}".replace("-", "−")


def interval(found: Interval) -> str:
    """ "0.62 [0.05, 0.91]"."""
    if found.low is None or found.high is None:
        return number(found.value)
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def table(panel: Trust) -> list[tuple[str, list[str]]]:
    """A row a measure: of the scores, of the multiply-adds, and of two trainings where they are known; [] too early."""
    found = [panel.shared, panel.counted, *([panel.twice] if panel.twice else [])]
    if panel.shared.n < LEAST:
        return []
    out = [
        ("Spearman", [interval(a.spearman) for a in found]),
        ("Kendall tau-b", [interval(a.kendall) for a in found]),
    ]
    for k in panel.shared.top:
        name = f"best {k} in common" if k > 1 else "best in common"
        chance = f"{k / panel.shared.n:.2f} by chance"
        out.append((f"{name} ({chance})", [interval(a.top[k]) if k in a.top else "–" for a in found]))
    return out


def _verdict(shared: Agreement, counted: Agreement, ahead: Interval) -> tuple[str, str]:
    """The fact and what it does not say. Never more than the interval carries."""
    n, rank = shared.n, shared.spearman
    if not n:
        return "No network has both accuracies yet", "the first pair that is trained alone is the first to tell"
    networks = "network has" if n == 1 else "networks have"
    if n < LEAST:
        return f"{n} {networks} both accuracies", f"too few to say anything: {LEAST} are needed"
    if math.isnan(rank.value):
        return f"{n} {networks} both accuracies", "all of them score the same: the scores say nothing"
    fact = f"{n} {networks} both accuracies; Spearman {interval(rank)}"
    if rank.above_zero:
        said = "the scores order them better than chance"
    elif rank.below_zero:
        said = "the scores order them the wrong way round: do not trust them"
    else:
        said = "not distinguishable from chance"
    if not math.isnan(counted.spearman.value):
        rival = f"counting multiply-adds alone gives {number(counted.spearman.value)}"
        if ahead.above_zero:
            said += f"; {rival}: the scores say more"
        elif ahead.below_zero:
            said += f"; {rival}: the scores say less than the size does"
        else:
            said += f"; {rival}: not distinguishable"
    return fact, said


def _ceiling(second: Agreement | None, n: int) -> str:
    """What two trainings with other seeds agree on: no score can be expected to do better."""
    if second is not None and not math.isnan(second.spearman.value):
        return (
            f"Two trainings of the same {second.n} networks with other seeds agree at Spearman "
            f"{interval(second.spearman)}: no score can do better than that."
        )
    have = f"{n} of the {LEAST_TWICE} networks that takes were" if n else "none was"
    return (
        f"How far two trainings of the same networks agree is not known: {have} trained twice. "
        "The option “repeats” of the method trains each again."
    )


# -- against random --------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Pair:
    """A derived network and its random partner of the same cost; accuracies are means over their trainings.

    Attributes:
        n_derived, n_random: trainings of each.
    """

    derived: int
    random: int
    name: str
    partner: str
    accuracy: float
    against: float
    n_macs: int
    n_macs_random: int
    n_derived: int = 1
    n_random: int = 1

    @property
    def points(self) -> float:
        """The difference in points."""
        return 100 * (self.accuracy - self.against)


@dataclass(frozen=True)
class Beaten:
    """Did the search beat random?

    Attributes:
        pairs: that are complete.
        mean: difference over the pairs in points; None without a pair.
        one: the paired exact test where there is one pair only.
        fact, caveat: in words.
        short: the same as a fact of the header; "" without a pair.
        how: what the interval is of; "" without one.
    """

    pairs: tuple[Pair, ...]
    mean: MeanDifference | None
    one: Verdict | None
    fact: str
    caveat: str
    short: str
    how: str = ""


def pairs_of(rows: Sequence[Trained], method: str) -> list[Pair]:
    """Complete pairs, in the order of the derived trials."""
    partners: dict[int, list[Trained]] = {}
    for row in rows:
        if row.beside is not None:
            partners.setdefault(row.beside, []).append(row)
    derived: dict[str, list[Trained]] = {}
    for row in rows:
        if row.by == method and row.beside is None:
            derived.setdefault(row.key, []).append(row)
    out = []
    for row in rows:
        if row.number not in partners or row.by != method:
            continue
        mine, theirs = derived[row.key], partners[row.number]
        out.append(
            Pair(
                row.number, theirs[0].number, row.name, theirs[0].name, _mean(mine), _mean(theirs), row.n_macs,
                theirs[0].n_macs, len(mine), len(theirs),
            )
        )  # fmt: skip
    return out


def _mean(rows: Sequence[Trained]) -> float:
    return math.fsum(r.accuracy for r in rows) / len(rows)


def against_random(search: Search) -> Beaten:
    """Derived networks against their random partners. One query, two with a single pair."""
    rows = trained(search)
    pairs = pairs_of(rows, config_of(search).strategy.name)
    if not pairs:
        wait = "no pair was trained to the end" if search.ended else "the first pair is still to come"
        return Beaten((), None, None, "Not known", wait, "")
    n = min(r.n_samples for r in rows)
    mean = mean_difference([p.points for p in pairs], resolution=100 / n if n else 0.0)
    assert mean is not None
    one = _exact(search, pairs[0]) if len(pairs) == 1 and pairs[0].n_derived == pairs[0].n_random == 1 else None
    how = f"The interval is that of a paired t test over the pairs, {format_p(mean.p)}." if mean.p is not None else ""
    return Beaten(tuple(pairs), mean, one, *_beaten_words(pairs, mean, one), how)


def _exact(search: Search, pair: Pair) -> Verdict | None:
    """Both judged on the same validation samples: McNemar's exact test."""
    rows: dict[int, Any] = {
        n: (bits, size)
        for n, bits, size in search.trials.filter(number__in=[pair.derived, pair.random]).values_list(
            "number", "correct", "n_samples"
        )
    }
    (a, n), (b, m) = rows[pair.derived], rows[pair.random]
    if not a or not b or n != m:
        return None
    return told_apart(bytes(a), bytes(b), n, a=f"#{pair.derived}", b=f"#{pair.random}")


def signed(points: float, decimals: int = 1) -> str:
    """ "+1.2", "−0.4", "0.0"."""
    text = f"{points:+.{decimals}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def _beaten_words(pairs: Sequence[Pair], mean: MeanDifference, one: Verdict | None) -> tuple[str, str, str]:
    where = "above" if mean.mean > 0 else "below"
    size = f"{abs(mean.mean):.1f} points {where}" if round(abs(mean.mean), 1) else "level with"
    if len(pairs) == 1:
        fact = f"Derived #{pairs[0].derived} is {size} its random partner #{pairs[0].random}"
        if one is None:
            return fact, "one pair has no interval", f"derived {size} random, one pair"
        told = one.text if one.different or one.wins == one.losses == 0 else f"one pair; {one.text}"
        short = f"derived {size} random, one pair" + ("" if one.different else ": not distinguishable")
        return fact, told, short
    assert mean.low is not None and mean.high is not None
    what = f"the derived networks are {size} their random partners of the same cost"
    span = f"[{signed(mean.low)}, {signed(mean.high)}]"
    fact = f"Over {len(pairs)} pairs {what}, 95 % interval {span}"
    if not mean.different:
        caveat = "not distinguishable from random"
    else:
        caveat = "the search beat random" if mean.mean > 0 else "random was better"
    short = f"derived {size} random {span} over {len(pairs)} pairs"
    return fact, caveat, short + ("" if mean.different else ": not distinguishable")
