"""`python -m benchmarks.strategies` on a table of one's own: figures of ours and a peer's, found again, in pieces."""

from __future__ import annotations

import json

import pytest

from benchmarks import strategies

from .small import OPTIONS, rows, text


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(strategies, "RESULTS", tmp_path / "results")
    table = tmp_path / "small.csv"
    table.write_bytes(text(rows(0.5)))

    def run(*more):
        given = ["--csv", str(table), "--space", "nasbench201", "--key", "key", "--budget", "5,20", "--seeds", "3"]
        given += ["--space-options", json.dumps(OPTIONS), "--json", str(tmp_path / "out.json"), *more]
        found = strategies.main(given)
        return found, json.loads((tmp_path / "out.json").read_text()), capsys.readouterr().out

    return run


def test_ours_the_peers_and_the_orders_by_size_come_from_one_run(command):
    args = ["--reward", "a,b,c", "--report", "a,b,c", "--strategies", "random,local_search", "--peers", "optuna-nsga2"]
    found, out, said = command(*args)
    assert [r["strategy"] for r in found] == ["random", "local_search", "size-written", "size-live", "optuna-nsga2"]
    row = out["entrants"]["local_search"]["rows"]["20"]
    assert row["report"]["n"] == 3 and row["report"]["lower"] < row["report"]["mean"]
    assert row["recommended"]["mean"] and 0 <= row["found"]["share"] <= 1
    assert set(out["paired"]["random"]) == {r["strategy"] for r in found} - {"random"}
    assert out["ceilings"]["best_reward"] <= out["ceilings"]["best_report"] and "against random" in said


def test_what_was_run_is_found_again_and_more_seeds_go_on(command, monkeypatch):
    args = ["--reward", "a", "--report", "b", "--strategies", "random"]
    _, first, _ = command(*args)
    asked = []
    monkeypatch.setattr(strategies, "run_all", lambda args, problem, jobs, budgets: asked.append(jobs) or {})
    _, again, _ = command(*args)
    assert not asked and again["entrants"] == first["entrants"]
    command(*args, "--seeds", "4")
    assert [(e.label, seed) for _, e, _, seed in asked[0]] == [(n, 3) for n in ("random", "size-written", "size-live")]


def test_a_piece_that_ran_out_of_time_says_what_is_missing(command):
    _, out, said = command("--reward", "a", "--report", "b", "--strategies", "random", "--minutes", "0.0000001")
    assert "9 runs are missing" in said and not out["entrants"]


def test_a_strategy_that_fails_takes_nobody_with_it(command, monkeypatch):
    from engine.strategies.local_search import LocalSearch

    monkeypatch.setattr(LocalSearch, "recommend", lambda self, k: 1 / 0)
    found, out, _ = command("--reward", "a", "--report", "b", "--strategies", "random,local_search")
    assert "ZeroDivisionError" in out["failed"]["local_search"]
    assert [r["strategy"] for r in found] == ["random", "size-written", "size-live"]


def test_what_cannot_be_raced_on_ends_with_the_reason(command):
    with pytest.raises(SystemExit, match="cannot race: small.csv has no column 'x'"):
        command("--reward", "x", "--report", "b", "--strategies", "random")
