"""What `manage.py search` does: reads a file, finds or starts a stack, follows a search, and says how it ended."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import close_old_connections

from engine.config import SearchConfig
from engine.errors import InvalidConfig
from searches.models import Artifact, Event, Job, Search, Trial
from searches.selectors.supernet import epoch_line

if TYPE_CHECKING:
    from nasweb.supervisor import Stack

POLL_S = 0.2
_STACK_PATIENCE_S = 20.0
STATES = [state.value for state in Trial.State]
WORDS = {Trial.State.PRUNED.value: "stopped early"}


class FileErrors(Exception):  # noqa: N818 - several at once
    """A file that does not describe a search: one line per problem."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


def read_config(path: Path, *, name: str | None = None, seed: int | None = None) -> SearchConfig:
    """Reads a search from a YAML file; a file without a name is called after itself.

    Args:
        path: the file.
        name, seed: instead of the file's.

    Raises:
        FileErrors: every problem, each with its path in the file and what would be right.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise FileErrors([f"{path}: {e.strerror or e}"]) from e
    except UnicodeDecodeError as e:
        raise FileErrors([f"{path}: this is not text in UTF-8 ({e.reason} at byte {e.start})"]) from e
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise FileErrors([f"{path}: this is not YAML: {e}"]) from e
    if isinstance(value, dict):
        value.setdefault("name", path.stem.replace("_", " "))
        value |= {k: v for k, v in {"name": name, "seed": seed}.items() if v is not None}
    try:
        config = SearchConfig.parse(value)
        _check_together(config)
    except InvalidConfig as e:
        problems = [(".".join(map(str, at)) or "search", _help(value, at, text)) for at, text in e.errors]
        raise FileErrors([f"{path}: {at}: {text}" for at, text in problems]) from e
    return config


def _help(value: Any, at: tuple[str | int, ...], text: str) -> str:
    """The message; where a field is unknown, with those there are."""
    if not text.startswith("Extra inputs"):
        return text
    from engine import catalog

    fields: Iterable[str] = SearchConfig.model_fields
    if len(at) > 1:
        part = SearchConfig.model_fields.get(str(at[0]))
        if at[0] in catalog.KINDS:
            given = value[at[0]]
            fields = ["name", *catalog.get(str(at[0]), given["name"]).Options.model_fields]
        elif part is not None:
            fields = getattr(part.annotation, "model_fields", ())
    names = ", ".join(sorted("schema" if name == "schema_" else name for name in fields))
    return f"there is no such field; there are {names}" if names else text


def _check_together(config: SearchConfig) -> None:
    """What only shows when the parts meet: data, space and strategy."""
    from engine import catalog
    from engine.data import registry
    from engine.parts import refused
    from engine.spaces.base import make_space

    evaluator = catalog.get("evaluator", config.evaluator.name)
    data = evaluator.data_spec(config.options("evaluator")) or registry.spec(config.data.name, config.data.options())
    space = make_space(config, data)
    if reason := refused(config, space):
        raise InvalidConfig([(("strategy", "name"), reason)])


# -- the stack ---------------------------------------------------------------------------------------------------------
@dataclass
class Engine:
    """Who does the work.

    Attributes:
        stack: started for this command, or None where one was running already.
    """

    stack: Stack | None

    def poll(self) -> None:
        """Looks after the stack's processes; called several times a second by whoever waits."""
        if self.stack is not None:
            self.stack.poll()


@contextlib.contextmanager
def engine_running(say: Callable[[str], None]) -> Iterator[Engine]:
    """Uses the stack that runs on the data directory, or starts its parts (no web server) for the block's duration.

    Raises:
        StackError: neither works; the message says why.
    """
    # the one place of this package that reaches up to how the parts are wired: a command is an entry, like `up`
    from nasweb.supervisor import Stack, StackError, running_stack

    deadline = time.monotonic() + _STACK_PATIENCE_S
    stack: Stack | None = None
    while stack is None and running_stack(settings.DATA_DIR) is None:
        starting = Stack(settings.DATA_DIR, web=False, say=say)
        try:
            starting.start()
            stack = starting
        except StackError:
            # another one on its way up holds the directory and does not serve yet
            if time.monotonic() > deadline or not _held():
                raise
            time.sleep(0.5)
    try:
        yield Engine(stack)
    finally:
        if stack is not None:
            _stop(stack)


