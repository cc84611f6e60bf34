"""What every search space of the catalog promises, on every kind of data it serves."""

from __future__ import annotations

import ast
import builtins
import itertools
import json
import pickle
import time

import numpy as np
import pytest

from engine import catalog
from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.errors import InvalidArchitecture, InvalidConfig, NotOffered
from engine.export.source import model_source
from engine.network.costs import costs as plan_costs
from engine.network.operations import OPERATIONS, module_path
from engine.network.picture import picture
from engine.spaces.base import SearchSpace, make_space

from .specs import ALL, TABLE

CASES = [
    pytest.param((cls, data), id=f"{name}-{data.name.replace(' ', '-')}")
    for name, cls in catalog.plugins("space").items()
    for data in ALL
    if cls.fits(data) is None
]
KINDS = {"input", "conv", "sep", "pool", "dense", "norm", "act", "drop", "add", "concat", "cell", "zero", "identity",
         "output", "other"}  # fmt: skip


@pytest.fixture(params=CASES)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    cls, data = request.param
    return cls(cls.Options(**cls.suggested(data))).bind(data)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny networks: more threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def names(space: SearchSpace, arch: Architecture) -> list[str]:
    return [d.name for d in space.decisions(arch)]


def test_every_space_serves_something_and_says_why_not():
    for cls in catalog.plugins("space").values():
        answers = [cls.fits(data) for data in ALL]
        assert None in answers
        assert all(a is None or len(a) > 10 for a in answers)
        assert cls.summary and cls.reference


def test_data_that_does_not_fit_is_an_error_at_the_space():
    for cls in catalog.plugins("space").values():
        if cls.fits(TABLE):
            with pytest.raises(InvalidConfig) as e:
                cls(cls.Options()).bind(TABLE)
            assert e.value.errors[0][0][0] == "space"


def test_made_from_a_config(space):
    config = SearchConfig.parse({"name": "x", "space": {"name": space.name, **space.options.model_dump(mode="json")}})
    again = make_space(config, space.data)
    assert type(again) is type(space) and again.size() == space.size()


def test_next_offers_only_options_that_lead_to_an_architecture(space, rng):
    for _ in range(30):
        partial: dict = {}
        while (d := space.next(partial)) is not None:
            assert d.options and len(set(map(repr, d.options))) == len(d.options)
            assert space.count(partial) == sum(space.count({**partial, d.name: o}) for o in d.options) > 0
            partial[d.name] = d.options[rng.integers(len(d.options))]
        assert space.validate(partial).choices == partial


def test_the_same_seed_draws_the_same(space):
    draws = [[space.sample(np.random.default_rng(s)) for s in range(20)] for _ in range(2)]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) > 1


def test_uniform_sampling_where_it_is_offered(space, rng):
    try:
        drawn = [space.sample_uniform(rng) for _ in range(200)]
    except NotOffered as e:
        assert len(str(e)) > 20
        return
    assert all(space.validate(a.choices) == a for a in drawn)
    # the first decision's options come in proportion to what follows them
    first = space.next({})
    shares = np.array([space.count({first.name: o}) for o in first.options], dtype=float)
    seen = np.array([sum(a[first.name] == o for a in drawn) for o in first.options], dtype=float)
    expected = shares / shares.sum() * len(drawn)
    assert (np.abs(seen - expected) <= 5 * np.sqrt(expected) + 2).all()


def test_json_and_writing_round_trip(space, rng):
    for _ in range(20):
        arch = space.sample(rng)
        again = Architecture.from_json(json.loads(json.dumps(arch.to_json())))
        assert again == arch and again.key == arch.key and hash(again) == hash(arch)
        shuffled = dict(sorted(arch.choices.items(), reverse=True))
        assert space.validate(shuffled) == arch


def test_bad_choices_name_the_decision(space, rng):
    arch = space.sample(rng)
    name = names(space, arch)[-1]
    wrong = {**arch.choices, name: "nonsense"}
    with pytest.raises(InvalidArchitecture, match=f"{name}.*nonsense.*choose one of"):
        space.validate(wrong)
    missing = {k: v for k, v in arch.choices.items() if k != name}
    with pytest.raises(InvalidArchitecture, match=name):
        space.validate(missing)
    with pytest.raises(InvalidArchitecture, match="surplus"):
        space.validate({**arch.choices, "surplus": 1})


def test_mutation_changes_exactly_n_decisions(space, rng):
    for n in (1, 2, 3, 1, 2, 3):
        for _ in range(20):
            arch = space.sample(rng)
            child = space.mutate(arch, n, rng)
            assert space.validate(child.choices) == child
            both = [d for d in names(space, child) if d in arch.choices]
            assert sum(child[d] != arch[d] for d in both) == n
    arch = space.sample(rng)
    many = space.mutate(arch, 10_000, rng)
    both = [d for d in space.decisions(many) if d.name in arch.choices and len(d.options) > 1]
    assert all(many[d.name] != arch[d.name] for d in both)


