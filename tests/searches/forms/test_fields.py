"""Fields made from option models: shown and read back to the same value."""

from typing import Literal

import pytest
from pydantic import BaseModel, Field

from searches.forms import fields


class Options(BaseModel):
    depth: tuple[int, ...] = Field((3, 4), json_schema_extra={"choices": [2, 3, 4, 5], "unit": "blocks"})
    kinds: tuple[Literal["max", "avg"], ...] = ("max",)
    rungs: tuple[int, ...] = (4, 13)
    rate: float = Field(0.003, gt=0, le=1, description="Peak.")
    size: int = Field(64, ge=1, le=4096)
    keep: float | None = None
    mode: Literal["auto", "float32"] = "auto"
    flip: bool = False
    table: dict[str, int] = {"a": 1}


def made(name, value):
    info = fields.model_fields(Options)[name]
    return fields.make(("part", name), info, value), info


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("depth", (3, 5), "checks"),
        ("kinds", ("max", "avg"), "checks"),
        ("rungs", (4, 13, 40), "text"),
        ("rate", 0.05, "number"),
        ("size", 4096, "number"),
        ("keep", 0.8, "number"),
        ("keep", None, "number"),
        ("mode", "float32", "select"),
        ("flip", True, "check"),
        ("flip", False, "check"),
        ("table", {"a": 2, "b": 3}, "flow"),
    ],
)
def test_what_is_shown_reads_back_to_the_same_value(name, value, kind):
    field, info = made(name, value)
    assert field.kind == kind
    posted = [c.value for c in field.choices if c.chosen] if field.choices else [field.value] if field.value else []
    present, back = fields.read(info, posted)
    back = Options.model_validate({name: back} if present else {})
    assert getattr(back, name) == getattr(Options.model_validate({name: value}), name)


def test_bounds_help_and_units_come_from_the_model():
    assert made("rate", 0.1)[0].bounds == "above 0 and 1"
    assert made("rate", 0.1)[0].help == "Peak."
    assert made("size", 1)[0].bounds == "1 to 4,096"
    assert made("depth", (3,))[0].unit == "blocks"


def test_text_that_is_no_number_stays_as_it_was_typed():
    field, info = made("size", "many")
    assert field.value == "many"
    assert fields.read(info, ["many"]) == (True, "many")
    assert fields.read(info, ["1,024"]) == (True, 1024)
    assert fields.read(info, [""]) == (False, None)  # empty: the default, which is the placeholder
    assert field.placeholder == "64"


def test_a_value_that_is_not_offered_is_shown_and_kept():
    field, info = made("depth", (3, 7))
    assert [c.value for c in field.choices if c.chosen] == ["3", "7"]
    assert fields.read(info, ["3", "<b>"]) == (True, [3, "<b>"])


def test_aliases_and_bombs_in_a_line_of_yaml_stay_text():
    assert fields.read_flow("&a [*a, *a]") == "&a [*a, *a]"
    assert isinstance(fields.read_flow("[" * 50_000), str)
