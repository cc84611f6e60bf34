"""The table of operations: what each does to shapes, what it costs, what people call it, and the block that runs it.

Everything here is closed formulas over literal arguments: no torch. A new operation is one entry in a module of
`network.ops` and, where `torch.nn` lacks it, one class in a module of `network.blocks`.
"""

from __future__ import annotations

import importlib
import pkgutil

from engine.network import ops
from engine.network.operation import Operation, Role, kernel_words, module_path

__all__ = ["OPERATIONS", "Operation", "Role", "kernel_words", "module_path"]


def _gather() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for info in pkgutil.iter_modules(ops.__path__):
        for operation in importlib.import_module(f"{ops.__name__}.{info.name}").operations():
            if operation.name in found:
                raise RuntimeError(f"two operations are called {operation.name!r}")
            found[operation.name] = operation
    return found


OPERATIONS: dict[str, Operation] = _gather()
