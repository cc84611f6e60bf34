"""The process of decisions: what is offered, drawn, changed, narrowed."""

from __future__ import annotations

import itertools
import json
import pickle

import numpy as np
import pytest

from engine import catalog
from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.errors import InvalidArchitecture, InvalidConfig, NotOffered
from engine.spaces.base import SearchSpace, make_space
from tests.engine.spaces.specs import ALL


def names(space: SearchSpace, arch: Architecture) -> list[str]:
    return [d.name for d in space.decisions(arch)]


def changes(space: SearchSpace, old: Architecture, new: Architecture) -> tuple[int, int]:
    """(decisions of both that differ, those of them that could have kept their option)."""
    differ = [d for d in space.decisions(new) if d.name in old.choices and new[d.name] != old[d.name]]
    return len(differ), sum(old[d.name] in d.options for d in differ)


def test_every_space_serves_something_and_says_why_not():
    for cls in catalog.plugins("space").values():
        answers = [cls.fits(data) for data in ALL]
        assert None in answers
        assert all(a is None or len(a) > 10 for a in answers)
        assert cls.summary and cls.reference


def test_data_that_does_not_fit_is_an_error_at_the_space():
    for cls in catalog.plugins("space").values():
        for data in ALL:
            if cls.fits(data):
                with pytest.raises(InvalidConfig) as e:
                    cls(cls.Options()).bind(data)
                assert e.value.errors[0][0][0] == "space"


def test_made_from_a_config(space):
    config = SearchConfig.parse({"name": "x", "space": {"name": space.name, **space.options.model_dump(mode="json")}})
    again = make_space(config, space.data)
    assert type(again) is type(space) and again.size() == space.size()
    assert again.sample(np.random.default_rng(3)) == space.sample(np.random.default_rng(3))


def test_next_offers_only_options_that_lead_to_an_architecture(space, rng):
    for _ in range(30):
        partial: dict = {}
        while (d := space.next(partial)) is not None:
            assert d.name not in partial
            assert d.options and len(set(map(repr, d.options))) == len(d.options)
            partial[d.name] = d.options[rng.integers(len(d.options))]
        assert space.validate(partial).choices == partial
        assert list(partial) == names(space, Architecture.of(space.name, partial))


def test_the_size_is_the_sum_of_what_follows_each_option(space, rng):
    assert space.size() >= 1
    if not space.exact_size:
        with pytest.raises(NotOffered):
            space.count({})
        return
    for _ in range(5):
        partial: dict = {}
        while (d := space.next(partial)) is not None:
            assert space.count(partial) == sum(space.count({**partial, d.name: o}) for o in d.options) > 0
            partial[d.name] = d.options[rng.integers(len(d.options))]


def test_the_same_seed_draws_the_same(space):
    draws = [[space.sample(np.random.default_rng(s)) for s in range(20)] for _ in range(2)]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) > 1


def test_json_and_writing_round_trip(space, rng):
    for _ in range(20):
        arch = space.sample(rng)
        again = Architecture.from_json(json.loads(json.dumps(arch.to_json())))
        assert again == arch and again.key == arch.key and hash(again) == hash(arch)
        shuffled = dict(sorted(arch.choices.items(), reverse=True))
        assert space.validate(shuffled) == arch
        written = space.write(arch)
        assert space.read(written) == arch == space.read(f"\n {written} \n")
        assert space.read(json.dumps(arch.to_json())) == arch == space.read(json.dumps(arch.choices))


def test_what_cannot_be_read_is_refused_in_words(space):
    for text in ("", "nonsense", "{", "[1, 2]", '{"nonsense": 1}', "__import__('os').system('true')", "\x00" * 50):
        with pytest.raises(InvalidArchitecture) as e:
            space.read(text)
        assert len(str(e.value)) > 15


def test_bad_choices_name_the_decision(space, rng):
    arch = space.sample(rng)
    name = names(space, arch)[-1]
    wrong = {**arch.choices, name: "nonsense"}
    with pytest.raises(InvalidArchitecture) as e:
        space.validate(wrong)
    assert name in str(e.value) and "nonsense" in str(e.value) and "choose one of" in str(e.value)
    missing = {k: v for k, v in arch.choices.items() if k != name}
    with pytest.raises(InvalidArchitecture) as e:
        space.validate(missing)
    assert name in str(e.value)
    with pytest.raises(InvalidArchitecture, match="surplus"):
        space.validate({**arch.choices, "surplus": 1})


