"""Reads for one trial's page and for comparing several, also from different searches."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from engine.analysis.stats import Verdict, format_p, told_apart, wilson
from engine.architecture import Architecture
from engine.config import Recipe, SearchConfig
from engine.data.spec import DataSpec
from engine.spaces.base import SearchSpace, make_space
from searches.charts.insight import clock
from searches.models import Search, Trial
from searches.selectors import overview

#: more columns than this do not fit a screen, nor a mind
MOST = 8


def parse_chosen(values: list[str]) -> list[tuple[int, int]]:
    """`["7.24", "8.3"]` -> [(7, 24), (8, 3)], each once, at most `MOST`; what is no such pair is left out."""
    out: list[tuple[int, int]] = []
    for value in values:
        search, _, number = value.partition(".")
        if not value.isascii() or len(search) > 18 or len(number) > 9:
            continue
        if search.isdigit() and number.isdigit():
            pair = (int(search), int(number))
            if pair not in out:
                out.append(pair)
    return out[:MOST]


def trials_of(user: AbstractBaseUser | AnonymousUser, chosen: list[tuple[int, int]]) -> list[Trial]:
    """The chosen trials that are the user's own, in the order chosen; two queries."""
    searches = {s.pk: s for s in Search.objects.filter(owner=user, pk__in={s for s, _ in chosen})}  # type: ignore[misc]
    wanted = {pair for pair in chosen if pair[0] in searches}
    numbers = {n for _, n in wanted}
    found = {(t.search_id, t.number): t for t in Trial.objects.filter(search__in=searches.values(), number__in=numbers)}
    out = []
    for pair in chosen:
        if pair in wanted and pair in found:
            trial = found[pair]
            trial.search = searches[pair[0]]
            out.append(trial)
    return out


@dataclass
class Column:
    """One trial of a comparison."""

    trial: Trial
    index: int
    role: str
    dash: str
    #: `#24`, with its search where another column has the same number
    label: str = ""

    @cached_property
    def config(self) -> SearchConfig:
        """Of its search."""
        return overview.config_of(self.trial.search)

    @cached_property
    def data(self) -> DataSpec:
        """Of its search."""
        return DataSpec.model_validate(self.trial.search.data_spec)

    @cached_property
    def space(self) -> SearchSpace:
        """Of its search, bound to its data."""
        return make_space(self.config, self.data)

    @property
    def architecture(self) -> Architecture:
        """What the trial chose."""
        return Architecture.of(self.space.name, self.trial.architecture)


@dataclass
class Cell:
    """One value of the table: text, what it is against the first column, whether it is the row's best."""

    text: str
    against: str = ""
    best: bool = False
    interval: tuple[float, float, float] | None = None


@dataclass
class Row:
    """One line of the table."""

    name: str
    cells: list[Cell]
    equal: bool = False
    warn: bool = False


@dataclass
class Comparison:
    """Everything the page says."""

    columns: list[Column]
    rows: list[Row]
    lead: str
    fact: str
    caveat: str
    warnings: list[str] = field(default_factory=list)
    agrees: str = ""
    decisions: list[Row] = field(default_factory=list)
    same_space: bool = True
    pairs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def differing(self) -> list[Row]:
        """Decisions that were not taken alike."""
        return [row for row in self.decisions if not row.equal]

    @property
    def shared(self) -> list[Row]:
        """Decisions that were taken alike."""
        return [row for row in self.decisions if row.equal]


DASHES = ("solid", "dash", "dot", "dashdot")


def columns_of(trials: list[Trial]) -> list[Column]:
    """Colour and dash by place, as in the charts."""
    numbers = [t.number for t in trials]
    return [
        Column(
            t,
            i,
            f"cat-{i % 8 + 1}",
            DASHES[i % 4],
            f"#{t.number} of {t.search.name}" if numbers.count(t.number) > 1 else f"#{t.number}",
        )
        for i, t in enumerate(trials)
    ]


def recipe_words(r: Recipe) -> str:
    """The recipe in a few words."""
    return f"AdamW {r.learning_rate:g}, batch {r.batch_size}, cosine"


def verdicts(columns: list[Column]) -> list[tuple[Column, Column, Verdict]]:
    """Paired exact tests of all pairs that were judged on the same validation samples."""
    out = []
    for a, b in combinations(columns, 2):
        x, y = a.trial, b.trial
        if (
            x.correct
            and y.correct
            and x.n_samples == y.n_samples
            and a.data.split_digest == b.data.split_digest
            and a.data.digest == b.data.digest
        ):
            out.append((a, b, told_apart(bytes(x.correct), bytes(y.correct), x.n_samples)))
    return out


def _row(
    name: str,
    columns: list[Column],
    values: list[Any],
    text: Any,
    *,
    better: str = "",
    relative: str = "",
    warn: bool = False,
) -> Row:
    known = [v for v in values if v is not None]
    top = None
    if better and len(known) > 1 and len(set(known)) > 1:
        top = max(known) if better == "high" else min(known)
    first = values[0]
    cells = []
    for i, v in enumerate(values):
        against = ""
        if i and v is not None and first is not None and v != first:
            if relative == "points":
                against = f"{100 * (v - first):+.1f} points".replace("-", "−")
            elif relative == "ratio" and first:
                against = f"×{v / first:.2f}"
        cells.append(Cell("–" if v is None else text(v), against, best=top is not None and v == top))
    equal = all(v == first for v in values)
    return Row(name, cells, equal=equal, warn=warn and not equal)


