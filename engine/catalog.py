"""Finds the plug-ins: one file, one class each.

Every module of the packages below is imported once; a class with a `name` of its own that derives from the kind's
base is a plug-in. Nothing is registered by hand, and nothing here imports torch. Modules elsewhere join by their names
in the environment variable `NASWEB_PLUGINS` (separated by commas); every process must be able to import them.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Any

from engine.errors import InvalidConfig

#: kinds that a search names; kind -> (package, module of the base class, base class)
KINDS = {
    "space": ("engine.spaces", "engine.spaces.base", "SearchSpace"),
    "strategy": ("engine.strategies", "engine.strategies.base", "Strategy"),
    "schedule": ("engine.schedules", "engine.schedules.base", "Schedule"),
    "evaluator": ("engine.evaluation", "engine.evaluation.base", "Evaluator"),
}
#: kinds that strategies choose themselves
INNER = {"predictor": ("engine.predictors", "engine.predictors.base", "Predictor")}
#: kinds that stand where another one would: a weight-sharing method is named as a search's strategy
STANDS_FOR = {"supernet": ("engine.supernets", "engine.supernets.base", "SupernetMethod")}

#: parts of names of the catalog that are no words
ABBREVIATIONS = {
    "bananas": "BANANAS", "cma": "CMA", "darts": "DARTS", "drnas": "DrNAS",
    "enas": "ENAS", "fairnas": "FairNAS", "fbnet": "FBNet", "gdas": "GDAS", "ofa": "Once-for-All",
    "proxyless": "ProxylessNAS", "spos": "SPOS", "ehvi": "EHVI", "es": "ES", "gnn": "GNN", "gp": "GP", "lstm": "LSTM",
    "maml": "MAML", "mcts": "MCTS", "nasbot": "NASBOT", "nsga2": "NSGA-II", "parego": "ParEGO", "pnas": "PNAS",
    "ppo": "PPO", "q": "Q", "reinforce": "REINFORCE", "sgd": "SGD", "tpe": "TPE", "ucb": "UCB",
}  # fmt: skip


#: names that are written as their papers write them
NAMES = {
    "darts_es": "DARTS-ES", "darts_minus": "DARTS-", "darts_pt": "DARTS-PT", "p_darts": "P-DARTS",
    "pc_darts": "PC-DARTS", "r_darts": "R-DARTS",
}  # fmt: skip


@cache
def plugins(kind: str) -> dict[str, type[Any]]:
    """All plug-ins of a kind by name, sorted by name."""
    package_name, base_module, base_name = {**KINDS, **INNER, **STANDS_FOR}[kind]
    base = getattr(importlib.import_module(base_module), base_name)
    found: dict[str, type[Any]] = {}
    for module_name in _modules(package_name):
        module = importlib.import_module(module_name)
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, base) and cls.__module__ == module.__name__ and "name" in cls.__dict__:
                name: str = cls.__dict__["name"]
                if name in found:
                    raise RuntimeError(f"two plug-ins of kind {kind} are called {name!r}")
                found[name] = cls
    return dict(sorted(found.items()))


def load() -> None:
    """Imports every plug-in of every kind, before there is anybody who waits for it."""
    for kind in (*KINDS, *INNER, *STANDS_FOR):
        plugins(kind)


def methods() -> dict[str, type[Any]]:
    """What can be named as a search's strategy: ask/tell strategies, then weight-sharing methods."""
    return {**plugins("strategy"), **plugins("supernet")}


def _modules(package_name: str) -> Iterator[str]:
    """Names of the modules in which plug-ins may stand: the package's own, then those the environment names."""
    package = importlib.import_module(package_name)
    for info in pkgutil.iter_modules(package.__path__):
        if not info.ispkg and not info.name.startswith("_"):
            yield f"{package_name}.{info.name}"
    yield from filter(None, map(str.strip, os.environ.get("NASWEB_PLUGINS", "").split(",")))


def get(kind: str, name: str) -> type[Any]:
    """The plug-in's class.

    Raises:
        InvalidConfig: no plug-in of that name; the message lists what there is.
    """
    have = methods() if kind == "strategy" else plugins(kind)
    if name not in have:
        raise InvalidConfig([((kind, "name"), f"no {kind} is called {name!r}; there are {', '.join(have)}")])
    return have[name]


def in_words(name: str) -> str:
    """A name of the catalog as people write it: `aging_nsga2` -> `aging NSGA-II`."""
    return NAMES.get(name) or " ".join(ABBREVIATIONS.get(part, part) for part in name.split("_"))
