"""The parts of the loop, each against a plain computation of the same thing."""

import copy
import math
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.config import Recipe
from engine.data import registry
from engine.training.augment import Augmentation, draw
from engine.training.device import Setting, choose_device
from engine.training.ema import MovingAverage
from engine.training.flat import FlatParameters
from engine.training.inference import reference_logits, reference_scores, scores
from engine.training.memory import PeakMemory
from engine.training.optim import Optimizer, learning_rate
from engine.training.probe import Probe, candidates, probe, settle
from engine.training.seeds import stream
from tests.engine.training.networks import Small

CPU = torch.device("cpu")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_flat_adamw_with_clipping_equals_torch_s_own_over_single_tensors(layout: torch.memory_format) -> None:
    recipe = Recipe(clip=0.5, weight_decay=0.3, learning_rate=0.01)
    torch.manual_seed(0)
    ours = Small(8).to(memory_format=layout)
    plain = copy.deepcopy(ours)
    optimizer = Optimizer(flat := FlatParameters(ours), recipe)
    no_decay = [plain.norm.weight, plain.norm.bias, plain.deep.bias, plain.head.bias]
    others = [plain.conv.weight, plain.deep.weight, plain.head.weight]
    reference = torch.optim.AdamW(
        [{"params": others, "weight_decay": 0.3}, {"params": no_decay, "weight_decay": 0.0}], lr=0.01
    )
    x, y = torch.randn(16, 1, 8, 8), torch.arange(16) % 10
    for step in range(5):
        for group in reference.param_groups:
            group["lr"] = 0.01 / (step + 1)
        flat.zero_gradients()
        reference.zero_grad()
        for network in (ours, plain):
            torch.manual_seed(step)  # dropout
            nn.functional.cross_entropy(network(x), y).backward()
        norm = torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        assert norm > 0.5
        optimizer.step(0.01 / (step + 1))
        reference.step()
    for (name, a), b in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


def test_flat_parameters_keep_layout_values_and_tied_tensors() -> None:
    torch.manual_seed(0)
    network = Small(8).to(memory_format=torch.channels_last)
    network.conv.weight = nn.Parameter(torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last))
    tied = nn.Linear(network.head.in_features, 10)
    tied.weight = network.head.weight
    network.add_module("tied", tied)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    flat = FlatParameters(network)
    assert network.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert not network.conv.weight.is_contiguous()
    assert network.tied.weight is network.head.weight
    assert sum(v.numel() for v in flat.values) == sum(p.numel() for p in network.parameters())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    with torch.no_grad():
        for value in flat.values:
            value.zero_()
    assert all(not p.any() for p in network.parameters())


