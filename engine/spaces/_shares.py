"""What weight sharing needs of a space: names of shared weights, and all options of a decision side by side."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, ClassVar

from engine.architecture import Architecture, Option
from engine.errors import CannotBuild, NotOffered
from engine.spaces._moves import Moves
from engine.spaces._offers import Offers

if TYPE_CHECKING:
    from engine.spaces._decision import Decision
    from engine.supernets.mixture import Mixture

#: ways in which the names of a covering set stand beside each other, and architectures after which none is begun
_SHIFTS, _COVER = 3, 150
#: what speaks for each option, by table
Strengths = Mapping[str, Mapping[Option, float]]


class Shares(Moves, Offers):
    """Networks of a space share weights by the names of their operations.

    Two networks share what has the same name, operation and arguments (`engine.supernets.nets.bank`); the ids of a
    plan's nodes are the names, unless a space says otherwise: the place of an operation is what counts, not which of a
    node's two terms it is.

    Attributes:
        elastic: options differ in size: a smaller operation runs on slices of the weights of the largest of its name
            (`engine.supernets.nets.elastic`).
    """

    elastic: ClassVar[bool] = False

    @abstractmethod
    def all_decisions(self) -> list[Decision]:
        """Every decision that can occur, with every option it can offer."""

    def covering(self) -> Iterator[Architecture]:
        """Architectures that have, between them, each operation of the space's networks at its largest.

        What is a scale is at its largest, what is a name goes through its options; around that, each option of each
        kind of decision (of all blocks alike) stands once with each of the others' names; in spaces of few options also
        with their pairs. What takes more particular choices at once may be missing.

        Raises:
            NotOffered: see `weight_names`.
        """
        self._offered("supernet")
        offered: dict[str, dict[Option, None]] = {}
        names: list[str] = []
        for d in self.all_decisions():
            kind = kind_of(d.name)
            offered.setdefault(kind, {}).update(dict.fromkeys(d.options))
            if not d.ordered and kind not in names:
                names.append(kind)
        kinds: dict[str, list[Option]] = {"": [None], **{k: list(o) for k, o in offered.items()}}
        seen: set[str] = set()
        for shift in range(_SHIFTS):
            if len(seen) > _COVER:
                return
            for kind, options in kinds.items():
                turns = max((len(offered[k]) for k in names if k != kind), default=1)
                for option, turn in product(options, range(turns)):
                    at = {k: turn + shift * j for j, k in enumerate(names)}
                    arch = self._walk(lambda d, k=kind, o=option, at=at: _covered(d, k, o, at))  # type: ignore[misc]
                    if arch.key not in seen:
                        seen.add(arch.key)
                        yield arch

    def weight_names(self, arch: Architecture) -> Mapping[str, str]:
        """Names of shared weights by node, of the nodes whose id is not the name.

        Raises:
            NotOffered: the networks of this space share no places; the reason stands in `unavailable["supernet"]`.
        """
        self._offered("supernet")
        return self._weight_names(arch)

    def _weight_names(self, arch: Architecture) -> Mapping[str, str]:
        return {}

    def mixture(self, *, partial: int = 1, norm_pools: bool = False) -> Mixture:
        """The network in which all options stand side by side.

        Args:
            partial: options see 1 / partial of the channels (PC-DARTS), where the space's shapes allow it.
            norm_pools: a batch norm without scale behind every pooling, as differentiable search has it (Liu et al.
                2019, section 3.1.1); never part of a stand-alone network.

        Raises:
            NotOffered: options do not stand side by side here; the reason stands in `unavailable["mixture"]`.
            CannotBuild: these options of the space make no mixture (`unmixed`), or its channels cannot be divided.
        """
        self._offered("mixture")
        if reason := self._unmixed():
            raise CannotBuild(reason)
        return self._mixture(partial, norm_pools)

    def unmixed(self) -> str | None:
        """Why options do not stand side by side in this space, or not as its options are; None = they do."""
        return self.unavailable.get("mixture") or self._unmixed()

    def _unmixed(self) -> str | None:
        """The reason where it lies in the options, e.g. several widths of one stage."""
        return None

    def _mixture(self, partial: int, norm_pools: bool) -> Mixture:
        raise NotOffered(f"{self.name} does not say what stands side by side")

    def chosen(self, arch: Architecture) -> dict[str, Option]:
        """Which option each table of the mixture takes in an architecture; tables that do not act are left out.

        With these options alone (and zeros where none is named) the mixture is the architecture's network.

        Raises:
            CannotBuild: the architecture is no path of the mixture, e.g. smaller than the largest.
        """
        self._offered("mixture")
        return self._taken(arch)

    def _taken(self, arch: Architecture) -> dict[str, Option]:
        return arch.choices

    def derive(self, strengths: Strengths) -> Architecture:
        """The architecture that the strongest options make: what a differentiable search hands over.

        Args:
            strengths: probabilities (or what else speaks for an option) by table of the mixture.
        """
        self._offered("mixture")
        return self._derive(strengths)

    def _derive(self, strengths: Strengths) -> Architecture:
        def choose(decision: Decision) -> Option:
            row = strengths.get(decision.name, {})
            return max(decision.options, key=lambda o: row.get(o, float("-inf")))

        return self._walk(choose)


def kind_of(decision: str) -> str:
    """What a decision is about, whichever block it belongs to: "stage2_block1_kernel" -> "stage_block_kernel"."""
    return re.sub(r"\d+", "", decision)


def _covered(d: Decision, kind: str, option: Option, at: Mapping[str, int]) -> Option:
    mine = kind_of(d.name)
    if mine == kind and option in d.options:
        return option
    return d.options[-1] if d.ordered else d.options[at[mine] % len(d.options)]
