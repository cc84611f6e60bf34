"""How numbers stand on a page: unit in the head, fixed decimals, an en dash for nothing."""

from __future__ import annotations

from typing import Any

from django import template

from engine.catalog import in_words
from searches.charts.insight import clock as clock_words

register = template.Library()
NOTHING = "–"


@register.filter
def pct(share: float | None) -> str:
    """A share of 1 in percent with one decimal, without the sign."""
    return NOTHING if share is None else f"{100 * share:.1f}"


@register.filter
def mega(value: float | None) -> str:
    """Millions with two decimals."""
    return NOTHING if value is None else f"{value / 1e6:,.2f}"


@register.filter
def kilo(value: float | None) -> str:
    """Thousands with one decimal."""
    return NOTHING if value is None else f"{value / 1e3:,.1f}"


@register.filter
def count(value: int | str | None) -> str:
    """A whole number with separators."""
    return NOTHING if value is None or value == "" else f"{int(value):,}"


@register.filter
def dash(value: Any) -> Any:
    """The value, or an en dash for nothing."""
    return NOTHING if value is None or value == "" else value


@register.filter
def words(name: str) -> str:
    """A name of the catalog as words: `regularized_evolution` -> `regularized evolution`."""
    return in_words(name)


@register.filter
def clock(seconds: float | str | None) -> str:
    """`6:17`."""
    return NOTHING if seconds is None or seconds == "" else clock_words(float(seconds))
