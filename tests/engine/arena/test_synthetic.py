"""Synthetic problems are what their descriptions say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from engine.arena import synthetic
from engine.errors import DataError

CELLS = [name for name, scape in synthetic.LANDSCAPES.items() if scape.space == "cell"]


@pytest.mark.parametrize("name", CELLS)
def test_equal_networks_are_equally_accurate_and_the_optimum_is_known(name):
    p = synthetic.problem(name)
    values = p.reports[:, 0]
    for k in range(0, 500, 7):
        assert np.ptp(values[p.classes == p.classes[k]]) == 0
    assert 94 < values.max() < 95 and values.min() > 80
    assert len(set(p.classes[p.view(0).optima])) == 1
    assert (p.view(0).reports[p.view(0).optima] == values.max()).all()


def test_size_explains_what_it_is_said_to():
    def rho(name):
        p = synthetic.problem(name)
        return spearmanr(p.reports[p.simplest, 0], p.live_macs[p.simplest])[0]

    assert rho("cell-size") > 0.7 and abs(rho("cell-sizeless")) < 0.1


def test_noise_is_drawn_once_per_row_and_run():
    p = synthetic.problem("cell-noisy")
    noise = p.view(1).rewards - p.reports[:, 0]
    assert noise.std() == pytest.approx(1.0, abs=0.03) and p.view(1).rewards is p.view(1).rewards
    assert np.corrcoef(noise, p.view(2).rewards - p.reports[:, 0])[0, 1] == pytest.approx(0, abs=0.03)


def test_interactions_are_no_sum_of_single_effects():
    """A linear model on live operations explains the additive problem and not the one with interactions."""

    def explained(name):
        p = synthetic.problem(name)
        rows = np.flatnonzero(p.simplest)
        live = [{f"{n} {v}" for n, v in p.space.features(p.architectures[i]).items()} for i in rows]
        words = sorted({w for ws in live for w in ws if w.startswith("edge")})
        x = np.array([[w in ws for w in words] + [True] for ws in live], dtype=float)
        z = -np.log(np.expm1((95 - p.reports[rows, 0]) / 1.5))  # the formula of the module, turned around
        left = z - x @ np.linalg.lstsq(x, z, rcond=None)[0]
        return 1 - left.var() / z.var()

    assert explained("cell-additive") > 0.999 > 0.8 > explained("cell-pairs")


def test_limits_are_on_exact_costs_and_unknown_names_are_refused():
    p = synthetic.problem("cell-size", "n_params<=p50")
    assert 0.45 < p.feasible.mean() < 0.6 and list(p.limits) == ["n_params"]
    with pytest.raises(DataError, match="a limit is on one of"):
        synthetic.problem("cell-size", "flops<=p50")
    with pytest.raises(DataError, match="no synthetic problem is called 'x'"):
        synthetic.problem("x")
