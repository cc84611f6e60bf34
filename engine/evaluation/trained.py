"""The evaluator that trains: one network, with the search's recipe, on the worker's device."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from engine.architecture import Architecture
from engine.data import registry
from engine.data.spec import DataSpec
from engine.errors import CannotBuild, DataError
from engine.evaluation import inherited
from engine.evaluation.base import Emit, Evaluator, Report, Session, ShouldStop, Work
from engine.evaluation.shared import Shared
from engine.evaluation.telling import told

if TYPE_CHECKING:
    from torch import nn

    from engine.config import SearchConfig
    from engine.data.arrays import Arrays
    from engine.recipe import Recipe
    from engine.spaces.base import SearchSpace
    from engine.training.device import Setting
    from engine.training.inference import Scores
    from engine.training.loop import DeviceData, Trainer

#: what a file system says when it takes no more
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TrainedOptions(BaseModel):
    """The recipe is part of the search itself (`training`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Trained(Evaluator):
    """Trains each network and reads the moving average of its weights on the validation split."""

    name = "trained"
    summary = "Trains every network for the epochs the schedule gives it."
    Options = TrainedOptions

    def open(self, config: SearchConfig, data: DataSpec) -> Session:
        """Opens a session; the data is read with the first piece of work."""
        return TrainedSession(config, data)


class TrainedSession(Session):
    """Holds the data on the device, once, for one piece of work after another.

    Args:
        config: the search.
        data: its data's spec; a digest in it must be that of the data found here.
        network: makes the initialized network of an architecture; None = from the search space's plan.
    """

    def __init__(
        self, config: SearchConfig, data: DataSpec, network: Callable[[Architecture], nn.Module] | None = None
    ) -> None:
        self.config, self.spec = config, data
        self._network = network
        self._arrays: Arrays | None = None
        self._on_device: dict[tuple[Any, ...], DeviceData] = {}
        self._setting: Setting | None = None

    def close(self) -> None:
        """Lets go of the data."""
        self._arrays = None
        self._empty()

    def evaluate(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        """Trains, fully trains or measures; beside others on the device or alone, where its lock is known.

        Raises:
            Interrupted: handed back on request, checkpoint written.
            CheckpointError: the checkpoint to resume is missing, damaged or of another training.
            DataError: the data is not to be had here, or is not that of the search.
        """
        from engine.training.exclusive import Device

        if "device_lock" not in work.extra:
            return self._evaluate(work, emit, should_stop)
        device = Device(Path(work.extra["device_lock"]), emit, should_stop)
        with device.alone() if work.kind == "measure" else device.shared():
            return self._evaluate(work, device.emit, device.should_stop)

    def _evaluate(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        import torch

        from engine.training.loop import NotFinite

        try:
            if work.kind == "preflight":
                return self._preflight(work, emit, should_stop)
            if work.kind in ("supernet", "score", "measure"):
                return self._shared.evaluate(work, emit, should_stop)
            return self._train(work, emit, should_stop)
        except CannotBuild as e:
            return Report.failed("cannot_build", str(e))
        except NotFinite as e:
            return Report.failed("not_finite", str(e))
        except (torch.OutOfMemoryError, MemoryError) as e:
            return self._out_of_memory(e, work)
        except RuntimeError as e:
            if "can't allocate memory" not in str(e):  # how torch says it on the CPU
                raise
            return self._out_of_memory(e, work)
        except OSError as e:
            if e.errno not in FULL:
                raise
            return Report.failed("disk_full", f"the disk took no more: {e}")

    # -- the kinds of work --------------------------------------------------------------------
    def _train(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        from engine.training.device import choose_device, repeatable

        architecture = _given(work)
        device = choose_device()
        arrays = self._load(emit)
        module, beginning = self._begin(work, architecture, emit)
        setting = self.setting(work, architecture, device, emit)
        work.folder.mkdir(parents=True, exist_ok=True)
        with repeatable(device, setting.threads):
            trainer = self._trainer(module, arrays, work, setting)
            trainer.progress.beginning = beginning
            if work.checkpoint is not None:
                trainer.restore(work.checkpoint)
            emit({"kind": "phase", "phase": "train"})
            path = work.folder / "checkpoint.safetensors"
            scores = trainer.run(work.fidelity, told(emit, work, self.spec.sizes["validation"]), should_stop, path)
        metrics = {"accuracy": scores.accuracy, "loss": scores.loss}
        artifacts = {"checkpoint": str(path)}
        if work.kind == "final":
            scores, extra = self._final(trainer, work, arrays, emit, artifacts)
            metrics = {"accuracy": scores.accuracy, "loss": scores.loss, **extra}
        return Report(
            metrics=metrics,
            fidelity=work.fidelity,
            correct=scores.bits,
            n_samples=len(scores.correct),
            curve=tuple(trainer.progress.curve),
            seed=work.seed,
            replicate=work.replicate,
            cost=self._cost(trainer),
            artifacts=artifacts,
        )

    def _final(
        self, trainer: Trainer, work: Work, arrays: Arrays, emit: Emit, artifacts: dict[str, str]
    ) -> tuple[Scores, dict[str, float]]:
        """Writes weights and logits, and opens the sealed test split: the one place that does.

        All numbers are the reference's (CPU, float32), so that they are those of the files that leave.
        """
        import numpy as np
        from safetensors.torch import save as to_bytes

        from engine.data.arrays import normalize
        from engine.training.inference import reference_logits, reference_scores

        weights = trainer.weights()
        reference = self._fresh(_given(work), work.seed, work.replicate)
        reference.load_state_dict(weights)
        logits = reference_logits(reference, normalize(arrays.validation.x, arrays.spec))
        scores = reference_scores(logits, arrays.validation.y)
        emit({"kind": "phase", "phase": "test"})
        test = registry.load_test(self.config.data.name, self.config.data.options())
        tested = reference_scores(reference_logits(reference, normalize(test.x, arrays.spec)), test.y)
        if not (math.isfinite(scores.loss) and math.isfinite(tested.loss)):
            from engine.training.loop import NotFinite

            raise NotFinite(f"the network's output is not finite after {work.fidelity} epochs")
        artifacts |= {"weights": str(work.folder / "weights.safetensors"), "logits": str(work.folder / "logits.npy")}
        Path(artifacts["weights"]).write_bytes(to_bytes(weights))
        np.save(artifacts["logits"], logits, allow_pickle=False)
        return scores, {
            "test_accuracy": tested.accuracy,
            "test_loss": tested.loss,
            "n_test": float(len(test)),
        }

    def _preflight(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        """Measures `work.extra["architectures"]`; one row each in `cost["networks"]`, in that order."""
        from engine.training.device import choose_device, device_model
        from engine.training.preflight import measure

        begun = time.perf_counter()
        device = choose_device()
        arrays = self._load(emit)
        architectures = [Architecture.from_json(a) for a in work.extra["architectures"]]
        if not architectures:
            raise DataError("a preflight needs at least one architecture")
        setting = self.setting(work, architectures[-1], device, emit)
        emit({"kind": "phase", "phase": "train"})
        rows = []
        for architecture in architectures:
            self._on_device.clear()  # the data counts as memory of each
            recipe = self._recipe(architecture)
            row = measure(
                lambda a=architecture: self._fresh(a, work.seed, 0),  # type: ignore[misc]
                lambda recipe=recipe: self._data(arrays, setting, recipe),  # type: ignore[misc]
                recipe,
                setting,
                device,
                should_stop,
            )
            rows.append({"architecture": architecture.to_json(), **row})
        self._on_device.clear()
        supernet = self._shared.preflight(work, setting, should_stop)
        worst = {key: max(float(row[key]) for row in rows) for key in ("n_params", "memory_bytes", "epoch_s")}
        return Report(
            metrics=worst,
            fidelity=0,
            seed=work.seed,
            cost={
                "duration_s": time.perf_counter() - begun,
                "networks": rows,
                **({"supernet": supernet} if supernet else {}),
                "setting": setting.model_dump(),
                **setting.model_dump(),
                "device": device.type,
                "device_model": device_model(device),
            },
        )

    # -- parts --------------------------------------------------------------------------------
    def _begin(self, work: Work, architecture: Architecture, emit: Emit) -> tuple[nn.Module, inherited.Beginning]:
        """The network as its training begins, and where its weights come from; a resumed one is filled afterwards."""

        def fresh() -> nn.Module:
            return self._fresh(architecture, work.seed, work.replicate)

        if work.origin is None or work.checkpoint is not None:
            return fresh(), {}
        module, beginning = inherited.begin(work.origin, architecture, self.space, fresh, work.seed)
        emit({"kind": "log", "what": "weights", "message": inherited.words(beginning)})
        return module, beginning

    def _load(self, emit: Emit) -> Arrays:
        if self._arrays is None:
            emit({"kind": "phase", "phase": "data"})
            arrays = registry.load(self.config.data.name, self.config.data.options(), tell=emit)
            for what in ("digest", "split_digest"):
                wanted, found = getattr(self.spec, what), getattr(arrays.spec, what)
                if wanted and wanted != found:
                    raise DataError(
                        f"the data set {self.spec.name} on this machine is not the one the search was made with: "
                        f"{what} {found[:12]} instead of {wanted[:12]}"
                    )
            self._arrays = arrays
        return self._arrays

    def _fresh(self, architecture: Architecture, seed: int, replicate: int) -> nn.Module:
        """The network with its initial weights, which depend on the seed alone: not on device, layout or precision."""
        import torch

        from engine.training.seeds import stream

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream(seed, replicate, "weights"))
            if self._network is not None:
                return self._network(architecture)
            from engine.network.build import build

            return build(self.space.plan(architecture))

    def _recipe(self, architecture: Architecture) -> Recipe:
        """The search's recipe with what the architecture decided about it."""
        by_hand = self._network is not None  # a network of the caller's own comes from no space
        choices = architecture.choices if by_hand else self.space.recipe_choices(architecture)
        return self.config.training.chosen(choices, self.spec.input_shape)

    @cached_property
    def space(self) -> SearchSpace:
        """The search's space, for its data."""
        from engine.spaces.base import make_space

        return make_space(self.config, self.spec)

    @cached_property
    def _shared(self) -> Shared:
        """What it holds of a supernet."""
        return Shared(self)

    def device_data(self, setting: Setting) -> DeviceData:
        """Both splits on the device, augmented as the search's recipe says."""
        return self._data(self._load(lambda event: None), setting, self.config.training)

    def _data(self, arrays: Arrays, setting: Setting, recipe: Recipe) -> DeviceData:
        from engine.training.device import choose_device
        from engine.training.loop import DeviceData

        key = (setting, recipe.shift, recipe.flip, recipe.cutout)
        if key not in self._on_device:
            self._on_device.clear()
            self._on_device[key] = DeviceData.of(arrays, recipe, setting, choose_device())
        return self._on_device[key]

    def _trainer(self, module: nn.Module, arrays: Arrays, work: Work, setting: Setting) -> Trainer:
        from engine.training.device import choose_device
        from engine.training.loop import Trainer

        recipe = self._recipe(_given(work))
        unchanged = {"optimizer", "momentum"} if recipe.optimizer == "adamw" else set()
        return Trainer(
            module,
            self._data(arrays, setting, recipe),
            recipe=recipe,
            setting=setting,
            device=choose_device(),
            epochs=max(work.max_fidelity, work.fidelity),
            seed=work.seed,
            replicate=work.replicate,
            identity={
                "architecture": _given(work).key,
                "seed": work.seed,
                "replicate": work.replicate,
                "recipe": recipe.model_dump(mode="json", exclude={"timeout_s", "precision", "threads"} | unchanged),
                "data": arrays.spec.digest,
                "split": arrays.spec.split_digest,
            },
        )

    def setting(self, work: Work, architecture: Architecture, device: Any, emit: Emit) -> Setting:
        """The setting: the checkpoint's, else the given one, else the one settled on, else a probe's.

        `work.extra` may carry `"setting"` (this one), `"settings"` (by device model, as the search recorded them), and
        `"settings_folder"`, where the first trial on a device model leaves its choice for those beside it.
        """
        from engine.training import checkpoint
        from engine.training.device import Setting, device_model
        from engine.training.probe import candidates, fixed, probe, settle

        if work.checkpoint is not None:
            return Setting.model_validate(checkpoint.load(work.checkpoint)[1]["setting"])
        settled = work.extra.get("settings") or {}
        given = fixed(work.extra.get("setting") or settled.get(device_model(device))) or self._setting
        if given is not None:
            return given
        recipe = self._recipe(architecture)
        options = candidates(recipe, self.spec.input_shape)
        if len(options) == 1:
            return options[0]

        def choose() -> Any:
            arrays = self._load(emit)
            return probe(lambda: self._fresh(architecture, work.seed, work.replicate), arrays, recipe, device)

        folder = work.extra.get("settings_folder")
        if folder is not None:
            setting, made = settle(Path(folder), device, choose)
        else:
            made = choose()
            setting = made.setting
        if made is not None:
            emit({"kind": "log", "what": "probe", "message": made.message})
        self._setting = setting
        return setting

    def _cost(self, trainer: Trainer) -> dict[str, Any]:
        from engine.training.device import device_model

        p = trainer.progress
        speeds = [row["samples_per_s"] for row in p.curve if row["samples_per_s"] > 0]
        return {
            "duration_s": p.seconds,
            "epochs": p.target - p.rung_start,
            "samples_per_s": sum(speeds) / len(speeds) if speeds else 0.0,
            "device": trainer.device.type,
            "device_model": device_model(trainer.device),
            **trainer.setting.model_dump(),
            **inherited.cost(p.beginning),
        }

    def _empty(self) -> None:
        from engine.training.device import empty_cache

        self._on_device.clear()
        empty_cache()

    def _out_of_memory(self, error: BaseException, work: Work) -> Report:
        self._empty()
        first = str(error).splitlines()[0] if str(error) else "memory is used up"
        size = (self.config.training if work.architecture is None else self._recipe(work.architecture)).batch_size
        return Report.failed("out_of_memory", f"out of memory at batch size {size}: {first}")


def _given(work: Work) -> Architecture:
    if work.architecture is None:
        raise DataError(f"work of kind {work.kind} needs an architecture")
    return work.architecture
