"""Who races: strategies of the catalog with their options, peers, and orders by size alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engine import catalog
from engine.errors import DataError
from engine.objectives import Objective
from engine.spaces.base import SearchSpace

Duplicates = Literal["canonical", "written", "allowed"]
#: orders by exact size, no search: as written, and by live operations only (one row a class)
ORDERS = {"size-written": "n_macs", "size-live": "live_macs"}
#: samplers of Optuna
PEERS = ("optuna-tpe", "optuna-gp", "optuna-nsga2")
#: strategies of these groups do not query rows that they know to be equal, as in the product; those of the others are
#: raced as published, where a query is a row as written
_SKIP_EQUAL = ("automatic", "bayesian", "model", "across")
_LABEL = re.compile(r"[\w.+=-]{1,80}")


@dataclass(frozen=True)
class Entrant:
    """One competitor.

    Attributes:
        label: unique in a race.
        kind: a strategy of the catalog, a peer, or an order by size.
        name: of the strategy, peer or order.
        options: of the strategy.
        duplicates: what counts as the same architecture in its searches.
    """

    label: str
    kind: Literal["strategy", "peer", "order"]
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    duplicates: Duplicates = "written"


def strategy(name: str, options: Mapping[str, Any] | None = None, label: str = "") -> Entrant:
    """A strategy with options; "duplicates" among them is the search's.

    Raises:
        InvalidConfig: no such strategy.
    """
    group = catalog.get("strategy", name).group
    given = dict(options or {})
    duplicates = given.pop("duplicates", "canonical" if group in _SKIP_EQUAL else "written")
    return Entrant(label or name, "strategy", name, given, duplicates)


def named(name: str) -> Entrant:
    """A strategy, peer or order by its plain name.

    Raises:
        InvalidConfig: there is none.
    """
    if name in PEERS:
        return Entrant(name, "peer", name)
    if name in ORDERS:
        return Entrant(name, "order", name)
    return strategy(name)


def parse(text: str, space: SearchSpace) -> tuple[list[Entrant], dict[str, str]]:
    """Reads "all", or a list such as `random,regularized_evolution:{"population": 10},mine=bananas:@options.json`.

    Returns:
        the entrants, and why some of "all" cannot race here, by name.

    Raises:
        DataError: not such a list.
        InvalidConfig: no such strategy.
    """
    out: dict[str, Entrant] = {}
    refused: dict[str, str] = {}
    for part in _parts(text):
        if part == "all":
            for name, cls in catalog.plugins("strategy").items():
                if reason := cls.supports(space, (Objective(),)):
                    refused[name] = reason
                else:
                    out.setdefault(name, strategy(name))
            continue
        head, colon, rest = part.partition(":")
        label, equals, name = head.partition("=")
        if not equals:
            label = name = head
        options: dict[str, Any] = {}
        if colon:
            try:
                options = json.loads(Path(rest[1:]).read_text() if rest.startswith("@") else rest)
            except (OSError, ValueError) as e:
                raise DataError(f"the options of {name} are JSON or @FILE, received {rest[:80]!r}: {e}") from e
            if not isinstance(options, dict):
                raise DataError(f"the options of {name} are a JSON object, received {rest[:80]!r}")
            if not equals:
                label = name + "+" + "+".join(f"{k}={v}" for k, v in options.items())
                label = re.sub(r"[^\w.+=-]+", "", label)[:80]
        if not _LABEL.fullmatch(label):
            raise DataError(f"a label has letters, digits and - _ . + = only, received {label[:80]!r}")
        out[label] = strategy(name, options, label) if options or equals else named(name)
    return list(out.values()), refused


def _parts(text: str) -> list[str]:
    """Split at commas outside of braces and brackets."""
    out, depth = [""], 0
    for c in text:
        depth += (c in "{[") - (c in "}]")
        if c == "," and not depth:
            out.append("")
        else:
            out[-1] += c
    return [part.strip() for part in out if part.strip()]
