"""Search in stages: at the start of each, options are dropped and another supernet begins."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from engine.architecture import Option
from engine.supernets.nets.learner import Setup
from engine.supernets.nets.mixed import MixedLearner


def split(epochs: int, stages: int) -> tuple[int, ...]:
    """First epoch (from 0) of each stage and, last, the number of epochs; fewer stages where epochs are fewer."""
    n = min(stages, epochs)
    return tuple(round(i * epochs / n) for i in range(n + 1))


class StagedLearner(MixedLearner):
    """What depends on the stage follows from the epoch and from `about`, which names stage and options.

    Args:
        setup: what a learner is given.
        stages: wanted.

    Attributes:
        stage: that it is in, from 0.
        bounds: see `split`.
        kept: options that are left, by table; {} = all.
    """

    def __init__(self, setup: Setup, stages: int) -> None:
        self.stage = 0
        self.kept: dict[str, tuple[Option, ...]] = {}
        self.bounds = split(setup.epochs, stages)
        self._note = ""
        super().__init__(setup)

    @property
    def stages(self) -> int:
        """How many there are."""
        return len(self.bounds) - 1

    def stage_of(self, epoch: int) -> int:
        """The stage of an epoch (from 0)."""
        return sum(epoch >= first for first in self.bounds[1:-1])

    def within(self, epoch: int) -> tuple[int, int]:
        """(epoch of its stage, epochs of that stage)."""
        stage = self.stage_of(epoch)
        return epoch - self.bounds[stage], self.bounds[stage + 1] - self.bounds[stage]

    def ahead(self, epoch: int) -> int:
        """Epochs of that epoch's stage in which the weights get ahead of the alphas: a share of it, not all of it."""
        length = self.within(epoch)[1]
        return min(round(float(self.options.frozen) * length), length - 1)

    def frozen(self, epoch: int) -> bool:
        """At the start of each stage."""
        return self.within(epoch)[0] < self.ahead(epoch)

    # -- from stage to stage --------------------------------------------------------------------
    @abstractmethod
    def count(self, options: int, stage: int) -> int:
        """Options that a table of so many at the start keeps in a stage."""

    @abstractmethod
    def enter(self, stage: int) -> None:
        """Begins a stage with the options of `kept`: mixture, network, alphas, weights."""

    def begin_epoch(self, epoch: int) -> None:
        """Enters the stage that begins here, if one does."""
        super().begin_epoch(epoch)
        if (stage := self.stage_of(epoch)) != self.stage:
            self.kept = self.strongest(stage)
            self.stage = stage
            self.enter(stage)

    def strongest(self, stage: int) -> dict[str, tuple[Option, ...]]:
        """The options of each table that a stage keeps, in the order of the table; of equals the earlier ones."""
        first = {t.name: len(t.options) for t in self.setup.space.mixture().tables}
        out: dict[str, tuple[Option, ...]] = {}
        for name, row in self.strengths().items():
            most = self.count(first[name], stage)
            best = sorted(row, key=lambda o: -row[o])[:most]
            out[name] = tuple(o for o in row if o in best)
        return out

    def end_epoch(self, epoch: int) -> None:
        """Says that a stage began, in the row of its first epoch."""
        super().end_epoch(epoch)
        self._note = self.said(epoch) if self.stages > 1 and epoch == self.bounds[self.stage] else ""

    def said(self, epoch: int) -> str:
        """One phrase about the stage that begins with this epoch."""
        counts = sorted({len(t.options) for t in self.mixture.tables})
        options = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        return f"stage {self.stage + 1} of {self.stages}: {options} options side by side"

    def views(self) -> dict[str, Any]:
        """What began, too."""
        return super().views() | ({"note": self._note} if self._note else {})

    # -- kept -----------------------------------------------------------------------------------
    def about(self) -> dict[str, Any]:
        """The stage and what is left in it."""
        return super().about() | {"stage": self.stage, "kept": {n: list(o) for n, o in self.kept.items()}}

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Enters the stage of the checkpoint first."""
        if about["stage"]:
            self.stage = int(about["stage"])
            self.kept = {name: tuple(options) for name, options in about["kept"].items()}
            self.enter(self.stage)
        super().restore(tensors, about)
