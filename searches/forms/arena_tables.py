"""The form of a table to race on: checked whole, cell by cell, before anything is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.files.uploadedfile import UploadedFile
from pydantic import ValidationError

from engine import catalog
from engine.arena import tables
from engine.errors import DataError, InvalidConfig
from searches.bounded import TookTooLong, within
from searches.forms.arena import READ_S
from searches.forms.fields import Choice
from searches.selectors.races import folder_tables
from searches.selectors.spaces import newest_versions

#: size of an uploaded file
MOST_BYTES = 16 << 20


@dataclass
class TableForm:
    """The form of a table as shown."""

    values: dict[str, str]
    spaces: list[tuple[str, list[Choice]]]
    folder: list[str]
    errors: dict[str, list[str]] = field(default_factory=dict)

    def wrong(self, name: str, text: str) -> None:
        """Adds an error."""
        self.errors.setdefault(name, []).append(text)


def table_form(user: AbstractBaseUser, given: Mapping[str, str]) -> TableForm:
    """The form with what was typed."""
    first = {"name": "", "space": "nasbench201:published", "key": "", "shape": "3, 32, 32", "classes": "", "folder": ""}
    values = {name: str(given.get(name, usual))[:300] for name, usual in first.items()}
    published, families = [], []
    for family, cls in catalog.plugins("space").items():
        for preset in cls.presets:
            value = f"{family}:{preset.name}"
            published.append(Choice(value, preset.title, value == values["space"], title=preset.summary))
        families.append(Choice(f"{family}:", f"{family}, its defaults", values["space"] == f"{family}:"))
    saved = [
        Choice(f"saved:{v.space_id}", f"{v.space.name}, version {v.number}", values["space"] == f"saved:{v.space_id}")
        for v in newest_versions(user=user).values()
    ]
    return TableForm(
        values, [("Published", published), ("Your spaces", saved), ("Families", families)], folder_tables()
    )


def table_checked(
    user: AbstractBaseUser, given: Mapping[str, str], sent: UploadedFile | None
) -> tuple[TableForm, dict[str, Any] | None]:
    """The form with its errors, and what `table_create` takes where there are none."""
    form = table_form(user, given)
    v = form.values
    content, name = _content(form, sent)
    space = _chosen_space(form, user)
    shape = _shape(form)
    classes = None
    if v["classes"].strip():
        if not re.fullmatch(r"\d{1,6}", v["classes"].strip()) or not 2 <= int(v["classes"]) <= 100_000:
            typed = v["classes"][:20]
            form.wrong("classes", f"A whole number from 2 to 100,000, not “{typed}”; empty = by the columns.")
        else:
            classes = int(v["classes"])
    if form.errors or content is None or space is None or shape is None:
        return form, None
    family, options = space
    try:
        found = within(READ_S, lambda: _read(content, name, family, options, shape, classes, v["key"]))
    except TookTooLong:
        form.wrong("file", f"Reading this table took longer than {READ_S:g} s: leave out rows.")
        return form, None
    except _Wrong as e:
        form.wrong(e.field, f"{e}.")
        return form, None
    return form, {"name": v["name"].strip() or name, "content": content, "fields": found}


class _Wrong(Exception):  # noqa: N818 - said to the person, not an error of the program
    def __init__(self, field: str, text: str) -> None:
        self.field = field
        super().__init__(text)


def _content(form: TableForm, sent: UploadedFile | None) -> tuple[bytes | None, str]:
    folder = form.values["folder"]
    if sent is not None:
        if sent.size is None or sent.size > MOST_BYTES:
            size = (sent.size or 0) / 2**20
            form.wrong("file", f"This file has {size:.0f} MB; at most {MOST_BYTES >> 20} MB can be sent.")
            return None, ""
        return sent.read(MOST_BYTES + 1), Path(str(sent.name)).name[:100]
    if not folder:
        form.wrong("file", "Choose a file.")
        return None, ""
    if folder not in form.folder:
        form.wrong("folder", f"There is no table called “{folder[:60]}” in the data folder.")
        return None, ""
    path = Path(settings.DATA_DIR) / "tables" / folder
    if path.stat().st_size > tables.MAX_BYTES:
        form.wrong("folder", f"{folder} is larger than {tables.MAX_BYTES >> 20} MB.")
        return None, ""
    return path.read_bytes(), folder


def _chosen_space(form: TableForm, user: AbstractBaseUser) -> tuple[str, dict[str, Any]] | None:
    family, _, preset = form.values["space"].partition(":")
    if family == "saved":
        for version in newest_versions(user=user).values():
            if str(version.space_id) == preset:
                return version.config["name"], {k: x for k, x in version.config.items() if k != "name"}
    elif family in catalog.plugins("space"):
        if not preset:
            return family, {}
        for ready in catalog.get("space", family).presets:
            if ready.name == preset:
                return family, dict(ready.options)
    form.wrong("space", "Choose the space that the table's keys speak of.")
    return None


def _shape(form: TableForm) -> tuple[int, ...] | None:
    parts = [p.strip() for p in form.values["shape"].split(",")]
    if not 1 <= len(parts) <= 3 or not all(re.fullmatch(r"\d{1,5}", p) and int(p) for p in parts):
        form.wrong("shape", f"One to three whole numbers, e.g. 3, 32, 32, not “{form.values['shape'][:40]}”.")
        return None
    return tuple(map(int, parts))


def _read(
    content: bytes, name: str, family: str, options: Mapping[str, Any], shape: tuple[int, ...], classes: int | None,
    key: str,
) -> dict[str, Any]:  # fmt: skip
    """What is stored of a table; runs within a time limit and touches no database.

    Raises:
        _Wrong: with the field it belongs to.
    """
    try:
        table = tables.Columns(content, name)
    except DataError as e:
        raise _Wrong("file", str(e)) from e
    keys = [k.strip() for k in key.split(",") if k.strip()] or [table.names[0]]
    if missing := [k for k in keys if k not in table.names]:
        has = ", ".join(table.names)[:300]
        raise _Wrong("key", f"There is no column “{missing[0][:60]}”; the table has {has}")
    try:
        space = tables.bound_space(family, options, tables.data_of([], shape, classes))
    except (InvalidConfig, ValidationError) as e:
        raise _Wrong("space", str(e)) from e
    try:
        tables.read_keys(space, table, keys)
    except DataError as e:
        fitting = [c for c in tables.keys_in(space, table) if [c] != keys]
        hint = f"; the cells of {', '.join(fitting)[:200]} fit" if fitting else ""
        raise _Wrong("key", f"{e}{hint}") from e
    numbers = [c for c in table.names if c not in keys and _all_numbers(lambda c=c: table.numbers(c))]
    if len(numbers) < 2:
        raise _Wrong("file", "A race needs a reward and a report: two columns with a number in every row")
    full = type(space.options).model_validate(dict(options)).model_dump(mode="json")
    return {
        "space": {"name": family, **full}, "data": {"shape": list(shape), "classes": classes}, "key": keys,
        "numbers": numbers, "n_rows": len(table.rows),
    }  # fmt: skip


def _all_numbers(read: Callable[[], Sequence[float]]) -> bool:
    try:
        read()
    except DataError:
        return False
    return True
