"""Latency as methods weigh it: milliseconds of each option, of what was measured on a worker's device. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.architecture import Option
from engine.supernets.mixture import Mixture

#: milliseconds by table and option, the option as text; under "" what stands outside of all slots, as {"": ms}
Latency = Mapping[str, Mapping[str, float]]


def latency_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The table of the rows of a piece of kind measure (`engine.supernets.nets.latency.measure`)."""
    out: dict[str, dict[str, float]] = {}
    for row in rows:
        if "sum_ms" not in row:  # those are whole networks, measured to check the sums
            out.setdefault(str(row["table"]), {})[str(row["option"])] = float(row["ms"])
    return out


def alike(mixture: Mixture) -> dict[str, dict[str, float]]:
    """One millisecond for everything: for who wants to know what a step costs, and not what comes of it."""
    return {"": {"": 1.0}, **{t.name: {str(o): 1.0 for o in t.options} for t in mixture.tables}}


def rows_of(latency: Latency, mixture: Mixture) -> dict[str, list[float]]:
    """Milliseconds of each table of a mixture, in the order of its options.

    Raises:
        ValueError: something of the mixture was not measured.
    """
    out = {}
    for table in mixture.tables:
        have = latency.get(table.name, {})
        if missing := [str(o) for o in table.options if str(o) not in have]:
            raise ValueError(
                f"{table.name}: no latency was measured for {', '.join(missing)}; measure this space again"
            )
        out[table.name] = [have[str(o)] for o in table.options]
    return out


def fixed_ms(latency: Latency) -> float:
    """Milliseconds of what stands outside of all slots."""
    return latency.get("", {}).get("", 0.0)


def predicted_ms(latency: Latency, chosen: Mapping[str, Option]) -> float:
    """Milliseconds of one network: the sum over what it takes (`SearchSpace.chosen`), and what is fixed."""
    return fixed_ms(latency) + sum(latency[table][str(option)] for table, option in chosen.items())