def compare(trials: list[Trial]) -> Comparison:
    """Puts trials beside each other: metrics, warnings, what differs in the architectures."""
    columns = columns_of(trials)
    ts = [c.trial for c in columns]
    rows = [
        _row("accuracy, validation, %", columns, [t.accuracy for t in ts], lambda v: f"{100 * v:.1f}", better="high",
             relative="points"),
        _row("wrong", columns, [t.n_wrong for t in ts], lambda v: f"{v:,}", better="low"),
    ]  # fmt: skip
    intervals = [
        wilson(t.n_samples - t.n_wrong, t.n_samples) if t.n_samples and t.n_wrong is not None else None for t in ts
    ]
    cells = []
    lows = [i[0] for i in intervals if i]
    floor = max(0.0, (int(min(lows) * 20) / 20) if lows else 0.0)
    span = max(1e-9, 1 - floor)
    for t, interval in zip(ts, intervals, strict=True):
        if interval is None or t.accuracy is None:
            cells.append(Cell("–"))
            continue
        low, high = interval
        place = tuple(round(100 * (v - floor) / span, 1) for v in (low, t.accuracy, high))
        cells.append(Cell(f"{100 * low:.1f}–{100 * high:.1f}", interval=place))  # type: ignore[arg-type]
    rows.append(Row(f"95 % interval, on {100 * floor:.0f} to 100 %", cells))
    tests = [t.final.get("metrics", {}).get("test_accuracy") for t in ts]
    if any(v is not None for v in tests):
        rows.append(
            _row("sealed test, after full training, %", columns, tests, lambda v: f"{100 * v:.1f}", relative="points")
        )
    inherited = [t.cost.get("inherited_epochs", 0) for t in ts]
    rows += [
        _row("multiply-adds, M", columns, [t.n_macs for t in ts], lambda v: f"{v / 1e6:,.2f}", better="low",
             relative="ratio"),
        _row("parameters, k", columns, [t.n_params for t in ts], lambda v: f"{v / 1e3:,.1f}", better="low",
             relative="ratio"),
        _row("training", columns, [t.duration_s or None for t in ts], clock, better="low"),
        _row("samples/s", columns, [t.cost.get("samples_per_s") for t in ts], lambda v: f"{v:,.0f}", better="high"),
        _row("epochs", columns, [t.fidelity or t.epochs for t in ts], str, warn=True),
        *([_row("inherited epochs", columns, inherited, str, warn=True)] if any(inherited) else []),
        _row("seed of the search", columns, [c.config.seed for c in columns], str, warn=True),
        _row("data", columns, [c.data.name for c in columns], str, warn=True),
        _row("validation split", columns,
             [(c.data.sizes.get("validation", 0), c.data.split_digest[:8]) for c in columns],
             lambda v: f"{v[0]:,} samples, {v[1]}", warn=True),
        _row("recipe", columns, [c.config.training for c in columns], recipe_words, warn=True),
        _row("precision", columns, [t.cost.get("precision") for t in ts], str),
        _row("worker", columns, [t.worker or None for t in ts], str),
    ]  # fmt: skip
    warnings = [f"{_WORDS[r.name]} differ: {', '.join(dict.fromkeys(c.text for c in r.cells))}" for r in rows if r.warn]
    agreeing = [_WORDS[r.name].lower() for r in rows if r.name in _WORDS and r.equal]
    out = Comparison(
        columns, rows, *_sentence(columns), warnings=warnings, agrees=", ".join(f"same {w}" for w in agreeing)
    )
    out.pairs = [
        {"a": a.label, "b": b.label, "p": format_p(v.p), "wins": v.wins, "losses": v.losses}
        for a, b, v in verdicts(columns)
    ]
    out.same_space = len({(c.config.space.name) for c in columns}) == 1
    if out.same_space:
        out.decisions = _decisions(columns)
    return out


_WORDS = {
    "epochs": "Epochs",
    "inherited epochs": "Inherited epochs",
    "seed of the search": "Seeds",
    "data": "Data sets",
    "validation split": "Splits",
    "recipe": "Recipes",
}


def _decisions(columns: list[Column]) -> list[Row]:
    space = columns[0].space
    names = {d.name: None for c in columns for d in c.space.all_decisions()}
    rows = []
    for name in names:
        texts = []
        for c in columns:
            acts = name in c.trial.architecture
            texts.append(space.format(name, c.trial.architecture[name]) if acts else "–")
        if set(texts) != {"–"}:
            rows.append(Row(space.title(name), [Cell(t) for t in texts], equal=len(set(texts)) == 1))
    return rows


