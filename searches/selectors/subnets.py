"""Reads of scored subnets: the table, and the points of its chart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import F, Max, QuerySet

from searches.charts.subnets import SubnetRow
from searches.models import Search, Subnet
from searches.selectors.overview import config_of

#: what `?sort=` may say -> columns; anything else is refused
SORTS = {
    "accuracy": ("accuracy",),
    "loss": ("loss",),
    "macs": ("n_macs",),
    "params": ("n_params",),
    "name": ("name",),
    "order": ("piece", "position"),
}


def scored_on(search: Search) -> str:
    """What scores are measured on, for people."""
    options: Any = config_of(search).options("strategy")
    most = options.score_samples
    return "the validation split" if most is None else f"the validation split, at most {most:,} samples of it"


def ordered(search: Search, sort: str) -> QuerySet[Subnet]:
    """Subnets by an allow-listed name, "-name" for descending; the best first where it is none of them.

    By accuracy those of the newest supernet come first: scores of two supernets are not ranked with each other.
    """
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    columns = SORTS.get(name)
    if columns is None:
        name, descending, columns = "accuracy", True, ("accuracy",)
    keys: list[Any] = [F(c).desc(nulls_last=True) if descending else F(c).asc(nulls_last=True) for c in columns]
    if name in ("accuracy", "loss"):
        keys.insert(0, F("supernet").desc())
    return search.subnets.order_by(*keys, "piece", "position").defer("architecture")


def trials_by_key(search: Search, keys: Iterable[str]) -> dict[str, tuple[int, str]]:
    """(number, by) of the first trial of each network that was trained alone. One query."""
    out: dict[str, tuple[int, str]] = {}
    for key, number, by in (
        search.trials.filter(key__in=list(keys)).order_by("number").values_list("key", "number", "by")
    ):
        out.setdefault(key, (number, by))
    return out


def rows(search: Search) -> list[SubnetRow]:
    """All that could be scored with the newest supernet, in the order of scoring, for the chart. Three queries."""
    newest = search.subnets.aggregate(n=Max("supernet"))["n"]
    alone = {key: (number, by) for key, number, by in
             search.trials.order_by("-number").values_list("key", "number", "by")}  # fmt: skip
    return [
        SubnetRow(name, accuracy, n_macs or 0, *alone.get(key, (None, "")))
        for name, accuracy, n_macs, key in search.subnets.filter(accuracy__isnull=False, supernet=newest)
        .order_by("piece", "position")
        .values_list("name", "accuracy", "n_macs", "key")
    ]
