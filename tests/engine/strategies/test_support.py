"""What serves what: the page of the docs is true, every refusal has a reason, and support does not shrink unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import catalog
from engine.conductor import Start
from engine.docs import STRATEGIES, example_spaces, strategies_page, support
from engine.strategies.base import GROUPS
from tests.engine.driving import TWO, Driver, Edit, config, pairs
from tests.engine.strategies.supported import in_turn, pin, quick


def test_the_page_is_up_to_date():
    page = Path(__file__).parents[3] / STRATEGIES
    assert page.read_text() == strategies_page(), "run python -m engine.docs"


@pytest.mark.parametrize("strategy", pairs("strategy"))
def test_exactly_the_pinned_refusals(strategy):
    """A refusal that is not pinned is a loss; one that is pinned and gone is a pin to be removed."""
    refused = {place for place, reason in support()[strategy].items() if reason is not None}
    pinned = set()
    for text in pin(strategy)["refused"]:
        space, _, n = text.partition(" ")
        pinned |= {(s, k) for s in (example_spaces() if space == "*" else [space]) for k in ([int(n)] if n else [1, 2])}
    assert refused == pinned
    assert all(len(support()[strategy][place]) > 15 for place in refused)


@pytest.mark.parametrize("strategy", pairs("strategy"))
def test_each_says_what_it_is_and_when_to_take_it(strategy):
    cls = catalog.get("strategy", strategy)
    assert cls.summary and cls.reference and cls.group in GROUPS and cls.group != "other"
    assert cls.guide.count(". ") == 1 and cls.guide.endswith("."), "the guide is two sentences"
    for name, field in cls.Options.model_fields.items():
        assert field.description and field.description.endswith("."), name


SHAPES = {"image": [3, 16, 16], "signal": [2, 64], "table": [12]}


@pytest.mark.parametrize(("strategy", "space", "objectives"), in_turn())
def test_what_is_served_is_searched(strategy, space, objectives):
    """Nine trials, three at a time, one of them failed: all new, all valid."""
    example = example_spaces()[space]
    settings = config(
        strategy=quick(strategy),
        space={"name": space, **example.options.model_dump(mode="json")},
        evaluator={"name": "tabular", "input_shape": SHAPES[example.data.kind]},
        budget={"trials": 9},
        parallelism=3,
        **({"objectives": TWO} if objectives == 2 else {}),
    )
    driver = Driver(settings)
    driver.tell(Edit("start"))
    driver.fail_one()
    recorded = driver.all()
    started = [a.proposal for a in recorded.of(Start)]
    context = recorded.conductor.context
    size = context.space.size()
    assert len(started) == min(9, size)
    assert len({context.identity(p.architecture) for p in started}) == len(started)
    assert all(context.space.validate(p.architecture.choices) == p.architecture and p.why for p in started)
