"""Writes the pages of `docs/` that follow from the catalog: `python -m engine.docs`. A test compares them."""

from __future__ import annotations

from pathlib import Path

from engine import catalog
from engine.spaces._custom.modules import ALIASES, TEMPLATES
from engine.spaces.base import CAPABILITIES, SearchSpace

SPACES = "docs/spaces.md"
CUSTOM = "docs/custom-space.md"
_MARK, _END = "<!-- modules -->", "<!-- end -->"
_HEADS = {"uniform": "uniform sampling", "size": "exact size", "grow": "growth", "morphisms": "morphisms"}


def spaces_page() -> str:
    """The page about search spaces: what each holds, and what it does not offer with the reason."""
    spaces: dict[str, type[SearchSpace]] = catalog.plugins("space")
    lines = [
        "# Search spaces",
        "",
        "Written by `python -m engine.docs` from the spaces themselves. What all of them can do stands in",
        "`engine/spaces/base.py`; the tests in `tests/engine/spaces/contract/` run over every one, and those of",
        "uniform sampling, growth and morphisms are made from the second table.",
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
        *(f"`{name}`: {cls.caveat}." for name, cls in spaces.items() if cls.caveat),
        "",
        "## How architectures are written",
        "",
        *(f"- `{name}`: {cls.notation or 'as JSON, option by decision.'}" for name, cls in spaces.items()),
        "",
    ]
    return "\n".join(lines)


def custom_page(text: str) -> str:
    """The page about written spaces with the allow-list as it is now."""
    head, _, rest = text.partition(_MARK)
    behind = rest.split(_END, 1)[1]
    rows = [f"| `{name}` | {t.help} | {', '.join(t.arguments) or '–'} |" for name, t in TEMPLATES.items()]
    aliases = ", ".join(f"`{name}`" for name in ALIASES)
    table = "\n".join(["| module | what it does | arguments |", "|---|---|---|", *rows])
    also = f"Names of `torch.nn` and some others are understood too: {aliases}."
    return f"{head}{_MARK}\n\n{table}\n\n{also}\n\n{_END}{behind}"


def main() -> None:
    """Writes the pages."""
    root = Path(__file__).resolve().parents[1]
    (root / CUSTOM).write_text(custom_page((root / CUSTOM).read_text()), encoding="utf-8")
    (root / SPACES).write_text(spaces_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
