"""What every predictor of the catalog promises, and what makes each the one it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from engine import catalog
from engine.docs import example_spaces
from engine.encodings import Places
from engine.predictors._scaled import WORST, Scale, parts
from engine.predictors.encoders import Encoder, cells
from tests.engine.driving import conductor_of, config, pairs

#: options that make a fit quick
QUICK = {"ensemble": {"steps": 40}, "sequence": {"steps": 30}, "gnn": {"steps": 60}, "trees": {"steps": 40}}


def space_named(name):
    return conductor_of(config(space={"name": name, **({"cells": 1} if name == "nasbench201" else {})})).context.space


def drawn(space, n, seed=0):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(n)]


def made(predictor, space, **options):
    cls = catalog.get("predictor", predictor)
    return cls(cls.Options(**{**QUICK.get(predictor, {}), **options}), space)


@pytest.mark.parametrize("predictor", pairs("predictor"))
def test_it_learns_how_many_convolutions_there_are(predictor):
    """A plain function of the choices: unseen architectures are ranked, and the same generator predicts the same."""
    space = space_named("nasbench201")

    def loss(a):
        return -sum({"nor_conv_3x3": 2.0, "nor_conv_1x1": 1.0}.get(o, 0.0) for _, o in a.items)

    known, unknown = drawn(space, 80, 1), drawn(space, 80, 2)
    losses = np.array([loss(a) for a in known])
    model = made(predictor, space)
    model.fit(known, losses, np.random.default_rng(0))
    mean, sd = model.predict(unknown)
    assert mean.shape == sd.shape == (80,) and (sd >= 0).all() and sd.max() > 0
    assert spearmanr(mean, [loss(a) for a in unknown])[0] > 0.6
    again = made(predictor, space)
    again.fit(known, losses, np.random.default_rng(0))
    assert all((a == b).all() for a, b in zip(again.predict(unknown), (mean, sd), strict=True))


@pytest.mark.parametrize("predictor", pairs("predictor"))
def test_units_of_the_loss_do_not_matter(predictor):
    """A power of two, so that rounding is no excuse: predictions follow."""
    space = space_named("nasbench201")
    known = drawn(space, 20)
    losses = np.random.default_rng(3).normal(size=20)
    at = []
    for scale in (1.0, 128.0):
        model = made(predictor, space)
        model.fit(known, losses * scale, np.random.default_rng(0))
        mean, sd = model.predict(known)
        at.append((mean / scale, sd / scale))
    assert np.allclose(at[0][0], at[1][0], atol=1e-2) and np.allclose(at[0][1], at[1][1], atol=1e-2)


@pytest.mark.parametrize("predictor", pairs("predictor"))
@pytest.mark.parametrize("space", example_spaces())
def test_every_space_and_few_equal_results(predictor, space):
    """One result, then four of one value: finite predictions near them, in every space."""
    bound = example_spaces()[space]
    known = [a for a in drawn(bound, 12) if buildable(bound, a)][:4]
    for n in (1, len(known)):
        model = made(predictor, bound, **{k: 5 for k in QUICK.get(predictor, {})})
        model.fit(known[:n], np.full(n, 3.0), np.random.default_rng(0))
        mean, sd = model.predict(known)
        assert np.isfinite(mean).all() and np.isfinite(sd).all()
        assert (np.abs(mean - 3.0) < 5).all()


def buildable(space, architecture):
    from engine.errors import CannotBuild

    try:
        space.costs(architecture)
    except CannotBuild:
        return False
    return True


def test_scale_looks_at_the_good_half():
    """A long tail of failures changes neither centre nor spread, and counts as no worse than `WORST`."""
    losses = np.concatenate([np.linspace(-1, 1, 101), [50.0, 1e6]])
    scale = Scale.of(losses)
    assert scale == Scale(float(np.median(losses)), scale.spread) and scale.spread < 1
    assert scale.to(losses).max() == WORST
    mean, sd = scale.back(scale.to(losses[:101]), np.ones(101))
    assert np.allclose(mean, losses[:101]) and np.allclose(sd, scale.spread)
    assert Scale.of(np.full(3, 2.0)) == Scale(2.0, 1.0)


def test_each_member_leaves_out_another_share():
    """Five of ten losses: each sees eight, each loss is left out once; of few losses all are seen."""
    weight = parts(5, 10, np.random.default_rng(0))
    assert weight.shape == (5, 10) and np.allclose(weight.sum(axis=1), 1)
    assert (np.count_nonzero(weight, axis=1) == 8).all() and (np.count_nonzero(weight, axis=0) == 4).all()
    assert (parts(5, 9, np.random.default_rng(0)) == 1 / 9).all()


# -- encodings ----------------------------------------------------------------------------------------
def cell(space, text):
    return space.read(text)


def test_equal_cells_of_a_network_are_one():
    """Fifteen cells of NAS-Bench-201 are one; a space of chains is whole; DARTS has a few kinds."""
    nb = example_spaces()["nasbench201"]
    assert len(cells(nb.plan(drawn(nb, 1)[0]))) == 1
    chain = example_spaces()["mlp"]
    plan = chain.plan(drawn(chain, 1)[0])
    assert cells(plan) == [plan]
    darts = example_spaces()["darts"]
    assert 2 <= len(cells(darts.plan(drawn(darts, 1)[0]))) <= 4


def test_paths_of_a_cell_by_hand():
    """Three ways through a cell, each an operation or two; what leads nowhere is not seen; longer ones are cut off."""
    space = space_named("nasbench201")
    text = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    encoder = Encoder(space, "paths")
    found = {tuple(w.split()[0] for w in k[0]) for k in encoder.read(cell(space, text))}
    # each way ends in the sum of the output node; the sum of one term is handed on
    assert found == {("add",), ("relu_conv2d_norm", "relu_conv2d_norm", "avg_pool2d", "add")}
    assert len(Encoder(space, "paths", longest=1).read(cell(space, text))) == 1
    dead = text.replace("|skip_connect~0|", "|none~0|").replace("avg_pool_3x3~2", "none~2")
    assert found.isdisjoint({k[0] for k in encoder.read(cell(space, dead))})


def test_columns_are_those_of_the_measured_ones():
    """What is constant over them has no column, what is new later has none either; features are standardized."""
    space = space_named("nasbench201")
    known = drawn(space, 30)
    for kind in ("paths", "one_hot", "ordinal", "features"):
        rows = Encoder(space, kind).fit(known).rows(known)
        assert rows.shape[0] == 30 and (rows.std(axis=0) > 0).all()
    numbers = Encoder(space, "features").fit(known)
    assert Encoder(space, "one_hot").fit(known[:1]).rows(known).shape == (30, 0)
    at = [j for k, j in numbers._columns.items() if k == "log10_live_macs"]
    assert np.allclose(numbers.rows(known)[:, at].mean(), 0) and np.allclose(numbers.rows(known)[:, at].std(), 1)


# -- nets -----------------------------------------------------------------------------------------------
def test_members_share_nothing():
    """The ensemble in one go equals its members one by one, in forward and in gradients."""
    import torch

    from engine.predictors.nets.dense import DenseEnsemble

    draw = torch.Generator().manual_seed(0)
    net = DenseEnsemble(3, 4, width=5, depth=2, draw=draw)
    rows = torch.randn(7, 4, generator=draw)
    out = net(rows)
    for m in range(3):
        x = rows
        for layer in net.hidden:
            x = torch.relu(x @ layer.weight[m] + layer.bias[m])
        assert torch.allclose(out[m], (x @ net.last.weight[m] + net.last.bias[m])[:, 0], atol=1e-6)
    out[1].sum().backward()
    grad = net.last.weight.grad
    assert grad[1].abs().sum() > 0 and grad[0].abs().sum() == grad[2].abs().sum() == 0


def test_the_recurrent_net_is_an_lstm_and_ignores_padding():
    """One member equals `torch.nn.LSTM` with the same weights; zeros behind a sequence change nothing."""
    import torch

    from engine.predictors.nets.recurrent import RecurrentEnsemble

    draw = torch.Generator().manual_seed(0)
    net = RecurrentEnsemble(2, 6, embedding=3, hidden=4, draw=draw)
    tokens = torch.tensor([[1, 5, 2], [6, 3, 3]])
    lstm = torch.nn.LSTM(3, 4, batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(net.into.weight[1].T)
        lstm.weight_hh_l0.copy_(net.around.weight[1].T)
        lstm.bias_ih_l0.copy_(net.into.bias[1, 0])
        lstm.bias_hh_l0.copy_(net.around.bias[1, 0])
        state = lstm(net.table[1][tokens])[0][:, -1]
        expected = (state @ net.out.weight[1] + net.out.bias[1])[:, 0]
        assert torch.allclose(net(tokens)[1], expected, atol=1e-6)
        padded = torch.nn.functional.pad(tokens, (0, 2))
        assert torch.equal(net(padded), net(tokens))


def test_a_graph_is_embedded_alike_in_any_company():
    """Side by side with others or alone; the order of a sum's terms does not matter; wiring does."""
    space = space_named("nasbench201")
    model = made("gnn", space)
    known = drawn(space, 12)
    model.fit(known, np.arange(12.0), np.random.default_rng(0))
    together, _ = model.predict(known)
    alone = np.concatenate([model.predict([a])[0] for a in known])
    assert np.allclose(together, alone, atol=1e-4)
    a = cell(space, "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|skip_connect~2|")
    b = cell(space, "|nor_conv_1x1~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|")
    c = cell(space, "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|")
    mean, _ = model.predict([a, b, c])
    assert mean[0] == pytest.approx(mean[1], abs=1e-4) and abs(mean[0] - mean[2]) > 1e-3


