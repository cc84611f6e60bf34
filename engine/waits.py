"""Why something in a search does not go on, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.conductor import Conductor


def words(conductor: Conductor) -> list[dict[str, str]]:
    """What does not go on at this moment, and why: {"what", "why"} each."""
    out: list[dict[str, str]] = []
    if conductor.finish is not None:
        return out
    if conductor._paused:
        out.append({"what": "the search", "why": "paused by a person"})
    out += conductor._by_hand.words(paused=conductor._paused)
    if conductor._wait:
        out.append({"what": "the next trial", "why": conductor._wait})
    n = len(conductor._paused_trials)
    if n:
        what = f"#{next(iter(conductor._paused_trials))}" if n == 1 else f"{n:,} trials"
        out.append({"what": what, "why": "between rungs: more results decide whether they go on"})
    return out
