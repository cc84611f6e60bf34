"""Answers from a table instead of from training: for benchmarks, demos and tests."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import math
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from engine.architecture import Architecture
from engine.data.spec import DataSpec, Kind
from engine.errors import DataError, Interrupted, InvalidConfig
from engine.evaluation.base import Emit, Evaluator, Report, Session, ShouldStop, Work
from engine.spaces.base import SearchSpace, make_space

if TYPE_CHECKING:
    from engine.config import SearchConfig

SYNTHETIC = "synthetic"
#: what samples of so many axes are
_KINDS: dict[int, Kind] = {1: "table", 2: "signal", 3: "image"}


class Options(BaseModel):
    """Where the numbers stand."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    table: str = Field(SYNTHETIC, max_length=1000, description="A .csv or .csv.gz file, or synthetic: a formula.")
    key: tuple[str, ...] = Field(
        (), description="Columns that name an architecture: one per decision (named like it), or one with its code."
    )
    codes: dict[str, str] = Field(
        default_factory=dict,
        description="Option to its part of the code, e.g. {none: '0'}; empty = the option's position.",
    )
    reward: str = Field("accuracy", description="Column with the accuracy that is searched for.")
    scale: float = Field(1.0, gt=0, description="Accuracies are divided by this: 100 where the table holds percent.")
    epochs: dict[int, str] = Field(
        default_factory=dict, description="Columns with the accuracy after fewer epochs, for schedules: {3: acc_ep3}."
    )
    report: dict[str, str] = Field(
        default_factory=dict,
        description="Further metrics and their columns, e.g. {test_accuracy: acc_test}; scaled too.",
    )
    cost: str | None = Field(None, description="Column with the seconds a training took, if there is one.")
    data_name: str = Field("", max_length=100, description="Name of the data the table speaks of.")
    input_shape: tuple[int, ...] = Field(
        (1, 8, 8), min_length=1, max_length=3, description="One sample, e.g. 3, 32, 32."
    )
    n_classes: int = Field(10, ge=2, le=100_000, description="Number of classes.")
    noise: float = Field(0.0, ge=0, le=0.2, description="Synthetic only: standard deviation between seeds.")
    delay_s: float = Field(0.0, ge=0, le=3600, description="Wait so long per answer, for tests of the machinery.")

    @field_validator("table")
    @classmethod
    def _table(cls, value: str) -> str:
        if value != SYNTHETIC and not value.endswith((".csv", ".csv.gz")):
            raise ValueError(f"a .csv or .csv.gz file, or {SYNTHETIC!r}")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Options:
        if self.table != SYNTHETIC and not self.key:
            raise ValueError("a table needs its key columns")
        return self


class Table:
    """A CSV in memory: key to row of numbers.

    Args:
        options: of the evaluator.

    Raises:
        DataError: no such file, a column is missing, or a cell is not a number.
    """

    def __init__(self, options: Options) -> None:
        path = Path(options.table)
        wanted = [options.reward, *options.report.values(), *options.epochs.values()]
        wanted += [options.cost] if options.cost else []
        self.rows: dict[tuple[str, ...], dict[str, float]] = {}
        try:
            content = path.read_bytes()
        except OSError as e:
            raise DataError(f"the table {options.table} cannot be read: {e.strerror}") from e
        self.digest = hashlib.sha256(content).hexdigest()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
        reader = csv.DictReader(text.splitlines())
        if missing := [c for c in (*options.key, *wanted) if c not in (reader.fieldnames or ())]:
            raise DataError(f"{path.name} has no column {missing[0]!r}; it has {', '.join(reader.fieldnames or ())}")
        for line, row in enumerate(reader, start=2):
            try:
                self.rows[tuple(row[c] for c in options.key)] = {c: float(row[c]) for c in wanted}
            except (TypeError, ValueError) as e:
                raise DataError(f"{path.name}, line {line}: {e}") from e


@lru_cache(maxsize=4)
def _table(options_json: str, modified: float) -> Table:
    return Table(Options.model_validate_json(options_json))


def table(options: Options) -> Table:
    """The table, read once per process and change of the file."""
    try:
        modified = Path(options.table).stat().st_mtime
    except OSError as e:
        raise DataError(f"the table {options.table} cannot be read: {e.strerror}") from e
    return _table(options.model_dump_json(exclude={"delay_s", "noise"}), modified)


