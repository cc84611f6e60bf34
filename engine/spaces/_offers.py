"""What a space may be unable to offer, with the reason; growing and morphing; ready-made instances."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from engine.architecture import Architecture
from engine.errors import NotOffered
from engine.network.morphism import Morphism

#: what a space may be unable to offer, with its reason
Capability = Literal["uniform", "size", "grow", "morphisms", "supernet", "mixture"]
CAPABILITIES: tuple[Capability, ...] = ("uniform", "size", "grow", "morphisms", "supernet", "mixture")


@dataclass(frozen=True)
class Preset:
    """A ready-made instance of a space, for the gallery.

    Attributes:
        name: unique within the space, for addresses.
        title: e.g. "MobileNetV3 (large)".
        summary: one line.
        reference: paper, year.
        options: values of the space's `Options`.
        kind: the kind of data it was published for ("image", "text", ...); empty = any that the space serves.
    """

    name: str
    title: str
    summary: str
    reference: str
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""


class Offers(ABC):
    """Answers for what is offered, refuses the rest with its reason."""

    name: ClassVar[str]
    #: what this space does not offer: capability -> the reason, for people
    unavailable: ClassVar[Mapping[Capability, str]] = {}
    #: what holds for some of its options only, in a sentence for the docs; "" = nothing
    caveat: ClassVar[str] = ""

    def _offered(self, what: Capability) -> None:
        """Raises `NotOffered` with the reason where the space declares that it does not offer this."""
        if what in self.unavailable:
            raise NotOffered(f"{self.name}: {self.unavailable[what]}")

    def stage(self, arch: Architecture) -> int:
        """How far an architecture has grown, from 1 (PNAS's number of blocks, depth, nodes).

        Raises:
            NotOffered: nothing grows here; the reason stands in `unavailable["grow"]`.
        """
        self._offered("grow")
        return self._stage(arch)

    def grow(self, arch: Architecture) -> list[Architecture]:
        """Those of the next stage that contain this one (Liu et al. 2018, PNAS); empty at the last stage.

        Raises:
            NotOffered: see `stage`.
        """
        self._offered("grow")
        return self._grow(arch)

    def _stage(self, arch: Architecture) -> int:
        raise NotOffered(f"{self.name} does not say how it grows")

    def _grow(self, arch: Architecture) -> list[Architecture]:
        raise NotOffered(f"{self.name} does not say how it grows")

    def morphisms(self, arch: Architecture) -> list[Morphism]:
        """Function-preserving changes with their weight maps, in a fixed order.

        Raises:
            NotOffered: there are none; the reason stands in `unavailable["morphisms"]`.
        """
        self._offered("morphisms")
        return self._morphisms(arch)

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        raise NotOffered(f"{self.name} does not say how it morphs")
