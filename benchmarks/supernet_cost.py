"""What a supernet's step and a subnet's score cost, beside hand-written loops of the same networks.

    python -m benchmarks supernet_cost                                                      # about three minutes

NAS-Bench-201 with 8 channels and three cells a stage on Fashion-MNIST at 14x14, batches of 64, one thread, float32.
One path: the same sequence of cells, each built as a network of its own beforehand, trained by the plainest loop
(forward, cross-entropy, backward, clipping, `torch.optim.SGD`). All paths: a module that sums the options of every edge
by hand, its weights and architecture parameters trained in turn as in first-order DARTS. Steps alternate, so that a
disturbance of the machine meets both; medians of the ratios. Both pool in the way that is faster on a CPU
(`engine.training.pooling`). A score is timed on the whole validation split with 512 samples for the batch norms, and on
1,000 with 256. On a GPU `--full` takes CIFAR-10 at 32x32, 16 channels,
five cells a stage.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import _small
from benchmarks.derived_cells import FULL
from benchmarks.shared_ranks import DATA, drawn, space_of


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Times all of them and prints the table."""
    parser = argparse.ArgumentParser(prog="benchmarks supernet_cost", description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--full", action="store_true", help="the published size, for a GPU")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.full:
        arrays = _small.images("cifar10", **FULL["data"])
        space = space_of(arrays, FULL["space"])
    else:
        arrays = _small.images(**DATA)
        space = space_of(arrays)
    rows = [one_path(arrays, space, args.steps), all_paths(arrays, space, args.steps)]
    rows += [score(arrays, space, 512, len(arrays.validation)), score(arrays, space, 256, 1000)]
    for row in rows:
        print(json.dumps(row))
    for row in rows:
        print(f"{row['what']:34} {row['ours_ms']:8.1f} ms" + (
            f" {row['hand_ms']:8.1f} ms by hand, ratio {row['ratio']:.3f}" if "ratio" in row else ""))  # fmt: skip
    return rows


def learner_of(arrays: Any, space: Any, method: str) -> tuple[Any, Any]:
    """An untrained learner in float32, and the data."""
    from engine import catalog
    from engine.config import Recipe
    from engine.supernets.nets.learner import Setup
    from engine.training.device import Setting, choose_device
    from engine.training.loop import DeviceData

    cls, device, setting = catalog.get("strategy", method), choose_device(), Setting(layout="channels_last")
    data = DeviceData.of(arrays, Recipe(), setting, device)
    setup = Setup(space=space, options=cls.Options(), device=device, setting=setting, seed=0, epochs=10,
                  samples=len(arrays.train))  # fmt: skip
    return cls.learner(setup), data


def batches(data: Any, steps: int) -> list[tuple[Any, Any]]:
    """Batches of 64, the same for everybody."""
    x = data.augmentation.plain(len(data.train_y))
    order = np.random.default_rng(0).permutation(len(x))
    at = [order[(64 * i) % 4900 : (64 * i) % 4900 + 64] for i in range(2 * steps)]
    return [
        (x[i.to(x.device)].contiguous(memory_format=torch.channels_last), data.train_y[i.to(x.device)])
        for i in map(torch.from_numpy, at)
    ]


def alternate(ours: Callable[[int], Any], hand: Callable[[int], Any], steps: int) -> dict[str, float]:
    """Medians in milliseconds, and of the ratios of neighbouring steps."""
    took: dict[str, list[float]] = {"ours": [], "hand": []}
    for i in range(steps):
        both = [("ours", ours), ("hand", hand)]
        for name, run in both if i % 2 else reversed(both):
            began = time.perf_counter()
            run(i)
            finished()
            took[name].append(1000 * (time.perf_counter() - began))
    a, b = np.array(took["ours"][5:]), np.array(took["hand"][5:])
    return {"ours_ms": float(np.median(a)), "hand_ms": float(np.median(b)), "ratio": float(np.median(a / b))}


def finished() -> None:
    """Waits for a GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def one_path(arrays: Any, space: Any, steps: int) -> dict[str, Any]:
    """SPOS against networks built beforehand."""
    from engine.network.build import build
    from engine.supernets.nets.learner import At
    from engine.training import pooling
    from engine.training.device import choose_device

    learner, data = learner_of(arrays, space, "spos")
    fed = batches(data, steps)
    paths = [learner.space.sample(learner.rng(i)) for i in range(steps)]
    networks = []
    for path in paths:
        network = build(space.plan(path), seed=0).to(choose_device(), memory_format=torch.channels_last)
        pooling.speed_up(network)
        parameters = list(network.parameters())
        networks.append((network, parameters, torch.optim.SGD(parameters, 0.025, 0.9, weight_decay=3e-4)))
        learner.space.planned(path)
    learner.bank.train()

    def hand(i: int) -> None:
        network, parameters, sgd = networks[i]
        x, y = fed[i]
        sgd.zero_grad()
        F.cross_entropy(network(x), y).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        sgd.step()

    found = alternate(lambda i: learner.step(At(0, i, 0.025), fed[i], None), hand, steps)
    return {"what": "step of one path (spos)", **found}


def all_paths(arrays: Any, space: Any, steps: int) -> dict[str, Any]:
    """First-order DARTS against a module that sums by hand."""
    from engine.supernets.nets.learner import At
    from engine.training import pooling

    learner, data = learner_of(arrays, space, "darts")
    fed = batches(data, steps)
    network = ByHand(learner.mixture).to(fed[0][0].device)
    pooling.speed_up(network)
    alphas = [a.detach().clone().requires_grad_() for a in learner.alphas.values()]
    parameters = [p for p in network.parameters() if p.requires_grad]
    sgd = torch.optim.SGD(parameters, 0.025, 0.9, weight_decay=3e-4)
    adam = torch.optim.Adam(alphas, 3e-4, (0.5, 0.999), weight_decay=1e-3)
    learner.bank.train()
    network.train()

    def hand(i: int) -> None:
        x, y = fed[2 * i + 1]
        loss = F.cross_entropy(network(x, alphas), y)
        for a, g in zip(alphas, torch.autograd.grad(loss, alphas), strict=True):
            a.grad = g
        adam.step()
        x, y = fed[2 * i]
        sgd.zero_grad()
        F.cross_entropy(network(x, alphas), y).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        sgd.step()

    found = alternate(lambda i: learner.step(At(0, i, 0.025), fed[2 * i], fed[2 * i + 1]), hand, max(20, steps // 3))
    return {"what": "step of all paths (darts, 1st order)", **found}


class ByHand(torch.nn.Module):
    """NAS-Bench-201's mixture as one would write it: modules in lists, sums in loops."""

    def __init__(self, mixture: Any) -> None:
        super().__init__()
        from engine.network.build import make_block
        from engine.network.plan import Node

        self.parts = mixture.parts
        self.at = {t.name: i for i, t in enumerate(mixture.tables)}
        self.held = torch.nn.ModuleDict()
        for part in mixture.parts:
            if isinstance(part, Node):
                self.held[part.id] = make_block(part)
            else:
                chains = [torch.nn.Sequential(*map(make_block, nodes)) for nodes in part.alternatives.values()]
                self.held[part.id] = torch.nn.ModuleList(chains)
        for m in self.modules():
            if isinstance(m, torch.nn.BatchNorm2d) and m.affine:
                m.weight.requires_grad_(False)
                m.bias.requires_grad_(False)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor, alphas: list[torch.Tensor]) -> torch.Tensor:
        """Logits."""
        from engine.network.plan import Node

        weights = [F.softmax(a, 0) for a in alphas]
        values = {"input": x}
        for part in self.parts:
            if isinstance(part, Node):
                x = self.held[part.id](*[values[i] for i in part.inputs])
            else:
                row, seen = weights[self.at[part.table]], values[part.input]
                x = sum(row[k] * chain(seen) for k, chain in enumerate(self.held[part.id]) if len(chain))  # type: ignore[arg-type]
            values[part.id] = x
        return x


def score(arrays: Any, space: Any, calibration: int, on: int) -> dict[str, Any]:
    """One subnet: batch norms calibrated on so many samples, then so many of the validation split."""
    from engine.supernets.nets.scoring import Judge

    learner, data = learner_of(arrays, space, "spos")
    judge = Judge(learner, data, calibration, on)
    took = []
    for cell in drawn(space, 25):
        began = time.perf_counter()
        judge.score(space.from_digits(cell))
        finished()
        took.append(1000 * (time.perf_counter() - began))
    return {"what": f"score on {on:,}, norms from {calibration}", "ours_ms": float(np.median(took[3:]))}
