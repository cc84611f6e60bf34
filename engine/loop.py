"""A whole search in this process: `engine.run(config)`."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import catalog
from engine.conductor import (
    Action,
    Conductor,
    Edit,
    Entry,
    Finish,
    Launch,
    PieceDone,
    Promote,
    Result,
    Start,
    Stop,
    training_seed,
)  # fmt: skip
from engine.errors import DataError, EngineError
from engine.evaluation.base import Emit, Evaluator, Origin, Report, Session, Work
from engine.history import TrialEntry

if TYPE_CHECKING:
    from engine.config import SearchConfig
    from engine.data.spec import DataSpec
    from engine.experience import Experience

#: called after each decision: the conductor and the actions it answered with
Progress = Callable[[Conductor, list[Action]], None]


@dataclass
class RunResult:
    """How a search in this process ended.

    Attributes:
        conductor: with the whole history.
        log: every entry, in recorded order; a fresh conductor fed with it takes the same actions.
        actions: every action, in order.
        finish: the last one.
        final: report of the winner's full training, where there was one.
        folder: where its weights and checkpoints lie, None for evaluators that leave none.
        duration_s: wall time.
    """

    conductor: Conductor
    log: list[Entry] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    finish: Finish | None = None
    final: Report | None = None
    folder: Path | None = None
    duration_s: float = 0.0

    @property
    def best(self) -> TrialEntry | None:
        """The best trial, None if none gave a result."""
        return self.conductor.best()

    @property
    def front(self) -> list[TrialEntry]:
        """Trials on the Pareto front."""
        return [self.conductor.history[n] for n in self.conductor.front()]


def run(
    config: SearchConfig,
    *,
    data: DataSpec | None = None,
    workdir: str | Path | None = None,
    progress: Progress | None = None,
    emit: Emit | None = None,
    final: bool = True,
    experience: Sequence[Experience] = (),
) -> RunResult:
    """Runs a search to its end.

    Trials are evaluated one after another, in the order started; `parallelism` rungs are under way at a time as far as
    the strategy can tell, so that the decisions are those of so many equally fast workers.

    Args:
        config: the search.
        data: what the evaluator does not bring itself; by default looked up in the data registry.
        workdir: for checkpoints and weights; by default a folder that is gone when this returns.
        progress: called after each decision.
        emit: gets the evaluator's events (see `engine.evaluation.base`), with "trial" added.
        final: whether the winner is trained with its full recipe, where the config wants that.
        experience: results of earlier searches (`engine.experience.experience_of`), for strategies that learn.

    Raises:
        InvalidConfig, DataError, StrategyFailed: the search cannot be started or go on.
    """
    began = time.monotonic()
    evaluator: Evaluator = catalog.get("evaluator", config.evaluator.name)(config.options("evaluator"))
    spec = data or evaluator.data_spec(config.options("evaluator")) or _registered(config)
    out = RunResult(Conductor.from_config(config, spec, experience))
    with ExitStack() as stack:
        if workdir is not None:
            out.folder = folder = Path(workdir)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nas-")))
        session = evaluator.open(config, spec)
        stack.callback(session.close)
        _search(config, session, folder, out, progress, emit, began)
        winner = out.best
        if final and config.final.enabled and winner is not None and out.finish and out.finish.winners:
            out.final = _evaluate(
                config, session, folder / "final", winner.number, winner, config.final_epochs, None, emit
            )
    out.duration_s = time.monotonic() - began
    return out


def _registered(config: SearchConfig) -> DataSpec:
    from engine.data import registry

    return registry.spec(config.data.name, config.data.options())


def _search(
    config: SearchConfig, session: Session, folder: Path, out: RunResult, progress: Progress | None,
    emit: Emit | None, began: float,
) -> None:  # fmt: skip
    conductor = out.conductor
    queue: deque[tuple[int, int]] = deque()
    checkpoints: dict[int, Path] = {}
    launches: deque[Launch] = deque()
    pieces = Pieces(config, session, folder, emit)

    def tell(entry: Entry) -> None:
        out.log.append(entry)
        conductor.observe(entry)
        actions = conductor.next_actions()
        keeps = conductor.keeps()
        out.actions += actions
        for action in actions:
            match action:
                case Launch():
                    launches.append(action)
                case Start() | Promote():
                    queue.append((action.trial, action.fidelity))
                case Stop() if action.trial not in keeps:
                    checkpoints.pop(action.trial, None)
                case Finish():
                    out.finish = action
        if progress is not None:
            progress(conductor, actions)

    tell(Edit("start"))
    while out.finish is None:
        if config.budget.minutes is not None and time.monotonic() - began > 60 * config.budget.minutes:
            tell(Edit("deadline"))
            continue
        if launches:
            launch = launches.popleft()
            tell(PieceDone(launch.piece, pieces.work(launch)))
            continue
        if not queue:
            raise EngineError("the search has nothing under way and did not end; this is a bug of the conductor")
        number, fidelity = queue.popleft()
        entry = conductor.history[number]
        if entry.state != "running":
            continue
        report = _evaluate(
            config, session, folder / str(number), number, entry, fidelity, checkpoints.get(number), emit,
            _origin(conductor, entry, checkpoints),
        )  # fmt: skip
        if "checkpoint" in report.artifacts:
            checkpoints[number] = Path(report.artifacts["checkpoint"])
        tell(Result(number, fidelity, report))


class Pieces:
    """Does the pieces of a weight-sharing search one after another, and remembers what later ones need."""

    def __init__(self, config: SearchConfig, session: Session, folder: Path, emit: Emit | None) -> None:
        self.config, self.session, self.folder, self.emit = config, session, folder, emit
        self._done: dict[int, Report] = {}

    def work(self, launch: Launch) -> Report:
        """The report of a piece; a failure of any kind comes back in it."""
        extra = {"piece": launch.piece, **launch.payload}
        checkpoint = None
        if launch.kind == "score":
            checkpoint = Path(self._done[extra["supernet"]].artifacts["supernet"])
        if "latency" in extra:
            extra["latency_ms"] = list(self._done[extra["latency"]].rows)
        work = Work(
            kind=launch.kind, architecture=None, fidelity=int(extra.get("epochs", 0)), max_fidelity=0,
            seed=int(extra["seed"]), folder=self.folder / f"piece{launch.piece}", checkpoint=checkpoint, extra=extra,
        )  # fmt: skip

        def pass_on(event: dict[str, Any]) -> None:
            if self.emit is not None:
                self.emit({"piece": launch.piece, **event})

        report = _guarded(self.session, work, pass_on)
        self._done[launch.piece] = report
        return report


def _origin(conductor: Conductor, entry: TrialEntry, checkpoints: Mapping[int, Path]) -> Origin | None:
    """Whose weights a trial begins with, where its proposal says so."""
    how = entry.proposal.init_from
    if how is None:
        return None
    parent = int(how["trial"])
    return Origin(how, conductor.history[parent].architecture, checkpoints.get(parent))


def _evaluate(
    config: SearchConfig, session: Session, folder: Path, number: int, entry: TrialEntry, fidelity: int,
    checkpoint: Path | None, emit: Emit | None, origin: Origin | None = None,
) -> Report:  # fmt: skip
    final = folder.name == "final"
    replicate = entry.proposal.replicate
    work = Work(
        kind="final" if final else "train",
        architecture=entry.architecture,
        fidelity=fidelity,
        max_fidelity=fidelity if final else config.budget.epochs,
        seed=training_seed(config.seed, number, replicate),
        folder=folder,
        replicate=replicate,
        checkpoint=checkpoint,
        origin=origin,
        trial=number,
    )

    def pass_on(event: dict[str, Any]) -> None:
        if emit is not None:
            emit({"trial": number, **event})

    return _guarded(session, work, pass_on)


def _guarded(session: Session, work: Work, emit: Emit) -> Report:
    """The report of a piece of work; what cannot be trained must not end the search."""
    try:
        return session.evaluate(work, emit, lambda: None)
    except (DataError, MemoryError):
        raise  # nothing the next trial would do better
    except Exception as e:
        import traceback

        return Report.failed("crashed", f"{type(e).__name__}: {e}", traceback.format_exc(), work.fidelity)
