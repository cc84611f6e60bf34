"""Reasons why data does not suit a kind of network, in the same words for every space."""

from __future__ import annotations

from engine.data.spec import DataSpec, said


def convolved_and_halved_twice(data: DataSpec) -> str | None:
    """None for images and signals of at least 4 in each direction, else the reason."""
    if data.kind not in ("image", "signal"):
        return f"its convolutions need images or signals, {said(data)}"
    if min(data.input_shape[1:]) < 4:
        return f"it halves its input twice, so that needs at least 4 in each direction, not {data.input_shape[1:]}"
    return None
