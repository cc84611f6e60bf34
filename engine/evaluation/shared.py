"""The pieces of a weight-sharing search in a session: trains a supernet, scores its subnets, measures operations."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import catalog
from engine.errors import CannotBuild, DataError, InvalidArchitecture
from engine.evaluation.base import Emit, Report, ShouldStop, Work
from engine.supernets.latency import alike, latency_of

if TYPE_CHECKING:
    from engine.evaluation.trained import TrainedSession
    from engine.supernets.nets.learner import Learner, Setup
    from engine.supernets.nets.scoring import Judge
    from engine.supernets.nets.training import SupernetTrainer
    from engine.training.device import Setting

#: name of the file with the trained supernet
NAME = "supernet.safetensors"


class Shared:
    """What a session holds of a supernet: the last one it trained or loaded stays for the next scores.

    Args:
        session: that has the data.
    """

    def __init__(self, session: TrainedSession) -> None:
        self.session = session
        self._judge: tuple[Any, Judge] | None = None

    def evaluate(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        """Does a piece of kind supernet, score or measure.

        Raises:
            Interrupted: handed back on request, checkpoint written.
        """
        if work.kind == "supernet":
            return self._train(work, emit, should_stop)
        if work.kind == "score":
            return self._score(work, emit, should_stop)
        return self._measure(work, emit, should_stop)

    # -- the kinds of work --------------------------------------------------------------------
    def _train(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        from engine.supernets.nets.scoring import Judge
        from engine.supernets.nets.training import SupernetTrainer
        from engine.training.device import choose_device, device_model, repeatable

        device = choose_device()
        self._judge = None
        setting = self._setting(work, emit)
        work.folder.mkdir(parents=True, exist_ok=True)
        path = work.folder / NAME
        with repeatable(device, setting.threads):
            learner, data = self._learner(work, setting), self._data(setting)
            trainer = SupernetTrainer(learner, data, self.session.config.training, self._identity(work))
            if work.checkpoint is not None:
                trainer.restore(work.checkpoint)
            elif work.extra.get("start"):
                self._begin(trainer, work, emit)
            emit({"kind": "phase", "phase": "train"})
            ended = trainer.run(emit, should_stop, path)
        if "piece" in work.extra:
            options: Any = self.session.config.options("strategy")
            self._judge = work.extra["piece"], Judge(learner, data, options.calibration, options.score_samples)
        rows = trainer.progress.rows
        last = rows[-1]
        derived = [dict(a.choices) for a in learner.derived()]
        out = [*rows[:-1], {**last, "choices": derived}]
        if ended:
            emit({"kind": "log", "what": "supernet", "message": f"ended after epoch {last['epoch']}: {ended}"})
        return Report(
            metrics={"accuracy": last["accuracy"], "loss": last["train_loss"]},
            fidelity=len(rows),
            source="inherited",
            rows=tuple(out),
            seed=work.seed,
            cost={
                "duration_s": trainer.progress.seconds, "epochs": len(rows), "device": device.type,
                "device_model": device_model(device), **setting.model_dump(), **trainer.progress.beginning,
            },
            artifacts={"checkpoint": str(path), "supernet": str(path)},
        )  # fmt: skip

    def _begin(self, trainer: SupernetTrainer, work: Work, emit: Emit) -> None:
        """Takes over what fits of the earlier supernet that the search names."""
        if "start_path" not in work.extra:
            digest = str(work.extra["start"])[:12]
            raise DataError(
                f"the supernet {digest} to begin with is not at hand: it is found in a stack's storage alone"
            )
        trainer.begin_from(Path(work.extra["start_path"]))
        taken, of = trainer.progress.beginning["inherited"], trainer.progress.beginning["of"]
        emit({"kind": "log", "what": "weights", "message": f"{taken:,} of {of:,} tensors of an earlier supernet fit"})

    def _score(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        from engine.errors import Interrupted
        from engine.training.device import choose_device, device_model, repeatable

        begun = time.perf_counter()
        device, space = choose_device(), self.session.space
        setting = self._setting(work, emit)
        judge = self._judged(work, setting)
        rows: list[dict[str, Any]] = []
        asked = work.extra["architectures"]
        emit({"kind": "phase", "phase": "score"})
        with repeatable(device, setting.threads):
            for i, choices in enumerate(asked):
                if reason := should_stop():
                    raise Interrupted(reason)
                began = time.perf_counter()
                try:
                    scores = judge.score(space.validate(choices))
                except (CannotBuild, InvalidArchitecture) as e:
                    rows.append({"reason": str(e)})
                else:
                    seconds = time.perf_counter() - began
                    rows.append({"accuracy": scores.accuracy, "loss": scores.loss, "duration_s": round(seconds, 4)})
                emit({"kind": "batch", "epoch": 0, "epochs": 0, "batch": i + 1, "batches": len(asked)})
        best = max((r["accuracy"] for r in rows if "accuracy" in r), default=0.0)
        return Report(
            metrics={"accuracy": best},
            fidelity=0,
            source="inherited",
            rows=tuple(rows),
            seed=work.seed,
            cost={"duration_s": time.perf_counter() - begun, "device": device.type,
                  "device_model": device_model(device), **setting.model_dump()},
        )  # fmt: skip

    def _measure(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        from engine.supernets.nets.latency import measure
        from engine.training.device import choose_device, device_model, repeatable

        begun = time.perf_counter()
        device = choose_device()
        setting = self._setting(work, emit)
        batch = int(getattr(self.session.config.options("strategy"), "latency_batch", 1))
        emit({"kind": "phase", "phase": "measure"})
        with repeatable(device, setting.threads):
            rows = measure(self.session.space, device, setting, should_stop, batch=batch, seed=work.seed, emit=emit)
        ratios = [f"{row['ratio']:.2f}" for row in rows if "ratio" in row]
        message = f"the parts of a network add up to {', '.join(ratios)} of what it takes as a whole"
        if self.session.space.mixture().inside:
            message += "; the recurrent cell was measured as a whole, so that latency prefers nothing inside it"
        emit({"kind": "log", "what": "latency", "message": message})
        return Report(
            metrics={}, fidelity=0, source="proxy", rows=tuple(rows), seed=work.seed,
            cost={"duration_s": time.perf_counter() - begun, "device": device.type, "latency_batch": batch,
                  "device_model": device_model(device), **setting.model_dump()},
        )  # fmt: skip

    def preflight(self, work: Work, setting: Setting, should_stop: ShouldStop) -> dict[str, float]:
        """What a supernet of this search costs: {"epoch_s", "memory_bytes", "score_s"}; {} where there is none."""
        if self.session.config.strategy.name not in catalog.plugins("supernet"):
            return {}
        from engine.supernets.nets.scoring import Judge
        from engine.supernets.nets.training import SupernetTrainer
        from engine.training.device import choose_device, repeatable
        from engine.training.memory import PeakMemory

        device, config = choose_device(), self.session.config
        options: Any = config.options("strategy")
        with repeatable(device, setting.threads):
            memory = PeakMemory(device)
            method = catalog.get("strategy", config.strategy.name)
            setup = self._setup(work, setting)
            if method.measures:
                setup = replace(setup, latency_ms=alike(self.session.space.mixture()))
            learner, data = method.learner(setup), self._data(setting)
            trainer = SupernetTrainer(learner, data, config.training, {})
            epoch_s = trainer.time_epoch(should_stop)
            judge = Judge(learner, data, options.calibration, options.score_samples)
            (path,) = learner.paths(1, learner.rng(0, purpose=1))
            judge.score(path)
            begun = time.perf_counter()
            judge.score(path)
            score_s = time.perf_counter() - begun
            return {"epoch_s": epoch_s, "memory_bytes": memory.peak(), "score_s": score_s}

    # -- parts --------------------------------------------------------------------------------
    def _judged(self, work: Work, setting: Setting) -> Judge:
        """The judge of the supernet that the work names, loaded where another one is held."""
        from engine.supernets.nets.scoring import Judge
        from engine.training import checkpoint

        key = work.extra["supernet"]
        if self._judge is None or self._judge[0] != key:
            if work.checkpoint is None:
                raise DataError("scores need the weights of a supernet, and they are gone")
            learner = self._learner(work, setting)
            tensors, about = checkpoint.load(Path(work.checkpoint))
            learner.restore(tensors, about["learner"])
            options: Any = self.session.config.options("strategy")
            judge = Judge(learner, self._data(setting), options.calibration, options.score_samples)
            self._judge = key, judge
        return self._judge[1]

    def _learner(self, work: Work, setting: Setting) -> Learner:
        """A fresh learner of the search's method."""
        cls = catalog.get("strategy", self.session.config.strategy.name)
        learner: Learner = cls.learner(self._setup(work, setting))
        return learner

    def _setup(self, work: Work, setting: Setting) -> Setup:
        from engine.supernets.nets.learner import Setup
        from engine.training.device import choose_device

        config = self.session.config
        options: Any = config.options("strategy")
        return Setup(
            space=self.session.space, options=options, device=choose_device(), setting=setting, seed=work.seed,
            epochs=int(work.extra.get("epochs", options.epochs)), samples=self.session.spec.sizes["train"],
            label_smoothing=config.training.label_smoothing, latency_ms=latency_of(work.extra.get("latency_ms") or ()),
            run=int(work.extra.get("run", 1)), limits=config.limits,
        )  # fmt: skip

    def _data(self, setting: Setting) -> Any:
        return self.session.device_data(setting)

    def _setting(self, work: Work, emit: Emit) -> Setting:
        """As of a trial's training; where nothing was chosen yet, by a probe of a random network of the space."""
        import numpy as np

        from engine.training.device import choose_device

        space = self.session.space
        architecture = space.sample(np.random.default_rng(work.seed))
        supernet = work if work.kind == "supernet" else None
        return self.session.setting(supernet or work, architecture, choose_device(), emit)

    def _identity(self, work: Work) -> dict[str, Any]:
        config, spec = self.session.config, self.session.spec
        options = config.options("strategy").model_dump(mode="json", exclude={"scores", "search", "repeats", "runs"})
        return {
            "method": config.strategy.name, "options": options, "space": list(self.session.space.description),
            "seed": work.seed, "data": spec.digest, "split": spec.split_digest,
        }  # fmt: skip