def test_spread_of_the_linear_layer_is_that_of_bayes():
    """Against the closed form with known precisions (Bishop 2006, 3.53, 3.54)."""
    model = made("gnn", space_named("nasbench201"))
    rng = np.random.default_rng(0)
    phi = np.column_stack([rng.normal(size=(200, 3)), np.ones(200)])
    weights = np.array([1.0, -2.0, 0.5, 0.3])
    goal = phi @ weights + 0.3 * rng.normal(size=200)
    model._posterior(phi, goal)
    assert np.allclose(model._mean, weights, atol=0.1)
    # beta was found near 1 / 0.3**2, alpha near 4 / |w|**2
    expected = np.linalg.inv(phi.T @ phi / 0.09 + 4 / 5.34 * np.eye(4))
    assert np.allclose(np.sqrt(np.diag(model._covariance)), np.sqrt(np.diag(expected)), rtol=0.15)


def test_tokens_are_what_the_sequence_reads():
    """Shorter sequences are padded behind."""
    space = space_named("layers")
    known = drawn(space, 20)
    read = made("sequence", space)._tokens(known)
    places = Places(space)
    for row, architecture in zip(read, known, strict=True):
        tokens = places.tokens(architecture)
        assert row[: len(tokens)].tolist() == tokens and not row[len(tokens) :].any()