def test_the_moving_average_follows_its_formula_for_weights_and_running_statistics() -> None:
    torch.manual_seed(0)
    network = Small(4)
    flat = FlatParameters(network)
    average = MovingAverage(network, flat, 0.9)
    weight, mean = network.head.weight.detach().clone(), network.norm.running_mean.clone()
    for step in range(1, 201):
        with torch.no_grad():
            for value in flat.values:
                value.add_(0.01)
            network.norm.running_mean.add_(0.5)
            network.norm.num_batches_tracked.add_(1)
        average.update(step)
        keep = min(0.9, (1 + step) / (10 + step))
        weight = keep * weight + (1 - keep) * network.head.weight.detach()
        mean = keep * mean + (1 - keep) * network.norm.running_mean
    torch.testing.assert_close(average.module.head.weight, weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(average.module.norm.running_mean, mean, rtol=1e-4, atol=1e-4)
    assert average.module.norm.num_batches_tracked == 200
    assert not average.module.training
    assert not any(p.requires_grad for p in average.module.parameters())


def test_the_learning_rate_warms_up_linearly_and_ends_at_zero() -> None:
    recipe = Recipe(learning_rate=0.4, warmup=0.1)
    rates = [learning_rate(i, 1000, recipe) for i in range(1000)]
    assert rates[0] == pytest.approx(0.004)
    assert rates[99] == rates[100] == pytest.approx(0.4)
    assert rates[550] == pytest.approx(0.2)
    assert 0 < rates[-1] < 1e-5
    assert all(a >= b for a, b in zip(rates[100:], rates[101:], strict=False))
    assert learning_rate(0, 10, Recipe(learning_rate=0.4, warmup=0)) == 0.4


def images(n: int = 40) -> torch.Tensor:
    return torch.randn(n, 2, 6, 7, generator=torch.Generator().manual_seed(0))


def test_shift_flip_and_cutout_are_drawn_per_sample_and_applied_as_drawn() -> None:
    x, blank = images(), torch.tensor([-1.0, 2.0])
    recipe = Recipe(shift=2, flip=True, cutout=3)
    augmentation = Augmentation(x, recipe, blank, torch.channels_last)
    draws = draw(40, (2, 6, 7), recipe, 7, CPU)
    got = augmentation.batch(draws, 5, 35)
    assert got.is_contiguous(memory_format=torch.channels_last)
    for i in range(5, 35):
        dy, dx = int(draws.dy[i]), int(draws.dx[i])
        padded = blank.view(2, 1, 1).expand(2, 10, 11).clone()
        padded[:, 2:8, 2:9] = x[draws.order[i]]
        expected = padded[:, dy : dy + 6, dx : dx + 7]
        if draws.mirrored[i]:
            expected = expected.flip(2)
        expected = expected.clone()
        cy, cx = int(draws.cy[i]), int(draws.cx[i])
        expected[:, max(0, cy - 1) : cy + 2, max(0, cx - 1) : cx + 2] = blank.view(2, 1, 1)
        assert torch.equal(got[i - 5], expected)
    for drawn, choices in ((draws.dy, 5), (draws.dx, 5), (draws.mirrored, 2), (draws.cy, 6), (draws.cx, 7)):
        assert len(drawn.unique()) == choices
    assert torch.equal(draws.order.sort().values, torch.arange(40))


def test_draws_depend_on_the_seed_alone_and_off_means_untouched() -> None:
    off = Recipe(shift=0, flip=False, cutout=0)
    a, b, c = (draw(40, (2, 6, 7), off, seed, CPU) for seed in (1, 1, 2))
    assert torch.equal(a.order, b.order)
    assert not torch.equal(a.order, c.order)
    x = images()
    plain = Augmentation(x, off, torch.zeros(2), torch.contiguous_format)
    assert torch.equal(plain.batch(a, 0, 40), x[a.order])
    table = torch.randn(40, 3)
    rows = Augmentation(table, Recipe(), torch.zeros(3), torch.channels_last)
    assert torch.equal(rows.batch(draw(40, (3,), Recipe(), 1, CPU), 3, 9), table[a.order][3:9])


def test_streams_of_different_purposes_epochs_seeds_and_replicates_differ() -> None:
    keys = [(0, 0, "weights"), (0, 0, "dropout"), (0, 1, "weights"), (1, 0, "weights")]
    seeds = [stream(*key) for key in keys] + [stream(0, 0, "epoch", e) for e in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert stream(0, 0, "weights") == seeds[0]


def test_scores_in_batches_equal_scores_at_once() -> None:
    torch.manual_seed(0)
    network = Small(4).eval()
    x, y = torch.randn(700, 1, 8, 8), torch.randint(10, (700,))
    got = scores(network, x, y, Setting())
    with torch.no_grad():
        out = network(x)
    assert got.accuracy == pytest.approx(float((out.argmax(1) == y).float().mean()))
    assert got.loss == pytest.approx(float(nn.functional.cross_entropy(out, y)), rel=1e-5)
    assert np.array_equal(np.unpackbits(np.frombuffer(got.bits, np.uint8), count=700).astype(bool), got.correct)
    reference = reference_scores(reference_logits(network, x.numpy()), y.numpy())
    assert reference.accuracy == got.accuracy
    assert reference.loss == pytest.approx(got.loss, rel=1e-5)


def test_the_reference_does_not_depend_on_the_caller_s_thread_count() -> None:
    torch.manual_seed(0)
    network, x = Small(16), np.random.default_rng(0).normal(size=(300, 1, 8, 8)).astype(np.float32)
    before = torch.get_num_threads()
    outs = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            outs.append(reference_logits(network, x))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*outs)


def test_peak_memory_sees_what_is_freed_again() -> None:
    memory = PeakMemory(CPU)
    before = memory.peak()
    block = torch.ones(50 * 2**20 // 4)
    del block
    assert 40 * 2**20 < memory.peak() - before < 500 * 2**20


def test_peak_memory_forgets_an_earlier_peak() -> None:
    first = PeakMemory(CPU)
    block = torch.ones(200 * 2**20 // 4)
    del block
    high = first.peak()
    assert PeakMemory(CPU).peak() < high - 100 * 2**20


def test_the_probe_never_chooses_a_slower_setting_and_measures_each() -> None:
    arrays, recipe = registry.load("digits"), Recipe()
    made = probe(lambda: Small(8), arrays, recipe, CPU)
    assert list(made.step_s) == [f"{p} {la}" for p in ("float32", "bfloat16") for la in ("contiguous", "channels_last")]
    assert all(0 < s < 5 for s in made.step_s.values())
    assert made.step_s[f"{made.setting.precision} {made.setting.layout}"] <= made.step_s["float32 contiguous"]
    assert "chosen" in made.message


def test_the_probe_leaves_bfloat16_alone_where_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without bfloat16 arithmetic, played by a network that waits under autocast."""

    class Slow(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.is_autocast_enabled("cpu"):
                until = time.thread_time() + 0.05
                while time.thread_time() < until:
                    pass
            return super().forward(x)

    made = probe(lambda: Slow(4), registry.load("digits"), Recipe(), CPU)
    assert made.setting.precision == "float32"
    assert made.step_s["bfloat16 contiguous"] > 0.05


def test_a_fixed_precision_is_kept_and_tables_have_one_layout() -> None:
    assert {s.precision for s in candidates(Recipe(precision="bfloat16"), (1, 8, 8))} == {"bfloat16"}
    assert [s.layout for s in candidates(Recipe(precision="float32"), (14,))] == ["contiguous"]
    assert {s.threads for s in candidates(Recipe(threads=3), (1, 8, 8))} == {3}


def test_a_search_settles_once_per_device_model(tmp_path: Path) -> None:
    calls = []

    def choose() -> Probe:
        calls.append(1)
        return Probe(Setting(precision="bfloat16"), {"bfloat16 contiguous": 1.0})

    first, made = settle(tmp_path / "settings", CPU, choose)
    second, nothing = settle(tmp_path / "settings", CPU, choose)
    assert first == second == Setting(precision="bfloat16")
    assert (made is None, nothing is None, len(calls)) == (False, True, 1)


def test_losses_that_are_not_numbers_have_no_place_in_a_checkpoint(tmp_path: Path) -> None:
    from engine.training import checkpoint

    with pytest.raises(ValueError, match="[Oo]ut of range"):
        checkpoint.save(tmp_path / "c", {"a": torch.ones(1)}, {"loss": math.nan})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_is_chosen_where_there_is_one() -> None:
    assert choose_device().type == "cuda"