class Synthetic:
    """Accuracies of a landscape made from a formula: smooth, with interactions, larger is mostly better.

    With chance = 1 / classes and L active decisions in order,
    ``accuracy = chance + (0.99 - chance) * sigmoid(0.5 + 6 (s - 0.7) + 1.2 U + 0.8 V)``, where
    s = log10(1 + multiply-adds) / 9, U = sum of u(decision, option) / sqrt(L) and V = sum of v(two neighbouring
    decisions' options) / sqrt(L). u of an ordered decision is a parabola with a hashed peak, all other u and v are
    hashed to [-1, 1]. After e of E epochs the accuracy above chance is multiplied by (1 - exp(-k e/E)) / (1 - exp(-k)),
    with k hashed to [2, 5] per architecture: ranks at low epochs are informative and sometimes wrong. No data stand
    behind any of this.
    """

    def __init__(self, options: Options, space: SearchSpace) -> None:
        self.options, self.space = options, space
        self._decisions = {d.name: d for d in space.all_decisions()}

    @staticmethod
    @lru_cache(maxsize=1 << 16, typed=True)  # typed: True and 1 are different options
    def _hashed(*parts: object) -> float:
        digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=7).digest()
        return int.from_bytes(digest, "big") / 2**55 - 1

    def _main(self, name: str, option: Any) -> float:
        decision = self._decisions[name]
        if not decision.ordered or len(decision.options) < 3:
            return self._hashed("u", name, option)
        x = decision.options.index(option) / (len(decision.options) - 1)
        peak = 0.5 + 0.5 * self._hashed("peak", name)
        return 1 - 2 * (x - peak) ** 2 / max(peak, 1 - peak) ** 2

    def accuracy(self, architecture: Architecture, epochs: int, max_epochs: int) -> float:
        """The formula of the class."""
        choices = architecture.choices
        live = [(name, choices[name]) for name in self._decisions if name in choices]
        root = math.sqrt(max(1, len(live)))
        u = sum(self._main(name, option) for name, option in live) / root
        v = sum(self._hashed("v", *a, *b) for a, b in zip(live, live[1:], strict=False)) / root
        s = math.log10(1 + self.space.costs(architecture).n_macs) / 9
        chance = 1 / self.options.n_classes
        final = (0.99 - chance) / (1 + math.exp(-(0.5 + 6 * (s - 0.7) + 1.2 * u + 0.8 * v)))
        k = 3.5 + 1.5 * self._hashed("k", architecture.key)
        return chance + final * math.expm1(-k * min(1.0, epochs / max_epochs)) / math.expm1(-k)


