"""Predictor-guided strategies: when they learn, from what, what they choose, and what they say of it."""

from __future__ import annotations

import numpy as np
import pytest

from engine.conductor import Start
from engine.history import History
from engine.predictors.base import Predictor
from engine.strategies._measured import lifted
from engine.strategies._plain import count, foretold, plain
from engine.strategies.base import Proposal
from tests.engine.driving import TWO, Driver, Edit, conductor_of, config
from tests.engine.strategies.supported import quick


def driven(strategy="bananas", options=None, **changes):
    """A search that has ended."""
    driver = Driver(config(strategy={**quick(strategy), **(options or {})}, **changes))
    driver.tell(Edit("start"))
    return driver.all()


class Knowing(Predictor):
    """Predicts what it is given: the truth of the synthetic table, and a spread."""

    fits: list[int] = []
    truth = staticmethod(lambda a: 0.0)

    def fit(self, architectures, losses, rng):
        self.fits.append(len(architectures))

    def predict(self, architectures):
        return np.array([self.truth(a) for a in architectures]), np.full(len(architectures), 0.02)


def knowing(monkeypatch, truth):
    """Puts a predictor that knows in place of the ensemble."""
    from engine.strategies.bananas import Bananas

    monkeypatch.setattr(Knowing, "fits", [])
    monkeypatch.setattr(Knowing, "truth", staticmethod(truth))
    monkeypatch.setattr(Bananas, "predictor", lambda self: Knowing(None, self.context.space))


SPACE = conductor_of(config()).context.space
LARGEST = max(SPACE.costs(a).n_macs for a in SPACE.enumerate())


def size(architecture):
    """Multiply-adds, from 0 to 1."""
    return SPACE.costs(architecture).n_macs / LARGEST


def sized(options, **changes):
    """A search in which the largest network is the best, by a predictor that knows it."""
    driver = Driver(config(strategy={**quick("bananas"), **options}, **changes))
    driver.tell(Edit("start"))
    close = 0
    while driver.out.finish is None:
        trial, *others = driver.running
        going = [driver.out.conductor.history[n].architecture for n in others]
        for action in driver.finish_one(trial, {"accuracy": size(driver.out.conductor.history[trial].architecture)}):
            if isinstance(action, Start) and action.proposal.by == "bananas":
                close += any(len(SPACE.difference(action.proposal.architecture, o)) < 2 for o in going)
    return driver.out, close


def test_every_result_is_learned_at_first_then_every_tenth(monkeypatch):
    """One at a time: each fit below 50, then after 5, 5, ... more."""
    knowing(monkeypatch, lambda a: 0.0)
    driven(options={"initial": 5}, parallelism=1, budget={"trials": 75})
    assert Knowing.fits == [*range(5, 51), 55, 60, 66, 72]


@pytest.mark.parametrize("rule", ["its", "ei", "ucb", "pi"])
def test_with_a_predictor_that_knows_the_best_is_found(monkeypatch, rule):
    """Whatever the acquisition, a few steps lead to the largest network."""
    knowing(monkeypatch, lambda a: -size(a))
    recorded, _ = sized({"acquisition": rule, "candidates": 60}, parallelism=1, budget={"trials": 20})
    sizes = [size(e.architecture) for e in recorded.conductor.history]
    assert max(sizes[:5]) < 1 and max(sizes) == 1


def test_near_copies_of_what_is_under_way_are_left_for_later(monkeypatch):
    """Four at once, all wanting the largest: hardly two at a time differ in one decision only."""
    knowing(monkeypatch, lambda a: -size(a))
    options = {"acquisition": "ei", "candidates": 100}
    _, close = sized(options, parallelism=4, budget={"trials": 25})
    monkeypatch.setattr("engine.strategies._guided.APART", 0)
    _, without = sized(options, parallelism=4, budget={"trials": 25})
    assert close <= 2 < without


def test_exact_costs_are_known_and_not_predicted(monkeypatch):
    """Two objectives: one predictor, the other column is the cost itself; both ends of the front are tried."""
    knowing(monkeypatch, lambda a: -size(a))
    recorded, _ = sized({"candidates": 60}, objectives=TWO, parallelism=1, budget={"trials": 30})
    strategy = recorded.conductor.strategy
    some = [e.architecture for e in recorded.conductor.history][:5]
    strategy._learn(31)
    mean, sd = strategy.predicted(some)
    assert mean[:, 1].tolist() == [SPACE.costs(a).n_params for a in some] and not sd[:, 1].any() and sd[:, 0].all()
    tried = [size(e.architecture) for e in recorded.conductor.history if e.proposal.by == "bananas"]
    every = [size(a) for a in SPACE.enumerate()]
    assert min(tried) <= np.quantile(every, 0.2) and max(tried) > np.quantile(every, 0.9)


