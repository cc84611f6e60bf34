"""DARTS-PT: what is decided, when, and by which measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.supernets._selections import selections
from engine.supernets.nets.perturbation import PerturbationLearner, removed
from tests.engine.supernets.mixtures import AT, batch, tiny_learner
from tests.engine.supernets.small import assert_same, everything, interrupted, never, quiet, space_of, trainer_of


def learner_of(**options: Any) -> PerturbationLearner:
    learner = tiny_learner("darts_pt", **options)
    assert isinstance(learner, PerturbationLearner)
    learner.held_out = lambda samples: [batch(7, 32)]
    return learner


def test_it_takes_the_operation_whose_removal_costs_most() -> None:
    """By brute force over the options of each edge, the decided edges as they are."""
    learner = learner_of(tune=0)
    for selection in learner.pending():
        gates = learner.gates(AT)
        table = learner.mixture.by_name[selection.name]
        positions, weights = gates[table.name]
        assert weights is not None
        accuracies = []
        for k in range(len(table.options)):
            masked = weights.detach().clone()
            masked[k] = 0
            accuracies.append(learner.accuracy({**gates, table.name: (positions, masked)}))
        learner.decide(selection, 0)
        assert accuracies[table.options.index(learner.decided[table.name])] == min(accuracies)
        assert learner.gates(AT)[table.name] == ((table.options.index(learner.decided[table.name]),), None)
    assert not learner.pending()
    assert learner.genotype().choices == learner.decided


def test_it_is_not_the_size_of_the_weights_that_decides() -> None:
    """An operation that gives nothing is never what the supernet needs, however large its alpha is."""
    learner = learner_of()
    with torch.no_grad():
        for a in learner.alphas.values():
            a[0] = 0.5  # none leads
    assert set(learner.genotype().choices.values()) == {"none"}
    learner.accuracy = lambda gates: 0.5 if 2 in gates["edge0_1"][0] else 0.1  # type: ignore[method-assign]
    first = next(s for s in learner.pending() if s.name == "edge0_1")
    learner.decide(first, 0)
    assert learner.decided == {"edge0_1": "nor_conv_1x1"}


def test_masking_leaves_the_other_weights() -> None:
    table = learner_of().mixture.tables[0]
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4])
    positions, left = removed(table, (range(4), weights), table.options[1])
    assert list(positions) == [0, 2, 3] and left is not None and left.tolist() == pytest.approx([0.1, 0.3, 0.4])


def test_one_decision_every_few_epochs_then_all_that_is_left() -> None:
    learner = learner_of(epochs=3, tune=2)
    object.__setattr__(learner.setup, "epochs", 3 + 2 * 5)
    made = []
    for epoch in range(13):
        learner.end_epoch(epoch)
        made.append(len(learner.decided))
    assert made == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]
    assert learner.frozen(13) and not learner_of().frozen(0)
    rates = [learner.rate(step, 13 * 10) for step in range(130)]
    assert rates[0] == 0.025 and rates[29] < 0.003 and set(rates[30:]) == {0.0025}


def test_edges_compete_where_a_cell_keeps_two() -> None:
    space = space_of("darts")
    mixture = space.mixture(norm_pools=True)
    found = selections(space, mixture, np.random.default_rng(0))
    tables = [s for s in found if not s.among]
    assert {s.name for s in tables} == {t.name for t in mixture.tables}
    larger = space.skeleton(steps=(3,))
    competing = [s for s in selections(larger, larger.mixture(norm_pools=True), np.random.default_rng(0)) if s.among]
    assert competing and all(s.keeps == 2 and len(s.among) > 2 for s in competing)
    assert all("none" not in s.options for s in selections(larger, larger.mixture(), np.random.default_rng(0)))


def test_dropped_edges_are_no_part_of_the_genotype() -> None:
    space = space_of("darts").skeleton(steps=(3,), layers=3)
    learner = tiny_learner("darts_pt", space=space)
    assert isinstance(learner, PerturbationLearner)
    importance = dict(zip(learner.alphas, np.random.default_rng(1).permutation(len(learner.alphas)), strict=True))

    def accuracy(gates: Any) -> float:
        return float(sum(v for t, v in importance.items() if len(gates[t][0]))) / 1e3

    learner.accuracy = accuracy  # type: ignore[method-assign]
    while pending := learner.pending():
        learner.decide(pending[0], 0)
    groups: dict[str, list[str]] = {}
    for t in learner.mixture.tables:
        groups.setdefault(t.group, []).append(t.name)
    kept = set(space.chosen(learner.genotype()))
    assert kept == {t for g in groups.values() for t in sorted(g, key=lambda t: -importance[t])[:2]}
    assert set(learner.dropped) == set(importance) - kept


def test_selection_resumes_bit_for_bit(tmp_path: Path) -> None:
    """Interrupted after every step, between decisions, too."""

    def fresh() -> Any:
        trainer = trainer_of("darts_pt", "cell", epochs=1, tune=1)
        object.__setattr__(trainer.learner.setup, "epochs", 6)
        return trainer

    whole = fresh()
    whole.run(quiet, never)
    assert len(whole.learner.decided) == 6 and whole.progress.rows[-1]["note"]
    trainer, turns = interrupted(fresh, tmp_path / "s.safetensors")
    assert turns
    assert_same(everything(trainer), everything(whole))
