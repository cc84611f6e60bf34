"""Tables of trained networks: a CSV with a key, reward and report columns becomes a `Problem`."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import catalog
from engine.architecture import Architecture, Option
from engine.arena.problem import SECONDS, Problem, priced
from engine.arena.renamed import Renamed
from engine.data.spec import DataSpec
from engine.errors import DataError, EngineError, InvalidArchitecture
from engine.spaces.base import SearchSpace, space_of

#: a table's uncompressed size and its rows, at most
MAX_BYTES = 64 << 20
MAX_ROWS = 200_000
#: bounds on a column: "flops_c10<=78000000" or "flops_c10<=p50" (a percentile of the column)
_LIMIT = re.compile(r"\s*(\w[\w .-]*?)\s*<=\s*(p?)([0-9.]+(?:e[+-]?[0-9]+)?)\s*")


class Columns:
    """A CSV's text, by column. Every row has every column.

    Args:
        content: the file's bytes, gzip or plain, UTF-8.
        name: of the file, for messages.

    Raises:
        DataError: too large, not UTF-8, ragged, or no rows.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self.name = name
        self.digest = hashlib.sha256(content).hexdigest()
        if content[:2] == b"\x1f\x8b":
            try:
                with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                    content = file.read(MAX_BYTES + 1)
            except (OSError, EOFError) as e:
                raise DataError(f"{name} cannot be unpacked: {e}; send a .csv or a .csv.gz file") from e
        if len(content) > MAX_BYTES:
            raise DataError(f"{name} is larger than {MAX_BYTES >> 20} MB; leave out columns that are not needed")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as e:
            raise DataError(f"{name} is not UTF-8 (byte {e.start}); save it as CSV in UTF-8") from e
        try:
            lines = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        except csv.Error as e:
            raise DataError(f"{name} is not a CSV: {e}") from e
        if len(lines) < 2:
            raise DataError(f"{name} needs a line of column names and at least one row, it has {len(lines)} lines")
        if len(lines) - 1 > MAX_ROWS:
            raise DataError(f"{name} has {len(lines) - 1:,} rows; at most {MAX_ROWS:,} can be raced on")
        self.names = tuple(cell.strip() for cell in lines[0])
        if len(set(self.names)) != len(self.names):
            twice = next(n for n in self.names if self.names.count(n) > 1)
            raise DataError(f"{name} has two columns called {twice!r}")
        for at, row in enumerate(lines[1:], start=2):
            if len(row) != len(self.names):
                raise DataError(f"{name}, row {at}: {len(row)} cells, but {len(self.names)} columns")
        self.rows = lines[1:]

    @classmethod
    def read(cls, path: Path) -> Columns:
        """Reads a file.

        Raises:
            DataError: see the class, or the file cannot be read.
        """
        try:
            return cls(path.read_bytes(), path.name)
        except OSError as e:
            raise DataError(f"the table {path} cannot be read: {e.strerror}") from e

    def text(self, column: str) -> list[str]:
        """A column's cells.

        Raises:
            DataError: there is no such column.
        """
        if column not in self.names:
            raise DataError(f"{self.name} has no column {column!r}; it has {', '.join(self.names)[:500]}")
        at = self.names.index(column)
        return [row[at].strip() for row in self.rows]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column of finite numbers, shape (rows,).

        Raises:
            DataError: there is no such column, or a cell is no finite number; the message names its row.
        """
        out = np.empty(len(self.rows))
        for i, cell in enumerate(self.text(column)):
            try:
                out[i] = float(cell)
            except ValueError:
                out[i] = math.nan
            if not math.isfinite(out[i]):
                raise DataError(f"{self.name}, row {i + 2}, column {column}: {cell[:40]!r} is no finite number")
        return out


def load(
    table: Columns, *, space: str, key: Sequence[str], reward: Sequence[str], report: Sequence[str],
    options: Mapping[str, Any] | None = None, data: DataSpec | None = None, limit: str = "", cost: str = "",
    permuted: bool = False, renamed: int | None = None,
) -> Problem:  # fmt: skip
    """The problem of a table.

    Args:
        table: its columns.
        space: name of the search space that its keys speak of.
        key: the column that names an architecture in the space's own notation, as JSON, or as positions of its
            options; or several columns, one per decision and named like it.
        reward: columns with the reward, more is better; several are repeats of which a run draws one per row.
        report: columns with what is reported; of several the mean, without the one drawn as the reward.
        options: of the space; None = `options_for` the space and its columns.
        data: what the networks are for; None = CIFAR-10's size, or CIFAR-100's where a reward column says "c100".
        limit: "COLUMN<=NUMBER" or "COLUMN<=pNN", with a column that is an exact cost, or the cost's own name.
        cost: column with the seconds of a query; "" = in proportion to multiply-adds.
        permuted, renamed: see `Problem`.

    Raises:
        DataError: see `Columns`; a key that is no architecture of the space or stands there twice; a limit that is no
            exact cost.
        InvalidConfig: no such space, or wrong options.
    """
    bound = bound_space(space, options, data or data_of([*reward, *report]))
    architectures = read_keys(bound, table, key)
    if not reward or not report:
        raise DataError("a race needs at least one reward column and one report column")
    for name in reward:
        if not [r for r in report if r != name]:
            raise DataError(f"the report columns leave nothing when the reward {name!r} is left out; name another one")
    rewards = np.stack([table.numbers(c) for c in reward], axis=1)
    reports = np.stack([table.numbers(c) for c in report], axis=1)
    made: SearchSpace = bound
    if renamed is not None:
        made = Renamed.of(bound, renamed)
        architectures = [made.forward(a) for a in architectures]
    macs = np.array([bound_costs.n_macs for bound_costs in map(made.costs, architectures)], dtype=float)
    percent = max(rewards.max(), reports.max()) > 1
    problem = Problem(
        name=table.name.split(".")[0],
        space=made,
        architectures=architectures,
        rewards=rewards,
        reports=reports,
        reward_names=tuple(reward),
        report_names=tuple(report),
        seconds=table.numbers(cost) if cost else priced(macs, SECONDS),
        digest=table.digest,
        unit="%" if percent else "",
        scale=100.0 if percent else 1.0,
        permuted=permuted,
        renamed=renamed,
    )
    return problem.with_limits(*limit_of(problem, table, limit)) if limit else problem


def bound_space(name: str, options: Mapping[str, Any] | None, data: DataSpec) -> SearchSpace:
    """A space of the catalog on data; `mobile` without options is NAS-Bench-Macro, `nasbench201` the published one.

    Raises:
        InvalidConfig: no such space, wrong options, or it does not serve the data.
    """
    cls: type[SearchSpace] = catalog.get("space", name)
    if options is None:
        preset = {"mobile": "nasbench_macro", "nasbench201": "published"}.get(name)
        options = next((p.options for p in cls.presets if p.name == preset), {})
    return space_of(cls, cls.Options.model_validate(dict(options)), data)


def data_of(columns: Sequence[str], shape: tuple[int, ...] = (3, 32, 32), n_classes: int | None = None) -> DataSpec:
    """Data of a shape, by default CIFAR-10's, or with 100 classes where a column's name speaks of CIFAR-100."""
    if n_classes is None:
        n_classes = 100 if any(re.search(r"c(ifar)?_?100(?!\d)", c.lower()) for c in columns) else 10
    return DataSpec(
        name="the table's", kind={1: "table", 2: "signal", 3: "image"}[len(shape)], input_shape=shape,
        n_classes=n_classes, class_names=tuple(map(str, range(n_classes))),
        sizes={"train": 0, "validation": 0, "test": 0}, digest="", split_digest="",
        mean=(0.0,) * shape[0], std=(1.0,) * shape[0],
    )  # fmt: skip


def read_keys(space: SearchSpace, table: Columns, key: Sequence[str]) -> list[Architecture]:
    """The architecture of each row.

    Raises:
        DataError: a key is none of the space, or stands there twice; names the row.
    """
    names = {d.name: d for d in space.all_decisions()}
    cells = list(zip(*(table.text(c) for c in key), strict=True))
    by_column = bool(key) and all(c in names for c in key)
    if not key or (len(key) > 1 and not by_column):
        some = ", ".join(names)[:300]
        raise DataError(f"several key columns are named like the decisions ({some}), received {', '.join(key)}")
    out: list[Architecture] = []
    seen: dict[str, int] = {}
    for i, row in enumerate(cells):
        try:
            if by_column:
                arch = space.validate(_chosen(names, dict(zip(key, row, strict=True))))
            else:
                arch = _decoded(space, row[0])
        except EngineError as e:
            raise DataError(f"{table.name}, row {i + 2}: {e}") from e
        if arch.key in seen:
            raise DataError(f"{table.name}, row {i + 2}: the same architecture as row {seen[arch.key] + 2}")
        seen[arch.key] = i
        out.append(arch)
    return out


def keys_in(space: SearchSpace, table: Columns, rows: int = 20) -> list[str]:
    """Columns whose first cells each name an architecture of the space."""

    def fits(column: str) -> bool:
        try:
            return all(_decoded(space, cell) for cell in table.text(column)[:rows])
        except (EngineError, DataError):
            return False

    return [c for c in table.names if fits(c)]


def _chosen(names: Mapping[str, Any], row: Mapping[str, str]) -> dict[str, Option]:
    """Choices from cells that hold options as text; an empty one is a decision that does not act."""
    out: dict[str, Option] = {}
    for name, cell in row.items():
        if cell:
            found = [o for o in names[name].options if str(o) == cell]
            out[name] = found[0] if found else cell
    return out


def _decoded(space: SearchSpace, text: str) -> Architecture:
    """Reads the space's notation or JSON; else one digit (or letter) per decision, the position of its option."""
    try:
        return space.read(text)
    except InvalidArchitecture:
        partial: dict[str, Option] = {}
        for c in text:
            decision = space.next(partial)
            at = int(c, 36) if c.isalnum() and c.isascii() else 36
            if decision is None or at >= len(decision.options):
                raise
            partial[decision.name] = decision.options[at]
        if not text or space.next(partial) is not None:
            raise
        return Architecture.of(space.name, partial)


