"""Parts of the option models of spaces: lists of offered options with their bounds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_CHANNELS = 4096
MAX_DEPTH = 64

T = TypeVar("T", bound=Hashable)


class SpaceOptions(BaseModel):
    """Base of the options of all spaces: unknown fields, NaN and infinities are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