def _held() -> bool:
    from nasweb.supervisor.datadir import DataDirLock, StackError

    lock = DataDirLock(settings.DATA_DIR)
    try:
        lock.acquire(patience_s=0)
    except StackError:
        return True
    lock.release()
    return False


def _stop(stack: Stack) -> None:
    try:
        stack.stop()
    except KeyboardInterrupt:  # the second Ctrl-C: hurry
        stack.hurry.set()
        stack.stop()


# -- following ---------------------------------------------------------------------------------------------------------
class Reporter:
    """Says nothing."""

    def update(self, search: Search) -> None:
        """Called several times a second with the search as it stands."""

    def close(self) -> None:
        """Called once at the end."""


class Lines(Reporter):
    """A plain line per ended trial, epoch of a supernet and step of a full training; from events, so none is missed."""

    SAID = ("final", "test", "export", "verify", "bundle", "supernet", "score", "measure")

    def __init__(self, out: TextIO) -> None:
        self._out, self._seq = out, 0
        self._said: dict[int, tuple[str, str]] = {}

    def say(self, text: str) -> None:
        """Writes a line."""
        self._out.write(text + "\n")
        self._out.flush()

    def update(self, search: Search) -> None:
        """Reads the new events."""
        events = Event.objects.filter(search=search, seq__gt=self._seq, kind__in=["trial", "log", "supernet"])
        for event in events.order_by("seq")[:2000]:
            self._seq = event.seq
            if event.kind == "trial":
                self._trial(event.data)
            elif event.kind == "supernet":
                self.say(epoch_line(**event.data))
            elif event.data.get("what") in self.SAID:
                of = f"#{event.data['trial']}  " if event.data.get("trial") else ""
                self.say(f"{of}{event.data['what']}: {event.data['message']}")

    def _trial(self, data: dict[str, Any]) -> None:
        now = (data["state"], data.get("final_state") or "")
        if self._said.get(data["number"], ("", ""))[0] != now[0] and now[0] in Trial.ENDED:
            self.say(trial_line(data))
        self._said[data["number"]] = now


