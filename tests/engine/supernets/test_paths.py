"""Methods that train single paths: which they draw, how gradients come together, what is searched afterwards."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from engine.architecture import Architecture
from engine.conductor import Edit
from engine.config import SearchConfig
from engine.spaces.base import make_space
from engine.supernets.nets.learner import At, Setup
from engine.supernets.nets.paths import FairLearner, PathLearner, SizedPathLearner
from tests.engine.driving import Driver, config
from tests.engine.supernets.small import (
    CELL,
    CPU,
    SETTING,
    data_of,
    learner_of,
    options_of,
    quiet,
    setup_of,
    space_of,
    spec_of,
    trainer_of,
)


def batch_of(space: str, n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    data = data_of(space)
    return data.validation_x[:n], data.validation_y[:n]


def gradients(learner: PathLearner, paths: list[Architecture]) -> dict[str, torch.Tensor]:
    """By torch, one path after another, added up by hand."""
    x, y = batch_of("cell")
    for path in paths:
        learner.bank.blocks_of(learner.space.planned(path), learner.space.weight_names(path))
    learner.bank.train()
    named = dict(learner.bank.named_parameters())
    total = {n: torch.zeros_like(p) for n, p in named.items()}
    for path in paths:
        grads = torch.autograd.grad(learner.loss(learner.run(path, x), y), list(named.values()), allow_unused=True)
        for name, g in zip(named, grads, strict=True):
            total[name] += 0 if g is None else g
    return total


@pytest.mark.parametrize("method", ["spos", "fairnas", "random_sharing"])
def test_a_step_goes_along_the_sum_of_the_paths_gradients(method: str) -> None:
    """Against autograd by hand, without momentum, decay and clipping."""
    plain = {"momentum": 0.0, "weight_decay": 0.0, "clip": 0.0}
    learner, twin = (learner_of(method, "cell", **plain) for _ in range(2))
    paths = twin.sample(twin.rng(3))
    assert len(paths) == (5 if method == "fairnas" else 1)
    wanted = gradients(twin, paths)
    before = {n: p.clone() for n, p in twin.bank.named_parameters()}
    learner.bank.hold(twin.bank.keys())
    learner.step(At(0, 3, 0.1), batch_of("cell"), None)
    for name, p in learner.bank.named_parameters():
        assert torch.allclose(p, before[name] - 0.1 * wanted[name], atol=1e-6), name


def test_uniform_paths_draw_every_option_alike() -> None:
    """A chi-squared test on one decision, and steps that do not depend on those before."""
    learner = learner_of("spos", "cell")
    first = [learner.sample(learner.rng(step))[0] for step in range(1000)]
    counts = Counter(a["edge1_2"] for a in first)
    assert len(counts) == 5 and sum((n - 200) ** 2 / 200 for n in counts.values()) < 18.5  # p = 0.001
    assert [learner.sample(learner.rng(step))[0] for step in (5, 3)] == [first[5], first[3]]


def test_ranges_of_sizes_are_drawn_alike() -> None:
    """The prior seldom draws the smallest and the largest; with ranges they come as often as those between."""
    learner = learner_of("spos", "cell", sizes=4)
    assert isinstance(learner, SizedPathLearner) and len(learner.bounds) == 5
    macs = [learner._macs(learner.sample(learner.rng(s))[0]) for s in range(200)]
    plain = [learner._macs(PathLearner.sample(learner, learner.rng(s))[0]) for s in range(200)]
    ranged, prior = (np.histogram(np.clip(m, learner.bounds[0], learner.bounds[-1]), learner.bounds)[0]
                     for m in (macs, plain))  # fmt: skip
    assert ranged.min() > 30 > prior.min()


def test_strictly_fair_counts_are_equal_after_every_step() -> None:
    """Five options everywhere: each once a step, in an order that changes."""
    learner = learner_of("fairnas", "cell")
    orders = set()
    for step in range(6):
        paths = learner.sample(learner.rng(step))
        for name in paths[0].choices:
            assert len({p[name] for p in paths}) == 5
            orders.add(tuple(p[name] for p in paths))
        assert {tuple(row) for row in learner.counts.values()} == {(step + 1,) * 5}
    assert len(orders) > 30  # of 36 permutations drawn


def test_every_permutation_is_as_likely() -> None:
    """Drawing the least trained one by one is drawing a permutation uniformly: 3! of them, chi-squared."""
    space = {**CELL, "operations": ["none", "skip_connect", "nor_conv_1x1"]}
    bound = make_space(SearchConfig.parse({"name": "test", "space": space}), spec_of("cell"))
    learner = FairLearner(Setup(bound, setup_of("fairnas", "cell").options, CPU, SETTING, 1, 2, 27))
    counts: Counter[tuple] = Counter()
    for step in range(300):
        for name in ("edge0_1", "edge2_3"):
            counts[tuple(p[name] for p in learner.sample(learner.rng(step)))] += 1
    assert len(counts) == 6 and sum((n - 100) ** 2 / 100 for n in counts.values()) < 20.5  # p = 0.001


@pytest.mark.parametrize("space", ["macro", "mobile", "recurrent"])
def test_what_is_not_always_there_is_trained_the_least_trained_first(space: str) -> None:
    """Decisions that are always there differ by one at most, whatever the number of their options."""
    learner, bound = learner_of("fairnas", space), space_of(space)
    free = {d.name: d.options for d in bound.all_decisions()}
    trained: dict[str, Counter] = {name: Counter() for name in free}
    for step in range(12):
        paths = learner.sample(learner.rng(step))
        assert len(paths) == learner.width == max(len(d.options) for d in bound.all_decisions())
        for p in paths:
            there = {d.name: d.options for d in bound.decisions(p)}
            free = {name: options for name, options in free.items() if there.get(name) == options}
            for name, option in p.items:
                trained[name][repr(option)] += 1
    assert free
    for name, options in free.items():
        row = [trained[name][repr(o)] for o in options]
        assert max(row) - min(row) <= 1, name
    for d in bound.all_decisions():
        assert learner.counts[d.name] == [trained[d.name][repr(o)] for o in d.options]


def test_counts_survive_a_checkpoint() -> None:
    """They decide which paths come next."""
    trainer = trainer_of("fairnas", "macro")
    trainer.run(quiet, lambda: None)
    about = trainer.learner.about()
    again = learner_of("fairnas", "macro")
    again.restore(trainer.learner.tensors(), about)
    assert again.counts == trainer.learner.counts
    rng = np.random.default_rng
    assert again.sample(rng(1)) == trainer.learner.sample(rng(1))


def test_random_sharing_draws_what_it_scores() -> None:
    """By chance alone, whatever was scored before."""
    strategy = {"name": "random_sharing", **options_of("random_sharing", scores=70)}
    asked = []
    for factor in (1.0, -1.0):
        driver = Driver(config(strategy=strategy, space=CELL, evaluator="trained", budget={"trials": 4}))
        driver.tell(Edit("start"))
        seen = []
        while driver.pieces:
            launch = next(iter(driver.pieces.values()))
            report = driver.piece_report(launch)
            if launch.kind == "score":
                seen.append(launch.payload["architectures"])
                for row in report.rows:
                    if "accuracy" in row:
                        row["accuracy"] = 0.5 + 0.4 * factor * row["accuracy"]
            driver.finish_piece(report)
        asked.append(seen[:2])
    assert [len(part) for part in asked[0]] == [64, 6]
    assert asked[0] == asked[1]