def _sentence(columns: list[Column]) -> tuple[str, str, str]:
    ts = [c.trial for c in columns]
    first = ts[0]
    if first.n_wrong is None or any(t.n_wrong is None for t in ts):
        known = [t for t in ts if t.accuracy is not None]
        if not known:
            return f"{len(ts)} trials", "", "none of them has a result yet"
        best = max((c for c in columns if c.trial.accuracy is not None), key=lambda c: c.trial.accuracy or 0)
        return f"{best.label} is the most accurate", f", {100 * (best.trial.accuracy or 0):.2f} %", ""
    lead, fact = f"{columns[0].label} has {first.n_wrong} wrong", ""
    if len(ts) > 1:
        other = ts[1]
        ratio = f" at {other.n_macs / first.n_macs:.2f} of its multiply-adds" if first.n_macs and other.n_macs else ""
        fact += f", {columns[1].label} has {other.n_wrong}{ratio}"
    tested = verdicts(columns)
    n = first.n_samples
    if len(columns) < 2:
        return lead, fact, "choose a second trial to compare it with"
    if len(tested) < len(columns) * (len(columns) - 1) // 2:
        return lead, fact, "not judged on the same samples: no paired test"
    # Holm's step-down over all pairs keeps the chance of one false difference below 5 %
    ordered = sorted(tested, key=lambda v: v[2].p)
    apart = []
    for i, (a, b, v) in enumerate(ordered):
        if v.p > 0.05 / (len(ordered) - i):
            break
        apart.append(f"{a.label} and {b.label}")
    if not apart:
        who = "the two" if len(ts) == 2 else f"the {len(ts)}"
        return lead, fact, f"{n:,} samples do not tell {who} apart"
    if len(apart) == len(ordered):
        p = max(v.p for _, _, v in ordered)
        return lead, fact, f"all are told apart by {n:,} samples (p ≤ {p:.2g})"
    return lead, fact, f"{n:,} samples tell apart {', '.join(apart[:3])} only"


# -- one trial ------------------------------------------------------------------------------------
def rank_words(trial: Trial) -> str:
    """ "fewest wrong on validation of 30 trials, with #30"."""
    if trial.accuracy is None or trial.state != Trial.State.COMPLETED:
        return ""
    done = trial.search.trials.filter(state=Trial.State.COMPLETED)
    better = done.filter(accuracy__gt=trial.accuracy).count()
    n = trial.search.n_completed
    if better:
        return f"rank {better + 1} of {n:,} on validation"
    ties = (
        done.filter(accuracy=trial.accuracy)
        .exclude(pk=trial.pk)
        .order_by("number")
        .values_list("number", flat=True)[:3]
    )
    tail = f", with {', '.join(f'#{t}' for t in ties)}" if ties else ""
    return f"best on validation of {n:,} finished trials{tail}"


def accuracies(trial: Trial) -> list[dict[str, Any]]:
    """Accuracies of a trial with their right names, the number to take away first."""
    out: list[dict[str, Any]] = []

    def line(name: str, note: str, share: float, n: int, strong: bool = False) -> None:
        right = round(share * n)
        low, high = wilson(right, n) if n else (0.0, 0.0)
        out.append(
            {"name": name, "note": note, "share": share, "wrong": n - right if n else None, "n": n, "low": low,
             "high": high, "strong": strong}
        )  # fmt: skip

    final = trial.final if trial.final_state == Trial.FinalState.DONE else {}
    metrics = final.get("metrics", {})
    if "test_accuracy" in metrics:
        n_test = int(metrics.get("n_test", 0))
        line("sealed test, after full training", "opened once", float(metrics["test_accuracy"]), n_test, True)
    if "accuracy" in metrics:
        n = int(final.get("n_samples") or trial.n_samples)
        line("validation, after full training", f"{final.get('epochs', 0):,} epochs", float(metrics["accuracy"]), n)
    if trial.accuracy is not None:
        if trial.source == "table":
            line("from the table", "", trial.accuracy, trial.n_samples)
        else:
            epochs = f"{trial.fidelity:,} epoch{'s' * (trial.fidelity != 1)}{more_epochs(trial)}"
            line("validation, quick score", epochs, trial.accuracy, trial.n_samples, not out)
    return out


def more_epochs(trial: Trial) -> str:
    """What its number of epochs does not tell: " on top of 12 inherited", where it began with trained weights."""
    n = trial.cost.get("inherited_epochs", 0)
    return f" on top of {n:,} inherited" if n else ""


def ancestry(trial: Trial) -> tuple[list[Trial], list[Trial]]:
    """The line from the first ancestor to the trial (at most 12 shown), and its children (at most 12)."""
    line = [trial]
    seen = {trial.number}
    while line[-1].parents and len(line) < 12:
        number = line[-1].parents[0]
        if number in seen:
            break
        parent = trial.search.trials.filter(number=number).first()
        if parent is None:
            break
        seen.add(number)
        line.append(parent)
    later = trial.search.trials.filter(number__gt=trial.number).order_by("number")
    numbers: list[int] = []
    for number, parents in later.values_list("number", "parents").iterator(chunk_size=1000):
        if trial.number in parents:
            numbers.append(number)
            if len(numbers) == 12:
                break
    children = list(later.filter(number__in=numbers).only("search", "number", "why")) if numbers else []
    return line[::-1], children