class TabularSession(Session):
    """Looks up."""

    def __init__(self, options: Options, config: SearchConfig, data: DataSpec) -> None:
        self.options = options
        self.space = make_space(config, data)
        self.names = [d.name for d in self.space.all_decisions()]
        self._position = {(d.name, o): str(i) for d in self.space.all_decisions() for i, o in enumerate(d.options)}
        self.synthetic = Synthetic(options, self.space) if options.table == SYNTHETIC else None
        self.table = table(options) if options.table != SYNTHETIC else None

    def _key(self, architecture: Architecture) -> tuple[str, ...]:
        """The row's key: its decisions' options, or one code put together from all of them."""
        choices, key = architecture.choices, self.options.key
        if len(key) > 1 or key[0] in self.names:
            return tuple(
                "" if name not in choices else self._code(name, choices[name], str(choices[name])) for name in key
            )
        names = (name for name in self.names if name in choices)
        return ("".join(self._code(n, choices[n], self._position[n, choices[n]]) for n in names),)

    def _code(self, name: str, option: Any, otherwise: str) -> str:
        return self.options.codes.get(str(option), otherwise) if self.options.codes else otherwise

    def evaluate(self, work: Work, emit: Emit, should_stop: ShouldStop) -> Report:
        """The row's numbers; a row that is missing is a failed report.

        Raises:
            Interrupted: asked to stop during `delay_s`.
            DataError: the checkpoint of a synthetic rung is missing or of another trial.
        """
        end = time.monotonic() + self.options.delay_s
        while (left := end - time.monotonic()) > 0:
            if (reason := should_stop()) is not None:
                raise Interrupted(reason)
            time.sleep(min(left, 0.05))
        if work.architecture is None:  # a preflight: nothing is trained, so nothing costs time or memory
            return Report(metrics={}, fidelity=0, source="table", cost={"duration_s": 0.0})
        before = self._resume(work)
        at, limit = work.fidelity, work.max_fidelity
        cost: dict[str, Any] = {"duration_s": 0.0, "epochs": at - before, "device": "table"}
        if self.synthetic is not None:
            noise = np.random.default_rng([work.seed, 1]).normal(0, self.options.noise) if self.options.noise else 0.0
            values = {e: self.synthetic.accuracy(work.architecture, e, limit) for e in range(before + 1, at + 1)}
            values = {e: min(1.0, max(0.0, v + noise)) for e, v in values.items()}
            metrics = {"accuracy": values[at]}
        else:
            assert self.table is not None
            key = self._key(work.architecture)
            row = self.table.rows.get(key)
            if row is None:
                return Report.failed("cannot_build", f"the table has no row {', '.join(key)}", fidelity=at)
            column = self.options.reward if at >= limit else self.options.epochs[at]
            metrics = {"accuracy": row[column] / self.options.scale}
            metrics |= {name: row[c] / self.options.scale for name, c in self.options.report.items()}
            values = {at: metrics["accuracy"]}
            if self.options.cost:
                cost["duration_s"] = row[self.options.cost] * (at - before) / limit
        curve = tuple({"epoch": e, "accuracy": v} for e, v in values.items())
        for point in curve:
            emit({"kind": "epoch", "epochs": limit, **point})
        return Report(
            metrics, at, "table", curve=curve, seed=work.seed, replicate=work.replicate, cost=cost,
            artifacts=self._checkpoint(work),
        )  # fmt: skip

    def _resume(self, work: Work) -> int:
        """Epochs done before this piece of work."""
        if work.checkpoint is None:
            return 0
        try:
            saved = json.loads(Path(work.checkpoint).read_text())
        except (OSError, ValueError) as e:
            raise DataError(f"the checkpoint of trial {work.trial} cannot be read: {e}") from e
        if saved.get("trial") != work.trial or not 0 < saved.get("epoch", 0) < work.fidelity:
            raise DataError(
                f"the checkpoint of trial {work.trial} is not one of it below epoch {work.fidelity}: {saved}"
            )
        return int(saved["epoch"])

    @staticmethod
    def _checkpoint(work: Work) -> dict[str, str]:
        """Only rungs that may go on leave one."""
        if work.fidelity >= work.max_fidelity or work.kind != "train":
            return {}
        path = Path(work.folder) / "checkpoint.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"trial": work.trial, "epoch": work.fidelity}))
        return {"checkpoint": str(path)}


class TabularEvaluator(Evaluator):
    """Numbers looked up or computed, at once; their source is "table" and is shown as that."""

    name = "tabular"
    summary = "Numbers from a table or a formula, without training: for benchmarks, demos and tests"
    inline = True
    Options = Options

    def open(self, config: SearchConfig, data: DataSpec) -> TabularSession:
        """Reads the table.

        Raises:
            InvalidConfig: the schedule wants epochs that the table has no column for.
            DataError: see `Table`.
        """
        from engine import catalog

        options: Options = self.options
        if options.table != SYNTHETIC:
            schedule = catalog.get("schedule", config.schedule.name)(config.options("schedule"), config.budget.epochs)
            missing = [r for r in schedule.rungs[:-1] if r not in options.epochs]
            if missing:
                raise InvalidConfig(
                    [(("evaluator", "epochs"), f"the schedule rests at epoch {missing[0]}, which has no column here")]
                )
        return TabularSession(options, config, data)

    @classmethod
    def data_spec(cls, options: BaseModel) -> DataSpec:
        """The data the table speaks of; there are no samples behind it."""
        assert isinstance(options, Options)
        digest = hashlib.sha256(b"synthetic 1").hexdigest() if options.table == SYNTHETIC else table(options).digest
        channels = options.input_shape[0]
        return DataSpec(
            name=options.data_name
            or (SYNTHETIC if options.table == SYNTHETIC else Path(options.table).name.split(".")[0]),
            kind=_KINDS[len(options.input_shape)],
            input_shape=options.input_shape,
            n_classes=options.n_classes,
            class_names=tuple(str(i) for i in range(options.n_classes)),
            sizes={"train": 0, "validation": 0, "test": 0},
            digest=digest,
            split_digest=digest,
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
        )
