"""Weight-sharing searches as the conductor decides them: phases, restarts anywhere, people's edits, failures.

Nothing is trained here: workers are played (`tests.engine.driving`).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from engine import catalog
from engine.conductor import Edit, Finish, Launch, PieceDone, Start
from engine.errors import StrategyFailed
from engine.evaluation.base import Report
from engine.supernets.base import mean_row
from tests.engine.driving import Driver, config, replayed, restored, wild
from tests.engine.supernets.small import CELL, METHODS, SPACES, options_of, served

SEARCHED = [m for m in METHODS if catalog.get("strategy", m).searches]
DERIVED = [m for m in METHODS if not catalog.get("strategy", m).searches]
FEW = {**CELL, "operations": ["skip_connect", "nor_conv_1x1", "nor_conv_3x3"]}


def settings_of(method: str, options: dict[str, Any] | None = None, **changes: Any):
    """A search of 8 trials, four at a time."""
    strategy = {"name": method, **options_of(method, **(options or {}))}
    space = FEW if "cell" in served(method) else SPACES[served(method)[0]]
    return config(**{"strategy": strategy, "space": space, "evaluator": "trained", "budget": {"trials": 8}, **changes})


def begun(method: str, options: dict[str, Any] | None = None, **changes: Any) -> Driver:
    """It was started."""
    driver = Driver(settings_of(method, options, **changes), snapshots=True)
    driver.tell(Edit("start"))
    return driver


def assert_same_again(recorded) -> None:
    """A fresh conductor, and one restored after each entry, answer as the first did."""
    assert replayed(recorded.settings, recorded.entries) == recorded.actions
    for cut in range(1, len(recorded.log) + 1):
        again = restored(recorded, cut)
        assert json.loads(json.dumps(again.state())) == json.loads(recorded.snapshots[cut - 1]), cut
        assert again.next_actions() == []
        tail = []
        for entry in recorded.entries[cut:]:
            again.observe(entry)
            tail.append(again.next_actions())
        assert tail == recorded.actions[cut:], cut
        assert again.strategy.partner_of == recorded.conductor.strategy.partner_of
        assert again.strategy.inherited == recorded.conductor.strategy.inherited


@pytest.mark.parametrize("method", METHODS)
def test_phases_come_in_order_and_survive_a_restart_after_any_entry(method: str) -> None:
    """Measured, trained, scored, then pairs of trials; the same from the log and from every snapshot."""
    driver = begun(method, {"runs": 2})
    recorded = driver.all()
    kinds = [a.kind for a in recorded.of(Launch)]
    order = ["measure", "supernet", "score"]
    assert [k for k in order if k in kinds] == list(dict.fromkeys(kinds))
    assert kinds.count("supernet") == 2 and ("measure" in kinds) == driver.out.conductor.strategy.needs_latency()
    started = recorded.of(Start)
    assert len(started) == 8 and not recorded.finish.failed
    flat = recorded.flat
    assert all(isinstance(a, Start | Launch | Finish) for a in flat)
    assert max(i for i, a in enumerate(flat) if isinstance(a, Launch)) < flat.index(started[0])
    seeds = [a.payload["seed"] for a in recorded.of(Launch) if a.kind == "supernet"]
    assert len(set(seeds)) == 2
    assert_same_again(recorded)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", [SEARCHED[0], DERIVED[0]])
def test_whatever_people_do_meanwhile(method: str, seed: int) -> None:
    """Pauses, proposals of people, cancelled and failed trials, extensions, results in any order."""
    assert_same_again(wild(settings_of(method, {"runs": 1 + seed % 2, "repeats": seed % 2}), seed, edits=0.25))


@pytest.mark.parametrize("method", [SEARCHED[0], DERIVED[0]])
def test_a_small_space_whose_subnets_were_all_scored(method: str) -> None:
    """Nothing is left to score before the trials, and a restart then still knows them."""
    space = {**CELL, "operations": ["skip_connect", "nor_conv_1x1"]}
    options = {"scores": 500} if method in SEARCHED else {}
    driver = begun(method, options, space=space, budget={"trials": 12})
    recorded = driver.all()
    assert_same_again(recorded)
    assert len(recorded.of(Start)) >= 8


@pytest.mark.parametrize("method", [SEARCHED[0], DERIVED[0]])
def test_pairs_cost_alike_and_say_whose_partner_they_are(method: str) -> None:
    """Derived first, then the random network beside it; equal multiply-adds where the space has such."""
    recorded = begun(method, space=CELL).all()
    started, context = recorded.of(Start), recorded.conductor.context
    by = [a.proposal.by for a in started]
    assert by == [method, "random"] * 4
    for derived, partner in zip(started[::2], started[1::2], strict=True):
        assert partner.proposal.beside == derived.trial and derived.proposal.beside is None
        mine, other = (context.costs(a.proposal.architecture)["n_macs"] for a in (derived, partner))
        assert abs(mine - other) <= 0.05 * mine
        assert "random partner" in partner.proposal.why
    assert len({context.identity(a.proposal.architecture) for a in started}) == 8


@pytest.mark.parametrize("method", [SEARCHED[0], DERIVED[0]])
def test_repeats_train_the_same_networks_again(method: str) -> None:
    """Each with replicate numbers of its own."""
    started = begun(method, {"repeats": 1}).all().of(Start)
    counts: dict[Any, list[int]] = {}
    for a in started:
        counts.setdefault(a.proposal.architecture, []).append(a.proposal.replicate)
    assert len(started) == 8 and list(counts.values()) == [[0, 1]] * 4


@pytest.mark.parametrize("method", METHODS)
def test_a_piece_that_failed_fails_the_search_with_a_sentence(method: str) -> None:
    """Whichever it was."""
    kinds = set()
    for at in range(4):
        driver = begun(method)
        for _ in range(at):
            if driver.pieces:
                driver.finish_piece()
        if not driver.pieces:
            break
        kind = next(iter(driver.pieces.values())).kind
        kinds.add(kind)
        report = Report.failed("not_finite", "the loss is NaN in epoch 3")
        words = {"measure": "could not be measured", "score": "could not be scored", "supernet": "the supernet"}
        with pytest.raises(StrategyFailed, match=rf"{words[kind]}.*: the loss is NaN in epoch 3"):
            driver.finish_piece(report)
    assert {"supernet", "score"} <= kinds


@pytest.mark.parametrize("kind", ["finish", "cancel"])
@pytest.mark.parametrize("method", [SEARCHED[0], DERIVED[0]])
def test_ended_by_a_person_while_the_supernet_trains(method: str, kind: str) -> None:
    """The search ends at once; what comes late is ignored, also after a restart."""
    driver = begun(method)
    launch = next(iter(driver.pieces.values()))
    report = driver.piece_report(launch)
    (finish,) = driver.tell(Edit(kind))
    assert isinstance(finish, Finish) and finish.cancelled == (kind == "cancel") and finish.winners == ()
    assert driver.tell(PieceDone(launch.piece, report)) == []
    recorded = driver.out
    assert_same_again(recorded)


@pytest.mark.parametrize("method", [SEARCHED[0], DERIVED[0]])
def test_a_pause_holds_the_next_piece_back(method: str) -> None:
    """A piece that ends during a pause counts; the next begins when the search goes on."""
    driver = begun(method)
    driver.tell(Edit("pause"))
    assert driver.finish_piece() == []
    assert [type(a) for a in driver.tell(Edit("resume"))] == [Launch]
    assert_same_again(driver.all())


@pytest.mark.parametrize("method", [SEARCHED[0], DERIVED[0]])
def test_what_a_person_proposes_meanwhile_is_trained(method: str) -> None:
    """A slot beside the supernet is free for it; what is derived later is not tried twice."""
    driver = begun(method, space=CELL)
    space = driver.out.conductor.context.space
    mine = space.sample(np.random.default_rng(0))
    (start,) = driver.tell(Edit("propose", {"choices": dict(mine.choices)}))
    assert isinstance(start, Start) and start.proposal.architecture == mine and driver.pieces
    recorded = driver.all()
    context = recorded.conductor.context
    assert len({context.identity(a.proposal.architecture) for a in recorded.of(Start)}) == len(recorded.of(Start))
    assert_same_again(recorded)


@pytest.mark.parametrize("method", [SEARCHED[0], DERIVED[0]])
def test_limits_hold_for_what_is_trained_alone(method: str) -> None:
    """Derived networks and their partners alike."""
    free = begun(method, space=CELL).out.conductor.context
    costs = sorted(free.costs(free.space.sample(np.random.default_rng(i)))["n_macs"] for i in range(40))
    driver = begun(method, space=CELL, limits={"n_macs": costs[30]}, budget={"trials": 4})
    context = driver.out.conductor.context
    recorded = driver.all()
    assert recorded.of(Start)
    assert all(context.costs(a.proposal.architecture)["n_macs"] <= costs[30] for a in recorded.of(Start))
    assert_same_again(recorded)


def test_what_cannot_be_scored_is_asked_once() -> None:
    """A partner that the supernet cannot run (an option was dropped from it) must not keep the search from going on."""
    driver = begun(DERIVED[0])
    driver.finish_piece()
    launch = next(iter(driver.pieces.values()))
    rows = tuple({"reason": "dropped from the supernet"} for _ in launch.payload["architectures"])
    started = driver.finish_piece(Report({}, 0, "inherited", rows=rows))
    assert [type(a) for a in started] == [Start] * 4 and not driver.out.conductor.strategy.inherited
    assert_same_again(driver.all())


def extended(driver: Driver, trials: int = 4, failing: str = "") -> tuple[set[str], list[Any]]:
    """Plays on to the last trial, adds to the budget there, plays on until all of it is under way.

    Args:
        driver: of a search.
        trials: added.
        failing: why the scores of the added pairs fail; "" = they do not.

    Returns:
        Identities that had been scored by then or cannot be, and what came after the extension.
    """
    conductor, strategy = driver.out.conductor, driver.out.conductor.strategy
    while driver.pieces or len(driver.running) > 1 or len(conductor.history) < conductor.budget_trials:
        driver.finish_piece() if driver.pieces else driver.finish_one()
    before, known = len(driver.out.actions), set(strategy.inherited) | strategy._unscorable
    driver.tell(Edit("extend", {"trials": trials}))
    while conductor.n_running and (driver.pieces or len(conductor.history) < conductor.budget_trials):
        if not driver.pieces:
            driver.finish_one()
        else:
            driver.finish_piece(Report.failed("crashed", failing) if failing else None)
    return known, [a for group in driver.out.actions[before:] for a in group]


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("method", [SEARCHED[0], DERIVED[0]])
def test_pairs_of_an_extension_are_scored_before_they_are_trained(method: str, runs: int) -> None:
    """By every supernet, all of the added ones at once; a second extension scores its own."""
    options = {"runs": runs, **({"scores": 12} if method in SEARCHED else {})}
    driver = begun(method, options, space=CELL, budget={"trials": 4}, parallelism=2)
    strategy, context = driver.out.conductor.strategy, driver.out.conductor.context
    for _ in range(2):
        known, added = extended(driver)
        assert [type(a) for a in added] == [Launch] * runs + [Start] * 4
        scores, started = added[:runs], [a.proposal for a in added[runs:]]
        assert [a.kind for a in scores] == ["score"] * runs
        assert [a.payload["supernet"] for a in scores] == list(range(1, runs + 1))
        assert [p.by for p in started] == [method, "random"] * 2
        wanted = [context.identity(p.architecture) for p in started]
        asked = {context.identity(context.space.validate(c)) for c in scores[0].payload["architectures"]}
        assert asked == set(wanted) - known and set(wanted) <= set(strategy.inherited) | strategy._unscorable
    assert_same_again(driver.all())


@pytest.mark.parametrize("method", [SEARCHED[0], DERIVED[0]])
def test_pairs_of_an_extension_whose_scores_fail_are_trained_without(method: str) -> None:
    """The weights of the supernet may be gone by then; the next extension tries again, for its own pairs."""
    driver = begun(method, {"runs": 2}, space=CELL, budget={"trials": 4})
    strategy, context = driver.out.conductor.strategy, driver.out.conductor.context
    _, added = extended(driver, failing="the weights are gone")
    assert [type(a) for a in added] == [Launch] + [Start] * 4
    partners = [context.identity(a.proposal.architecture) for a in added[2::2]]
    assert not set(partners) & set(strategy.inherited)
    _, again = extended(driver)
    asked = {context.identity(context.space.validate(c)) for c in again[0].payload["architectures"]}
    assert again[0].kind == "score" and not asked & set(partners)
    assert_same_again(driver.all())


def test_inherited_accuracy_is_no_trial_s() -> None:
    """What shared weights say stays apart: trials are compared with trials."""
    recorded = begun(SEARCHED[0]).all()
    c = recorded.conductor
    assert c.strategy.inherited
    assert {source for e in c.history for source, _ in e.values} == {"table"}
    assert c.strategy._inners[0].context.history is not c.history


def test_a_score_is_the_mean_over_all_supernets_and_each_batch_goes_to_every_one() -> None:
    recorded = begun("spos", {"runs": 2, "scores": 8}).all()
    launches = {a.piece: a for a in recorded.of(Launch)}
    told = {e.piece: e.report for e in recorded.entries if isinstance(e, PieceDone)}
    scores = [a for a in launches.values() if a.kind == "score"]
    assert [a.payload["supernet"] for a in scores] == [1, 2] * (len(scores) // 2)
    strategy = recorded.conductor.strategy
    for first, second in zip(scores[::2], scores[1::2], strict=True):
        assert first.payload["architectures"] == second.payload["architectures"]
        both = zip(first.payload["architectures"], told[first.piece].rows, told[second.piece].rows, strict=True)
        for choices, one, other in both:
            identity = strategy.context.identity(strategy.context.space.validate(choices))
            if "accuracy" not in one or "accuracy" not in other:  # it was played that it could not be scored
                assert identity not in strategy.inherited
                continue
            assert strategy.inherited[identity] == pytest.approx((one["accuracy"] + other["accuracy"]) / 2)


def test_a_subnet_that_one_supernet_cannot_score_has_no_score() -> None:
    assert mean_row([{"accuracy": 0.5, "loss": 1.0}, {"accuracy": 0.7, "loss": 2.0}]) == {"accuracy": 0.6, "loss": 1.5}
    assert mean_row([{"accuracy": 0.5}, {"reason": "no path"}]) == {"reason": "no path"}


def test_a_random_partner_has_a_path_from_input_to_output() -> None:
    """Most cells of these two operations have none; every partner has."""
    space = {**CELL, "operations": ["none", "nor_conv_1x1"]}
    recorded = begun("spos", {"scores": 8}, space=space).all()
    strategy = recorded.conductor.strategy
    partners = [a.proposal.architecture for a in recorded.of(Start) if a.proposal.by == "random"]
    assert partners and all(strategy.context.space.live_costs(a)[1] for a in partners)
    drawn = [strategy.context.space.sample(np.random.default_rng(i)) for i in range(40)]
    assert any(not strategy.context.space.live_costs(a)[1] for a in drawn)
