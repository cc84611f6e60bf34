"""What a person writes to define a space: decisions with conditions, and steps that use them.

Plain values only. A step names a module of the allow-list (`_custom.modules`); `$name` stands for the option chosen for
a decision, `$a*2*$b` for a product. Nothing that is written is ever run.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from engine.architecture import Option
from engine.errors import InvalidArchitecture
from engine.spaces._custom import modules as modules

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MAX_DECISIONS = 200
MAX_NODES = 400
_FACTOR = re.compile(r"\$[a-z][a-z0-9_]{0,39}|\d{1,6}")
_FORMS = ("use", "repeat", "choose", "branches", "residual")
_JOINS = ("add", "concat")


class Plain(BaseModel):
    """Base of the parts: unknown fields, NaN and infinities are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True
    )


class WrittenDecision(Plain):
    """One choice.

    Attributes:
        name: lower-case letters, digits and underscores.
        options: what can be chosen.
        when: acts only where each named earlier decision has one of these options.
        per: one such decision for each unit of an earlier decision with whole numbers: `op_1`, `op_2`, ...; inside
            `repeat: $that` the plain name stands for that repetition's.
        help: one sentence.
    """

    name: str
    options: tuple[int | float | str | bool, ...] = Field(min_length=1, max_length=64)
    when: dict[str, tuple[int | float | str | bool, ...]] = Field(default_factory=dict, max_length=10)
    per: str = ""
    help: str = Field("", max_length=300)

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError(
                f"received {value[:60]!r}; a name has small letters, digits and underscores, a letter first"
            )
        return value

    @field_validator("options")
    @classmethod
    def _options(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        # 1 and 1.0, true and "true" are one for a person, for cases, and for whoever compares them
        if len({_text(o) for o in value}) != len(value) or len(set(value)) != len(value):
            raise ValueError("each option once")
        for o in value:
            if isinstance(o, str) and not 0 < len(o) <= 60:
                raise ValueError("an option has 1 to 60 characters")
            if isinstance(o, float) and not math.isfinite(o):
                raise ValueError("an option must be finite")
        return value

    @property
    def ordered(self) -> bool:
        """Numbers are a scale."""
        return all(isinstance(o, int | float) and not isinstance(o, bool) for o in self.options)


class Step(Plain):
    """One step of the network; exactly one of use, repeat, choose, branches, residual.

    Attributes:
        use: a module, with its arguments beside it; or `add` / `concat` of what `from` names.
        from_: names of earlier steps it reads (written `from`); the step before where nothing is said.
        name: for `from`, and for people.
        repeat: how often `steps` follow each other: a number or `$decision`.
        choose: `$decision`; its option picks the steps in `cases`.
        branches: lists of steps side by side on the same input, joined by `join`.
        residual: steps whose output is added to their input (through a 1x1 convolution where the shapes differ).
        when: built only where each named decision has one of these options.
    """

    model_config = ConfigDict(
        extra="allow", frozen=True, allow_inf_nan=False, populate_by_name=True, serialize_by_alias=True
    )

    use: str = ""
    from_: tuple[str, ...] = Field((), alias="from", max_length=20)
    name: str = ""
    repeat: int | str | None = None
    steps: tuple[Step, ...] = Field((), max_length=60)
    choose: str = ""
    cases: dict[str, tuple[Step, ...]] = Field(default_factory=dict, max_length=64)
    branches: tuple[tuple[Step, ...], ...] = Field((), max_length=12)
    join: Literal["add", "concat"] = "add"
    residual: tuple[Step, ...] = Field((), max_length=60)
    when: dict[str, tuple[int | float | str | bool, ...]] = Field(default_factory=dict, max_length=10)

    @field_validator("from_", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("cases", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        """Keys as text: YAML reads 3 as a number."""
        return {_text(k): v or () for k, v in value.items()} if isinstance(value, dict) else value

    @property
    def form(self) -> str:
        """Which kind of step it is."""
        return next(f for f in _FORMS if getattr(self, f) not in ("", None, ()))

    @property
    def arguments(self) -> dict[str, Any]:
        """What stands beside `use`."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [f for f in _FORMS if getattr(self, f) not in ("", None, ())]
        if len(given) != 1:
            said = f"received {' and '.join(given)}" if given else "received none"
            raise ValueError(f"a step has exactly one of {', '.join(_FORMS)}; {said}")
        if self.model_extra and not self.use:
            raise ValueError(f"unknown field {next(iter(self.model_extra))!r}")
        if (self.repeat is not None) != bool(self.steps):
            raise ValueError("repeat and steps stand together")
        if bool(self.choose) != bool(self.cases):
            raise ValueError("choose and cases stand together")
        if self.name and not NAME.fullmatch(self.name):
            raise ValueError(f"received the name {self.name[:60]!r}; small letters, digits, underscores")
        return self


class Definition(Plain):
    """A written space: decisions, and the steps of the network. The classifier at the end is added by itself.

    Attributes:
        title: for people.
        embedding: for text and categories: values a token or category becomes.
        decisions: in the order they are taken.
        network: in the order the data passes them.
    """

    title: str = Field("", max_length=120)
    embedding: int | str = 32
    decisions: tuple[WrittenDecision, ...] = Field(min_length=1, max_length=MAX_DECISIONS)
    network: tuple[Step, ...] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        known: dict[str, WrittenDecision] = {}
        for d in self.decisions:
            if d.name in known:
                raise ValueError(f"two decisions are called {d.name!r}")
            for other in (*d.when, *([d.per] if d.per else [])):
                if other not in known:
                    raise ValueError(f"{d.name}: its condition names {other!r}, which is no earlier decision")
                if known[other].per:
                    raise ValueError(f"{d.name}: its condition names {other!r}, of which there are several")
            _conditions(d.name, d.when, known)
            if d.per and not all(isinstance(o, int) and 1 <= o <= 64 for o in known[d.per].options):
                raise ValueError(f"{d.name}: per needs a decision with whole numbers from 1 to 64, not {d.per!r}")
            known[d.name] = d
        if sum(max(_numbers(known[d.per])) if d.per else 1 for d in self.decisions) > MAX_DECISIONS:
            raise ValueError(f"more than {MAX_DECISIONS} decisions")
        if isinstance(self.embedding, str):
            _check("embedding", self.embedding, modules.Argument("embedding"), known, ())
        else:
            _plain("embedding", self.embedding, modules.Argument("embedding"))
        if (most := _most(self.network, known, (), depth=0)) > MAX_NODES:
            raise ValueError(f"the network can have {most:,} steps; at most {MAX_NODES}")
        return self


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _numbers(decision: WrittenDecision) -> list[int]:
    return [int(o) for o in decision.options]


def _conditions(where: str, when: Mapping[str, Sequence[Option]], known: Mapping[str, WrittenDecision]) -> None:
    for name, options in when.items():
        if name not in known:
            raise ValueError(f"{where}: its condition names {name!r}, which is no decision")
        if bad := [o for o in options if o not in known[name].options]:
            raise ValueError(f"{where}: {name} has no option {bad[0]!r}")
        if not options:
            raise ValueError(f"{where}: the condition on {name} names no option")


# -- references -----------------------------------------------------------------------------------
def factors(value: Any) -> list[str | int] | None:
    """The factors of "$a*2*$b", decisions without the dollar; None = a plain value.

    Raises:
        ValueError: begins like a reference but is none.
    """
    if not isinstance(value, str) or "$" not in value:
        return None
    parts = [p.strip() for p in value.split("*")]
    if not all(_FACTOR.fullmatch(p) for p in parts) or len(parts) > 6:
        raise ValueError(f"received {value[:60]!r}; write $decision, or a product such as $width*2")
    return [p.removeprefix("$") if p.startswith("$") else int(p) for p in parts]


def _plain(where: str, value: Any, argument: modules.Argument) -> None:
    try:
        argument.check(where, value)
    except InvalidArchitecture as e:
        raise ValueError(str(e)) from e


def _check(
    where: str, value: Any, argument: modules.Argument, known: Mapping[str, WrittenDecision], loops: Sequence[str]
) -> None:
    """Every value that a written argument can take is allowed."""
    found = factors(value)
    if found is None:
        _plain(where, value, argument)
        return
    offered: list[Sequence[Any]] = []
    for factor in found:
        if isinstance(factor, str):
            decision = _known(where, factor, known, loops)
            offered.append(decision.options)
        else:
            offered.append((factor,))
    for values in itertools.islice(itertools.product(*offered), 2000):
        if len(values) > 1 and not all(isinstance(v, int | float) for v in values):
            raise ValueError(f"{where}: only numbers can be multiplied, not {value!r}")
        _plain(f"{where} ({value})", math.prod(values) if len(values) > 1 else values[0], argument)


def _known(where: str, name: str, known: Mapping[str, WrittenDecision], loops: Sequence[str]) -> WrittenDecision:
    if name not in known:
        raise ValueError(f"{where}: ${name} is no decision; there are {', '.join(known)}")
    if known[name].per and known[name].per not in loops:
        raise ValueError(
            f"{where}: ${name} is chosen for each of {known[name].per}: use it inside repeat: ${known[name].per}"
        )
    return known[name]


# -- the steps ------------------------------------------------------------------------------------
def _most(steps: Sequence[Step], known: Mapping[str, WrittenDecision], loops: tuple[str, ...], depth: int) -> int:
    """Checks the steps, and says how many operations they can be at most."""
    if depth > 8:
        raise ValueError("steps stand in each other more than 8 deep")
    return sum(_most_of(step, known, loops, depth) for step in steps)


def _most_of(step: Step, known: Mapping[str, WrittenDecision], loops: tuple[str, ...], depth: int) -> int:
    where = step.name or step.use or step.form
    _conditions(where, step.when, known)
    if step.form == "use":
        if step.use in _JOINS:
            if step.arguments or len(step.from_) < 2:
                raise ValueError(f"{where}: joins what `from` names: two steps or more, and nothing else")
            return 1
        return _check_use(step, where, known, loops)
    if step.from_ and len(step.from_) > 1:
        raise ValueError(f"{where}: reads one step")
    if step.form == "repeat":
        times, inner = _times(step, where, known, loops)
        return times * _most(step.steps, known, (*loops, *inner), depth + 1)
    if step.form == "choose":
        named = factors(step.choose)
        if named is None or len(named) != 1 or not isinstance(named[0], str):
            raise ValueError(f"{where}: choose names one decision, as in choose: $operation")
        decision = _known(where, named[0], known, loops)
        wanted = {_text(o) for o in decision.options}
        if set(step.cases) != wanted:
            odd = sorted(set(step.cases) ^ wanted)[0]
            raise ValueError(f"{where}: one case for each option of {decision.name}; {odd!r} is missing or too many")
        return max(_most(case, known, loops, depth + 1) for case in step.cases.values())
    if step.form == "residual":
        return 2 + _most(step.residual, known, loops, depth + 1)
    return 1 + sum(_most(branch, known, loops, depth + 1) for branch in step.branches)


def _check_use(step: Step, where: str, known: Mapping[str, WrittenDecision], loops: tuple[str, ...]) -> int:
    try:
        found = modules.template(step.use)
    except InvalidArchitecture as e:
        raise ValueError(str(e)) from e
    for name, value in step.arguments.items():
        if name not in found.arguments:
            allowed = ", ".join(found.arguments) or "no arguments"
            raise ValueError(f"{where}: {name!r} is no argument of {step.use}; it takes {allowed}")
        _check(f"{where}.{name}", value, found.arguments[name], known, loops)
    if missing := [n for n, a in found.arguments.items() if a.default is None and n not in step.arguments]:
        raise ValueError(f"{where}: {step.use} needs {missing[0]}")
    if len(step.from_) > 1:
        raise ValueError(f"{where}: {step.use} reads one step; join several by use: add or use: concat")
    return 1


def _times(
    step: Step, where: str, known: Mapping[str, WrittenDecision], loops: tuple[str, ...]
) -> tuple[int, tuple[str, ...]]:
    """How often at most, and the decision that says it."""
    found = factors(step.repeat)
    if found is None:
        if not isinstance(step.repeat, int) or isinstance(step.repeat, bool) or not 0 <= step.repeat <= 64:
            raise ValueError(f"{where}: repeat is a number from 0 to 64 or $decision, not {str(step.repeat)[:40]!r}")
        return step.repeat, ()
    if len(found) != 1 or not isinstance(found[0], str):
        raise ValueError(f"{where}: repeat names one decision")
    decision = _known(where, found[0], known, loops)
    if not all(isinstance(o, int) and not isinstance(o, bool) and 0 <= o <= 64 for o in decision.options):
        raise ValueError(f"{where}: repeat needs whole numbers from 0 to 64, which {decision.name} does not offer")
    return max(_numbers(decision)), (decision.name,)


def used(steps: Sequence[Step]) -> Iterator[tuple[Step, list[str]]]:
    """Each step with the decisions it names itself, in order, inner ones after outer ones."""
    for step in steps:
        names = [*step.when]
        for value in (*step.arguments.values(), step.repeat, step.choose):
            names += [f for f in factors(value) or () if isinstance(f, str)]
        yield step, list(dict.fromkeys(names))
        for inner in (step.steps, step.residual, *step.branches, *step.cases.values()):
            yield from used(inner)