def test_mutation_changes_exactly_n_decisions(space, rng):
    """Further ones change only where their option is no longer offered."""
    for n in (1, 2, 3, 1, 2, 3):
        for _ in range(20):
            arch = space.sample(rng)
            can = sum(len(d.options) > 1 for d in space.decisions(arch))
            child = space.mutate(arch, n, rng)
            assert space.validate(child.choices) == child
            every, free = changes(space, arch, child)
            assert every >= 1 and free <= n and child != arch
            # fewer only where there are no more, or where a change put others out of action
            assert every >= n or n > can or set(arch.choices) - set(child.choices)
    arch = space.sample(rng)
    many = space.mutate(arch, 10_000, rng)
    assert space.validate(many.choices) == many and many != arch


def test_neighbours_are_one_decision_away(space, rng):
    arch = space.sample(rng)
    near = space.neighbours(arch)
    assert near == space.neighbours(arch)
    assert len({a.key for a in near}) == len(near) and arch not in near
    assert len(near) == sum(len(d.options) - 1 for d in space.decisions(arch))
    for other in near:
        assert space.validate(other.choices) == other
        every, free = changes(space, arch, other)
        assert every >= 1 and free <= 1


def test_crossover_takes_from_both(space, rng):
    for _ in range(20):
        a, b = space.sample(rng), space.sample(rng)
        child = space.crossover(a, b, rng)
        assert space.validate(child.choices) == child
        for d in space.decisions(child):
            parents = [p[d.name] for p in (a, b) if d.name in p.choices and p[d.name] in d.options]
            assert not parents or child[d.name] in parents


def test_restriction_is_a_subspace(space, rng):
    for decision in space.all_decisions()[:3]:
        arch = space.sample(rng)
        kept = (arch.choices.get(decision.name, decision.options[-1]),)
        small = space.restrict({decision.name: kept})
        if space.exact_size:
            assert 0 < small.size() <= space.size()
            if len(decision.options) > 1:
                assert small.size() < space.size()
        for _ in range(10):
            drawn = small.sample(rng)
            assert drawn.choices.get(decision.name, kept[0]) == kept[0]
            assert small.validate(drawn.choices) == space.validate(drawn.choices) == drawn
        assert next(d for d in small.all_decisions() if d.name == decision.name).options == kept
    with pytest.raises(InvalidArchitecture, match="no decision"):
        space.restrict({"nothing": [1]})
    with pytest.raises(InvalidArchitecture, match="at least one"):
        space.restrict({space.all_decisions()[0].name: ["nothing"]})


def test_a_restriction_stands_in_the_options(each, rng):
    arch = each.sample(rng)
    name = names(each, arch)[0]
    options = {**each.options.model_dump(mode="json"), "restrict": {name: [arch[name]]}}
    config = SearchConfig.parse({"name": "x", "space": {"name": each.name, **options}})
    small = make_space(config, each.data)
    assert all(small.sample(rng)[name] == arch[name] for _ in range(10))
    wrong = SearchConfig.parse({"name": "x", "space": {"name": each.name, **options, "restrict": {"nothing": [1]}}})
    with pytest.raises(InvalidConfig) as e:
        make_space(wrong, each.data)
    assert e.value.errors[0][0][:2] == ("space", "restrict")


def test_a_space_with_one_architecture_says_that_nothing_can_change(space, rng):
    arch = space.sample(rng)
    only = space.restrict({name: [option] for name, option in arch.items})
    if only.exact_size:
        assert only.size() == 1
    assert list(only.enumerate()) == [arch] and only.neighbours(arch) == []
    with pytest.raises(NotOffered, match="nothing can change"):
        only.mutate(arch, 1, rng)


def test_enumeration_agrees_with_the_size(space, rng):
    arch = space.sample(rng)
    open_ = {d.name for d in space.decisions(arch)[:2]}
    small = space.restrict({name: [option] for name, option in arch.items if name not in open_})
    found = list(itertools.islice(small.enumerate(), 2000))
    assert len(found) == len(set(found)) and arch in found or len(found) == 2000
    if small.exact_size and len(found) < 2000:
        assert len(found) == small.size()
    assert len(found) <= small.size()
    first = list(itertools.islice(space.enumerate(), 50))
    assert len(set(first)) == min(50, len(first)) <= space.size()


def test_all_decisions_cover_what_occurs(space, rng):
    every = {d.name: d for d in space.all_decisions()}
    for _ in range(50):
        for d in space.decisions(space.sample(rng)):
            assert set(map(repr, d.options)) <= set(map(repr, every[d.name].options))
            assert d.ordered == every[d.name].ordered


def test_features_are_plain_values(space, rng):
    for _ in range(10):
        features = space.features(space.sample(rng))
        assert features and all(isinstance(v, float | str) for v in features.values())


def test_a_space_travels_between_processes(space, rng):
    arch = space.sample(rng)
    space.costs(arch)
    again = pickle.loads(pickle.dumps(space))
    assert again.costs(arch) == space.costs(arch) and again.canonical_key(arch) == space.canonical_key(arch)
