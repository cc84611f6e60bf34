"""Limits on an exact cost, for each of which the best subnet is sought: one training for several devices. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.architecture import Architecture

_UNITS = {"n_macs": (1e6, "M multiply-adds"), "n_params": (1e6, "M parameters"),
          "activation_bytes": (1e6, "MB of activations")}  # fmt: skip


@dataclass(frozen=True)
class Tier:
    """One limit.

    Attributes:
        limits: on exact costs, beside those of the search; {} = none.
        words: "2.0 M multiply-adds"; "" where there is no limit.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    words: str = ""

    @classmethod
    def of(cls, cost: str, most: float) -> Tier:
        """A tier of at most so much of an exact cost."""
        scale, unit = _UNITS[cost]
        return cls({cost: most}, f"{most / scale:.3g} {unit}")

    def holds(self, costs: Mapping[str, float]) -> bool:
        """Whether a network of these costs is within the limit."""
        return all(costs[name] <= most for name, most in self.limits.items())


def by_turns(
    ranked: Sequence[Sequence[Architecture]], tiers: Sequence[Tier], identity: Callable[[Architecture], str]
) -> tuple[list[Architecture], dict[str, str]]:
    """The best of each tier, then the second of each ...

    Args:
        ranked: architectures of each tier, the best first.
        tiers: as many.
        identity: of an architecture.

    Returns:
        Each architecture once, and by identity of the best of a tier what it is the best within.
    """
    out: dict[str, Architecture] = {}
    best: dict[str, list[str]] = {}
    for place in range(max(map(len, ranked), default=0)):
        for tier, mine in zip(tiers, ranked, strict=True):
            if place < len(mine):
                key = identity(mine[place])
                out.setdefault(key, mine[place])
                if not place and tier.words:
                    best.setdefault(key, []).append(tier.words)
    return list(out.values()), {key: " and ".join(words) for key, words in best.items()}
