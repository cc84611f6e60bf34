"""Lists the benchmarks, or runs some: `python -m benchmarks [NAME... | all] [-- ARGUMENTS OF THE LAST ONE]`."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent


def available() -> dict[str, str]:
    """Benchmarks by name with the first line of their docstring, without importing them."""
    out = {}
    for path in sorted(HERE.glob("*.py")):
        if not path.stem.startswith("_"):
            doc = ast.get_docstring(ast.parse(path.read_text())) or ""
            out[path.stem] = doc.partition("\n")[0]
    return out


def main(argv: list[str]) -> int:
    """Runs the named benchmarks one after another; each row is also printed as one line of JSON."""
    have = available()
    split = argv.index("--") if "--" in argv else len(argv)
    names, arguments = argv[:split], argv[split + 1 :]
    if not names:
        width = max(map(len, have))
        for name, line in have.items():
            print(f"{name:{width}}  {line}")
        return 0
    if names == ["all"]:
        names = list(have)
    if unknown := [name for name in names if name not in have]:
        print(f"no benchmark is called {unknown[0]!r}; there are {', '.join(have)}", file=sys.stderr)
        return 2
    for name in names:
        module = importlib.import_module(f"benchmarks.{name}")
        rows = module.main(arguments if name == names[-1] else [])
        for row in rows or []:
            print(json.dumps({"benchmark": name, **row}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
