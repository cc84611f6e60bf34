"""The choice of a strategy: a few in view, the others behind "All methods" by family, those that cannot serve last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import catalog
from engine.catalog import in_words
from engine.errors import EngineError
from engine.objectives import Objective
from engine.spaces.base import SearchSpace, make_space
from engine.strategies.base import GROUPS, Strategy
from searches.forms.check import Checked
from searches.forms.fields import Choice, Field
from searches.forms.words import source_of, spelled

#: in view, in this order; of each line the first that the catalog has
IN_VIEW = (("auto",), ("random",), ("regularized_evolution",), ("gp", "gaussian_process", "tpe"))


@dataclass(frozen=True)
class Method(Choice):
    """One strategy to choose.

    Attributes:
        guide: when to take it.
        source: its paper, or "".
        refused: why it cannot serve this search, or "".
        id: of its button in the page.
    """

    guide: str = ""
    source: str = ""
    refused: str = ""

    @property
    def id(self) -> str:
        """Stays the same wherever it stands in the list."""
        return f"f-strategy-name-{self.value}"


@dataclass
class Methods(Field):
    """The row of the form that offers them; `choices` holds all in the order of the page.

    Attributes:
        in_view: shown at once.
        families: (title, strategies) behind "All methods".
    """

    in_view: list[Method] = field(default_factory=list)
    families: list[tuple[str, list[Method]]] = field(default_factory=list)

    @property
    def behind(self) -> int:
        """How many stand behind "All methods"."""
        return sum(len(members) for _, members in self.families)

    @property
    def chosen_behind(self) -> Method | None:
        """The chosen one, where it is not in view."""
        return next((m for _, members in self.families for m in members if m.chosen), None)


def methods(checked: Checked, now: str) -> Methods:
    """The row for a form in which `now` is chosen, for its space and objectives as far as they are known."""
    plugins: dict[str, type[Strategy]] = catalog.methods()
    space, objectives = _asked(checked)
    every = {name: _method(name, cls, now, space, objectives) for name, cls in plugins.items()}
    first = [next((n for n in names if n in every), "") for names in IN_VIEW]
    in_view = [every[n] for n in first if n and not every[n].refused]
    rest = [m for m in every.values() if m not in in_view]
    families = [
        (title, [m for m in rest if plugins[m.value].group == group and not m.refused])
        for group, title in GROUPS.items()
    ]
    families.append(("Cannot serve this search", [m for m in rest if m.refused]))
    if now not in every:  # of another installation: shown, so that its problem can be
        in_view.append(Method(now, in_words(now), True))
    families = [(title, members) for title, members in families if members]
    return Methods(
        ("strategy", "name"),
        "strategy",
        "methods",
        choices=[*in_view, *(m for _, members in families for m in members)],
        in_view=in_view,
        families=families,
    )


def _asked(checked: Checked) -> tuple[SearchSpace | None, Sequence[Objective]]:
    if checked.config is None or checked.data is None or checked.facts is None:
        return None, ()
    try:
        return make_space(checked.config, checked.data), checked.config.objectives
    except EngineError:
        return None, ()  # said at the space


def _method(name: str, cls: type[Any], now: str, space: SearchSpace | None, objectives: Sequence[Objective]) -> Method:
    refused = (cls.supports(space, objectives) or "") if space is not None and objectives else ""
    return Method(
        name,
        in_words(name),
        name == now,
        bool(refused) and name != now,
        spelled(cls.summary),
        guide=spelled(cls.guide),
        source=source_of(cls),
        refused=refused,
    )
