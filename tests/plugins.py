"""Plug-ins for tests of the machinery (`NASWEB_PLUGINS=tests.plugins`): they go wrong on order."""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.data.spec import DataSpec
from engine.errors import CannotBuild, Interrupted
from engine.evaluation.base import Emit, Evaluator, Report, Session, ShouldStop, Work
from engine.network.costs import costs
from engine.spaces.layers import Layers
from engine.strategies.base import Proposal
from engine.strategies.random import RandomSearch

Fault = Literal["none", "cannot_build", "raise", "segv", "abort", "hang", "out_of_memory", "disk_full", "deaf", "exit"]


class Options(BaseModel):
    """What goes wrong, with which trials, how often."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    epoch_s: float = 0.01
    fault: Fault = "none"
    on: list[int] = Field(default_factory=list, description="Trials it happens to; empty = all.")
    at: int = 1
    once: bool = False


class Acted(Evaluator):
    """Acts as if it trained: takes time, resumes from checkpoints, notes every epoch it has executed."""

    name = "acted"
    summary = "Acts as if it trained"
    Options = Options

    def open(self, config: Any, data: DataSpec) -> Session:
        """The session."""
        return ActedSession(self.options)

    @classmethod
    def data_spec(cls, options: BaseModel) -> DataSpec:
        """Small images that nobody looks at."""
        return DataSpec(
            name="acted", input_shape=(1, 8, 8), n_classes=4, class_names=("a", "b", "c", "d"),
            sizes={"train": 100, "validation": 80, "test": 80}, digest="d", split_digest="s", mean=(0.0,), std=(1.0,),
        )  # fmt: skip


def accuracy(key: str, epoch: int) -> float:
    """The same for the same network and epoch, wherever it is asked."""
    digest = hashlib.sha256(key.encode()).digest()
    return round(0.5 + 0.4 * digest[0] / 255 + 0.1 * epoch / (epoch + 5), 6)


class ActedSession(Session):
    """See `Acted`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.folder = Path(options.folder)

    def evaluate(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        """Epoch by epoch."""
        assert work.architecture is not None
        key, epoch = work.architecture.key, 0
        (self.folder / f"pid-{work.trial}").write_text(str(os.getpid()))
        if work.checkpoint is not None:
            epoch = json.loads(work.checkpoint.read_text())["epoch"]
        curve = []
        while epoch < work.fidelity:
            epoch += 1
            self._wait(work, epoch - 1, emit, should_stop)
            if epoch == self.options.at:
                self._fault(work)
            with (self.folder / "executed").open("a") as file:
                file.write(f"{work.trial} {epoch} {os.getpid()}\n")
            row = {"epoch": epoch, "accuracy": accuracy(key, epoch), "loss": 1 / epoch, "train_loss": 1 / epoch}
            curve.append(row)
            emit({"kind": "epoch", "epochs": work.fidelity, "samples_per_s": 1000.0, **row})
            self._checkpoint(work, epoch, emit)
        return Report(
            metrics={"accuracy": accuracy(key, epoch)}, fidelity=work.fidelity, n_samples=80, curve=tuple(curve),
            cost={"duration_s": 0.1}, artifacts={"checkpoint": str(work.folder / "checkpoint.safetensors")},
        )  # fmt: skip

    def _wait(self, work: Work, epoch: int, emit: Emit, should_stop: ShouldStop) -> None:
        until = time.monotonic() + self.options.epoch_s
        while True:
            reason = should_stop()
            if reason is not None and not (self.options.fault == "deaf" and self._mine(work)):
                self._checkpoint(work, epoch, emit)
                raise Interrupted(reason)
            if time.monotonic() >= until:
                return
            time.sleep(min(0.01, self.options.epoch_s))

    def _checkpoint(self, work: Work, epoch: int, emit: Emit) -> None:
        part, path = work.folder / "part", work.folder / "checkpoint.safetensors"
        part.write_text(json.dumps({"epoch": epoch}))
        part.replace(path)
        emit({"kind": "checkpoint", "path": str(path), "epoch": epoch, "batch": 0})

    def _mine(self, work: Work) -> bool:
        return not self.options.on or work.trial in self.options.on

    def _fault(self, work: Work) -> None:
        if not self._mine(work):
            return
        if self.options.once:
            marker = self.folder / f"once-{work.trial}"
            if marker.exists():
                return
            marker.touch()
        match self.options.fault:
            case "cannot_build":
                raise CannotBuild("pooled below 1 x 1 at block 3")
            case "raise":
                raise ZeroDivisionError("the plug-in divides by zero")
            case "segv":
                ctypes.string_at(0)
            case "abort":
                os.abort()
            case "exit":
                os._exit(3)
            case "hang":
                sleeper = subprocess.Popen(["sleep", "600"])
                (self.folder / "sleeper").write_text(str(sleeper.pid))
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                while True:
                    time.sleep(1)
            case "out_of_memory":
                raise MemoryError("no 3 TB left")
            case "disk_full":
                raise OSError(28, "No space left on device")


class NotANumber(Acted):
    """Says NaN where an accuracy should be."""

    name = "not_a_number"
    summary = "Says NaN"

    def open(self, config: Any, data: DataSpec) -> Session:
        """The session."""
        return NanSession(self.options)


class NanSession(ActedSession):
    """Its chosen trials have NaN losses and accuracies."""

    def evaluate(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        """NaN, also in the curve."""
        if not self._mine(work):
            return super().evaluate(work, emit, should_stop)
        row = {"epoch": 1, "accuracy": math.nan, "loss": math.inf, "train_loss": math.nan}
        emit({"kind": "epoch", "epochs": work.fidelity, "samples_per_s": 1.0, **row})
        return Report(metrics={"accuracy": math.nan, "loss": math.inf}, fidelity=work.fidelity, curve=(row,))


class StrategyOptions(BaseModel):
    """When it goes wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    raise_at: int = 0
    block: str = Field("", description="A file: while it exists, `views` notes this process in it and waits.")
    draw: Literal["prior"] = "prior"
    repeats: bool = False


class Troubled(RandomSearch):
    """Random search that raises, or stands still between ask and commit."""

    name = "troubled"
    summary = "Raises, or stands still, on order"
    Options = StrategyOptions

    def propose(self, number: int, rng: Any) -> Any:
        """Raises when its number comes."""
        if number == self.options.raise_at:
            raise RuntimeError("no idea what to try")
        return super().propose(number, rng)

    def views(self) -> dict[str, dict[str, Any]]:
        """Called after asking and before the commit: the place to be killed at."""
        block = Path(self.options.block) if self.options.block else None
        while block is not None and block.exists():
            block.write_text(str(os.getpid()))
            time.sleep(0.01)
        return {}


class Weighing(RandomSearch):
    """Random search that turns what it was told into weights, which decide what is drawn next.

    Attributes:
        heard: how often any object of this class was told something, in this process.
    """

    name = "weighing"
    summary = "Keeps weights in arrays"
    heard = 0

    def __init__(self, options: BaseModel, context: Any) -> None:
        super().__init__(options, context)
        self.weights = np.zeros(64)
        self.steps = np.zeros((), np.int64)

    def tell(self, entry: Any, report: Report) -> None:
        """One step, in which the order matters."""
        type(self).heard += 1
        self.steps = self.steps + 1
        self.weights = 0.9 * self.weights + np.sin(self.steps * report.metrics.get("accuracy", 0.0) + np.arange(64))

    def propose(self, number: int, rng: Any) -> Any:
        """Drawn with the weights as a seed."""
        return super().propose(number, np.random.default_rng([number, int(self.weights.view(np.uint64).sum() >> 8)]))

    def arrays(self) -> Any:
        """Both."""
        return {"weights": self.weights, "steps": self.steps} if self.steps else {}

    def load_arrays(self, arrays: Any) -> None:
        """Both."""
        self.weights = arrays.get("weights", self.weights)
        self.steps = arrays.get("steps", self.steps)


class Cramped(Layers):
    """Layers whose deeper networks cannot be built."""

    name = "cramped"
    summary = "Layers, at most three of them"

    def plan(self, arch: Any) -> Any:
        """Up to three blocks."""
        if int(arch.choices["depth"]) > 3:
            raise CannotBuild(f"block 4 of {arch.choices['depth']}: a window of 3 does not fit into 1")
        return super().plan(arch)

    def _costs(self, arch: Any) -> Any:
        """Those of the plan: the formula of `Layers` knows nothing of the limit."""
        return costs(self.plan(arch))


class Stubborn(RandomSearch):
    """Random search that proposes whatever it has drawn, buildable or not."""

    name = "stubborn"
    summary = "Proposes without looking"

    def propose(self, number: int, rng: Any) -> Any:
        """The first draw."""
        return Proposal(self.context.space.sample(rng), why="drawn", by=self.name)