def test_neighbours_are_one_decision_away(space, rng):
    arch = space.sample(rng)
    near = space.neighbours(arch)
    assert near == space.neighbours(arch)
    assert len({a.key for a in near}) == len(near) and arch not in near
    expected = sum(len(d.options) - 1 for d in space.decisions(arch))
    assert len(near) == expected
    for other in near:
        assert space.validate(other.choices) == other
        assert sum(other[d] != arch[d] for d in names(space, other) if d in arch.choices) == 1


def test_crossover_takes_from_both(space, rng):
    for _ in range(20):
        a, b = space.sample(rng), space.sample(rng)
        child = space.crossover(a, b, rng)
        assert space.validate(child.choices) == child
        for name in names(space, child):
            parents = [p[name] for p in (a, b) if name in p.choices]
            assert not parents or child[name] in parents


def test_restriction_is_a_subspace(space, rng):
    for decision in space.all_decisions()[:3]:
        kept = decision.options[-1:]
        small = space.restrict({decision.name: kept})
        assert 0 < small.size() <= space.size()
        if len(decision.options) > 1:
            assert small.size() < space.size()
        for _ in range(10):
            arch = small.sample(rng)
            assert arch.choices.get(decision.name, kept[0]) == kept[0]
            assert small.validate(arch.choices) == space.validate(arch.choices) == arch
        assert next(d for d in small.all_decisions() if d.name == decision.name).options == kept
    with pytest.raises(InvalidArchitecture, match="no decision"):
        space.restrict({"nothing": [1]})
    with pytest.raises(InvalidArchitecture, match="at least one"):
        space.restrict({space.all_decisions()[0].name: ["nothing"]})


def test_a_space_with_one_architecture_says_that_nothing_can_change(space, rng):
    arch = space.sample(rng)
    only = space.restrict({name: [option] for name, option in arch.items})
    assert only.size() == 1 and list(only.enumerate()) == [arch] and only.neighbours(arch) == []
    with pytest.raises(NotOffered, match="nothing can change"):
        only.mutate(arch, 1, rng)


def test_enumeration_agrees_with_the_size(space, rng):
    arch = space.sample(rng)
    open_ = {d.name for d in space.decisions(arch)[:2]}
    small = space.restrict({name: [option] for name, option in arch.items if name not in open_})
    if small.size() > 5000:
        return
    found = list(small.enumerate())
    assert len(found) == len(set(found)) == small.size()
    first = list(itertools.islice(space.enumerate(), 50))
    assert len(set(first)) == min(50, space.size())


def test_all_decisions_cover_what_occurs(space, rng):
    every = {d.name: d for d in space.all_decisions()}
    for _ in range(50):
        for d in space.decisions(space.sample(rng)):
            assert set(map(repr, d.options)) <= set(map(repr, every[d.name].options))
            assert d.ordered == every[d.name].ordered


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
        assert "," not in change and change != space.describe_change(child, a)
    assert space.describe_change(a, a) == "no change"
    labels = [space.short_name(space.sample(rng)) for _ in range(60)]
    assert all(0 < len(s) <= 40 for s in labels) and len(set(labels)) > 25


def test_outline_shows_decisions(space):
    outline = space.outline()
    ids = [part["id"] for part in outline["parts"]]
    assert len(set(ids)) == len(ids)
    assert {e[k] for e in outline["edges"] for k in ("source", "target")} <= set(ids)
    shown = {d["name"] for part in outline["parts"] for d in part["decisions"]}
    assert shown <= {d.name for d in space.all_decisions()} and shown
    assert all({"id", "kind", "title", "detail", "decisions", "repeat"} <= set(part) for part in outline["parts"])
    json.dumps(outline)


def test_features_are_plain_values(space, rng):
    for _ in range(10):
        features = space.features(space.sample(rng))
        assert features and all(isinstance(v, float | str) for v in features.values())


def test_a_space_travels_between_processes(space, rng):
    arch = space.sample(rng)
    space.costs(arch)
    again = pickle.loads(pickle.dumps(space))
    assert again.costs(arch) == space.costs(arch) and again.canonical_key(arch) == space.canonical_key(arch)


# -- the network ------------------------------------------------------------------------------------
def test_plans_are_well_formed(space, rng):
    for _ in range(20):
        plan = space.plan(space.sample(rng))
        seen = {"input"}
        for node in plan.nodes:
            assert node.id.isidentifier() and node.id not in seen
            assert set(node.inputs) <= seen
            seen.add(node.id)
            shapes = [plan.shape_of(i) for i in node.inputs]
            assert OPERATIONS[node.op].infer(node.args, shapes) == node.shape
        assert plan.nodes[-1].shape == (space.n_classes,) == (plan.n_outputs,)
        paths = [module_path(node) for node in plan.nodes]
        assert len(set(paths)) == len(paths)
        json.dumps(plan.to_json())


