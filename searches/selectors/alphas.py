"""Architecture probabilities in people's words, in the order of the space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.errors import EngineError
from engine.spaces.base import SearchSpace
from searches.charts.alphas import Row, Tables, natural


def rows_of(epochs: Sequence[tuple[int, Tables]], space: SearchSpace | None) -> list[Row]:
    """Every table of these epochs with all options it ever had.

    Databases keep no order of names, so that of the space's decisions counts, and for tables that are no decisions
    (edges that compete for a node) the natural order of their names.
    """
    names: dict[str, dict[str, None]] = {}
    for tables in (epochs[0][1], epochs[-1][1]) if epochs else ():  # options go, they never come
        for name, row in tables.items():
            names.setdefault(name, {}).update(dict.fromkeys(row))
    decisions = {d.name: [str(o) for o in d.options] for d in space.all_decisions()} if space else {}
    place = {name: i for i, name in enumerate(decisions)}
    order = sorted(names, key=lambda n: (place.get(n, len(place)), natural(n)))
    every = {o: i for options in decisions.values() for i, o in enumerate(options)}
    out = []
    for name in order:
        known = {o: i for i, o in enumerate(decisions.get(name, ()))} or every
        options = sorted(names[name], key=lambda o: (known.get(o, len(known)), natural(o)))
        out.append(Row(name, _title(space, name), tuple(options), tuple(_word(space, name, o) for o in options)))
    return out


def _title(space: SearchSpace | None, name: str) -> str:
    try:
        return space.title(name) if space else name
    except (EngineError, KeyError, ValueError):  # a table that is no decision
        return name.replace("_", " ")


def _word(space: SearchSpace | None, name: str, option: str) -> str:
    """An option as people call it; rows of epochs hold options as text."""
    if space is None:
        return option
    options: Mapping[str, object] = {str(o): o for d in space.all_decisions() if d.name == name for o in d.options}
    try:
        return space.format(name, options.get(option, option))  # type: ignore[arg-type]
    except (EngineError, KeyError, ValueError, TypeError):
        return option
