"""What people read: titles, differences, outlines, pictures, presets."""

from __future__ import annotations

import json

import pytest

from engine import catalog
from engine.network.picture import picture
from engine.spaces.base import space_of
from tests.engine.spaces.specs import ALL, CIFAR, data_spec


def test_words(space, rng):
    titles = [space.title(d.name) for d in space.all_decisions()]
    assert len(set(titles)) == len(titles)
    for d in space.all_decisions():
        shown = [space.format(d.name, o) for o in d.options]
        assert all(shown) and len(set(shown)) == len(shown)
    for _ in range(20):
        a, b = space.sample(rng), space.sample(rng)
        assert space.difference(a, a) == []
        assert [(n, y, x) for n, x, y in space.difference(a, b)] == space.difference(b, a)
        assert all(x != y for _, x, y in space.difference(a, b))
        child = space.mutate(a, 1, rng)
        change = space.describe_change(a, child)
        assert "→" in change or "added" in change or "removed" in change
        assert change != space.describe_change(child, a)
    assert space.describe_change(a, a) == "no change"


def test_short_names_tell_trials_apart(space, rng):
    archs = {space.sample(rng) for _ in range(60)}
    labels = [space.short_name(a) for a in archs]
    assert all(0 < len(s) <= 60 and "\n" not in s for s in labels)
    assert len(set(labels)) > 0.4 * len(archs)


def test_outline_shows_decisions(space):
    outline = space.outline()
    ids = [part["id"] for part in outline["parts"]]
    assert len(set(ids)) == len(ids)
    assert {e[k] for e in outline["edges"] for k in ("source", "target")} <= set(ids)
    every = {d.name: d for d in space.all_decisions()}
    decisions = [d for part in outline["parts"] for d in part["decisions"]]
    shown = {name for d in decisions for name in d["names"]}
    assert shown == set(every), "each decision stands at one place of the outline"
    for d in decisions:
        assert d["name"] == d["names"][0] and d["values"] == list(every[d["name"]].options)
        assert len(d["options"]) == len(d["values"]) and all(isinstance(o, str) and o for o in d["options"])
    assert all({"id", "kind", "title", "detail", "decisions", "repeat"} <= set(part) for part in outline["parts"])
    json.dumps(outline)


def test_pictures_are_well_formed(space, rng):
    for _ in range(8):
        arch = space.sample(rng)
        drawn = picture(space.plan(arch))
        costs = space.costs(arch)
        assert (drawn["n_params"], drawn["n_macs"]) == (costs.n_params, costs.n_macs)
        assert sum(n["n_params"] for n in drawn["nodes"]) == costs.n_params
        assert sum(n["n_macs"] for n in drawn["nodes"]) == costs.n_macs
        details = {d["title"] for d in drawn["details"]}
        assert len(details) == len(drawn["details"])
        assert {n["opens"] for n in drawn["nodes"]} - {None} <= details
        for part in [drawn, *drawn["details"]]:
            ids = [n["id"] for n in part["nodes"]]
            assert len(set(ids)) == len(ids)
            assert all(isinstance(n["kind"], str) and n["kind"] for n in part["nodes"])
            assert part["nodes"][0]["kind"] == "input"
            place = {id: i for i, id in enumerate(ids)}
            assert all(place[e["source"]] < place[e["target"]] for e in part["edges"])
        assert {e["target"] for e in drawn["edges"]} == {n["id"] for n in drawn["nodes"]} - {"input"}
        json.dumps(drawn)


PRESETS = [
    pytest.param(cls, preset, id=f"{cls.name}-{preset.name}")
    for cls in catalog.plugins("space").values()
    for preset in cls.presets
]
LARGE = (
    *ALL,
    CIFAR,
    data_spec((3, 224, 224), 1000, "ImageNet size"),
    data_spec((1, 4000), 10, "speech"),
    data_spec((24,), 6, "questions", vocabulary=3000),
)


@pytest.mark.parametrize(("cls", "preset"), PRESETS)
def test_presets_make_networks(cls, preset, rng):
    assert preset.title and preset.summary and preset.reference
    options = cls.Options.model_validate(dict(preset.options))
    built = 0
    for data in LARGE:
        if cls.fits(data) is None:
            try:
                space = space_of(cls, options, data)
                for _ in range(3):
                    arch = space.sample(rng)
                    assert space.plan(arch).n_outputs == data.n_classes
                    assert space.costs(arch).n_params > 0
                built += 1
            except Exception as e:  # too small a sample for this preset: it must say so in words
                assert type(e).__name__ in ("CannotBuild", "InvalidConfig") and len(str(e)) > 15, e
    assert built, "a preset serves some data"
    names = [p.name for p in cls.presets]
    assert len(set(names)) == len(names)