def test_costs_are_cheap_and_those_of_the_plan(space, rng):
    archs = [space.sample(rng) for _ in range(50)]
    space.costs(archs[0])
    start = time.perf_counter()
    found = [space.costs(a) for a in archs]
    assert (time.perf_counter() - start) / len(archs) < 0.005
    assert found == [plan_costs(space.plan(a)) for a in archs]


def test_costs_equal_the_built_network(space, rng):
    """Parameters exactly; multiply-adds as half of torch's count, which leaves biases out as we do."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from engine.network.build import build

    for _ in range(50):
        arch = space.sample(rng)
        with torch.device("meta"):
            network = build(space.plan(arch)).eval()
            with FlopCounterMode(display=False) as counter:
                out = network(torch.empty(1, *space.input_shape))
        costs = space.costs(arch)
        assert out.shape == (1, space.n_classes)
        assert sum(p.numel() for p in network.parameters()) == costs.n_params
        assert counter.get_total_flops() == 2 * costs.n_macs


def test_networks_learn_something(space, rng):
    """Forward and backward; every weight on the way to the output gets a gradient."""
    import torch

    from engine.network.build import build

    for i in range(5):
        plan = space.plan(space.sample(rng))
        network = build(plan, seed=i)
        out = network(torch.randn(4, *plan.input_shape, generator=torch.Generator().manual_seed(i)))
        out.square().sum().backward()
        assert torch.isfinite(out).all()
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        assert grads and all(torch.isfinite(g).all() for g in grads)


def test_weights_follow_the_seed(space, rng):
    import torch

    from engine.network.build import build

    plan = space.plan(space.sample(rng))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = build(plan, seed=3), build(plan, seed=3), build(plan, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    same = [torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)]
    assert all(same)
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def undefined_names(tree: ast.Module) -> set[str]:
    bound = set(dir(builtins)) | {"__class__", "annotations"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - bound


def test_model_source_stands_alone_and_agrees(space, rng):
    import torch

    from engine.network.build import build

    for i in range(12):
        plan = space.plan(space.sample(rng))
        text = model_source(plan, title='A "network"\nof tests')
        tree = ast.parse(text)
        imported = {
            module
            for n in ast.walk(tree)
            if isinstance(n, ast.Import | ast.ImportFrom)
            for module in ([n.module] if isinstance(n, ast.ImportFrom) else [a.name for a in n.names])
        }
        assert {m.split(".")[0] for m in imported} <= {"torch", "__future__"}
        assert undefined_names(tree) == set()
        assert max(map(len, text.splitlines())) <= 160
        namespace: dict = {"__name__": "model"}
        exec(compile(text, "model.py", "exec"), namespace)  # noqa: S102
        trained = build(plan, seed=i).train()
        x = torch.randn(5, *plan.input_shape, generator=torch.Generator().manual_seed(i))
        trained(x)  # so that running statistics differ from their defaults
        trained.eval()
        alone = namespace["Network"]()
        alone.load_state_dict(trained.state_dict(), strict=True)
        alone.eval()
        with torch.no_grad():
            assert torch.equal(alone(x), trained(x))


# -- identity and pictures --------------------------------------------------------------------------
def test_canonical_keys(space, rng):
    archs = [space.sample(rng) for _ in range(60)]
    for a in archs:
        assert space.canonical_key(a) == space.canonical_key(Architecture.from_json(a.to_json()))
    fresh = space.restrict({})  # nothing remembered
    assert [fresh.canonical_key(a) for a in archs] == [space.canonical_key(a) for a in archs]
    by_key: dict[str, Architecture] = {}
    for a in archs:
        twin = by_key.setdefault(space.canonical_key(a), a)
        if twin != a:  # the same network costs the same once dead operations are out of it
            assert picture(space.plan(a))["nodes"][-1]["shape"] == picture(space.plan(twin))["nodes"][-1]["shape"]
    assert len(by_key) > 30


def test_pictures_are_well_formed(space, rng):
    for _ in range(15):
        arch = space.sample(rng)
        drawn = picture(space.plan(arch))
        costs = space.costs(arch)
        assert (drawn["n_params"], drawn["n_macs"]) == (costs.n_params, costs.n_macs)
        assert sum(n["n_params"] for n in drawn["nodes"]) == costs.n_params
        assert sum(n["n_macs"] for n in drawn["nodes"]) == costs.n_macs
        details = {d["title"] for d in drawn["details"]}
        assert len(details) == len(drawn["details"])
        assert {n["opens"] for n in drawn["nodes"]} - {None} == details
        for part in [drawn, *drawn["details"]]:
            ids = [n["id"] for n in part["nodes"]]
            assert len(set(ids)) == len(ids)
            assert {n["kind"] for n in part["nodes"]} <= KINDS
            assert part["nodes"][0]["kind"] == "input"
            place = {id: i for i, id in enumerate(ids)}
            assert all(place[e["source"]] < place[e["target"]] for e in part["edges"])
        fed = {e["target"] for e in drawn["edges"]}
        assert fed == {n["id"] for n in drawn["nodes"]} - {"input"}
        json.dumps(drawn)
