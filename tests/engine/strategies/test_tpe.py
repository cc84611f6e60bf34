"""TPE: the study is the history, the sampler is Optuna's, and what it may not suggest it does not."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest

from engine.conductor import Start
from engine.evaluation.base import Report
from engine.strategies._measured import common
from engine.strategies.base import Proposal
from engine.strategies.tpe import TPE, _quiet
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config, wild


def history_of(c, values, *, source="table", fidelity=27):
    """Adds trials with these losses (None = failed) to a conductor's history."""
    rng = np.random.default_rng(5)
    for value in values:
        entry = c.history.add(Proposal(c.context.space.sample(rng)), c.context.costs)
        failed = Report.failed("crashed", "boom", fidelity=fidelity)
        report = failed if value is None else Report({"accuracy": -value}, fidelity, source)
        c.history.record(entry.number, fidelity, report)
    return c.history


@pytest.mark.parametrize("objectives", [1, 2])
def test_the_study_holds_what_the_history_holds(objectives):
    """After failures, promotions and cancellations: same order, same losses, nothing else that a sampler sees."""
    from optuna.trial import TrialState

    more = {"objectives": TWO} if objectives == 2 else {}
    recorded = wild(config(strategy="tpe", schedule="successive_halving", **more), seed=4)
    strategy, history = recorded.conductor.strategy, recorded.conductor.history
    level, measured = common(history)
    study = strategy._synced(level)
    seen = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
    done = [t for t in seen if t.state == TrialState.COMPLETE]
    assert [tuple(t.values) for t in done] == [e.values[level] for e in measured]
    assert len(done) > 15
    for trial, entry in zip(done, measured, strict=True):
        assert {n: strategy._every[n].options[place] for n, place in trial.params.items()} == entry.architecture.choices


def test_it_suggests_what_optuna_suggests():
    """A study made afresh with the same trials and the same seed gives the same network."""
    import optuna

    c = conductor_of(config(strategy="tpe", budget={"trials": 60}))
    rng = np.random.default_rng(0)
    history_of(c, [float(x) for x in rng.normal(size=30)])
    c.strategy._synced(("table", 27))
    history_of(c, [float(x) for x in rng.normal(size=10)])  # the second half is added to the study as it stands
    proposal = c.strategy.propose(41, np.random.default_rng(9))
    space = c.context.space
    with _quiet():
        sampler = c.strategy._sampler(np.random.default_rng(9))
        study = optuna.create_study(sampler=sampler)
        for e in c.history:
            choices = {d.name: d.options.index(e.architecture[d.name]) for d in space.all_decisions()}
            kinds = {
                d.name: optuna.distributions.CategoricalDistribution(tuple(range(len(d.options))))
                for d in space.all_decisions()
            }
            study.add_trial(optuna.create_trial(values=list(e.loss()), params=choices, distributions=kinds))
        while True:
            draft = study.ask()
            said = {
                d.name: d.options[draft.suggest_categorical(d.name, tuple(range(len(d.options))))]
                for d in space.all_decisions()
            }
            study.tell(draft, state=optuna.trial.TrialState.FAIL)
            if c.context.fresh(space.validate(said)):
                break
    assert proposal.architecture.choices == said and proposal.by == "tpe"


def test_scales_are_integers_and_conditional_decisions_are_suggested():
    """In a space with conditions most suggestions are used, and ordered decisions are integers to Optuna."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    driver = Driver(config(strategy={"name": "tpe", "initial": 4}, space={"name": "layers"}, budget={"trials": 20}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    strategy = recorded.conductor.strategy
    every = strategy.context.space.all_decisions()
    kinds = {d.ordered: type(strategy._distribution(d)) for d in every}
    assert kinds == {True: IntDistribution, False: CategoricalDistribution}
    assert sum(a.proposal.by == "tpe" for a in recorded.of(Start)) >= 12


def test_it_concentrates_on_what_is_good():
    """One decision explains everything: after 60 results nearly all suggestions choose its best option."""
    c = conductor_of(config(strategy="tpe", budget={"trials": 100}, duplicates="allowed"))
    decision = c.context.space.all_decisions()[2]
    rng = np.random.default_rng(1)
    for _ in range(60):
        architecture = c.context.space.sample(rng)
        entry = c.history.add(Proposal(architecture), c.context.costs)
        bad = float(decision.options.index(architecture[decision.name]))
        c.history.record(entry.number, 27, Report({"accuracy": -bad - 0.01 * rng.random()}, 27, "table"))
        entry.state = "completed"
    best = [
        c.strategy.propose(i, np.random.default_rng(i)).architecture[decision.name] == decision.options[0]
        for i in range(20)
    ]
    assert sum(best) >= 17
    rows = c.strategy.views()["densities"]["rows"]
    assert rows[0][0].startswith(c.context.space.title(decision.name))


def test_one_trial_of_another_source_leaves_the_rest_comparable():
    """No level is common to all; the one that most have is taken."""
    c = conductor_of(config(strategy="tpe"))
    history_of(c, [1.0, 2.0, None, 3.0])
    history_of(c, [0.5], source="trained", fidelity=3)
    level, measured = common(c.history)
    assert level == ("table", 27) and [e.number for e in measured] == [1, 2, 4]
    assert common([]) == (None, [])


def test_optuna_is_quiet_inside_and_as_before_outside(caplog):
    """Nothing is logged, nothing is warned of, and the level of its log is put back."""
    import optuna

    before = optuna.logging.get_verbosity()
    driver = Driver(config(strategy={"name": "tpe", "initial": 3}, budget={"trials": 8}))
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("error")
        driver.tell(Edit("start"))
        driver.all()
    assert not [r for r in caplog.records if r.name.startswith("optuna")]
    assert optuna.logging.get_verbosity() == before


def test_the_sentence_counts():
    """With the budget's numbers."""
    cls = TPE
    assert cls.sentence(cls.Options(), config().budget).startswith("10 random networks, then 20 ")
    assert "would start after 40" in cls.sentence(cls.Options(initial=40), config().budget)
