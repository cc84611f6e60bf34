"""Parts of the option models of spaces: lists of offered options with their bounds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from engine.recipe import Augmentation, Optimizer

MAX_CHANNELS = 4096
MAX_DEPTH = 64

T = TypeVar("T", bound=Hashable)


def _unique(value: tuple[Any, ...]) -> tuple[Any, ...]:
    # pydantic's own min_length would add a second, misleading error to that of a bad item
    if not value:
        raise ValueError("keep at least one option")
    seen: set[tuple[type, Any]] = set()
    for item in value:
        # True == 1 in Python, but not for a person
        mark = (bool if isinstance(item, bool) else object, item)
        if mark in seen:
            raise ValueError(f"each option once: {item!r} stands there twice")
        seen.add(mark)
    return value


def _ascending(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(value))


#: a non-empty tuple of distinct names, in the order given
Names = Annotated[tuple[T, ...], Field(max_length=32), AfterValidator(_unique)]
#: a non-empty tuple of distinct numbers, sorted
Scale = Annotated[tuple[T, ...], Field(max_length=64), AfterValidator(_unique), AfterValidator(_ascending)]
Channels = Annotated[int, Field(ge=1, le=MAX_CHANNELS)]
Depth = Annotated[int, Field(ge=1, le=MAX_DEPTH)]
#: the same, but empty = not searched
_Maybe = Annotated[tuple[T, ...], Field(max_length=32), AfterValidator(lambda v: _unique(v) if v else v)]


def offers(
    *choices: Any, unit: str = "", labels: Mapping[Any, str] | None = None, advanced: bool = False
) -> dict[str, Any]:
    """Schema extra for the form.

    Args:
        choices: the options it shows as boxes to tick.
        unit: stands behind them.
        labels: words for options that do not speak for themselves.
        advanced: folded away at first.
    """
    return {"choices": list(choices), "unit": unit, "labels": dict(labels or {}), "advanced": advanced}


class RecipeDecisions(BaseModel):
    """Parts of the training recipe that are searched together with the network; an empty one stays as in `training`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learning_rate: _Maybe[Annotated[float, Field(gt=0, le=1)]] = Field(
        (), description="Peak learning rate.", json_schema_extra=offers(3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    )
    weight_decay: _Maybe[Annotated[float, Field(ge=0, le=1)]] = Field(
        (), description="Decoupled weight decay.", json_schema_extra=offers(0.0, 5e-4, 5e-3, 0.05, 0.1)
    )
    batch_size: _Maybe[Annotated[int, Field(ge=1, le=65536)]] = Field(
        (), description="Samples per step.", json_schema_extra=offers(32, 64, 128, 256, unit="samples")
    )
    optimizer: _Maybe[Optimizer] = Field(
        (), description="What moves the weights.", json_schema_extra=offers("adamw", "sgd")
    )
    augmentation: _Maybe[Augmentation] = Field(
        (), description="What is done to training images.", json_schema_extra=offers(*get_args(Augmentation))
    )


class SpaceOptions(BaseModel):
    """Base of the options of all spaces: unknown fields, NaN and infinities are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    restrict: dict[str, tuple[int | float | str | bool | None, ...]] = Field(
        default_factory=dict, max_length=2000,
        description="Decisions that keep only these of their options, by name.",
        json_schema_extra={"yaml": True, "advanced": True},
    )  # fmt: skip
    recipe: RecipeDecisions = Field(
        RecipeDecisions(), description="Parts of the training recipe that are searched too.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