def test_lower_fidelities_are_lifted_by_the_mean_difference():
    """By hand: two trials have both levels, one the lower only, one a level that shares nobody."""
    from engine.evaluation.base import Report
    from engine.objectives import Objective

    history = History([Objective()])
    space = conductor_of(config()).context.space
    rng = np.random.default_rng(0)
    for reports in ({1: 0.5, 9: 0.8}, {1: 0.4, 9: 0.6}, {1: 0.45}, {3: 0.7}):
        entry = history.add(Proposal(space.sample(rng)), lambda a: {})
        for fidelity, value in reports.items():
            history.record(entry.number, fidelity, Report({"accuracy": value}, fidelity, "table"))
    numbers, losses = lifted(history, history.top)
    assert numbers == [1, 2, 3]
    assert losses[:, 0].tolist() == pytest.approx([-0.8, -0.6, -0.45 - 0.25])
    assert lifted([], None)[1].shape == (0, 1)


def test_predictions_are_put_beside_what_came():
    """As many points as proposals of its own, in order, and `why` says the same number."""
    recorded = driven(budget={"trials": 24})
    conductor = recorded.conductor
    rows = conductor.views()["predictions"]["rows"]
    own = [e for e in conductor.history if e.proposal.by == "bananas"]
    assert sorted(r[0] for r in rows) == [e.number for e in own]
    for number, predicted, spread, came in rows:
        entry = conductor.history[number]
        assert f"predicted {foretold('accuracy', predicted, spread)}, Thompson draw" in entry.proposal.why
        assert came == entry.metrics()["accuracy"]
    (correlation,) = [r[1] for r in conductor.views()["agreement"]["rows"] if "rank" in r[0]]
    assert -1 <= correlation <= 1


@pytest.mark.parametrize(("strategy", "rule", "called"), [
    ("bananas", "ei", "EI"), ("bananas", "pi", "PI"), ("gaussian_process", "ei", "EI"),
])  # fmt: skip
def test_what_seemed_worth_a_trial_is_drawn_as_the_trial_says_it(strategy, rule, called):
    """An improvement or a probability, not its logarithm."""
    conductor = driven(strategy, {"acquisition": rule}, budget={"trials": 16}).conductor
    shown = conductor.views()["acquisition"]
    assert shown["columns"] == ["trial", called] and shown["chart"]["y"] == called
    for number, worth in shown["rows"]:
        assert worth >= 0
        assert f"{called} {plain(worth)}" in conductor.history[number].proposal.why


def test_recommend_trusts_a_predictor_that_was_right(monkeypatch):
    """The luckiest measurement does not win over what prediction and measurement say together."""
    driver = Driver(config(strategy={**quick("bananas"), "initial": 5}, parallelism=1, budget={"trials": 30}))
    knowing(monkeypatch, lambda a: -driver.table.accuracy(a, 27, 27))
    driver.tell(Edit("start"))
    while len(driver.out.conductor.history) < 26:
        driver.finish_one()
    c = driver.out.conductor
    before = c.strategy.recommend(2)
    assert before == [e.number for e in c.strategy.rank([e for e in c.history if e.values])[:2]]
    best = c.history[before[0]].metrics()["accuracy"]
    lucky = next(iter(driver.running))
    driver.finish_one(lucky, {"accuracy": best + 1e-4})
    truth = driver.table.accuracy(c.history[lucky].architecture, 27, 27)
    assert c.best().number == lucky and truth < best - 1e-4
    assert c.strategy.recommend(1) == before[:1]


def test_asking_for_a_recommendation_changes_nothing():
    """A person may look at any time: the same proposals follow."""

    def search(looking):
        driver = Driver(config(strategy=quick("bananas"), budget={"trials": 24}))
        driver.tell(Edit("start"))
        while driver.out.finish is None:
            driver.finish_one()
            if looking:
                driver.out.conductor.strategy.recommend(3)
        return [a.proposal for a in driver.out.of(Start)]

    assert search(True) == search(False)


def test_encodings_and_trees_serve():
    """Each choice runs, and leads to other proposals than the next."""
    seen = set()
    for options in (
        {},
        {"encoding": "paths"},
        {"encoding": "one_hot"},
        {"encoding": "ordinal"},
        {"predictor": "trees"},
    ):
        recorded = driven(options=options, budget={"trials": 14})
        seen.add(tuple(a.proposal.architecture.key for a in recorded.of(Start)))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(412, 2, "410"), (12.34, 2, "12"), (0.3, 2, "0.3"), (0, 3, "0"), (-0.512, 2, "−0.51"), (3e-9, 3, "under 0.0001"),
     (517_570_560, 3, "518 million"), (6.25e9, 3, "6.25 billion"), (12_345, 3, "12,300"), (5e18, 3, "5.00 × 10¹⁸")],
)  # fmt: skip
def test_numbers_have_no_exponents(value, digits, text):
    assert plain(value, digits) == text


def test_counts_and_predictions_in_words():
    assert count(517_570_560) == "517,570,560" and count(28 * 10**400) == "about 2.80 × 10⁴⁰¹"
    assert foretold("accuracy", 0.9472, 0.017) == "accuracy 94.72 ± 1.7 %"
    assert foretold("latency_ms", 3.14159, 0.2) == "latency_ms 3.142 ± 0.2"
