"""Variables are read by type; what cannot be read names itself, what it got and what would be right."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from nasweb.env import env_bool, env_float, env_int, env_list, env_path, env_str


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch):
    """Sets the variable X."""
    return lambda value: monkeypatch.setenv("X", value)


def test_unset_and_empty_mean_the_default(given) -> None:
    for value in (None, "", "  "):
        if value is not None:
            given(value)
        assert env_str("X", "d") == "d"
        assert env_bool("X", True) is True
        assert env_int("X", 3, minimum=0, maximum=9) == 3
        assert env_float("X", 0.5, minimum=0, maximum=1) == 0.5
        assert env_list("X", ["a"]) == ["a"]
        assert env_path("X", Path("/tmp/d")) == Path("/tmp/d").resolve()


@pytest.mark.parametrize(("text", "value"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("OFF", False)])
def test_truth(given, text: str, value: bool) -> None:
    given(text)
    assert env_bool("X", not value) is value


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (lambda: env_bool("X", True), "maybe", "X must be one of 1, true.*'maybe'"),
        (lambda: env_int("X", 1, minimum=1, maximum=9), "2.5", "X must be a whole number; got '2.5'"),
        (lambda: env_int("X", 1, minimum=1, maximum=9), "10", "X must be from 1 to 9; got 10"),
        (lambda: env_float("X", 1, minimum=0, maximum=9), "fast", "X must be a number; got 'fast'"),
        (lambda: env_float("X", 1, minimum=0, maximum=9), "nan", "X must be from 0 to 9; got nan"),
        (lambda: env_float("X", 1, minimum=0, maximum=9), "-1", "X must be from 0 to 9; got -1"),
    ],
)
def test_what_cannot_be_read_says_what_would_be_right(given, read, text: str, says: str) -> None:
    given(text)
    with pytest.raises(ImproperlyConfigured, match=says):
        read()


def test_lists_and_paths(given, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given(" a.example , b.example,, ")
    assert env_list("X", []) == ["a.example", "b.example"]
    monkeypatch.chdir(tmp_path)
    given("here")
    assert env_path("X", Path("/d")) == tmp_path.resolve() / "here"
