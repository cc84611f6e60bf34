"""Noisy rewards: the leaders are measured again with other seeds, and who leads is said by posterior means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.history import Level, TrialEntry
from engine.strategies.base import Context, Proposal, Strategy

if TYPE_CHECKING:
    from engine.config import SearchConfig

#: how many of the best are measured again
LEADERS = 3


def measured_again(config: SearchConfig, context: Context, strategy: Strategy, left: int) -> Proposal | None:
    """The next replicate of a leader, once no more trials are left than replicates are wanted; else None.

    A leader whose replicates are all under way or done makes room for the next one.

    Args:
        config: with `replicates`, further measurements of each leader.
        context: of the search.
        strategy: says who leads (`recommend`).
        left: trials of the budget that were not started yet.
    """
    wanted = config.replicates
    if not wanted or left > wanted * LEADERS:
        return None
    history = context.history
    for number in strategy.recommend(LEADERS):
        same = context.trials_of(history[number].architecture)
        if len(same) <= wanted and history[number].failure is None:
            nth = len(same)
            why = f"measured again ({nth} of {wanted}): #{number} is among the best {LEADERS}"
            return Proposal(history[number].architecture, replicate=nth, parents=(number,), why=why, by=strategy.name)
    return None


def by_posterior(entries: Sequence[TrialEntry], level: Level) -> list[int]:
    """The first trial of each architecture, by the posterior mean of its loss (one objective), best first.

    Normal means with a normal prior (Efron & Morris 1975): the noise's variance is pooled over architectures measured
    more than once; a mean of n measurements is drawn towards the mean of all by noise / n against the spread between
    architectures. Without replicates nothing is known of the noise, and the order is that of the losses.
    """
    groups: dict[str, list[TrialEntry]] = {}
    for entry in sorted(entries, key=lambda e: e.number):
        groups.setdefault(entry.identity or entry.architecture.key, []).append(entry)
    losses = [np.array([e.values[level][0] for e in group]) for group in groups.values()]
    means, counts = np.array([v.mean() for v in losses]), np.array([len(v) for v in losses])
    finite = np.isfinite(means)
    freedom = int((counts[finite] - 1).sum())
    noise = sum(float(((v - v.mean()) ** 2).sum()) for v, ok in zip(losses, finite, strict=True) if ok)
    noise = noise / freedom if freedom else 0.0
    if finite.sum() > 1 and noise > 0:
        middle = float(means[finite].mean())
        between = max(float(means[finite].var(ddof=1)) - noise * float((1 / counts[finite]).mean()), 1e-3 * noise)
        means = np.where(finite, middle + (means - middle) * between / (between + noise / counts), means)
    firsts = [group[0].number for group in groups.values()]
    return [firsts[i] for i in np.argsort(means, kind="stable")]
