"""Lists of architectures: from several spaces, in several writings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

import engine
from engine.config import SearchConfig
from engine.errors import InvalidConfig
from engine.spaces.base import space_of
from engine.spaces.list import List, ListOptions

from .specs import DIGITS, SIGNAL

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
SMALL = {"name": "nasbench201", "channels": 4, "cells": 1}
LAYERS = {"name": "layers", "depth": [1], "width": [8], "norm": ["batch"], "activation": ["relu"]}
CHOICES = {"depth": 1, "width": 8, "norm": "batch", "activation": "relu", "dense": 0, "dropout": 0.0,
           "block1_op": "conv3", "block1_skip": False}  # fmt: skip
ENTRIES = [
    {"name": "a cell", "space": SMALL, "text": CELL},
    {"space": SMALL, "text": "333333"},
    {"space": LAYERS, "choices": CHOICES},
]


def made(entries, data=DIGITS) -> List:
    return space_of(List, ListOptions.model_validate({"architectures": entries}), data)


def test_entries_are_the_networks_of_their_own_spaces():
    space = made(ENTRIES)
    assert space.size() == 3
    names = [arch["architecture"] for arch in space.enumerate()]
    assert names == ["a cell", "#2", "#3"]
    for arch in space.enumerate():
        inner, own = space.entry(arch)
        assert space.plan(arch) == inner.plan(own)
        assert space.costs(arch) == inner.costs(own)
        assert space.canonical_key(arch) == inner.canonical_key(own)
    assert space.short_name(space.read("#2")).startswith("#2 ")
    assert {space.entry(a)[0].name for a in space.enumerate()} == {"nasbench201", "layers"}


def test_a_race_of_a_list():
    config = SearchConfig.parse(
        {
            "name": "race",
            "data": {"name": "digits"},
            "space": {"name": "list", "architectures": ENTRIES},
            "strategy": {"name": "random"},
            "budget": {"trials": 10, "epochs": 1},
            "final": {"enabled": False},
            "parallelism": 1,
        }
    )
    trials = engine.run(config).conductor.history
    assert sorted(t.architecture["architecture"] for t in trials) == ["#2", "#3", "a cell"]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "at least 1"),
        ([*ENTRIES, {"name": "#2", "space": SMALL, "text": "000000"}], "two architectures are called '#2'"),
        ([{"space": SMALL}], "its choices or its text"),
        ([{"space": SMALL, "text": CELL, "choices": CHOICES}], "its choices or its text"),
        ([{"space": {"name": "nothing"}, "text": CELL}], "no space is called 'nothing'"),
        ([{"space": {**SMALL, "channels": 10**9}, "text": CELL}], "channels"),
        ([{"space": {"name": "list"}, "text": "x"}], "a list of lists"),
    ],
)
def test_bad_lists_are_refused(entries, words):
    with pytest.raises(ValidationError) as e:
        ListOptions.model_validate({"architectures": entries})
    assert words in str(e.value)


def test_an_entry_that_does_not_fit_is_named():
    with pytest.raises(InvalidConfig, match="a cell: .*needs images") as e:
        made(ENTRIES[:1], SIGNAL)
    assert e.value.errors[0][0] == ("space", "architectures", 0)
    with pytest.raises(InvalidConfig, match="#1: "):
        made([{"space": SMALL, "text": "nonsense"}])
