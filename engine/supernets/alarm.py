"""The collapse alarm: whether a differentiable search drifts into skip connections. Reads rows of epochs, no torch.

Skip connections pay off early in a supernet, where the other options are still untrained, and so their architecture
parameters grow; once they lead, the others are trained less and less. What is derived then is a network of wires: first
order DARTS ends at 54.30 % on NAS-Bench-201's CIFAR-10. Two rules see it coming:

- skips: for `HELD` epochs at least `BOUND` of the derived architecture's operations that could be one were skip
  connections, in all of them skips were more probable than ever before, and still rise above their even share;
- eigenvalue: the dominant eigenvalue of the held-out loss's Hessian in the architecture parameters rises by Zela et al.
  2020's rule (section 4.3, DARTS-ES): mean of the last `SMOOTH` epochs against the same `BACK` epochs ago.

Neither speaks within the first `WARM_UP` epochs, in which what is derived is chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, TypedDict

from engine.supernets.epochs import SKIPS

#: share of skips that is too much, and for how many epochs (good cells have 1 or 2 of 6 in NAS-Bench-201, 2 of 8 in
#: P-DARTS)
BOUND, HELD = 0.5, 5
#: epochs over which the probability of skips must have risen, and how many pairs of them must agree
TREND, AGREEING = 8, 0.8
#: probability of skips over its even share, below which what leads is chance: of 200 searches whose parameters only
#: wander (noise with a memory of ten epochs), one is alarmed within 100 epochs
LEAN = 1.3
#: no alarm before
WARM_UP = 5
#: Zela et al. 2020, section 4.3: window of the mean, epochs back (their k), and the ratio before / now (their T)
SMOOTH, BACK, RATIO = 5, 5, 0.75


class Alarm(TypedDict):
    """What the rows say.

    Attributes:
        alarmed: whether the search collapses.
        epoch: in which the alarm was raised, 0 = not.
        before: the last epoch before the drift, 0 = none or not alarmed.
        why: a sentence for people, "" = not alarmed.
        remedy: what to do next, a sentence for people.
    """

    alarmed: bool
    epoch: int
    before: int
    why: str
    remedy: str


QUIET = Alarm(alarmed=False, epoch=0, before=0, why="", remedy="")


def collapse(rows: Sequence[Mapping[str, Any]]) -> Alarm:
    """Whether the search that these epochs are of collapses into skip connections.

    An alarm by skips is lowered when they fall under the bound again; one by the eigenvalue stays.

    Args:
        rows: of all epochs so far, see `engine.supernets.epochs`; a rule whose figures are missing is silent.
    """
    masses = [skip_mass(row) for row in rows]
    raised: Alarm | None = None
    by_skips = False
    for i in range(WARM_UP, len(rows)):
        if raised is not None and by_skips and (share := rows[i].get("skips")) is not None and share < BOUND:
            raised = None
        if raised is None:
            raised, by_skips = _by_skips(rows[: i + 1], masses[: i + 1]), True
        if raised is None or by_skips:
            risen = eigenvalue_risen(rows[: i + 1])
            if risen is not None and raised is None:
                raised, by_skips = risen, False
    return raised or QUIET


def skip_mass(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """(probability of skips, the same over its even share): means over the tables that offer one; None where none does.

    A table that keeps a single option says nothing.
    """
    found = []
    for options in row.get("tables", {}).values():
        skips = [p for o, p in options.items() if o in SKIPS]
        if skips and len(options) > 1:
            found.append((sum(skips), sum(skips) * len(options) / len(skips)))
    if not found:
        return None
    return sum(m for m, _ in found) / len(found), sum(lean for _, lean in found) / len(found)


def _by_skips(rows: Sequence[Mapping[str, Any]], all_masses: Sequence[tuple[float, float] | None]) -> Alarm | None:
    """The rule of the share, at the last of these epochs."""
    shares = [row.get("skips") for row in rows]
    last = shares[-HELD:]
    if any(s is None or s < BOUND for s in last):
        return None
    known = [s for s in shares if s is not None]
    masses = [m for m in all_masses if m is not None]
    if masses:
        lately, before = [m[1] for m in masses[-HELD:]], [m[1] for m in masses[:-HELD]]
        if min(lately) <= max(before, default=0.0):
            return None
        masses = masses[-TREND:]
        rising = [later[1] > earlier[1] for earlier, later in combinations(masses, 2)]
        if len(masses) < TREND or sum(rising) < AGREEING * len(rising) or masses[-1][1] < LEAN:
            return None
        how = f"their probability rose from {100 * masses[0][0]:.1f} to {100 * masses[-1][0]:.1f} % in {TREND} epochs"
    elif known[-1] > min(known[:-HELD], default=1.0):
        how = f"after {100 * min(known[:-HELD]):.0f} % at their fewest"
    else:
        return None
    streak = next((n for n, s in enumerate(reversed(shares)) if s is None or s < BOUND), len(shares))
    why = (
        f"In epoch {len(rows)}, {100 * known[-1]:.0f} % of what could be a skip connection is one in the derived "
        f"architecture, at least {100 * BOUND:.0f} % for {streak} epochs, and {how}."
    )
    return _alarm(len(rows), len(rows) - streak, why)


def eigenvalue_risen(rows: Sequence[Mapping[str, Any]]) -> Alarm | None:
    """The rule of DARTS-ES at the last of these epochs; None where it is quiet or the eigenvalue was not watched."""
    values = [float(row["eigenvalue"]) for row in rows[-SMOOTH - BACK :] if row.get("eigenvalue") is not None]
    if len(values) < SMOOTH + BACK:
        return None
    before, now = sum(values[:SMOOTH]) / SMOOTH, sum(values[-SMOOTH:]) / SMOOTH
    if now <= 0 or before / now >= RATIO:
        return None
    why = (
        f"The dominant eigenvalue of the held-out loss rose from {before:.3g} to {now:.3g} within {BACK} epochs up to "
        f"epoch {len(rows)}: the loss bends more sharply in the architecture parameters, which goes with networks that "
        "do worse alone."
    )
    return _alarm(len(rows), len(rows) - BACK, why)


def _alarm(epoch: int, before: int, why: str) -> Alarm:
    first = f"Train what epoch {before} derived, or search" if before else "Search"
    remedy = (
        f"{first} again with darts_minus (an auxiliary skip), r_darts (more weight decay), darts_pt (selection by "
        "removal), or at most 2 skips in a cell."
    )
    return Alarm(alarmed=True, epoch=epoch, before=before, why=why, remedy=remedy)
