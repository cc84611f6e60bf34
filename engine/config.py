"""`SearchConfig`: everything that defines a search. Form, YAML, REST, CLI and clone all produce this value."""

from __future__ import annotations

import math
import re
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from engine import catalog
from engine.errors import InvalidConfig
from engine.objectives import EXACT_COSTS, Objective
from engine.recipe import RECIPE_PREFIX as RECIPE_PREFIX
from engine.recipe import Recipe as Recipe
from engine.recipe import Strict as Strict

SCHEMA: Literal[1] = 1


class PlugIn(BaseModel):
    """A plug-in by name with its options beside it: `{name: layers, depth: [3, 4]}`."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: str = Field(max_length=80)

    def options(self) -> dict[str, Any]:
        """The options as given."""
        return dict(self.model_extra or {})


class Budget(Strict):
    """When a search ends. The first limit that is reached ends it."""

    trials: int = Field(30, ge=1, le=1_000_000, description="Architectures to try; failed ones count.")
    epochs: int = Field(25, ge=1, le=100_000, description="Epochs of a trial that is trained to the end.")
    minutes: float | None = Field(None, gt=0, le=60 * 24 * 365, description="Running time, pauses not counted.")
    target: float | None = Field(None, description="Stop when the first objective reaches this value.")
    patience: int | None = Field(
        None, ge=1, le=1_000_000, description="Stop after so many finished trials without a better one."
    )


class Final(Strict):
    """Full training of the winner, and the one look at the sealed test split."""

    enabled: bool = Field(True, description="Train the winner with its full recipe when the search ends.")
    epochs: int | None = Field(
        None, ge=1, le=100_000, description="Epochs of the full training; empty = twice the epochs of a trial."
    )


class SearchConfig(Strict):
    """One search, whole.

    `space`, `strategy`, `schedule` and `evaluator` name plug-ins of the catalog; their options are validated against
    the plug-in's `Options` model and written back in full, so that a stored config never changes its meaning.
    """

    schema_: Literal[1] = Field(SCHEMA, alias="schema")
    name: str = Field(min_length=1, max_length=200)
    data: PlugIn = PlugIn(name="digits")
    space: PlugIn = PlugIn(name="layers")
    strategy: PlugIn = PlugIn(name="auto")
    evaluator: PlugIn = PlugIn(name="trained")
    schedule: PlugIn = PlugIn(name="full")
    objectives: tuple[Objective, ...] = (Objective(),)
    limits: dict[str, float] = Field(default_factory=dict)
    experience: tuple[str, ...] = Field(
        (), max_length=20, description="Earlier searches to learn from: digests of their frozen results."
    )
    duplicates: Literal["canonical", "written", "allowed"] = Field(
        "canonical",
        description="What counts as the same architecture: the same network, the same writing, or nothing.",
    )
    replicates: int = Field(
        0,
        ge=0,
        le=20,
        description="At the end of the budget the best three are measured so many more times, with other seeds.",
    )
    training: Recipe = Recipe()
    budget: Budget = Budget()
    parallelism: int = Field(2, ge=1, le=1024, description="Trials at the same time.")
    seed: int = Field(0, ge=0, lt=2**63)
    final: Final = Final()

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    @field_validator("objectives")
    @classmethod
    def _objectives(cls, value: tuple[Objective, ...]) -> tuple[Objective, ...]:
        if not value:
            raise ValueError("at least one objective")
        if len({o.metric for o in value}) != len(value):
            raise ValueError("each metric once")
        return value

    @field_validator("experience")
    @classmethod
    def _experience(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for digest in value:
            if not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise ValueError(f"a digest has 64 hexadecimal digits, not {digest[:70]!r}")
        if len(set(value)) != len(value):
            raise ValueError("each earlier search once")
        return value

    @field_validator("limits")
    @classmethod
    def _limits(cls, value: dict[str, float]) -> dict[str, float]:
        for metric, limit in value.items():
            if metric not in EXACT_COSTS:
                raise ValueError(f"limits hold for exact costs ({', '.join(EXACT_COSTS)}), not for {metric!r}")
            if not math.isfinite(limit) or limit <= 0:
                raise ValueError(f"the limit of {metric} must be above 0, not {limit}")
        return value

    @model_validator(mode="after")
    def _resolve(self) -> Self:
        """Fills in the plug-ins' options; errors are raised by `parse` with their path."""
        for kind in catalog.KINDS:
            given: PlugIn = getattr(self, kind)
            options = catalog.get(kind, given.name).Options.model_validate(given.options())
            full = PlugIn(name=given.name, **options.model_dump(mode="json"))
            object.__setattr__(self, kind, full)
        return self

    # -- reading and writing ------------------------------------------------------------------
    @classmethod
    def parse(cls, value: Any) -> SearchConfig:
        """Validates a plain mapping (from a form, YAML or JSON).

        Raises:
            InvalidConfig: every problem with its path, e.g. `("space", "depth", 0)`.
        """
        if not isinstance(value, dict):
            raise InvalidConfig([((), f"a search is a mapping of fields, not {type(value).__name__}")])
        errors: list[tuple[tuple[str | int, ...], str]] = []
        for kind in catalog.KINDS:
            part = value.get(kind)
            if isinstance(part, str):
                value = {**value, kind: {"name": part}}
                part = value[kind]
            if isinstance(part, dict) and isinstance(part.get("name"), str):
                options = {k: v for k, v in part.items() if k != "name"}
                try:
                    catalog.get(kind, part["name"]).Options.model_validate(options)
                except ValidationError as e:
                    errors += [((kind, *x["loc"]), _sentence(x)) for x in e.errors()]
                except InvalidConfig as e:
                    errors += e.errors
        if isinstance(value.get("data"), str):
            value = {**value, "data": {"name": value["data"]}}
        # the plug-ins' own problems are known now; look at the rest with their defaults
        broken = {path[0] for path, _ in errors}
        try:
            config = cls.model_validate({k: v for k, v in value.items() if k not in broken})
        except ValidationError as e:
            errors += [(x["loc"], _sentence(x)) for x in e.errors()]
        except InvalidConfig as e:
            errors += e.errors
        else:
            if not errors:
                return config
        raise InvalidConfig(errors)

    @classmethod
    def from_yaml(cls, text: str) -> SearchConfig:
        """Reads YAML (safe loader, no tags).

        Raises:
            InvalidConfig: not YAML, or not a search.
        """
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as e:
            raise InvalidConfig([((), f"this is not YAML: {e}")]) from e
        return cls.parse(value)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, complete; `parse` reads it back to an equal value."""
        return self.model_dump(mode="json", by_alias=True)

    def to_yaml(self) -> str:
        """YAML with every field, in the order of this class."""
        return yaml.safe_dump(self.to_json(), sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)

    def options(self, kind: str) -> BaseModel:
        """The typed options of the plug-in of a kind."""
        given: PlugIn = getattr(self, kind)
        model: type[BaseModel] = catalog.get(kind, given.name).Options
        return model.model_validate(given.options())

    @property
    def final_epochs(self) -> int:
        """Epochs of the full training."""
        return self.final.epochs or 2 * self.budget.epochs


def _sentence(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    received = error.get("input")
    shown = "" if isinstance(received, dict | list) or received is None else f" (received {str(received)[:60]!r})"
    return message + shown
