"""What is elastic when: sizes of a space's networks, and the stages of progressive shrinking. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engine.architecture import Architecture, Option
from engine.spaces._decision import Decision, draw
from engine.spaces._shares import kind_of
from engine.spaces.base import SearchSpace
from engine.supernets._drawn import buildable

#: what a decision about size shrinks, by the last word of its name; all other decisions are drawn whatever the stage
ROLES = {
    "kernel": "kernel", "depth": "depth",
    **dict.fromkeys(("width", "expansion", "ratio", "heads", "widen", "dense", "factor"), "width"),
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """A stretch of the training.

    Attributes:
        name: for people.
        share: its part of the epochs, in proportion to those of the other stages.
        opened: roles whose decisions are drawn; those of the others stay at their largest.
        partly: the role of which only the two largest options are drawn yet; "" = none.
        subnets: drawn a step.
    """

    name: str
    share: float
    opened: tuple[str, ...] = ()
    partly: str = ""
    subnets: int = 1


#: Cai et al. 2020, section 3.3 and appendix B: epochs, and subnets whose gradients are added up in a step
STAGES = (
    Stage("the largest network", 180),
    Stage("elastic kernel", 125, ("kernel",)),
    Stage("elastic depth, the two largest", 25, ("kernel", "depth"), "depth", 2),
    Stage("elastic depth", 125, ("kernel", "depth"), "", 2),
    Stage("elastic width, the two largest", 25, ("kernel", "depth", "width"), "width", 4),
    Stage("elastic width", 125, ("kernel", "depth", "width"), "", 4),
)


def role_of(decision: Decision) -> str:
    """What it shrinks; "" = it is about no size."""
    return ROLES.get(kind_of(decision.name).rsplit("_", 1)[-1], "") if decision.ordered else ""


def stages_of(space: SearchSpace) -> list[Stage]:
    """The stages that change something in a space."""
    most: dict[str, int] = {}
    for d in space.all_decisions():
        if role := role_of(d):
            most[role] = max(most.get(role, 0), len(d.options))
    out = []
    for stage in STAGES:
        last = stage.opened[-1] if stage.opened else ""
        if not last or most.get(last, 0) > (2 if stage.partly else 1):
            out.append(replace(stage, opened=tuple(r for r in stage.opened if r in most)))
    return out


def stage_at(stages: list[Stage], epoch: int, epochs: int) -> Stage:
    """The stage in which the middle of an epoch (from 0) lies; the first epoch is always of the first stage."""
    middle = (epoch + 0.5) / epochs * sum(s.share for s in stages)
    for stage in stages if epoch else stages[:1]:
        middle -= stage.share
        if middle < 0:
            return stage
    return stages[-1] if epoch else stages[0]


def largest(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """Every size at its largest; what is no size is drawn."""
    return _made(space, lambda d: d.options[-1] if role_of(d) else draw(d.options, rng))


def smallest(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """Every size at its smallest; what is no size is drawn."""
    return _made(space, lambda d: d.options[0] if role_of(d) else draw(d.options, rng))


def within(space: SearchSpace, stage: Stage, rng: np.random.Generator) -> Architecture:
    """A subnet of a stage: what it opens is drawn, other sizes are at their largest."""

    def choose(d: Decision) -> Option:
        role = role_of(d)
        if role and role not in stage.opened:
            return d.options[-1]
        return draw(d.options[-2:] if role and role == stage.partly else d.options, rng)

    return _made(space, choose)


def _made(space: SearchSpace, choose: Callable[[Decision], Option]) -> Architecture:
    return buildable(space, lambda: space._walk(choose))
