"""One root for every error a caller may want to catch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class EngineError(Exception):
    """Root of all errors raised on purpose by the engine."""


class InvalidConfig(EngineError):
    """A search is not described well.

    Attributes:
        errors: one `(path, message)` pair per problem, e.g. `(("space", "depth"), "at least one option")`.
    """

    def __init__(self, errors: list[tuple[tuple[str | int, ...], str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{'.'.join(map(str, path)) or 'search'}: {text}" for path, text in errors))


class InvalidArchitecture(EngineError):
    """Choices that do not form an architecture of the space; the message names the decision."""


class CannotBuild(EngineError):
    """An architecture of the space that no network can be made of for this data (e.g. pooled below 1x1)."""


class NotOffered(EngineError):
    """Something this space, strategy or evaluator does not offer, with the reason from its definition."""


class DataError(EngineError):
    """Data that is missing, unreadable or unfit; the message says what to do."""


class Interrupted(EngineError):
    """An evaluation handed back on request, after writing its checkpoint.

    Attributes:
        reason: what `should_stop` answered, e.g. "pause", "cancel", "drain".
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"handed back: {reason}")


class StrategyFailed(EngineError):
    """A strategy or schedule raised, or waits for results that cannot come; the search fails with this message."""


@contextmanager
def named(who: str) -> Iterator[None]:
    """Turns whatever a plug-in raises into a `StrategyFailed` that names it."""
    try:
        yield
    except EngineError:
        raise
    except Exception as e:
        raise StrategyFailed(f"{who} failed: {type(e).__name__}: {e}") from e
