"""Finds the plug-ins: one file, one class each.

Every module of the packages below is imported once; a class with a `name` of its own that derives from the kind's
base is a plug-in. Nothing is registered by hand, and nothing here imports torch.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from typing import Any

from engine.errors import InvalidConfig

#: kind -> (package, module of the base class, base class)
KINDS = {
    "space": ("engine.spaces", "engine.spaces.base", "SearchSpace"),
    "strategy": ("engine.strategies", "engine.strategies.base", "Strategy"),
    "schedule": ("engine.schedules", "engine.schedules.base", "Schedule"),
    "evaluator": ("engine.evaluation", "engine.evaluation.base", "Evaluator"),
}


@cache
def plugins(kind: str) -> dict[str, type[Any]]:
    """All plug-ins of a kind by name, sorted by name."""
    package_name, base_module, base_name = KINDS[kind]
    base = getattr(importlib.import_module(base_module), base_name)
    package = importlib.import_module(package_name)
    found: dict[str, type[Any]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.ispkg or info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package_name}.{info.name}")
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, base) and cls.__module__ == module.__name__ and "name" in cls.__dict__:
                name: str = cls.__dict__["name"]
                if name in found:
                    raise RuntimeError(f"two plug-ins of kind {kind} are called {name!r}")
                found[name] = cls
    return dict(sorted(found.items()))


def get(kind: str, name: str) -> type[Any]:
    """The plug-in's class.

    Raises:
        InvalidConfig: no plug-in of that name; the message lists what there is.
    """
    have = plugins(kind)
    if name not in have:
        raise InvalidConfig([((kind, "name"), f"no {kind} is called {name!r}; there are {', '.join(have)}")])
    return have[name]
