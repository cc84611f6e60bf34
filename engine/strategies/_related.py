"""Earlier searches as seen from this one: their trials in this space, and how much their word should count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log2, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture, Option
from engine.errors import EngineError
from engine.predictors.gp import GaussianProcess

if TYPE_CHECKING:
    from engine.data.spec import DataSpec
    from engine.experience import Experience
    from engine.spaces._decision import Decision
    from engine.spaces.base import SearchSpace
    from engine.strategies.base import Context

Matrix = NDArray[np.float64]
#: earlier searches that are made use of at most, the most related ones
MOST = 8
#: trials of one that its surrogate stands on at most
TRIALS = 300
#: trials that must find a place in this space
ENOUGH = 8
#: decisions of a trial that must find an option here, as a share
ALIKE = 0.7


@dataclass(frozen=True)
class Source:
    """One earlier search.

    Attributes:
        name: what people called it.
        related: how much its word should count before anything is measured, 0 to 1: how alike data and space are,
            times how well its results follow from its networks.
        architectures: its trials, in this space.
        losses: (n,) the first objective's, smaller is better.
        process: fitted to them; knows every network of this space.
    """

    name: str
    related: float
    architectures: tuple[Architecture, ...]
    losses: Matrix
    process: GaussianProcess

    def order(self) -> NDArray[np.intp]:
        """Places of its trials, the best by posterior mean first: one lucky value is no reason to repeat a network."""
        return np.argsort(self.process.measured, kind="stable")


def sources_of(context: Context, objective: int = 0) -> tuple[Source, ...]:
    """The earlier searches that say something about one objective here, the most related first.

    A function of the experience alone: it is made again after a restart.
    """
    assert context.space.data is not None
    found = []
    for experience in context.experience:
        column = _column(experience, context, objective)
        if column is None or experience.space != context.space.name:
            continue
        alike = data_alike(experience.data, context.space.data)
        trials = _in_space(experience, context.space, column)
        if alike == 0 or len(trials) < ENOUGH:
            continue
        architectures, losses, share = tuple(a for a, _, _ in trials), *np.array([t[1:] for t in trials]).T
        process = GaussianProcess(GaussianProcess.Options(), context.space)
        process.fit(architectures, losses, np.random.default_rng(0))
        related = alike * float(share.mean()) * len(trials) / min(TRIALS, len(experience.trials)) * consistent(process)
        if related > 0:
            found.append(Source(experience.name, related, architectures, losses, process))
    return tuple(sorted(found, key=lambda s: -s.related)[:MOST])


def data_alike(theirs: Mapping[str, Any], ours: DataSpec) -> float:
    """How alike two data sets are by what is known without training, 0 to 1.

    1 for the same data, 0 for another kind; else the product of exp(-d / 2) over d = differences of log2 positions
    and channels of a sample (each halved), log10 classes, and log10 training samples (halved).
    """
    if ours.digest and theirs.get("digest") == ours.digest:
        return 1.0
    if theirs.get("kind") != ours.kind:
        return 0.0
    a, b = [int(n) for n in theirs["input_shape"]], list(ours.input_shape)
    n = [float(sizes.get("train", 0)) or 1.0 for sizes in (theirs.get("sizes", {}), ours.sizes)]
    apart = (
        0.5 * abs(log2(prod(a[1:]) / prod(b[1:]))) + 0.5 * abs(log2(a[0] / b[0]))
        + abs(float(np.log10(max(1, int(theirs["n_classes"])) / max(1, ours.n_classes))))
        + 0.5 * abs(float(np.log10(n[0] / n[1])))
    )  # fmt: skip
    return exp(-apart / 2)


def consistent(process: GaussianProcess) -> float:
    """Rank correlation of results with what all other results of that search say of them; 0 where it may be chance.

    Results that do not follow from their networks (noise, another protocol, a mix-up) teach nothing.
    """
    from scipy.stats import rankdata  # takes half a second to load, which every process would pay

    mean, _ = process.left_out()
    n = len(mean)
    if n < 3 or np.ptp(process.targets) == 0:
        return 0.0
    agreement = float(np.corrcoef(rankdata(mean), rankdata(process.targets))[0, 1])
    return agreement if agreement > 2 / np.sqrt(n) else 0.0


def in_turn(sources: Sequence[Source], n: int) -> list[int]:
    """Whose turn it is, n times: in proportion to how related they are (d'Hondt)."""
    used = [0] * len(sources)
    out = []
    for _ in range(n if sources else 0):
        i = max(range(len(sources)), key=lambda i: sources[i].related / (used[i] + 1))
        used[i] += 1
        out.append(i)
    return out


def best_of(
    sources: Sequence[Source], number: int, fresh: Callable[[Architecture], bool]
) -> tuple[Architecture, str] | None:
    """The best fresh network of the source whose turn it is at the `number`-th proposal, and why; None without one."""
    for i in in_turn(sources, number)[-1:]:
        source = sources[i]
        for place in source.order():
            if fresh(source.architectures[place]):
                why = f"among the best of the search {source.name[:60]!r} (relatedness {source.related:.2f})"
                return source.architectures[place], why
    return None


def _column(experience: Experience, context: Context, objective: int) -> int | None:
    """Which of its losses speaks of this objective."""
    wanted = context.objectives[objective]
    same = [
        i for i, o in enumerate(experience.objectives) if (o.metric, o.direction) == (wanted.metric, wanted.direction)
    ]
    return same[0] if same else None


def _in_space(experience: Experience, space: SearchSpace, column: int) -> list[tuple[Architecture, float, float]]:
    """(architecture here, loss, share of its decisions that stayed) of its trials; the best half of too many."""
    trials = [t for t in experience.trials if isfinite(t.losses[column])]
    if len(trials) > TRIALS:
        order = np.argsort([t.losses[column] for t in trials], kind="stable")
        rest = order[TRIALS // 2 :]
        even = rest[np.linspace(0, len(rest) - 1, TRIALS - TRIALS // 2).astype(int)]
        trials = [trials[i] for i in sorted([*order[: TRIALS // 2], *even])]
    out = []
    for trial in trials:
        found = nearest(space, trial.choices)
        if found is not None:
            out.append((found[0], trial.losses[column], found[1]))
    return out


def nearest(space: SearchSpace, choices: Mapping[str, Option]) -> tuple[Architecture, float] | None:
    """The architecture here that is like one written for another space, and the share of decisions that stayed.

    An option that is not offered here is replaced by the nearest number where options are a scale, else by the first
    one. None where less than `ALIKE` of the decisions stay, or it cannot be built.
    """
    kept = []

    def choose(decision: Decision) -> Option:
        given = choices.get(decision.name)
        same = [o for o in decision.options if repr(o) == repr(given)]
        kept.append(bool(same))
        if same:
            return same[0]
        if decision.ordered and _number(given) and all(map(_number, decision.options)):
            return min(decision.options, key=lambda o: abs(float(o) - float(given)))  # type: ignore[arg-type]
        return decision.options[0]

    try:
        architecture = space._walk(choose)
        space.costs(architecture)
    except EngineError:
        return None
    share = sum(kept) / max(1, len(kept))
    return (architecture, share) if share >= ALIKE else None


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
