"""The picture of a written space: a place for each step, what is decided inside a step at that step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidArchitecture
from engine.network.operations import OPERATIONS
from engine.spaces._custom import modules
from engine.spaces._custom.definition import Definition, Step, factors, used
from engine.spaces._outline import Outline, input_words

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace


def outline(space: SearchSpace, written: Definition) -> dict[str, Any]:
    """Steps in their order; a choice, branches and a residual part are one place each, of a repetition every step."""
    places = _Places(space, written)
    data = space.data
    places.drawn.part("input", "input", *input_words(data.kind if data else "input", data.input_shape if data else ()))
    places.walk(written.network, None, "step")
    if left := [n for n in places.every if n not in places.placed]:
        places.part("unused", "other", "used by no step", "", left, None)
    places.drawn.part("output", "output", "linear", f"{data.n_classes} classes" if data else "")
    places.drawn.chain()
    return places.drawn.done()


class _Places:
    def __init__(self, space: SearchSpace, written: Definition) -> None:
        self.drawn = Outline(space)
        names = [d.name for d in space.all_decisions()]
        self.every = {d.name: [n for n in names if n == d.name or _counted(n, d.name)] for d in written.decisions}
        self.options: Mapping[str, Sequence[Any]] = {d.name: d.options for d in written.decisions}
        self.placed: set[str] = set()

    def part(self, id: str, kind: str, title: str, detail: str, names: Sequence[str], repeat: str | None) -> None:
        """A place with those of the decisions that stand nowhere yet."""
        fresh = [n for n in dict.fromkeys(names) if n not in self.placed]
        self.placed |= set(fresh)
        decide = [(self.every[n], n.replace("_", " ")) for n in fresh]
        self.drawn.part(id, kind, title, detail, decide=decide, repeat=repeat)

    def walk(self, steps: Sequence[Step], repeat: str | None, path: str) -> None:
        """Places of these steps."""
        for i, step in enumerate(steps, start=1):
            own = next(used([step]))[1]
            if step.form == "repeat":
                times = self._times(step)
                word = (step.name or "repeat").replace("_", " ")
                self.part(f"{path}{i}", "other", word, times, own, None)
                self.walk(step.steps, times, f"{path}{i}_")
            else:
                inside = [n for _, names in used([step]) for n in names]
                title = step.name.replace("_", " ") or _title(step)
                detail = ", ".join(p for p in (_detail(step), repeat) if p)
                self.part(f"{path}{i}", _kind(step), title, detail, inside, repeat)

    def _times(self, step: Step) -> str:
        """ "3 times", "1 to 3 times"."""
        found = factors(step.repeat)
        if found is None:
            return f"{step.repeat} times"
        options = self.options[str(found[0])]
        low, high = min(options), max(options)
        return f"{low} to {high} times" if low != high else f"{low} times"


def _counted(name: str, of: str) -> bool:
    return name.startswith(f"{of}_") and name.removeprefix(f"{of}_").isdigit()


def _uses(steps: Sequence[Step]) -> Iterator[str]:
    for step, _ in used(steps):
        if step.use:
            yield step.use.replace("_", " ")


def _title(step: Step) -> str:
    if step.form == "use":
        return step.use.replace("_", " ")
    if step.form == "choose":
        return " or ".join(step.cases) if len(step.cases) <= 3 else f"one of {len(step.cases)}"
    return step.form


def _detail(step: Step) -> str:
    """What is settled, in words."""
    if step.form == "use":
        return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in step.arguments.items() if factors(v) is None)
    if step.form == "residual":
        return f"{', '.join(_uses(step.residual))}, added to its input"
    if step.form == "branches":
        return f"{' beside '.join(', '.join(_uses(b)) or 'nothing' for b in step.branches)}, {step.join}"
    return ""


def _kind(step: Step) -> str:
    """How it is drawn: as its first module."""
    if step.form == "branches":
        return step.join
    for inner, _ in used([step]):
        if inner.use in OPERATIONS:
            return OPERATIONS[inner.use].kind
        if inner.use:
            try:
                name = modules.template(inner.use).op
            except InvalidArchitecture:
                continue
            return next((OPERATIONS[n].kind for n in (name, name.format(d="2d")) if n in OPERATIONS), "other")
    return "other"
