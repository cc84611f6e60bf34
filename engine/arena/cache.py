"""Results of runs on disk, found again by all that decides them: nothing is run twice, nothing stale is read.

A file per entrant, problem and budget: one line that says what it is, then one line of JSON per seed. Its name holds
the digest of the entrant's code (`digest_of`), its options and the problem. Lines are appended as runs end, so that a
benchmark that is stopped goes on where it was; a line cut off by a kill is dropped.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine import catalog
from engine.arena.entrants import Entrant
from engine.arena.problem import Problem
from engine.arena.race import Run
from engine.arena.renamed import original

#: class attributes and arguments that people read and no run depends on
_WORDS = frozenset({"summary", "reference", "guide", "description", "json_schema_extra"})


class Results:
    """The runs of one entrant on one problem with one budget.

    Args:
        folder: where files stand.
        problem, entrant, budget, parallel: what is run.
        also: what else decides the runs, as JSON, e.g. whose experience they were given.
    """

    def __init__(
        self, folder: Path, problem: Problem, entrant: Entrant, budget: int, parallel: int = 1, *,
        also: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        self.head = {
            "entrant": entrant.name, "kind": entrant.kind, "options": dict(entrant.options),
            "duplicates": entrant.duplicates, "problem": problem.described(), "budget": budget, "parallel": parallel,
            "code": digest_of(entrant, original(problem.space).name), **(also or {}),
        }  # fmt: skip
        digest = hashlib.sha256(json.dumps(self.head, sort_keys=True, default=str).encode()).hexdigest()[:12]
        place, name = (re.sub(r"[^\w.-]+", "-", t) for t in (f"{problem.name}-{budget}", entrant.name))
        self.path = folder / place / f"{name}-{digest}.jsonl"
        self.runs: dict[int, Run] = {}
        self._read()

    def _read(self) -> None:
        if not self.path.exists():
            return
        kept = []
        text = self.path.read_text()
        for line in text.splitlines()[1:]:
            try:
                run = Run.from_json(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue
            self.runs[run.seed] = run
            kept.append(line)
        if not text.endswith("\n"):  # cut off: what is appended next would join the torn line
            self.path.write_text("\n".join([text.splitlines()[0], *kept]) + "\n")

    def missing(self, seeds: Iterable[int]) -> list[int]:
        """Seeds without a run."""
        return [s for s in seeds if s not in self.runs]

    def add(self, run: Run) -> None:
        """Keeps a run."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.head, default=str) + "\n")
        with self.path.open("a") as file:
            file.write(json.dumps(run.to_json(), separators=(",", ":")) + "\n")
        self.runs[run.seed] = run


# -- code ---------------------------------------------------------------------------------------------
def digest_of(entrant: Entrant, space: str) -> str:
    """Digest of all code that a run goes through: the strategy's module and the space's, with what they import.

    Imports are followed within `engine`, those inside functions too; a strategy that another one names in a string is
    among them (`auto` and portfolios take theirs from the catalog by name). Docstrings, comments and words for people
    do not count.
    """
    roots = {"engine.arena.race", "engine.arena.problem", "engine.schedules.full", _module("space", space)}
    match entrant.kind:
        case "strategy":
            roots.add(_module("strategy", entrant.name))
        case "peer":
            import optuna

            roots |= {"engine.arena.peers", f"optuna {optuna.__version__}"}
    return _digest(frozenset(roots))


@lru_cache(maxsize=256)
def _digest(roots: frozenset[str]) -> str:
    parts = [f"{name} {_code(name)[0]}" for name in sorted(closure(roots))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def closure(roots: Iterable[str]) -> set[str]:
    """Modules, and those of `engine` that they import, directly or not."""
    found: set[str] = set()
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += _code(name)[1]
    return found


def learns_weights(entrant: Entrant) -> bool:
    """Whether its code imports torch somewhere: what is slow enough that fewer seeds have to do."""
    if entrant.kind != "strategy":
        return entrant.name == "optuna-gp"
    names = closure({_module("strategy", entrant.name)})
    parts = ("engine.strategies.", "engine.predictors.")
    return any(_code(name)[2] for name in names if name.startswith(parts))


def _module(kind: str, name: str) -> str:
    return str(catalog.get(kind, name).__module__)


@lru_cache(maxsize=1024)
def _code(name: str) -> tuple[str, tuple[str, ...], bool]:
    """(digest of a module's code, modules of the engine that it names, whether it imports torch)."""
    spec = find_spec(name) if re.fullmatch(r"[\w.]+", name) else None
    if spec is None or spec.origin is None:
        return "", (), False
    tree = _Bare().visit(ast.parse(Path(spec.origin).read_text()))
    names: set[str] = set()
    torch = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and name.startswith("engine.strategies."):
            cls: Any = catalog.plugins("strategy").get(node.value)
            names |= {cls.__module__} if cls is not None else set()
    torch = any(n.split(".")[0] in ("torch", "botorch", "gpytorch") for n in names)
    own = sorted(n for n in names if n.startswith("engine.") and _exists(n))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(own), torch


@lru_cache(maxsize=4096)
def _exists(name: str) -> bool:
    try:
        found = find_spec(name)
    except ModuleNotFoundError:  # a name inside a module
        return False
    return found is not None and found.origin is not None


class _Bare(ast.NodeTransformer):
    """Takes out docstrings, type-only imports and words for people."""

    def visit_Expr(self, node: ast.Expr) -> Any:
        """Docstrings, and other strings that do nothing."""
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node

    def visit_If(self, node: ast.If) -> Any:
        """`if TYPE_CHECKING:`."""
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> Any:
        """`summary = ...` and its like."""
        if any(isinstance(t, ast.Name) and t.id in _WORDS for t in node.targets):
            return None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        """Without `description=`."""
        node.keywords = [k for k in node.keywords if k.arg not in _WORDS]
        return self.generic_visit(node)
