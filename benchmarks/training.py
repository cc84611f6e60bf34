"""Training speed: this project's loop beside two usual ways to write it. One run, same network, batch and epochs.

    python -m benchmarks training            # about four minutes on two cores

Three trainings of one small convolutional network on Fashion-MNIST, each on one thread:

ours        `engine.training`: data resident and normalized, augmentation per sample on whole batches, flat AdamW,
            moving average of the weights, precision and layout by the five-step probe.
plain       a hand-written float32 loop over tensors in memory, augmentation on whole batches, `torch.optim.AdamW`.
usual       `DataLoader` over torchvision's `FashionMNIST` with per-sample PIL transforms, for every number of workers.

Every seed trains all of them in turn, so that a disturbance of the machine meets all alike. Samples per second count
training steps with everything they need (loading, augmentation, optimizer), not validation. The second figure, samples
per second of processor time (of the workers too), is the one to read on a machine that others use as well. Accuracy is
that of the same 10,000 validation samples.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from engine.config import Recipe
from engine.data import registry
from engine.data.arrays import Arrays, Split, normalize
from engine.training.device import Setting, device_model, repeatable
from engine.training.loop import DeviceData, Trainer
from engine.training.probe import probe

CPU = torch.device("cpu")


class Row(NamedTuple):
    """One training: samples per second of wall and of processor time, validation accuracy (a share of 1)."""

    wall: float
    cpu: float
    accuracy: float


def network() -> nn.Module:
    """A small CNN: four 3x3 convolutions with batch norm, two poolings, a dense layer; 28x28 grey to 10 classes."""

    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]

    return nn.Sequential(
        *block(1, 16),
        *block(16, 16),
        nn.MaxPool2d(2),
        *block(16, 32),
        *block(32, 32),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )


def seeded(seed: int) -> nn.Module:
    """The network with the weights of a seed."""
    torch.manual_seed(seed)
    return network()


class Clock:
    """Wall and processor time (children that ended included) since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), self._cpu()

    @staticmethod
    def _cpu() -> float:
        return sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )

    def speeds(self, samples: int) -> tuple[float, float]:
        """Samples per second of wall time and of processor time."""
        return samples / (time.perf_counter() - self.wall), samples / (self._cpu() - self.cpu)


def accuracy(model: nn.Module, arrays: Arrays) -> float:
    """Share of the validation split that is right, in float32."""
    model.eval()
    x, y = torch.from_numpy(normalize(arrays.validation.x, arrays.spec)), torch.from_numpy(arrays.validation.y)
    with torch.inference_mode():
        right = sum(int((model(x[i : i + 256]).argmax(1) == y[i : i + 256]).sum()) for i in range(0, len(y), 256))
    return right / len(y)


def ours(arrays: Arrays, recipe: Recipe, setting: Setting, epochs: int, seed: int) -> Row:
    """This project's loop."""
    with repeatable(CPU, 1):
        data = DeviceData.of(arrays, recipe, setting, CPU)
        trainer = Timed(seeded(seed), data, recipe=recipe, setting=setting, device=CPU, epochs=epochs, seed=seed)
        clock = Clock()
        scores = trainer.run(epochs, lambda event: None, lambda: None)
        clock.wall += trainer.evaluation.wall
        clock.cpu += trainer.evaluation.cpu
        return Row(*clock.speeds(epochs * len(arrays.train)), scores.accuracy)


class Timed(Trainer):
    """Counts what validation takes, which the other two do only once, after their clock."""

    evaluation = SimpleNamespace(wall=0.0, cpu=0.0)

    def evaluate(self) -> Any:
        """Validates."""
        clock = Clock()
        out = super().evaluate()
        spent = self.evaluation
        self.evaluation = SimpleNamespace(
            wall=spent.wall + time.perf_counter() - clock.wall, cpu=spent.cpu + clock._cpu() - clock.cpu
        )
        return out


