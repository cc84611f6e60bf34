"""The training loop: data on the device, one process, one trial."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.config import Recipe
from engine.data.arrays import Arrays, normalize
from engine.errors import EngineError, Interrupted
from engine.network.plan import AUXILIARY_WEIGHT
from engine.training import checkpoint, depthwise, pooling
from engine.training.augment import Augmentation, draw
from engine.training.device import Setting
from engine.training.ema import MovingAverage, named_tensors
from engine.training.flat import FlatParameters
from engine.training.inference import Scores, autocast, scores
from engine.training.optim import Optimizer, learning_rate
from engine.training.seeds import stream

Emit = Callable[[dict[str, Any]], None]
ShouldStop = Callable[[], str | None]

#: seconds between two batch events, and between two looks at the losses
REPORT_S = 0.25
CHECKPOINT_S = 30.0
#: kinds of data whose samples may be rounded to bfloat16; word numbers and codes may not: 257 is 256 there
REAL_VALUED = ("image", "signal")
#: values augmented at once: several small batches share the calls, a large one stays in the cache
CHUNK_VALUES = 1 << 18


class NotFinite(EngineError):
    """A loss became NaN or infinite; the message says where."""


@dataclass(frozen=True)
class DeviceData:
    """Both splits on the device, normalized, in the type and layout of a setting."""

    augmentation: Augmentation
    train_y: Tensor
    validation_x: Tensor
    validation_y: Tensor
    shape: tuple[int, ...]

    @classmethod
    def of(cls, arrays: Arrays, recipe: Recipe, setting: Setting, device: torch.device) -> DeviceData:
        """Puts the data there, once per setting."""

        def put(x: Any) -> Tensor:
            out = torch.from_numpy(normalize(x, arrays.spec)).to(device)
            if arrays.spec.kind in REAL_VALUED:
                out = out.to(setting.dtype)
            return out.contiguous(memory_format=setting.memory_format) if out.ndim == 4 else out

        spec = arrays.spec
        blank = torch.tensor([-m / s for m, s in zip(spec.mean, spec.std, strict=True)], device=device)
        train_x = put(arrays.train.x)
        return cls(
            Augmentation(train_x, recipe, blank, setting.memory_format),
            torch.from_numpy(arrays.train.y).to(device),
            put(arrays.validation.x),
            torch.from_numpy(arrays.validation.y).to(device),
            tuple(train_x.shape[1:]),
        )


@dataclass
class Progress:
    """How far a training is. JSON-able but for the losses.

    Attributes:
        epoch: epochs completed.
        batch: batches done of the epoch after those.
        rung_start: completed epochs when the current piece of work began.
        target: epochs the current piece of work trains to.
        curve: rows of the current piece of work.
        seconds: spent on the current piece of work, interruptions not counted.
        beginning: what is to be remembered of the weights it began with; {} = random ones.
    """

    epoch: int = 0
    batch: int = 0
    rung_start: int = 0
    target: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    beginning: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """Trains one network; resumed from a checkpoint, inside an epoch or not, it goes on bit for bit.

    Args:
        module: freshly initialized, on the CPU.
        data: on the device, for the setting.
        recipe, setting, device: how.
        epochs: the horizon of the learning rate (the maximum fidelity).
        seed, replicate: of everything drawn after the initial weights.
        identity: what a checkpoint must agree with to be resumed here.
    """

    def __init__(
        self,
        module: nn.Module,
        data: DeviceData,
        *,
        recipe: Recipe,
        setting: Setting,
        device: torch.device,
        epochs: int,
        seed: int,
        replicate: int = 0,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        self.recipe, self.setting, self.device, self.data = recipe, setting, device, data
        self.seed, self.replicate, self.identity = seed, replicate, dict(identity or {})
        self.module = module.to(device).to(memory_format=setting.memory_format)
        self.flat = FlatParameters(self.module)
        self.average = MovingAverage(self.module, self.flat, recipe.ema) if recipe.ema > 0 else None
        self.optimizer = Optimizer(self.flat, recipe)
        if device.type == "cpu":
            depthwise.speed_up(self.module)  # after the average was copied from it
            pooling.speed_up(self.module)
            if self.average is not None:
                pooling.speed_up(self.average.module)
        n, size = len(data.train_y), recipe.batch_size
        # a last batch of one sample has no variance for a batch norm: it is left out of this epoch
        self.bounds = [(i, min(i + size, n)) for i in range(0, n, size) if n - i > 1 or n == 1]
        per_sample = max(1, math.prod(data.shape))
        self.chunk = max(1, CHUNK_VALUES // (per_sample * size))  # batches augmented at once
        self.steps = epochs * len(self.bounds)
        self.losses = torch.zeros(len(self.bounds), device=device)
        self.progress = Progress()
        torch.manual_seed(stream(seed, replicate, "dropout"))  # of every device

    # -- training -----------------------------------------------------------------------------
    def run(self, target: int, emit: Emit, should_stop: ShouldStop, path: Path | None = None) -> Scores:
        """Trains until `target` epochs are complete and returns the validation scores then.

        Args:
            target: completed epochs to reach.
            emit: told epochs, batches (a few a second) and checkpoints.
            should_stop: asked before every batch.
            path: where checkpoints go: at the end, when interrupted, and every `CHECKPOINT_S`; None = nowhere.

        Raises:
            NotFinite: the loss is NaN or infinite.
            Interrupted: `should_stop` gave a reason; the checkpoint is written.
            OSError: the checkpoint cannot be written.
        """
        p = self.progress
        if p.target != target:
            p.rung_start, p.target, p.curve, p.seconds = p.epoch, target, [], 0.0
        self._begun, self._saved = time.perf_counter() - p.seconds, time.perf_counter()
        result: Scores | None = None
        while p.epoch < target:
            rate, speed = self._epoch(target, emit, should_stop, path)
            result = self.evaluate()
            if not math.isfinite(result.loss):
                raise NotFinite(f"validation loss is {_word(result.loss)} after epoch {p.epoch + 1}")
            row = {
                "epoch": p.epoch + 1,
                "accuracy": result.accuracy,
                "loss": result.loss,
                "train_loss": float(self.losses.mean()),
                "learning_rate": rate,
                "samples_per_s": speed,
            }
            p.epoch, p.batch = p.epoch + 1, 0
            p.curve.append(row)
            emit({"kind": "epoch", "epochs": target, **row})
        if result is None:  # the checkpoint was written after the last epoch, the report was lost
            result = self.evaluate()
        elif path is not None:
            self._save(path, emit)
        p.seconds = time.perf_counter() - self._begun
        return result

    def _epoch(self, target: int, emit: Emit, should_stop: ShouldStop, path: Path | None) -> tuple[float, float]:
        """The rest of the current epoch; returns (last learning rate, samples per second)."""
        p, recipe, data = self.progress, self.recipe, self.data
        draws = draw(
            len(data.train_y), data.shape, recipe, stream(self.seed, self.replicate, "epoch", p.epoch), self.device
        )
        labels = data.train_y[draws.order]
        self.module.train()
        first, count = p.batch, len(self.bounds)
        if first == 0:
            self.losses.zero_()
        chunk: Tensor | None = None
        chunk_start = chunk_stop = 0
        begun = reported = time.perf_counter()
        done = at_report = checked = 0
        for batch in range(first, count):
            reason = should_stop()
            if reason is not None:
                self._look(checked, batch)
                self._stop(reason, emit, path)
            start, stop = self.bounds[batch]
            if chunk is None or start >= chunk_stop:
                chunk_start, chunk_stop = start, self.bounds[min(batch + self.chunk, count) - 1][1]
                chunk = data.augmentation.batch(draws, chunk_start, chunk_stop)
            step = p.epoch * count + batch
            rate = learning_rate(step, self.steps, recipe)
            self.losses[batch] = self.step(chunk[start - chunk_start : stop - chunk_start], labels[start:stop], rate)
            if self.average is not None:
                self.average.update(step + 1)
            p.batch = batch + 1
            done += stop - start
            now = time.perf_counter()
            if now - reported >= REPORT_S:
                self._look(checked, batch + 1)
                checked = batch + 1
                now = time.perf_counter()
                speed = (done - at_report) / (now - reported)
                emit(
                    {
                        "kind": "batch",
                        "epoch": p.epoch + 1,
                        "epochs": target,
                        "batch": batch + 1,
                        "batches": count,
                        "samples_per_s": speed,
                    }
                )
                reported, at_report = now, done
                if path is not None and now - self._saved >= CHECKPOINT_S:
                    self._save(path, emit)
        self._look(checked, count)
        if done == 0:  # resumed behind the last batch
            return learning_rate(p.epoch * count + count - 1, self.steps, recipe), 0.0
        return rate, done / (time.perf_counter() - begun)

    def step(self, x: Tensor, y: Tensor, rate: float) -> Tensor:
        """One step; returns the loss, still on the device."""
        self.flat.zero_gradients()
        with autocast(self.device, self.setting):
            out = self.module(x)
        loss = self.loss(out, y)
        for side in self._side_logits():
            loss = loss + AUXILIARY_WEIGHT * self.loss(side, y)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(rate)
        return loss.detach()

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy with the recipe's label smoothing, in float32."""
        return F.cross_entropy(logits.float(), y, label_smoothing=self.recipe.label_smoothing)

    def _side_logits(self) -> list[Tensor]:
        """Logits of the auxiliary heads from this forward pass, taken out of the network: they hold the whole graph."""
        found: list[Tensor] = getattr(self.module, "side_logits", [])
        if found:
            self.module.side_logits = []  # type: ignore[assignment]
        return found

    def warm_step(self, turn: int) -> None:
        """One whole step on the data's first batch, for timing; what was trained before is not kept apart."""
        start, stop = self.bounds[0]
        draws = draw(stop, self.data.shape, self.recipe, turn, self.device)
        batch = self.data.augmentation.batch(draws, start, stop)
        self.losses[0] = self.step(batch, self.data.train_y[draws.order], self.recipe.learning_rate * 0.01)
        if self.average is not None:
            self.average.update(turn + 1)

    def evaluate(self) -> Scores:
        """Validation scores of the averaged weights."""
        network = self.network
        network.eval()
        return scores(network, self.data.validation_x, self.data.validation_y, self.setting)

    @property
    def network(self) -> nn.Module:
        """The network that counts: the averaged one where there is an average."""
        return self.average.module if self.average is not None else self.module

    def weights(self) -> dict[str, Tensor]:
        """State dict of `network` for a file: contiguous, on the CPU, nothing shared."""
        return {
            name: tensor.detach().to("cpu").clone(memory_format=torch.contiguous_format)
            for name, tensor in self.network.state_dict().items()
        }

    # -- interruptions ------------------------------------------------------------------------
    def _look(self, first: int, last: int) -> None:
        """Raises where one of the epoch's losses `first` to `last` is not finite."""
        bad = torch.nonzero(~torch.isfinite(self.losses[first:last]))
        if len(bad):
            batch = first + int(bad[0])
            raise NotFinite(
                f"loss is {_word(float(self.losses[batch]))} at epoch {self.progress.epoch + 1}, "
                f"batch {batch + 1} of {len(self.bounds)}"
            )

    def _stop(self, reason: str, emit: Emit, path: Path | None) -> None:
        if path is not None:
            self._save(path, emit)
        raise Interrupted(reason)

    def _save(self, path: Path, emit: Emit) -> None:
        p = self.progress
        p.seconds = time.perf_counter() - self._begun
        checkpoint.save(path, self._tensors() | _generators(self.device), self._about())
        self._saved = time.perf_counter()
        emit({"kind": "checkpoint", "path": str(path), "epoch": p.epoch, "batch": p.batch})

    def _about(self) -> dict[str, Any]:
        p = self.progress
        return {
            "identity": self.identity,
            "setting": self.setting.model_dump(),
            "steps": self.steps,
            "groups": self.optimizer.groups(),
            "progress": {
                "epoch": p.epoch,
                "batch": p.batch,
                "rung_start": p.rung_start,
                "target": p.target,
                "curve": p.curve,
                "seconds": p.seconds,
                "beginning": p.beginning,
            },
        }

    def _tensors(self) -> dict[str, Tensor]:
        out = {f"model.{name}": t for name, t in named_tensors(self.module).items()}
        if self.average is not None:
            out |= {f"average.{name}": t for name, t in self.average.tensors().items()}
        out |= {f"optim.{name}": t for name, t in self.optimizer.tensors().items()}
        return out | {"losses": self.losses}

    def restore(self, path: Path) -> None:
        """Takes over a checkpoint of this very training.

        Raises:
            checkpoint.CheckpointError: missing, damaged, or of another training.
        """
        tensors, about = checkpoint.load(path)
        for what, wanted in self.identity.items():
            checkpoint.expect(path, what, about["identity"].get(what), wanted)
        checkpoint.expect(path, "the setting", about["setting"], self.setting.model_dump())
        checkpoint.expect(path, "the number of steps", about["steps"], self.steps)
        checkpoint.expect(path, "the parameter groups", about["groups"], self.optimizer.groups())
        checkpoint.fill(path, "model.", named_tensors(self.module), tensors)
        if self.average is not None:
            checkpoint.fill(path, "average.", self.average.tensors(), tensors)
        checkpoint.fill(path, "losses", {"": self.losses}, tensors)
        self.optimizer.restore(
            {name.removeprefix("optim."): t for name, t in tensors.items() if name.startswith("optim.")}
        )
        torch.set_rng_state(tensors["generator.cpu"])
        if self.device.type == "cuda" and "generator.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["generator.cuda"], self.device)
        self.progress = Progress(**about["progress"])


def _generators(device: torch.device) -> dict[str, Tensor]:
    """States of the global generators, from which dropout draws."""
    out = {"generator.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        out["generator.cuda"] = torch.cuda.get_rng_state(device)
    return out


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite"
