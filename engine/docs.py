"""Writes the pages of `docs/` that follow from the catalog: `python -m engine.docs`. A test compares them."""

from __future__ import annotations

from pathlib import Path

from engine import catalog
from engine.spaces.base import CAPABILITIES, SearchSpace

SPACES = "docs/spaces.md"
_HEADS = {"uniform": "uniform sampling", "size": "exact size", "grow": "growth", "morphisms": "morphisms"}


def spaces_page() -> str:
    """The page about search spaces: what each holds, and what it does not offer with the reason."""
    spaces: dict[str, type[SearchSpace]] = catalog.plugins("space")
    lines = [
        "# Search spaces",
        "",
        "Written by `python -m engine.docs` from the spaces themselves. What all of them can do stands in",
        "`engine/spaces/base.py`; the tests in `tests/engine/spaces/contract/` run over every one, and those of uniform",
        "sampling, growth and morphisms are made from the second table.",
        "",
        "| space | what it holds | source | presets |",
        "|---|---|---|---|",
        *(
            f"| `{name}` | {cls.summary} | {cls.reference} | {', '.join(p.title for p in cls.presets) or '–'} |"
            for name, cls in spaces.items()
        ),
        "",
        "## What is not offered, and why",
        "",
        "A size that is not exact is an upper bound. A reason in place of a yes is what the space answers when asked.",
        "",
        f"| space | {' | '.join(_HEADS[c] for c in CAPABILITIES)} |",
        f"|---|{'---|' * len(CAPABILITIES)}",
        *(
            f"| `{name}` | {' | '.join(cls.unavailable.get(c, 'yes') for c in CAPABILITIES)} |"
            for name, cls in spaces.items()
        ),
        "",
        "## How architectures are written",
        "",
        *(f"- `{name}`: {cls.notation or 'as JSON, option by decision.'}" for name, cls in spaces.items()),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Writes the pages."""
    root = Path(__file__).resolve().parents[1]
    (root / SPACES).write_text(spaces_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