def optimizer_and_schedule(model: nn.Module, recipe: Recipe, steps: int) -> Any:
    """AdamW without decay on vectors, cosine with warm-up, as one writes them by hand."""
    decay = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
    )
    warm = round(recipe.warmup * steps)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return float(0.5 * (1 + np.cos(np.pi * (step - warm) / max(1, steps - warm))))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def train_batch(model: nn.Module, x: Any, y: Any, optimizer: Any, scheduler: Any, recipe: Recipe) -> None:
    """One step as everyone writes it."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y, label_smoothing=recipe.label_smoothing)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    optimizer.step()
    scheduler.step()


def plain(arrays: Arrays, recipe: Recipe, epochs: int, seed: int) -> Row:
    """Hand-written float32 loop, data in memory."""
    model = seeded(seed)
    x, y = torch.from_numpy(normalize(arrays.train.x, arrays.spec)), torch.from_numpy(arrays.train.y)
    pad, size = recipe.shift, recipe.batch_size
    blank = float(-arrays.spec.mean[0] / arrays.spec.std[0])
    optimizer, scheduler = optimizer_and_schedule(model, recipe, epochs * -(-len(y) // size))
    clock = Clock()
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(y))
        for i in range(0, len(y), size):
            rows = order[i : i + size]
            part = F.pad(x[rows], (pad,) * 4, value=blank).unfold(2, 28, 1).unfold(3, 28, 1)
            dy, dx = torch.randint(2 * pad + 1, (2, len(rows)))
            part = part[torch.arange(len(rows)), :, dy, dx]
            train_batch(model, part, y[rows], optimizer, scheduler, recipe)
    return Row(*clock.speeds(epochs * len(y)), accuracy(model, arrays))


class Pictures(Dataset[Any]):
    """What torchvision's `FashionMNIST` does per sample: array to PIL image, transforms, tensor."""

    def __init__(self, split: Split, transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.data, self.targets = torch.from_numpy(split.x[:, 0].copy()), torch.from_numpy(split.y)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.data[index].numpy(), mode=None)
        return self.transform(image), int(self.targets[index])


def usual(arrays: Arrays, recipe: Recipe, epochs: int, seed: int, workers: int) -> Row:
    """`DataLoader` and per-sample transforms."""
    model = seeded(seed)
    transform = transforms.Compose(
        [
            transforms.RandomCrop(28, padding=recipe.shift),
            transforms.ToTensor(),
            transforms.Normalize(arrays.spec.mean, arrays.spec.std),
        ]
    )
    loader = DataLoader(
        Pictures(arrays.train, transform), recipe.batch_size, shuffle=True, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip
    optimizer, scheduler = optimizer_and_schedule(model, recipe, epochs * len(loader))
    clock = Clock()
    for _ in range(epochs):
        model.train()
        for x, y in loader:
            train_batch(model, x, y, optimizer, scheduler, recipe)
    loader._iterator = None  # ends the workers, so that their time is counted
    return Row(*clock.speeds(epochs * len(arrays.train)), accuracy(model, arrays))


def summary(rows: list[Row]) -> dict[str, float]:
    """Median speeds, mean accuracy and its standard error."""
    accuracies = [row.accuracy for row in rows]
    return {
        "samples_per_s": statistics.median(row.wall for row in rows),
        "samples_per_cpu_s": statistics.median(row.cpu for row in rows),
        "accuracy": statistics.mean(accuracies),
        "standard_error": statistics.stdev(accuracies) / len(accuracies) ** 0.5 if len(rows) > 1 else 0.0,
    }


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs it, prints a table and returns its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=5_000, help="training samples, of 50,000")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=256)
    args = parser.parse_args(argv)
    arrays = registry.load("fashion_mnist", {"train": args.samples})
    recipe = Recipe(batch_size=args.batch, ema=0.9)
    results: dict[str, list[Row]] = {}
    torch.set_num_threads(1)
    probed = probe(network, arrays, recipe, CPU)
    ways: dict[str, Callable[[int], Row]] = {
        "ours": lambda s: ours(arrays, recipe, probed.setting, args.epochs, s),
        "plain": lambda s: plain(arrays, recipe, args.epochs, s),
        "usual, 0 workers": lambda s: usual(arrays, recipe, args.epochs, s, 0),
        "usual, 2 workers": lambda s: usual(arrays, recipe, args.epochs, s, 2),
    }
    for seed in range(args.seeds):
        for name, run in ways.items():
            results.setdefault(name, []).append(run(seed))
    table = {name: summary(rows) for name, rows in results.items()}
    mine = table["ours"]
    lines = [
        "| | samples/s | ours is | samples/CPU s | ours is | validation accuracy | apart by |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in table.items():
        row["speedup"] = mine["samples_per_s"] / row["samples_per_s"]
        row["cpu_speedup"] = mine["samples_per_cpu_s"] / row["samples_per_cpu_s"]
        error = (mine["standard_error"] ** 2 + row["standard_error"] ** 2) ** 0.5
        row["apart"] = (mine["accuracy"] - row["accuracy"]) / error if error else 0.0
        lines.append(
            f"| {name} | {row['samples_per_s']:,.0f} | {row['speedup']:.2f}x | {row['samples_per_cpu_s']:,.0f} | "
            f"{row['cpu_speedup']:.2f}x | {row['accuracy']:.4f} ± {row['standard_error']:.4f} | "
            f"{row['apart']:+.1f} standard errors |"
        )
    print("\n".join([f"{device_model(CPU)}; probe: {probed.message}", "", *lines]))
    return [{"way": name, "machine": device_model(CPU), **row} for name, row in table.items()]
