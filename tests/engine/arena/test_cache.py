"""Results are found again while nothing that decides them has changed, and only then."""

from __future__ import annotations

import pytest

from engine.arena import cache, race
from engine.arena.entrants import named, strategy

from .small import problem


def test_runs_come_back_as_they_were_and_only_missing_seeds_are_run(tmp_path):
    p = problem()
    kept = cache.Results(tmp_path, p, named("random"), 20)
    assert kept.missing(range(3)) == [0, 1, 2]
    for seed in (0, 2):
        kept.add(race.run(p, named("random"), 20, seed))
    again = cache.Results(tmp_path, p, named("random"), 20)
    assert again.missing(range(3)) == [1]
    assert again.runs[2].rows == kept.runs[2].rows and again.runs[2].recommended == kept.runs[2].recommended


def test_a_line_cut_off_by_a_kill_is_dropped(tmp_path):
    p = problem()
    kept = cache.Results(tmp_path, p, named("random"), 20)
    for seed in range(2):
        kept.add(race.run(p, named("random"), 20, seed))
    whole = kept.path.read_bytes()
    kept.path.write_bytes(whole[:-30])
    again = cache.Results(tmp_path, p, named("random"), 20)
    assert again.missing(range(2)) == [1]
    again.add(kept.runs[1])
    assert cache.Results(tmp_path, p, named("random"), 20).missing(range(2)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"budget": 30}, {"parallel": 2}, {"entrant": strategy("random", {"duplicates": "canonical"})},
        {"entrant": strategy("local_search", {"start": 5})}, {"limit": "n_macs<=p50"}, {"permuted": True},
        {"renamed": 1}, {"reward": ["b"], "report": ["a"]},
    ],
)  # fmt: skip
def test_whatever_decides_a_run_makes_another_file(tmp_path, change):
    own = dict(change)
    entrant, budget, parallel = own.pop("entrant", named("random")), own.pop("budget", 20), own.pop("parallel", 1)
    plain = cache.Results(tmp_path, problem(), named("random"), 20)
    assert cache.Results(tmp_path, problem(**own), entrant, budget, parallel).path != plain.path
    assert cache.Results(tmp_path, problem(), named("random"), 20).path == plain.path


def _digest_with(monkeypatch, tmp_path, name, change):
    """The digest of evolution after a change of one module's text."""
    import importlib.util
    from pathlib import Path
    from types import SimpleNamespace

    real = importlib.util.find_spec
    text = Path(real(name).origin).read_text()
    changed = tmp_path / "changed.py"
    changed.write_text(change(text))
    with monkeypatch.context() as m:
        m.setattr(cache, "find_spec", lambda n: SimpleNamespace(origin=str(changed)) if n == name else real(n))
        cache._digest.cache_clear(), cache._code.cache_clear()
        out = cache.digest_of(named("regularized_evolution"), "nasbench201")
    cache._digest.cache_clear(), cache._code.cache_clear()
    return out


def test_code_that_a_run_goes_through_counts_and_words_do_not(monkeypatch, tmp_path):
    own, base = "engine.strategies.regularized_evolution", "engine.strategies.base"
    before = cache.digest_of(named("regularized_evolution"), "nasbench201")
    assert _digest_with(monkeypatch, tmp_path, own, lambda t: t.replace('"""', '"""Other words. ', 1)) == before
    assert _digest_with(monkeypatch, tmp_path, own, lambda t: "# a comment\n" + t) == before
    assert _digest_with(monkeypatch, tmp_path, own, lambda t: t.replace("Networks alive", "Those alive")) == before
    assert _digest_with(monkeypatch, tmp_path, own, lambda t: t.replace("REDRAWS = 40", "REDRAWS = 41")) != before
    assert _digest_with(monkeypatch, tmp_path, base, lambda t: t.replace("TRIES = 200", "TRIES = 201")) != before
    for other in ("engine.strategies.largest_first", "engine.spaces.mobile"):
        assert _digest_with(monkeypatch, tmp_path, other, lambda t: t + "\nX = 1\n") == before
    assert "engine.network.canonical" in cache.closure({"engine.spaces.nasbench201"})
