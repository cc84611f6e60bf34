"""Options that no space may swallow: huge, empty, not finite, of another kind; refused at their field, in no time."""

from __future__ import annotations

import math

import pytest
from pydantic import BaseModel

from engine import catalog
from engine.config import SearchConfig
from engine.errors import InvalidConfig

SPACES = catalog.plugins("space")
FIELDS = [
    pytest.param(name, field, id=f"{name}.{field}")
    for name, cls in SPACES.items()
    for field in cls.Options.model_fields
    if field not in ("restrict", "recipe")
]


def problems(name: str, options: dict) -> list[tuple]:
    """Paths of what is wrong; empty = accepted."""
    try:
        SearchConfig.parse({"name": "x", "space": {"name": name, **options}})
    except InvalidConfig as e:
        assert all(text for _, text in e.errors)
        return [path for path, _ in e.errors]
    return []


def is_numbers(value: object) -> bool:
    many = value if isinstance(value, tuple) else (value,)
    return bool(many) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in many)


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_every_field_refuses_what_makes_no_sense(name, field):
    usual = SPACES[name].Options.model_fields[field].get_default(call_default_factory=True)
    wrong: list[object] = [{"nonsense": 1}, "x" * 100_000, ["nonsense", "more nonsense"]]
    if is_numbers(usual):
        numbers = [10**9, -1, math.nan, math.inf, 10**400, -(10**400)]
        wrong += [[n] for n in numbers] if isinstance(usual, tuple) else numbers
    if isinstance(usual, tuple):
        wrong += [list(usual) * 3000] if usual else []
        if usual:
            wrong.append([])
    for value in wrong:
        found = problems(name, {field: value})
        if value == [] and not found:
            continue  # empty means something here: its description says what
        assert found, f"{field}: {str(value)[:60]} was accepted"
        assert all(path[0] == "space" for path in found)
        assert any(field in path for path in found), found


@pytest.mark.parametrize("name", SPACES)
def test_empty_lists_are_refused_or_explained(name):
    for field, info in SPACES[name].Options.model_fields.items():
        usual = info.get_default(call_default_factory=True)
        if isinstance(usual, tuple) and usual and not problems(name, {field: []}):
            said = (info.description or "").lower()
            assert any(word in said for word in ("empty", "none", "no ", "behind", "where")), field


@pytest.mark.parametrize("name", SPACES)
def test_unknown_fields_and_huge_values_are_refused(name):
    assert problems(name, {"surprise": 1}) == [("space", "surprise")]
    assert problems(name, {"restrict": {f"d{i}": [1] for i in range(5000)}})
    assert problems(name, {"restrict": {"d": [math.nan]}})
    assert problems(name, {"recipe": {"learning_rate": [1e9]}})
    assert isinstance(SPACES[name].Options(), BaseModel)
