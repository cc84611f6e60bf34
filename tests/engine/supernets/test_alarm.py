"""The collapse alarm: raised on drifts into skip connections, silent on everything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.supernets.alarm import BACK, WARM_UP, collapse, skip_mass

RECORDED = Path(__file__).parent / "recorded"
OPTIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = 6


def row(epoch: int, skips: np.ndarray, **more: Any) -> dict[str, Any]:
    """An epoch in which each edge gives its skip this probability, the others sharing what is left unequally."""
    tables = {}
    for edge, p in enumerate(skips):
        rest = np.array([0.1, 0.2, 0.45, 0.25]) * (1 - p)
        values = [rest[0], p, *rest[1:]]
        tables[f"edge{edge}"] = dict(zip(OPTIONS, (round(float(v), 4) for v in values), strict=True))
    leading = [max(t, key=lambda o: t[o]) for t in tables.values()]
    return {"epoch": epoch, "tables": tables, "skips": leading.count("skip_connect") / EDGES, **more}


def drifting(epochs: int, begins: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Skips overtake one edge after another."""
    rows = []
    for epoch in range(1, epochs + 1):
        overtaken = np.clip(epoch - begins - np.arange(EDGES), 0, None)
        rows.append(row(epoch, np.clip(0.2 + 0.06 * overtaken + rng.normal(0, 0.005, EDGES), 0.01, 0.95)))
    return rows


def test_a_drift_into_skips_raises_it_once_and_for_good() -> None:
    rows = drifting(40, 10, np.random.default_rng(0))
    alarms = [collapse(rows[:n]) for n in range(len(rows) + 1)]
    raised = [n for n, a in enumerate(alarms) if a["alarmed"]]
    assert raised == list(range(raised[0], 41)), "raised and kept"
    assert 12 <= raised[0] <= 25, "soon after the drift"
    assert {a["epoch"] for a in alarms[raised[0] :]} == {raised[0]}
    last = alarms[-1]
    assert last["before"] and rows[last["before"] - 1]["skips"] < 0.5 <= rows[last["before"]]["skips"]
    assert f"epoch {last['epoch']}" in last["why"] and "darts_minus" in last["remedy"]


def test_never_in_the_first_epochs() -> None:
    rows = drifting(WARM_UP, -20, np.random.default_rng(0))
    assert all(r["skips"] == 1 for r in rows)
    assert not any(collapse(rows[:n])["alarmed"] for n in range(len(rows) + 1))


def tabled(epoch: int, logits: np.ndarray) -> dict[str, Any]:
    """An epoch with these architecture parameters, (edges, options)."""
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    tables = {f"edge{e}": dict(zip(OPTIONS, map(float, r), strict=True)) for e, r in enumerate(p)}
    return {"epoch": epoch, "tables": tables, "skips": float(np.mean(p.argmax(axis=1) == 1))}


def test_silent_while_all_probabilities_only_wander() -> None:
    """Noise with a memory of ten epochs on every parameter: now and then skips lead on half of the edges."""
    most = 0.0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        logits, rows = np.zeros((EDGES, 5)), []
        for n in range(1, 101):
            logits = 0.9 * logits + rng.normal(0, 0.1, logits.shape)
            rows.append(tabled(n, logits))
        most = max(most, *(r["skips"] for r in rows))
        assert not any(collapse(rows[:n])["alarmed"] for n in range(0, len(rows) + 1, 4)), seed
    assert most >= 0.5


def test_silent_where_skips_lead_but_fall() -> None:
    rows = [row(n, np.full(EDGES, 0.6 - 0.004 * n)) for n in range(1, 40)]
    assert rows[-1]["skips"] == 1
    assert not collapse(rows)["alarmed"]


def test_lowered_when_skips_go_again() -> None:
    rows = drifting(30, 5, np.random.default_rng(1))
    assert collapse(rows)["alarmed"]
    recovered = [row(30 + n, np.full(EDGES, 0.1)) for n in range(1, 4)]
    assert not collapse([*rows, *recovered])["alarmed"]


def test_a_search_that_keeps_two_skips_of_six_is_healthy() -> None:
    rows = [row(n, np.array([0.3 + 0.01 * n] * 2 + [0.15] * 4)) for n in range(1, 50)]
    assert rows[-1]["skips"] == pytest.approx(2 / 6)
    assert not collapse(rows)["alarmed"]


def test_without_tables_the_share_alone_decides() -> None:
    shares = [0.1] * 8 + [0.5, 0.6, 0.7, 0.7, 0.7]
    assert collapse([{"skips": s} for s in shares])["epoch"] == 13
    assert not collapse([{"skips": s} for s in [0.5] * 20])["alarmed"], "no drift: it was so from the start"
    assert not collapse([{} for _ in range(20)])["alarmed"]


def test_the_eigenvalue_rule_is_the_papers() -> None:
    """Mean of 5 epochs against the same 5 epochs before: below 0.75 stops (Zela et al. 2020, section 4.3)."""
    flat, jump = [1.0] * 12, 1.0 / 0.75
    rows = [{"eigenvalue": v} for v in [*flat, *[jump + 0.01] * 5]]
    alarm = collapse(rows)
    assert alarm["alarmed"] and alarm["epoch"] == 17 and alarm["before"] == 17 - BACK
    assert not collapse(rows[:-1])["alarmed"], "four of five: the mean is not there yet"
    assert not collapse([{"eigenvalue": v} for v in [*flat, *[jump - 0.01] * 5]])["alarmed"]
    assert not collapse([{"eigenvalue": 1.5**n} for n in range(9)])["alarmed"], "two windows need 10 epochs"


def test_mass_is_measured_over_tables_that_offer_skips() -> None:
    tables = {"a": {"skip_connect": 0.5, "conv": 0.5}, "b": {"conv": 1.0, "pool": 0.0}, "c": {"skip_connect": 1.0}}
    assert skip_mass({"tables": tables}) == (0.5, 1.0)
    assert skip_mass({"tables": {"b": tables["b"]}}) is None


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.json")), ids=lambda p: p.stem)
def test_recorded_searches(path: Path) -> None:
    """What real searches did; each file says with which command it was recorded.

    "by": an alarm must be raised by this epoch; 0 = the search keeps its convolutions. "lasts": and it must stay.
    `drift_digits` has skips on 4 of 6 edges in epoch 11 and on 5 in epoch 17; it falls back to 2 by epoch 49, and the
    alarm with it. `collapse_cifar16` ends with nothing but skips: the cell of 54.30 % that DARTS is known for.
    """
    recorded = json.loads(path.read_text())
    rows = recorded["rows"]
    raised = [n for n in range(len(rows) + 1) if collapse(rows[:n])["alarmed"]]
    if recorded["by"]:
        assert raised and raised[0] <= recorded["by"], "in time to stop it"
        if recorded.get("lasts"):
            assert raised == list(range(raised[0], len(rows) + 1))
            assert rows[-1]["skips"] == 1 and rows[collapse(rows)["before"] - 1]["skips"] < 0.5
    else:
        assert raised == []
