"""Spaces at the ends of what their options allow answer at once; hostile text is refused in words."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter

import numpy as np
import pytest

from engine import catalog, encodings
from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.errors import InvalidArchitecture, InvalidConfig, NotOffered
from engine.evaluation.trained import TrainedSession
from engine.spaces._with_recipe import WithRecipe
from engine.spaces.base import SearchSpace, space_of
from tests.engine.spaces.specs import CIFAR, DIGITS, SIGNAL, TABLE, TEXT, data_spec

PHOTO = data_spec((3, 224, 224), n_classes=1000, name="photo")


def made(name: str, options: dict, data=DIGITS) -> SearchSpace:
    cls = catalog.get("space", name)
    return space_of(cls, cls.Options.model_validate(options), data)


def written(decisions: list[dict], **more) -> dict:
    return {"definition": {"decisions": decisions, "network": [{"use": "conv", "out_channels": 4}], **more}}


# -- sizes ----------------------------------------------------------------------------------------
CHAINED = [{"name": f"a{i}", "options": [True, False]} for i in range(60)] + [
    {"name": f"b{i}", "options": [1, 2], "when": {f"a{i}": [True]}} for i in range(60)
]
LARGE = {
    "transformer": (
        {"depth": list(range(1, 33)), "width": list(range(4, 132, 2)), "heads": list(range(1, 33)), "skips": True,
         "ratio": list(range(9)), "operation": ["attention", "conv3", "gru"]}, TEXT, 300,
    ),
    "layers": (
        {"depth": list(range(1, 65)), "width": [16, 32], "widen": [1], "stride": [1, 2], "pool_where": [True, False],
         "pool_after": list(range(12))}, PHOTO, 217,
    ),
    "custom": (written([{"name": f"d{i}", "options": list(range(64))} for i in range(200)]), DIGITS, 1199),
    "graph": ({"nodes": list(range(1, 17)), "max_edges": 136}, DIGITS, 180),
    "mobile": (
        {"stages": [{"width": list(range(8, 72)), "depth": list(range(1, 11))}] * 12, "kernel": [3, 5, 7, 9]},
        PHOTO, 500,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_spaces_are_counted_and_drawn_from_at_once(name):
    options, data, bits = LARGE[name]
    space = made(name, options, data)
    began = time.process_time()
    assert space.size() > 1 << bits
    arch = space.sample_uniform(np.random.default_rng(0))
    near = list(itertools.islice(space.each_neighbour(arch), 40))
    took = time.process_time() - began
    assert space.validate(arch.choices) == arch and len(set(near)) == 40
    assert took < 5  # each took more than 20 s, or did not end, before it was counted in closed form


def test_conditions_that_cannot_be_counted_give_a_bound():
    space = made("custom", written(CHAINED))
    assert not space.exact_size and space.size() == 2**120
    rng = np.random.default_rng(0)
    for refused in (lambda: space.count({}), lambda: space.sample_uniform(rng)):
        with pytest.raises(NotOffered, match="conditions"):
            refused()
    assert "uniform" not in type(space).unavailable  # other definitions can
    arch = space.sample(rng)
    assert space.validate(arch.choices) == arch and space.mutate(arch, 2, rng) != arch
    half = space.restrict({f"a{i}": [True] for i in range(55)})
    assert half.exact_size and half.size() == 2**55 * 3**5
    with_recipe = made("custom", {**written(CHAINED), "recipe": {"learning_rate": [0.1, 0.01]}})
    assert not with_recipe.exact_size and with_recipe.size() == 2**121


def test_conditions_are_counted_exactly_and_drawn_uniformly():
    decisions = [
        {"name": "n", "options": [1, 2, 3]},
        {"name": "x", "options": ["a", "b"], "per": "n"},
        {"name": "mode", "options": ["p", "q", "r"], "when": {"n": [2, 3]}},
        {"name": "free", "options": [1, 2], "when": {"mode": ["q"]}},
        {"name": "last", "options": [1, 2, 3], "when": {"mode": ["q", "r"], "n": [3]}},
    ]
    for allowed in ({}, {"mode": ["q"]}, {"n": [1, 3], "x_3": ["b"]}):
        space = made("custom", written(decisions))
        space = space.restrict(allowed) if allowed else space
        every = list(space.enumerate())
        assert space.size() == len(every) == len(set(every))
        for arch in every[::5]:
            partial: dict = {}
            for name, option in arch.items:
                expected = sum(all(a.choices.get(n) == o for n, o in partial.items()) for a in every)
                assert space.count(partial) == expected
                partial[name] = option
        drawn = Counter(space.sample_uniform(np.random.default_rng(s)).key for s in range(20 * len(every)))
        chi2 = sum((drawn[a.key] - 20) ** 2 / 20 for a in every)
        assert chi2 < len(every) + 5 * (2 * len(every)) ** 0.5


def test_equal_options_are_one():
    for options in ([1, 1.0], [True, 1], ["true", True], [0, False]):
        with pytest.raises(ValueError, match="each option once"):
            catalog.get("space", "custom").Options.model_validate(written([{"name": "x", "options": options}]))


def test_too_many_connected_blocks_are_refused():
    cls = catalog.get("space", "layers")
    with pytest.raises(ValueError, match="at most 32 blocks for any"):
        cls.Options.model_validate({"depth": [64], "connections": "any"})
    assert cls.Options.model_validate({"depth": [64]}).connections == "residual"


def test_a_long_list_is_ready_at_once():
    cells = made("graph", {"nodes": [16], "max_edges": 136, "cells": 20, "stages": 4, "operations": ["conv3"]}, CIFAR)
    rng = np.random.default_rng(0)
    given = {"name": "graph", **cells.options.model_dump(mode="json")}
    entries = [{"space": given, "choices": cells.sample(rng).choices} for _ in range(300)]
    began = time.process_time()
    space = made("list", {"architectures": entries}, CIFAR)
    assert space.size() == 300 and time.process_time() - began < 10  # 60 ms a network, if all were built


def test_paths_of_a_dense_network_fit_into_memory():
    import tracemalloc

    space = made("graph", {"nodes": [10], "max_edges": 40, "cells": 2, "stages": 3}, CIFAR)
    plan = space.plan(space.sample(np.random.default_rng(0)))
    tracemalloc.start()
    try:
        found = encodings.paths(plan)
        assert tracemalloc.get_traced_memory()[1] < 60 << 20  # gigabytes with every node's paths kept whole
    finally:
        tracemalloc.stop()
    assert len(found) <= encodings.MOST_PATHS and found == encodings.paths(plan)


# -- text -----------------------------------------------------------------------------------------
HOSTILE = [
    "sum: " + "conv3(0) " * 4000,
    f"sum: conv3({'9' * 5000})",
    "sum: conv3(0) conv3(" + "0," * 5000 + "1)",
    "sum: conv3(٣)",
    f"conv3-{'9' * 5000}",
    f"conv{'9' * 5000}",
    "conv3-32 +" + "9" * 5000,
    f"conv3-32/{'9' * 5000} softmax",
    "Genotype(recurrent=[('tanh', 0)], concat=range(1, 999999999))",
    "Genotype(normal=[('sep_conv_3x3', 0)], normal_concat=range(0, 999999999999), reduce=[], reduce_concat=[2])",
    "Genotype(normal=__import__('os').system('true'))",
    "seq(" * 5000,
    f"w{'9' * 5000} relu k3_e6",
    f"width={'9' * 5000} / attention",
    '{"matrix": ' + "[" * 500 + "]" * 500 + ', "ops": []}',
    '{"matrix": ' + json.dumps([[0] * 300] * 300) + ', "ops": ["input"]}',
    '{"layers": 1e400, "neurons": 8}',
    '{"neurons": ' + json.dumps([64] * 5000) + "}",
    '{"choices": ' + "[" * 900 + "]" * 900 + "}",
    '{"a":' * 20_000,
    "\ud800\u202e\x00",
]


@pytest.mark.parametrize("name", list(catalog.plugins("space")))
def test_hostile_text_is_refused_in_a_few_words(name):
    cls = catalog.get("space", name)
    data = next(d for d in (DIGITS, TEXT, TABLE) if cls.fits(d) is None)
    space = space_of(cls, cls.Options(**cls.suggested(data)), data)
    began = time.process_time()
    for text in HOSTILE:
        with pytest.raises(InvalidArchitecture) as e:
            space.read(text)
        assert len(str(e.value)) < 1500
    assert time.process_time() - began < 5


def test_an_unknown_decision_is_named_without_all_others():
    space = made("custom", written([{"name": f"d{i}", "options": [1, 2]} for i in range(200)]))
    with pytest.raises(InvalidArchitecture, match="160 more") as e:
        space.restrict({"nonsense": [1]})
    assert len(str(e.value)) < 500


# -- recipes --------------------------------------------------------------------------------------
RECIPE = {"learning_rate": [0.1, 0.01], "optimizer": ["adamw", "sgd"]}


def test_a_recipe_can_be_restricted_by_its_decisions():
    space = made("layers", {"recipe": RECIPE, "restrict": {"recipe_optimizer": ["sgd"], "depth": [3]}})
    arch = space.sample(np.random.default_rng(0))
    assert (arch["recipe_optimizer"], arch["depth"]) == ("sgd", 3)
    with pytest.raises(InvalidConfig, match="recipe_optimiser"):
        made("layers", {"recipe": RECIPE, "restrict": {"recipe_optimiser": ["sgd"]}})


def test_trees_with_a_recipe_change_as_trees_do():
    """What was not meant to change stays, though leaves are bounded."""
    tree = {"depth": 4, "max_leaves": 4, "operations": ["conv1", "conv3"]}
    space = made("tree", {**tree, "recipe": RECIPE})
    assert isinstance(space, WithRecipe)
    rng = np.random.default_rng(0)
    for seed in range(150):
        arch = space.sample_uniform(rng)
        network, recipe = space.split(arch)
        targets = [d.name for d in space.decisions(arch) if rng.random() < 0.4]
        inner = [t for t in targets if t not in recipe]
        child, reached = space._redraw(arch, targets, np.random.default_rng(seed))
        assert space.validate(child.choices) == child and set(reached) <= set(targets)
        after, chosen = space.split(child)
        if inner:
            assert after == space.space._redraw(network, inner, np.random.default_rng(seed))[0]
        assert [n for n in recipe if chosen[n] != recipe[n]] == [t for t in targets if t in recipe]
        other = space.crossover(arch, space.sample(rng), rng)
        assert space.validate(other.choices) == other


def test_entries_of_a_list_keep_the_recipe_they_were_found_with():
    entry = {
        "space": {"name": "mlp", "depth": [1], "recipe": RECIPE},
        "choices": {
            **made("mlp", {"depth": [1]}, TABLE).sample(np.random.default_rng(0)).choices,
            "recipe_learning_rate": 0.01, "recipe_optimizer": "sgd",
        },
    }  # fmt: skip
    space = made("list", {"architectures": [entry]}, TABLE)
    config = SearchConfig.parse({"name": "x", "space": {"name": "list", "architectures": [entry]}})
    arch = Architecture("list", (("architecture", "#1"),))
    assert space.recipe_choices(arch) == {"recipe_learning_rate": 0.01, "recipe_optimizer": "sgd"}
    recipe = TrainedSession(config, TABLE)._recipe(arch)
    assert (recipe.learning_rate, recipe.optimizer) == (0.01, "sgd")
    over = made("list", {"architectures": [entry], "recipe": {"learning_rate": [0.5]}}, TABLE)
    both = over.recipe_choices(over.sample(np.random.default_rng(0)))
    assert both == {"recipe_learning_rate": 0.5, "recipe_optimizer": "sgd"}


def test_made_up_signals_have_a_table_too():
    from engine.evaluation.tabular import TabularEvaluator

    for shape, kind in (([6], "table"), ([2, 64], "signal"), ([1, 8, 8], "image")):
        options = TabularEvaluator.Options.model_validate({"input_shape": shape})
        assert TabularEvaluator.data_spec(options).kind == kind
    assert SIGNAL.kind == "signal"
