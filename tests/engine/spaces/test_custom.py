"""Written spaces: what can be said, what is refused and how, what is never run."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from pydantic import ValidationError

from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.errors import CannotBuild, InvalidConfig
from engine.spaces.base import space_of
from engine.spaces.custom import Custom, CustomOptions

from .specs import DIGITS, MIXED, SIGNAL, TABLE, TEXT

WRITTEN = {
    "decisions": [
        {"name": "width", "options": [8, 16]},
        {"name": "depth", "options": [1, 2, 3]},
        {"name": "kernel", "options": [3, 5], "per": "depth"},
        {"name": "head", "options": ["mean", "dense"]},
        {"name": "units", "options": [16, 32], "when": {"head": ["dense"]}},
        {"name": "deep", "options": [True, False], "when": {"depth": [3]}},
    ],
    "network": [
        {"use": "nn.Conv2d", "name": "stem", "out_channels": "$width"},
        {
            "repeat": "$depth",
            "name": "block",
            "steps": [
                {"residual": [{"use": "conv", "out_channels": "$width*2", "kernel_size": "$kernel"}]},
                {"use": "BatchNorm2d"},
                {"use": "ReLU"},
            ],
        },
        {"branches": [[{"use": "max_pool"}], [{"use": "avg_pool"}, {"use": "dropout", "p": 0.1}]], "join": "concat"},
        {"use": "global_avg_pool"},
        {"use": "linear", "out_features": "$units", "when": {"head": ["dense"]}},
    ],
}


def made(definition, data=DIGITS) -> Custom:
    return space_of(Custom, CustomOptions.model_validate({"definition": definition}), data)


def changed(path: str, value) -> dict:
    """The written space with one value replaced; the path has dots, numbers are positions."""
    out = copy.deepcopy(WRITTEN)
    at = out
    *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    for part in way:
        at = at[part]
    if isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        at[last] = value
    return out


def test_decisions_act_where_their_conditions_hold():
    space = made(WRITTEN)
    assert space.size() == 2 * sum(2**d * (1 + 2) * (2 if d == 3 else 1) for d in (1, 2, 3))
    arch = space.validate({"width": 8, "depth": 2, "kernel_1": 3, "kernel_2": 5, "head": "dense", "units": 32})
    assert [d.name for d in space.decisions(arch)] == ["width", "depth", "kernel_1", "kernel_2", "head", "units"]
    ops = {n.id: n for n in space.plan(arch).nodes}
    kernels = [n.args["kernel_size"] for n in ops.values() if n.op == "conv2d" and "conv" in n.id]
    assert kernels == [3, 5]
    assert [n.args["out_features"] for n in ops.values() if n.op == "linear"] == [32, 10]
    assert sum(n.op == "add" for n in ops.values()) == 2
    assert any(n.op == "concat" and n.shape[0] == 32 for n in ops.values())
    drawn = {space.sample_uniform(np.random.default_rng(s)) for s in range(400)}
    assert len(drawn) > 60


def test_names_join_distant_steps():
    definition = {
        "decisions": [{"name": "act", "options": ["relu", "gelu"]}],
        "network": [
            {"use": "conv", "name": "one", "out_channels": 8},
            {"choose": "$act", "cases": {"relu": [{"use": "relu"}], "gelu": [{"use": "gelu"}]}},
            {"use": "conv", "name": "two", "out_channels": 8},
            {"use": "add", "from": ["one", "two"]},
        ],
    }
    space = made(definition)
    plan = space.plan(space.sample(np.random.default_rng(0)))
    assert plan.by_id["s4_add"].inputs == ("s1_one", "s3_two")
    assert {space.canonical_key(a) for a in space.enumerate()} == {space.canonical_key(a) for a in space.enumerate()}
    assert len({space.canonical_key(a) for a in space.enumerate()}) == 2


@pytest.mark.parametrize("data", [SIGNAL, TEXT, TABLE, MIXED], ids=lambda d: d.name)
def test_other_data_is_served(data):
    space = space_of(Custom, CustomOptions(**Custom.suggested(data)), data)
    assert space.plan(space.sample(np.random.default_rng(0))).n_outputs == data.n_classes


def test_attention_over_a_text_does_not_see_the_padding():
    definition = {
        "embedding": "$width",
        "decisions": [{"name": "width", "options": [16, 32]}, {"name": "heads", "options": [2, 4]}],
        "network": [{"use": "layer_norm"}, {"residual": [{"use": "self_attention", "heads": "$heads"}]}],
    }
    plan = made(definition, TEXT).plan(Architecture.of("custom", {"width": 16, "heads": 2}))
    assert [n.op for n in plan.nodes if "padding" in n.inputs] == ["self_attention", "mean_over_time"]


REFUSED = {
    "a name twice": (changed("decisions.6", {"name": "width", "options": [1]}), "two decisions are called 'width'"),
    "a bad name": (changed("decisions.0.name", "__class__"), "received '__class__'"),
    "no options": (changed("decisions.0.options", []), "options"),
    "an option twice": (changed("decisions.0.options", [8, 8]), "each option once"),
    "NaN": (changed("decisions.0.options", [float("nan")]), "finite"),
    "a condition on nothing": (changed("decisions.4.when", {"nothing": [1]}), "no earlier decision"),
    "a condition on no option": (changed("decisions.4.when", {"head": ["sum"]}), "no option 'sum'"),
    "a later condition": (changed("decisions.0.when", {"depth": [1]}), "no earlier decision"),
    "per a word": (changed("decisions.4.per", "head"), "whole numbers"),
    "an unknown module": (changed("network.0.use", "os.system"), "a module is one of"),
    "an import": (changed("network.0.use", "__import__('os').system('x')"), "a module is one of"),
    "a dunder": (changed("network.0.use", "nn.Conv2d.__init__"), "a module is one of"),
    "an unknown argument": (changed("network.0.device", "cuda"), "'device' is no argument"),
    "a missing argument": (changed("network.0", {"use": "conv"}), "needs out_channels"),
    "too many channels": (changed("network.0.out_channels", 10**9), "from 1 to 4096"),
    "too many by a product": (changed("decisions.0.options", [4000]), "from 1 to 4096"),
    "a negative kernel": (changed("network.0.kernel_size", -3), "from 1 to 31"),
    "an expression": (changed("network.0.out_channels", "$width+1"), "write $decision"),
    "code": (changed("network.0.out_channels", "$width*exec('x')"), "write $decision"),
    "an unknown reference": (changed("network.0.out_channels", "$nothing"), "is no decision"),
    "a reference outside its loop": (changed("network.0.kernel_size", "$kernel"), "inside repeat"),
    "words multiplied": (changed("network.0.out_channels", "$head*2"), "only numbers"),
    "depth a million": (changed("network.1.repeat", 10**6), "from 0 to 64"),
    "two things at once": (changed("network.0.repeat", 2), "exactly one of"),
    "none": (changed("network.0", {"name": "x"}), "received none"),
    "a bad join": (changed("network.2.join", "multiply"), "join"),
    "an unknown field": (changed("surprise", 1), "surprise"),
    "a case too few": (
        changed("network.5", {"choose": "$head", "cases": {"mean": []}}),
        "one case for each option of head",
    ),
    "too deep": (
        changed(
            "network.5", __import__("functools").reduce(lambda s, _: {"residual": [s]}, range(20), {"use": "relu"})
        ),
        "more than 8 deep",
    ),
    "too many steps": (
        changed("network.5", {"repeat": 64, "steps": [{"repeat": 64, "steps": [{"use": "relu"}]}]}),
        "at most 400",
    ),
}


@pytest.mark.parametrize(("definition", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_refused_with_its_place(definition, words):
    with pytest.raises(ValidationError) as e:
        CustomOptions.model_validate({"definition": definition})
    assert words in str(e.value)
    with pytest.raises(InvalidConfig) as refused:
        SearchConfig.parse({"name": "x", "space": {"name": "custom", "definition": definition}})
    assert refused.value.errors[0][0][:2] == ("space", "definition")


def test_what_fits_no_data_is_said_when_bound():
    definition = changed("network.0", {"use": "linear", "out_features": 8})
    with pytest.raises(InvalidConfig, match="needs a vector"):
        made(definition)
    deep = changed("network.2", {"repeat": 6, "steps": [{"use": "max_pool"}]})
    with pytest.raises(InvalidConfig, match="does not fit"):
        made(deep)


def test_a_decision_that_does_not_act_is_named():
    definition = changed("network.4", {"use": "linear", "out_features": "$units"})
    space = made(definition)
    arch = space.validate({"width": 8, "depth": 1, "kernel_1": 3, "head": "mean"})
    with pytest.raises(CannotBuild, match="units, which does not act"):
        space.plan(arch)
