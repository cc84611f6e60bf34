"""Writes the pages of `docs/` that follow from the catalog: `python -m engine.docs`. A test compares them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from engine import catalog
from engine.data.spec import DataSpec
from engine.objectives import Objective
from engine.spaces._custom.modules import ALIASES, TEMPLATES
from engine.spaces.base import CAPABILITIES, SearchSpace, space_of
from engine.strategies.base import GROUPS, Strategy

SPACES = "docs/spaces.md"
CUSTOM = "docs/custom-space.md"
STRATEGIES = "docs/strategies.md"
#: what the support of strategies is asked for: one objective, and several
ONE = (Objective(),)
SEVERAL = (Objective(), Objective(metric="n_params", direction="minimize"))
_MARK, _END = "<!-- modules -->", "<!-- end -->"
_HEADS = {
    "uniform": "uniform sampling", "size": "exact size", "grow": "growth", "morphisms": "morphisms",
    "supernet": "weight sharing", "mixture": "options side by side",
}  # fmt: skip


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


@cache
def example_spaces() -> dict[str, SearchSpace]:
    """Every space with its own options, bound to data that it serves: images, else signals, text, or a table."""
    shapes: tuple[tuple[int, ...], ...] = ((3, 32, 32), (2, 64), (24,), (12,))
    data = [
        DataSpec(
            name="example", kind=kind, input_shape=shape, n_classes=10, class_names=tuple("0123456789"),
            sizes={"train": 1000, "validation": 500, "test": 500}, digest="0" * 64, split_digest="0" * 64,
            mean=(0.0,) * shape[0], std=(1.0,) * shape[0], vocabulary=100 if kind == "text" else 0,
        )
        for kind, shape in zip(("image", "signal", "text", "table"), shapes, strict=True)
    ]  # fmt: skip
    out: dict[str, SearchSpace] = {}
    for name, cls in catalog.plugins("space").items():
        fitting = next(d for d in data if cls.fits(d) is None)
        out[name] = space_of(cls, cls.Options(**cls.suggested(fitting)), fitting)
    return out


@cache
def support(kind: str = "strategy") -> dict[str, dict[tuple[str, int], str | None]]:
    """strategy (or weight-sharing method) -> (space, 1 or 2 objectives) -> None, or the reason for refusing.

    Args:
        kind: "strategy" or "supernet".
    """
    strategies: dict[str, type[Strategy]] = catalog.plugins(kind)
    return {
        name: {
            (space_name, len(objectives)): cls.supports(space, objectives)
            for space_name, space in example_spaces().items()
            for objectives in (ONE, SEVERAL)
        }
        for name, cls in strategies.items()
    }


def strategies_page() -> str:
    """The page about strategies: what each does, when to take it, and what it does not serve with the reason."""
    strategies: dict[str, type[Strategy]] = catalog.methods()
    table, spaces = {**support(), **support("supernet")}, list(example_spaces())
    lines = [
        "# Strategies",
        "",
        "Written by `python -m engine.docs` from the strategies themselves. Each is one file in `engine/strategies/`,",
        "those that share weights in `engine/supernets/`: paper, symbols, options with bounds and deviations stand",
        "there. How they compare stands in `benchmarks/RESULTS.md`.",
        "",
    ]
    for group, title in GROUPS.items():
        members = {n: c for n, c in strategies.items() if c.group == group}
        if not members:
            continue
        lines += [f"## {title}", "", "| strategy | what it does | source | when |", "|---|---|---|---|"]
        lines += [f"| `{n}` | {c.summary} | {c.reference or '–'} | {c.guide or '–'} |" for n, c in members.items()]
        lines.append("")
    lines += [
        "## What serves what",
        "",
        "Every space with its own options: yes = one objective and several; 1 = one objective; n = several only.",
        "",
        f"| strategy | {' | '.join(f'`{s}`' for s in spaces)} |",
        f"|---|{'---|' * len(spaces)}",
    ]
    for name, row in table.items():
        cells = [_cell(row[s, 1], row[s, 2]) for s in spaces]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    lines += ["", "## What is refused, and why", ""]
    for name, row in table.items():
        for where, reason in refusals(row, quote="`"):
            lines.append(f"- `{name}`, {where}: {reason}.")
    return "\n".join([*lines, ""])


def refusals(row: Mapping[tuple[str, int], str | None], *, quote: str = "") -> list[tuple[str, str]]:
    """What one strategy's row of `support` refuses: (where, in words; the reason), one pair a reason.

    Args:
        row: (space, 1 or 2 objectives) -> None, or the reason.
        quote: stands on both sides of a space's name.
    """
    spaces = {space for space, _ in row}
    reasons: dict[str, list[tuple[str, str]]] = {}
    for (space, n), reason in row.items():
        if reason is not None:
            reasons.setdefault(reason, []).append((space, "" if row[space, 3 - n] else _ONLY[n]))
    out = []
    for reason, where in reasons.items():
        unique = list(dict.fromkeys(where))
        only = {w for _, w in unique}
        if {space for space, _ in unique} == spaces and len(only) == 1:
            out.append((f"every space{only.pop()}", reason))
        else:
            out.append((", ".join(f"{quote}{space}{quote}{w}" for space, w in unique), reason))
    return out


_ONLY = {1: " (one objective)", 2: " (several objectives)"}


def _cell(one: str | None, several: str | None) -> str:
    if one is None:
        return "yes" if several is None else "1"
    return "n" if several is None else "–"


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
    (root / STRATEGIES).write_text(strategies_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
