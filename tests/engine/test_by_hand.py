"""A person's own proposals to the conductor: tried next, refused with a reason, waiting while paused."""

from __future__ import annotations

import json

import pytest

from engine.conductor import Edit, Finish, Refuse, Start
from engine.errors import EngineError
from tests.engine.driving import Driver, conductor_of, config, replayed, started


def by_hand(driver, number=0, **more):
    """An edit with an architecture that nobody has tried, the same for the same number."""
    import numpy as np

    context = driver.out.conductor.context
    rng = np.random.default_rng([99, number])
    arch = context.space.sample(rng)
    while not context.fresh(arch):
        arch = context.space.sample(rng)
    return arch, Edit("propose", {"choices": arch.choices, **more})


def test_a_persons_architecture_is_the_next_trial():
    """As soon as a slot is free, before the strategy's own, and counted in the budget."""
    driver = started(strategy="regularized_evolution")
    arch, edit = by_hand(driver, parents=[2, 77], why="by hand: fewer")
    assert driver.tell(edit) == []  # every slot is taken
    assert driver.out.conductor.waiting()[0] == {"what": "an architecture of yours", "why": "no free slot yet"}
    (start,) = driver.finish_one()
    assert start.proposal.architecture == arch and start.trial == 5
    assert (start.proposal.by, start.proposal.parents, start.proposal.why) == ("you", (2,), "by hand: fewer")
    recorded = driver.all()
    assert len(recorded.of(Start)) == 30
    assert sum(a.proposal.by == "you" for a in recorded.of(Start)) == 1


def test_what_a_person_proposes_is_refused_with_its_reason():
    """A duplicate, no architecture of the space, over a limit, over the budget; nothing else happens."""
    driver = started(budget={"trials": 6})
    arch, edit = by_hand(driver)
    first = driver.out.conductor.history[1].architecture
    assert driver.tell(Edit("propose", {"choices": first.choices})) == [Refuse(2, "duplicate of #1")]
    (bad,) = driver.tell(Edit("propose", {"choices": {"nonsense": 1}}))
    assert bad.entry == 3 and "nothing chosen" in bad.reason
    assert driver.tell(edit) == []
    assert driver.tell(edit) == [Refuse(5, "it waits for a free slot already")]
    assert driver.tell(by_hand(driver, 1)[1]) == []
    (full,) = driver.tell(by_hand(driver, 2)[1])
    assert full.reason == "the budget of 6 trials is used up; extend it first"
    recorded = driver.all()
    assert [a.proposal.by for a in recorded.of(Start)][4:] == ["you", "you"]
    assert len(recorded.of(Start)) == 6
    limited = Driver(config(limits={"n_params": 1}))
    limited.tell(Edit("propose", {"choices": arch.choices}))
    assert "over the limit: n_params" in limited.out.actions[0][0].reason


def test_what_waits_when_the_search_ends_is_refused():
    """Said once, before the end."""
    driver = started()
    driver.tell(by_hand(driver)[1])
    actions = driver.tell(Edit("finish"))
    assert isinstance(actions[0], Refuse) and actions[0].reason.startswith("the search ended")
    assert isinstance(actions[-1], Finish)


def test_proposed_before_the_start_it_is_the_first_trial():
    """A new search that begins with a person's architecture."""
    driver = Driver(config())
    arch, edit = by_hand(driver)
    assert driver.tell(edit) == []
    assert driver.tell(Edit("start"))[0].proposal.architecture == arch


def test_proposals_wait_while_paused_and_replay_and_snapshot_alike():
    """The same log gives the same actions; a snapshot with something waiting goes on as if nothing had happened."""
    driver = Driver(config(budget={"trials": 12}), snapshots=True)
    driver.tell(Edit("start"))
    driver.tell(Edit("pause"))
    for i in range(2):
        driver.finish_one()
        assert driver.tell(by_hand(driver, i)[1]) == []
    assert driver.tell(Edit("propose", {"choices": driver.out.conductor.history[1].architecture.choices})) != []
    cut = len(driver.out.log)
    driver.tell(Edit("resume"))
    recorded = driver.all()
    assert replayed(recorded.settings, recorded.entries) == recorded.actions
    again = conductor_of(recorded.settings)
    again.restore(json.loads(recorded.snapshots[cut - 1]), recorded.entries[:cut], recorded.proposals_until(cut))
    for entry, expected in zip(recorded.entries[cut:], recorded.actions[cut:], strict=True):
        again.observe(entry)
        assert again.next_actions() == expected


def test_a_proposal_needs_choices():
    """Refused where it is made."""
    with pytest.raises(EngineError, match="choices"):
        Edit("propose", {"trial": 3})