class Bar(Lines):
    """A bar for a terminal; ended trials scroll above it."""

    def __init__(self, out: TextIO, total: int) -> None:
        super().__init__(out)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(file=out, highlight=False),
        )
        self._trials = self._progress.add_task("trials", total=total, note="")
        self._final: Any = None
        self._progress.start()

    def say(self, text: str) -> None:
        """Writes a line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, search: Search) -> None:
        """Moves the bar."""
        super().update(search)
        ended = search.n_completed + search.n_pruned + search.n_failed + search.n_cancelled
        note = f"best {_percent(search.best.accuracy)}, #{search.best.number}" if search.best_id else ""
        if search.state == Search.State.PAUSED:
            note = "paused   " + note
        self._progress.update(self._trials, completed=ended, note=note)
        job = Job.objects.filter(search=search, kind=Job.Kind.FINAL, state=Job.State.RUNNING).first()
        if job is not None:
            if self._final is None:
                self._final = self._progress.add_task("full training", total=job.fidelity, note="")
            now = job.progress or {}
            self._progress.update(
                self._final, completed=int(now.get("epoch") or 0), note=str(now.get("phase") or ""), total=job.fidelity
            )

    def close(self) -> None:
        """Leaves the bar as it stands."""
        self._progress.stop()


def trial_line(data: dict[str, Any]) -> str:
    """An ended trial in a line; `data` as in "trial" events."""
    state = WORDS.get(data["state"], data["state"])
    text = f"#{data['number']:<4} {data['name']:<28} {state:<13}"
    if data.get("accuracy") is not None:
        text += f" {_percent(data['accuracy'])}"
        if data.get("n_wrong") is not None:
            text += f"  {data['n_wrong']:>3} of {data['n_samples']} wrong"
        text += f"  {data['fidelity']} epochs"
    if data["state"] == Trial.State.FAILED:
        text += f"  {data.get('reason', '')}"
    return text.rstrip()


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def follow(search_id: int, engine: Engine, reporter: Reporter) -> Search:
    """Waits until the search has ended, and returns it.

    A paused search is waited for, too: somebody may resume it from the page.
    """
    try:
        while True:
            engine.poll()
            search = Search.objects.select_related("best").get(pk=search_id)
            reporter.update(search)
            if search.ended:
                return search
            close_old_connections()
            time.sleep(POLL_S)
    finally:
        reporter.close()


def wait_final(trial_id: int, engine: Engine) -> Trial:
    """Waits until a full training has ended."""
    while True:
        engine.poll()
        trial = Trial.objects.select_related("search").get(pk=trial_id)
        if trial.final_state in (Trial.FinalState.DONE, Trial.FinalState.FAILED):
            return trial
        time.sleep(POLL_S)


# -- how it stands -----------------------------------------------------------------------------------------------------
def outcome(search: Search, *, duration_s: float) -> dict[str, Any]:
    """The object `--json` prints.

    Returns:
        `{"search", "state", "reason", "trials": {state: count}, "best": {"trial", "name", "architecture", "metrics"} or
        None, "bundle": path or None, "duration_s"}`. "accuracy" is the validation accuracy measured in the search,
        "final_accuracy" the one after full training, "test_accuracy" that of the sealed split, after full training.
    """
    best = search.best
    return {
        "search": search.pk,
        "state": search.state,
        "reason": search.reason,
        "trials": {state: getattr(search, f"n_{state}") for state in STATES},
        "best": best
        and {
            "trial": best.number,
            "name": best.name,
            "architecture": best.architecture,
            "metrics": metrics(best),
        },
        "bundle": best and bundle_path(best),
        "duration_s": round(duration_s, 3),
    }


def metrics(trial: Trial) -> dict[str, Any]:
    """Everything measured of a trial by name."""
    costs = {name: getattr(trial, name) for name in ("n_params", "n_macs", "activation_bytes")}
    out = {**trial.metrics, **costs, "accuracy": trial.accuracy, "n_wrong": trial.n_wrong, "n_samples": trial.n_samples}
    final = trial.final.get("metrics", {})
    if final:
        out["final_accuracy"] = final.get("accuracy")
        out |= {k: final[k] for k in ("test_accuracy", "test_loss", "n_test") if k in final}
    return out


def bundle_of(trial: Trial) -> Artifact | None:
    """The verified bundle of a trial, if there is one."""
    return Artifact.objects.filter(trial=trial, kind=Artifact.Kind.BUNDLE).order_by("-id").first()


def bundle_path(trial: Trial) -> str | None:
    """Where the bundle lies on this machine; fetched from the storage where that is elsewhere."""
    found = bundle_of(trial)
    if found is None:
        return None
    try:
        return str(Path(default_storage.path(found.name)).resolve())
    except NotImplementedError:
        return str(copy_bundle(found, settings.DATA_DIR / "bundles" / f"search-{trial.search_id}-{trial.number}.zip"))


def copy_bundle(found: Artifact, path: Path) -> Path:
    """Copies a bundle out of the storage, under its name only when whole."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with default_storage.open(found.name, "rb") as source, part.open("wb") as target:
        for chunk in source.chunks():
            target.write(chunk)
    part.replace(path)
    return path


def summary(search: Search) -> list[str]:
    """How a search stands, in lines."""
    counts = [f"{getattr(search, f'n_{s}')} {WORDS.get(s, s)}" for s in STATES if getattr(search, f"n_{s}")]
    lines = [
        f"{search.pk}  {search.name}  {search.state}{': ' + search.reason if search.reason else ''}",
        f"   {search.n_trials} trials" + (f": {', '.join(counts)}" if counts else ""),
    ]
    if search.best is not None:
        best = search.best
        wrong = "" if best.n_wrong is None else f"{best.n_wrong} of {best.n_samples} wrong, "
        lines.append(
            f"   best #{best.number} {best.name}: {_percent(best.accuracy)} on validation, "
            f"{wrong}{best.n_params or 0:,} parameters"
        )
        final = best.final.get("metrics", {})
        if "test_accuracy" in final:
            lines.append(f"   sealed test after full training: {_percent(final['test_accuracy'])}")
        if best.final_reason:
            lines.append(f"   {best.final_reason}")
        if path := bundle_path(best):
            lines.append(f"   bundle {path}")
    return lines


def as_json(value: Any) -> str:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
