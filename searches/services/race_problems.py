"""From what is stored of a race to the problem it is run on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.core.files.storage import default_storage

from engine.arena import synthetic, tables
from engine.arena.problem import Problem
from engine.errors import DataError
from searches.models import Race, RaceTable


def problem_of(race: Race) -> Problem:
    """The problem of a race; the last few are remembered, since every piece asks for it.

    Raises:
        DataError: its table is gone or damaged, or no longer fits.
        InvalidConfig: its space is not offered any more.
    """
    spec = race.problem
    if "synthetic" in spec:
        return synthetic.problem(spec["synthetic"], spec["limit"])
    assert race.table is not None
    return _of_table(race.table.pk, repr(sorted(spec.items())), _Ref(race.table, spec))


def table_problem(table: RaceTable, spec: Mapping[str, Any]) -> Problem:
    """The problem of a table's columns, read anew.

    Raises:
        DataError, InvalidConfig: see `problem_of`.
    """
    try:
        with default_storage.open(table.file) as file:
            content = file.read()
    except OSError as e:
        raise DataError(f"The table “{table.name}” is not in the storage any more: {e}") from e
    columns = [*spec["reward"], *spec["report"]]
    return tables.load(
        tables.Columns(content, table.name),
        space=table.space["name"],
        key=table.key,
        reward=spec["reward"],
        report=spec["report"],
        options={k: v for k, v in table.space.items() if k != "name"},
        data=tables.data_of(columns, tuple(table.data["shape"]), table.data["classes"]),
        limit=spec["limit"],
    )


class _Ref:
    """Carries a row past `lru_cache`: all are equal, what is looked up stands beside it (a table never changes)."""

    def __init__(self, table: RaceTable, spec: Mapping[str, Any]) -> None:
        self.table, self.spec = table, spec

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ref)


@lru_cache(maxsize=2)
def _of_table(table_id: int, spec: str, ref: _Ref) -> Problem:
    return table_problem(ref.table, ref.spec)
