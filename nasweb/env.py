"""Typed reading of environment variables that fails loudly.

Every function names the variable, the value received and what would be right. An empty string counts as "not set",
because that is what ``NASWEB_PORT= make run`` means to the person who typed it.
"""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def env_str(name: str, default: str = "") -> str:
    """The text of variable `name`, without surrounding blanks, or `default`."""
    return os.environ.get(name, "").strip() or default


def env_bool(name: str, default: bool) -> bool:
    """The truth of variable `name`.

    Raises:
        ImproperlyConfigured: The value is none of 1/true/yes/on and 0/false/no/off.
    """
    text = env_str(name).lower()
    if not text:
        return default
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be one of 1, true, yes, on, 0, false, no, off; got {text!r}.")


def env_int(name: str, default: int, *, minimum: int, maximum: int) -> int:
    """The whole number in variable `name`, within its bounds (both included).

    Raises:
        ImproperlyConfigured: The value is no whole number, or out of bounds.
    """
    text = env_str(name)
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number; got {text!r}.") from None
    if not minimum <= value <= maximum:
        raise ImproperlyConfigured(f"{name} must be from {minimum} to {maximum}; got {value}.")
    return value


def env_float(name: str, default: float, *, minimum: float, maximum: float) -> float:
    """The number in variable `name`, within its bounds (both included).

    Raises:
        ImproperlyConfigured: The value is no number (NaN counts as none), or out of bounds.
    """
    text = env_str(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number; got {text!r}.") from None
    if not minimum <= value <= maximum:  # also false for NaN
        raise ImproperlyConfigured(f"{name} must be from {minimum:g} to {maximum:g}; got {text}.")
    return value


def env_path(name: str, default: Path) -> Path:
    """The absolute path in variable `name`; a relative one starts at the working directory, ``~`` is expanded."""
    text = env_str(name)
    return (Path(text).expanduser() if text else default).resolve()


def env_list(name: str, default: list[str]) -> list[str]:
    """The comma-separated values in variable `name`, blanks dropped."""
    text = env_str(name)
    return [part.strip() for part in text.split(",") if part.strip()] if text else list(default)
