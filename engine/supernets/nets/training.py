"""Trains a supernet: epochs, halves, checkpoints. What a step does is the learner's business."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.config import Recipe
from engine.errors import Interrupted
from engine.evaluation.base import ENOUGH as ENOUGH
from engine.evaluation.base import Emit, ShouldStop
from engine.supernets.epochs import skip_share
from engine.supernets.nets.learner import At, Batch, Learner, batches_of
from engine.supernets.nets.scoring import PASS, Judge
from engine.training import checkpoint
from engine.training.augment import Draws, draw
from engine.training.loop import REPORT_S, DeviceData, NotFinite
from engine.training.seeds import stream

#: subnets and validation samples that the accuracy of an epoch is measured on
PATHS, SAMPLES = 8, 512
CHECKPOINT_S = 30.0


@dataclass
class Progress:
    """How far it is. JSON-able.

    Attributes:
        epoch: epochs completed.
        batch: batches done of the epoch after those.
        rows: one an epoch, see `engine.supernets.epochs`.
        sums: what the learner gave, summed over the steps of the current epoch.
        counts: how many steps gave it.
        seconds: spent, interruptions not counted.
        epoch_at: of these, when the last epoch ended.
        beginning: {"inherited", "of"}: tensors taken over of an earlier supernet, and how many that had; {} = none.
    """

    epoch: int = 0
    batch: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    epoch_at: float = 0.0
    beginning: dict[str, int] = field(default_factory=dict)


class SupernetTrainer:
    """Trains one supernet; resumed from a checkpoint, inside an epoch or not, it goes on bit for bit.

    Args:
        learner: fresh.
        data: on the device.
        recipe: of the search: its augmentation.
        identity: what a checkpoint must agree with to be resumed here.
    """

    def __init__(self, learner: Learner, data: DeviceData, recipe: Recipe, identity: Mapping[str, Any]) -> None:
        self.learner, self.data, self.recipe, self.identity = learner, data, recipe, dict(identity)
        self.seed, self.device = learner.setup.seed, learner.setup.device
        self.progress = Progress()
        self.size = learner.options.batch_size
        n = len(data.train_y)
        self.halves: tuple[Tensor, Tensor | None] = (torch.arange(n, device=self.device), None)
        if learner.halves:
            generator = torch.Generator().manual_seed(stream(self.seed, 0, "halves"))
            order = torch.randperm(n, generator=generator).to(self.device)
            self.halves = (order[: n - n // 2], order[n - n // 2 :])
            learner.held_out = self._held_out
        self.batches = batches_of(len(self.halves[0]), self.size)
        torch.manual_seed(stream(self.seed, 0, "supernet dropout"))

    def run(self, emit: Emit, should_stop: ShouldStop, path: Path | None = None) -> str:
        """Trains to the end. Returns why it ended before its last epoch, "" if it did not.

        Raises:
            NotFinite: the loss is NaN or infinite.
            Interrupted: `should_stop` gave a reason other than "enough"; the checkpoint is written.
        """
        p, epochs = self.progress, self.learner.setup.epochs
        self._begun, self._saved = time.perf_counter() - p.seconds, time.perf_counter()
        reason = str(p.rows[-1].get("ended", "")) if p.rows else ""
        while p.epoch < epochs and not reason:
            speed = self._epoch(emit, should_stop, path)
            reason = self._measured(speed, emit)
            if not reason and should_stop() == ENOUGH:
                reason = "ended by a person"
                p.rows[-1]["ended"] = reason
            if path is not None:
                self._save(path, emit)
        p.seconds = time.perf_counter() - self._begun
        return reason

    # -- an epoch -----------------------------------------------------------------------------
    def _epoch(self, emit: Emit, should_stop: ShouldStop, path: Path | None) -> float:
        p, learner = self.progress, self.learner
        count, epochs = len(self.batches) + learner.held_steps, learner.setup.epochs
        if p.batch == 0:
            p.sums, p.counts = {}, {}
        learner.bank.train()
        train, held = self._draws(p.epoch)
        sums = {name: torch.tensor(v, dtype=torch.float64, device=self.device) for name, v in p.sums.items()}
        begun = reported = time.perf_counter()
        done = at_report = 0
        for batch in range(p.batch, count):
            order = should_stop()
            if order not in (None, ENOUGH):
                p.sums = {name: float(v) for name, v in sums.items()}
                self._stop(str(order), emit, path)
            if batch == 0:  # after the look at orders: whoever resumes here begins the epoch, once
                learner.begin_epoch(p.epoch)
            for name, value in self._step(batch, train, held).items():
                sums[name] = sums.get(name, 0) + value.detach().to(torch.float64)
                p.counts[name] = p.counts.get(name, 0) + 1
            p.batch = batch + 1
            if batch < len(self.batches):
                start, stop = self.batches[batch]
                done += stop - start
            now = time.perf_counter()
            if now - reported >= REPORT_S:
                self._finite(sums)
                speed = (done - at_report) / (now - reported)
                emit({"kind": "batch", "epoch": p.epoch + 1, "epochs": epochs, "batch": batch + 1, "batches": count,
                      "samples_per_s": speed})  # fmt: skip
                reported, at_report = now, done
                if path is not None and now - self._saved >= CHECKPOINT_S:
                    p.sums = {name: float(v) for name, v in sums.items()}
                    self._save(path, emit)
        self._finite(sums)
        p.sums = {name: float(v) for name, v in sums.items()}
        return done / max(1e-9, time.perf_counter() - begun)

    def _step(self, batch: int, train: Draws, held: Draws | None) -> dict[str, Tensor]:
        """A step of an epoch: the batches of the weights first, then those that are on the held half alone."""
        epoch, n = self.progress.epoch, len(self.batches)
        if batch >= n:
            assert held is not None
            at = At(epoch, epoch * self.learner.held_steps + batch - n, 0.0)
            return self.learner.held_step(at, self._held(held, batch - n))
        step = epoch * n + batch
        at = At(epoch, step, self._rate(step))
        return self.learner.step(at, self._batch(train, batch), None if held is None else self._held(held, batch))

    def _rate(self, step: int) -> float:
        return self.learner.rate(step, self.learner.setup.epochs * len(self.batches))

    def _measured(self, speed: float, emit: Emit) -> str:
        """Ends an epoch: what it was like. Returns why training ends here, "" = it goes on."""
        p, learner = self.progress, self.learner
        learner.end_epoch(p.epoch)
        rng = learner.rng(p.epoch, purpose=1)
        judge = Judge(learner, self.data, 0)
        means = {name: v / p.counts[name] for name, v in p.sums.items()}
        whole = judge.whole(SAMPLES)
        row: dict[str, Any] = {
            "epoch": p.epoch + 1,
            "accuracy": judge.quick(learner.paths(PATHS, rng), SAMPLES) if whole is None else whole,
            "train_loss": means.pop("loss"),
            "samples_per_s": speed,
            "learning_rate": self._rate((p.epoch + 1) * len(self.batches) - 1),
            **means,
            **learner.views(),
        }
        if derived := learner.derived():
            row["derived"] = dict(derived[0].choices)
            offered = {d.name: d.options for d in learner.space.decisions(derived[0])}
            if "skips" not in row and (share := skip_share(derived[0].choices, offered)) is not None:
                row["skips"] = share
        now = time.perf_counter() - self._begun
        row["duration_s"], p.epoch_at = round(now - p.epoch_at, 3), now
        p.rows.append(row)
        if reason := learner.stop_reason(p.rows):
            row["ended"] = reason
        p.epoch, p.batch, p.sums, p.counts = p.epoch + 1, 0, {}, {}
        emit({"kind": "epoch", "epochs": learner.setup.epochs, **row})
        return reason

    def time_epoch(self, should_stop: ShouldStop) -> float:
        """Seconds of an epoch in which everything learns, from a few steps; the learner is spoilt afterwards."""
        train, held = self._draws(0)
        count, last = len(self.batches), max(0, self.learner.setup.epochs - 1)
        self.learner.begin_epoch(0)
        self.learner.bank.train()
        begun = time.perf_counter()
        steps = 0
        for turn in range(2 + 30):
            if turn == 2:  # warm by now
                begun = time.perf_counter()
            batch = turn % count
            other = None if held is None else self._held(held, batch)
            self.learner.step(At(last, turn, 1e-4), self._batch(train, batch), other)
            steps = turn - 1
            spent = time.perf_counter() - begun
            if (turn >= 4 and spent > 1.0) or should_stop() is not None:
                break
        seconds = self._since(begun) / max(1, steps) * count
        if held is not None and (more := self.learner.held_steps):
            begun = time.perf_counter()
            for turn in range(few := min(more, 3)):
                self.learner.held_step(At(last, turn, 0.0), self._held(held, turn))
            seconds += self._since(begun) / few * more
        return seconds

    def _since(self, begun: float) -> float:
        """Seconds since then, when all that was asked for is computed."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - begun

    # -- batches ------------------------------------------------------------------------------
    def _draws(self, epoch: int) -> tuple[Draws, Draws | None]:
        """Order and augmentation of an epoch, for both halves."""
        out: list[Draws | None] = []
        for half, what in zip(self.halves, ("supernet", "held"), strict=True):
            if half is None:
                out.append(None)
                continue
            seed = stream(self.seed, 0, what, epoch)
            drawn = draw(len(half), self.data.shape, self.recipe, seed, self.device)
            out.append(replace(drawn, order=half[drawn.order]))
        assert out[0] is not None
        return out[0], out[1]

    def _batch(self, draws: Draws, batch: int) -> Batch:
        start, stop = self.batches[batch]
        return self._cut(draws, start, stop)

    def _held(self, draws: Draws, batch: int) -> Batch:
        """The batch of the other half; it begins again where that half has fewer."""
        bounds = batches_of(len(draws.order), self.size)
        return self._cut(draws, *bounds[batch % len(bounds)])

    def _held_out(self, samples: int) -> Iterator[Batch]:
        """See `HeldOut`."""
        assert self.halves[1] is not None
        rows = self.halves[1][:samples]
        for start, stop in batches_of(len(rows), max(self.size, PASS)):
            yield self.data.augmentation.plain(rows[start:stop]), self.data.train_y[rows[start:stop]]

    def _cut(self, draws: Draws, start: int, stop: int) -> Batch:
        return self.data.augmentation.batch(draws, start, stop), self.data.train_y[draws.order[start:stop]]

    # -- interruptions ------------------------------------------------------------------------
    def _finite(self, sums: Mapping[str, Tensor]) -> None:
        for name, value in sums.items():
            if not math.isfinite(float(value)):
                raise NotFinite(f"the supernet's {name} is not finite in epoch {self.progress.epoch + 1}")

    def _stop(self, reason: str, emit: Emit, path: Path | None) -> None:
        if path is not None:
            self._save(path, emit)
        raise Interrupted(reason)

    def _save(self, path: Path, emit: Emit) -> None:
        p = self.progress
        p.seconds = time.perf_counter() - self._begun
        generators = {"generator.cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            generators["generator.cuda"] = torch.cuda.get_rng_state(self.device)
        about = {
            "identity": self.identity,
            "setting": self.learner.setup.setting.model_dump(),
            "progress": asdict(p),
            "learner": self.learner.about(),
        }
        checkpoint.save(path, self.learner.tensors() | generators, about)
        self._saved = time.perf_counter()
        emit({"kind": "checkpoint", "path": str(path), "epoch": p.epoch, "batch": p.batch})

    def begin_from(self, path: Path) -> None:
        """Begins with the weights of another search's supernet, as far as they fit.

        Raises:
            checkpoint.CheckpointError: missing or damaged, or no supernet's.
        """
        tensors, about = checkpoint.load(path)
        if "keys" not in about.get("learner", {}):
            raise checkpoint.CheckpointError(
                f"{path} is no supernet's checkpoint: it does not say what its weights are of"
            )
        taken, of = self.learner.begin_from(tensors, about["learner"])
        self.progress.beginning = {"inherited": taken, "of": of}

    def restore(self, path: Path) -> None:
        """Takes over a checkpoint of this very training.

        Raises:
            checkpoint.CheckpointError: missing, damaged, or of another training.
        """
        tensors, about = checkpoint.load(path)
        for what, wanted in self.identity.items():
            checkpoint.expect(path, what, about["identity"].get(what), wanted)
        checkpoint.expect(path, "the setting", about["setting"], self.learner.setup.setting.model_dump())
        self.learner.restore(tensors, about["learner"])
        self.progress = Progress(**about["progress"])
        torch.set_rng_state(tensors["generator.cpu"])
        if self.device.type == "cuda" and "generator.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["generator.cuda"], self.device)