def limit_of(problem: Problem, table: Columns | None, limit: str) -> tuple[dict[str, float], str]:
    """A limit as a search has it, and in words.

    A column is an exact cost where it differs from one (multiply-adds, parameters, activation bytes) by the same
    number in every row: NAS-Bench-201's `flops_c10` counts the classifier's bias besides.

    Raises:
        DataError: not written so, no such column, or no exact cost: then a search could not know it beforehand.
    """
    found = _LIMIT.fullmatch(limit)
    if found is None:
        raise DataError(f"a limit reads COLUMN<=NUMBER or COLUMN<=p50 (a percentile), received {limit[:60]!r}")
    column, percentile, number = found[1], bool(found[2]), float(found[3])
    if column in problem.costs and (table is None or column not in table.names):
        cost, offset, values = column, 0.0, problem.costs[column]
    elif table is None:
        raise DataError(f"a limit is on one of {', '.join(problem.costs)}, received {column[:60]!r}")
    else:
        values = table.numbers(column)
        for cost in ("n_macs", "n_params", "activation_bytes"):
            gap = values - problem.costs[cost]
            if np.ptp(gap) <= 1e-6 * max(1.0, float(np.abs(values).max())):
                offset = float(gap.mean())
                break
        else:
            raise DataError(
                f"{column} cannot be a limit: it is no exact cost of the space {problem.space.name} "
                "(it differs from multiply-adds, parameters and activation bytes by more than one constant), so that "
                "nobody could know it before training"
            )
    if percentile and not 0 <= number <= 100:
        raise DataError(f"a percentile lies between 0 and 100, received p{number:g}")
    most = float(np.percentile(values, number)) if percentile else number
    if not (values <= most).any():
        raise DataError(f"no row keeps to {column} <= {most:,.0f}; the smallest is {values.min():,.0f}")
    return {cost: most - offset}, f"{column} <= {most:,.0f}" + (f" (p{number:g})" if percentile else "")
