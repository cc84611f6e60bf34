"""Evaluators: from a piece of work to a report."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from pydantic import BaseModel

from engine.architecture import Architecture

if TYPE_CHECKING:
    from engine.config import SearchConfig
    from engine.data.spec import DataSpec

Source = Literal["trained", "inherited", "proxy", "table"]
FailureKind = Literal[
    "cannot_build", "out_of_memory", "not_finite", "timed_out", "crashed", "disk_full", "cancelled", "worker_lost"
]


@dataclass(frozen=True)
class Failure:
    """Why an evaluation has no result.

    Attributes:
        kind: typed reason.
        message: one sentence for a person.
        traceback: full traceback where there is one.
    """

    kind: FailureKind
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class Report:
    """What an evaluation gives back.

    Attributes:
        metrics: name to value, at least "accuracy" (a share of 1, on the validation split); NaN never.
        fidelity: epochs trained in all when this was measured.
        source: what kind of number this is; only equal sources are compared.
        correct: one bit per validation sample, packed with `numpy.packbits`, or None.
        n_samples: how many validation samples the bits stand for.
        curve: one row per epoch *of this piece of work*: {"epoch", "loss", "accuracy", "train_loss", ...}.
        seed, replicate: of the training.
        cost: {"duration_s", "epochs", "samples_per_s", "device", "precision", ...}; of a trial that was to begin with
            another one's weights also "inherited" and "inherited_epochs" (see `engine.evaluation.inherited`).
        artifacts: name to path in the work folder ("checkpoint", "weights", ...).
        rows: of work that is no trial: one row an epoch of a supernet (`engine.supernets.epochs`), one a subnet that
            was scored, in the order asked, or one an operation that was measured.
        failure: set instead of metrics when it failed.
    """

    metrics: Mapping[str, float]
    fidelity: int
    source: Source = "trained"
    correct: bytes | None = None
    n_samples: int = 0
    curve: tuple[Mapping[str, float], ...] = ()
    seed: int = 0
    replicate: int = 0
    cost: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[Mapping[str, Any], ...] = ()
    failure: Failure | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON form (bits in base64)."""
        out = asdict(self)
        out["correct"] = base64.b64encode(self.correct).decode() if self.correct is not None else None
        return out

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Report:
        """Reads what `to_json` wrote."""
        v = dict(value)
        v["correct"] = base64.b64decode(v["correct"]) if v.get("correct") else None
        v["curve"], v["rows"] = tuple(v.get("curve", ())), tuple(v.get("rows", ()))
        v["failure"] = Failure(**v["failure"]) if v.get("failure") else None
        return cls(**v)

    @classmethod
    def failed(cls, kind: str, message: str, traceback: str = "", fidelity: int = 0) -> Report:
        """A report of a failure."""
        return cls(metrics={}, fidelity=fidelity, failure=Failure(cast(FailureKind, kind), message, traceback))


@dataclass(frozen=True)
class Origin:
    """Which weights a piece of work begins with; `engine.evaluation.inherited` carries them over.

    Attributes:
        how: the proposal's `init_from`.
        architecture: of the trial that it names.
        checkpoint: path of that trial's checkpoint; None = its weights are gone.
    """

    how: Mapping[str, Any]
    architecture: Architecture
    checkpoint: Path | None

    @property
    def trial(self) -> int:
        """The trial whose weights they are."""
        return int(self.how["trial"])


@dataclass(frozen=True)
class Work:
    """One piece of work for a session.

    Attributes:
        kind: "train" (a rung of a trial), "final" (full recipe, then the sealed test split once), "preflight";
            "supernet" (trains one), "score" (subnets under its weights), "measure" (what operations take on a device).
        architecture: what to evaluate.
        fidelity: epochs to reach in all.
        max_fidelity: horizon of the learning-rate schedule, fixed for the trial.
        seed, replicate: of the training.
        checkpoint: path of a checkpoint to resume, or None. A missing or broken one is an error, no restart.
        origin: weights to begin with where there is no checkpoint, or None = from the seed. A session that holds no
            weights takes no notice.
        folder: where the session may write (`checkpoint.safetensors` and other artifacts).
        trial: the trial's number, for messages.
        extra: kind-specific JSON (preflight: {"architectures": [...]}; the pieces of a supernet: see `log.Launch`);
            of any kind: "device_lock", path of the lock of the device it computes on (`engine.training.exclusive`).
    """

    kind: Literal["train", "final", "preflight", "supernet", "score", "measure"]
    architecture: Architecture | None
    fidelity: int
    max_fidelity: int
    seed: int
    folder: Path
    replicate: int = 0
    checkpoint: Path | None = None
    origin: Origin | None = None
    trial: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


#: events of a running evaluation, JSON-able dictionaries with a "kind":
#:   {"kind": "epoch", "epoch", "epochs", "accuracy", "loss", "train_loss", "samples_per_s"}
#:   {"kind": "batch", "epoch", "epochs", "batch", "batches", "samples_per_s"}       at most a few a second
#:   {"kind": "checkpoint", "path", "epoch", "batch"}                                 after os.replace
#:   {"kind": "log", "what": "probe", "message": "..."}
#:   {"kind": "phase", "phase": "data" | "train" | "test" | "export" | "verify" | "waiting for the device"}
Emit = Callable[[dict[str, Any]], None]
#: asked every batch; None = go on, else the reason to hand back ("pause", "cancel", "drain", "lost")
ShouldStop = Callable[[], str | None]
#: what `should_stop` answers where a supernet's training shall end after this epoch and the search go on with it
ENOUGH = "enough"


class Session(ABC):
    """Lives in a child process (or in the caller for inline evaluators); serves one piece of work after another."""

    @abstractmethod
    def evaluate(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        """Evaluates; failures that are the architecture's or the training's own come back in the report.

        Raises:
            Interrupted: after writing a checkpoint, because `should_stop` gave a reason.
        """

    def close(self) -> None:  # noqa: B027 - optional hook
        """Frees what the session holds."""


class Evaluator(ABC):
    """One way to get numbers. One file, one class; `Options` are its options."""

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str] = ""
    #: answered in the control task, without a job's child process
    inline: ClassVar[bool] = False
    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: BaseModel) -> None:
        self.options: Any = options

    @abstractmethod
    def open(self, config: SearchConfig, data: DataSpec) -> Session:
        """Opens a session. The trained evaluator loads the data here, once."""

    @classmethod
    def data_spec(cls, options: BaseModel) -> DataSpec | None:
        """The data an evaluator brings itself (a table), else None."""
        return None
