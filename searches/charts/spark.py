"""The small curve of a row: the best so far as a step line."""

from __future__ import annotations

from collections.abc import Sequence


def spark_path(
    steps: Sequence[tuple[int, float]], last: int, width: int = 112, height: int = 24
) -> tuple[str, tuple[float, float] | None]:
    """A step line of the best so far, and its end; empty for fewer than one step."""
    if not steps:
        return "", None
    low, high = steps[0][1], steps[-1][1]

    def x(at: int) -> float:
        return round(1 + (width - 6) * (at - 1) / max(1, last - 1), 1)

    def y(value: float) -> float:
        return round(height - 4 - (height - 8) * ((value - low) / (high - low) if high > low else 0.5), 1)

    path = f"M{x(steps[0][0])},{y(steps[0][1])}"
    for at, value in steps[1:]:
        path += f"H{x(at)}V{y(value)}"
    end = (x(last), y(high))
    return f"{path}H{end[0]}", end
