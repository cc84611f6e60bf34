"""Architecture and recipe searched together, over any space."""

from __future__ import annotations

import numpy as np
import pytest

from engine import catalog
from engine.architecture import Architecture
from engine.config import Recipe, SearchConfig
from engine.errors import InvalidArchitecture, InvalidConfig, NotOffered
from engine.spaces._with_recipe import WithRecipe
from engine.spaces.base import make_space, space_of

from .specs import ALL

RECIPE = {"learning_rate": [0.01, 0.001], "optimizer": ["adamw", "sgd"], "augmentation": ["none", "shift+flip"]}
NAMES = ["recipe_learning_rate", "recipe_optimizer", "recipe_augmentation"]


@pytest.fixture(params=list(catalog.plugins("space")))
def pair(request):
    """A space and the same with a recipe."""
    cls = catalog.get("space", request.param)
    data = next(d for d in ALL if cls.fits(d) is None)
    options = cls.suggested(data)
    return space_of(cls, cls.Options(**options), data), space_of(cls, cls.Options(**options, recipe=RECIPE), data)


def test_every_space_takes_a_recipe(pair):
    space, both = pair
    rng = np.random.default_rng(3)
    assert isinstance(both, WithRecipe) and both.name == space.name
    assert both.size() == 8 * space.size() and both.exact_size == space.exact_size
    assert [d.name for d in both.all_decisions()][-3:] == NAMES
    for _ in range(10):
        arch = both.sample(rng)
        network, recipe = both.split(arch)
        assert space.validate(network.choices) == network and list(recipe) == NAMES
        assert both.validate(arch.choices) == arch
        assert both.costs(arch) == space.costs(network)
        assert both.plan(arch) == space.plan(network)
        assert set(space.features(network)) < set(both.features(arch))
        assert both.read(both.write(arch)) == arch
        assert both.read(space.write(network)).choices.items() >= network.choices.items()
        child = both.mutate(arch, 1, rng)
        assert both.validate(child.choices) == child != arch
        assert both.crossover(arch, child, rng) is not None
        assert both.short_name(arch)


def test_the_key_holds_the_recipe(pair):
    space, both = pair
    arch = both.sample(np.random.default_rng(0))
    network, recipe = both.split(arch)
    other = {**arch.choices, "recipe_optimizer": "adamw" if recipe["recipe_optimizer"] == "sgd" else "sgd"}
    twin = both.validate(other)
    assert both.canonical_key(arch) != both.canonical_key(twin)
    assert space.canonical_key(network) == space.canonical_key(both.split(twin)[0])
    assert both.describe_change(arch, twin).startswith("optimizer ")


def test_growth_and_morphisms_leave_the_recipe(pair):
    space, both = pair
    arch = both.sample(np.random.default_rng(1))
    network, recipe = both.split(arch)
    for what in ("grow", "morphisms"):
        try:
            expected = getattr(space, what)(network)
        except NotOffered as e:
            with pytest.raises(NotOffered, match=str(e).split(": ")[-1][:20]):
                getattr(both, what)(arch)
            continue
        found = getattr(both, what)(arch)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            child, plain = (a, b) if isinstance(a, Architecture) else (a.child, b.child)
            assert both.split(child) == (plain, recipe)


def test_both_parts_can_be_narrowed(pair):
    _, both = pair
    rng = np.random.default_rng(2)
    arch = both.sample(rng)
    first = arch.items[0][0]
    small = both.restrict({"recipe_optimizer": ["sgd"], first: [arch[first]]})
    assert all(small.sample(rng)["recipe_optimizer"] == "sgd" for _ in range(5))
    assert all(small.sample(rng)[first] == arch[first] for _ in range(5))
    with pytest.raises(InvalidArchitecture, match="recipe_optimizer"):
        both.restrict({"recipe_optimizer": ["adam"]})


def test_the_recipe_that_trains_is_the_chosen_one():
    chosen = Recipe().chosen(
        {"depth": 3, "recipe_learning_rate": 0.01, "recipe_augmentation": "shift+cutout"}, (3, 32, 32)
    )
    assert (chosen.learning_rate, chosen.shift, chosen.flip, chosen.cutout) == (0.01, 4, False, 16)
    assert Recipe().chosen({"depth": 3}, (3, 32, 32)) == Recipe()
    with pytest.raises(ValueError, match="learning_rate"):
        Recipe().chosen({"recipe_learning_rate": -1.0}, (3, 32, 32))


@pytest.mark.parametrize(
    ("recipe", "path"),
    [
        ({"learning_rate": [-1]}, "learning_rate"),
        ({"learning_rate": [float("nan")]}, "learning_rate"),
        ({"optimizer": ["adam"]}, "optimizer"),
        ({"batch_size": [64, 64]}, "batch_size"),
        ({"momentum": [0.9]}, "momentum"),
    ],
)
def test_bad_recipes_are_refused_at_their_field(recipe, path):
    with pytest.raises(InvalidConfig) as e:
        SearchConfig.parse({"name": "x", "space": {"name": "layers", "recipe": recipe}})
    assert e.value.errors[0][0][:3] == ("space", "recipe", path)


def test_a_config_makes_it():
    config = SearchConfig.parse({"name": "x", "space": {"name": "nasbench201", "recipe": RECIPE}})
    assert SearchConfig.parse(config.to_json()) == config
    space = make_space(config, ALL[0])
    assert space.size() == 8 * 15625
    assert space.to_digits(space.split(space.sample(np.random.default_rng(0)))[0]).isdigit()
