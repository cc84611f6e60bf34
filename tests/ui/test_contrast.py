"""The colours of `static/css/tokens.css` keep WCAG 2.2 AA in both themes."""

import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).resolve().parents[2] / "static" / "css" / "tokens.css"
COLOUR = re.compile(r"--([\w-]+):\s*light-dark\((#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\)")
THEMES = {"light": 1, "dark": 2}

# Words on their grounds: 4.5:1 (success criterion 1.4.3).
GROUNDS = ("bg", "bg-sunk", "bg-raise", "accent-wash")
TEXT = [(ink, ground) for ink in ("ink", "ink-2", "ink-3", "accent") for ground in GROUNDS]
TEXT += [(f"st-{s}-ink", g) for s in ("running", "done", "early", "failed", "wait") for g in GROUNDS]
TEXT += [("accent-ink", "accent"), ("accent-ink", "accent-hover"), ("bg", "ink")]
TEXT += [("st-early-ink", "warn-wash"), ("st-failed-ink", "fail-wash"), ("st-done-ink", "done-wash")]
KINDS = ("conv", "sep", "pool", "dense", "cell", "attention", "embed", "recurrent", "plain")
TEXT += [(ink, f"op-{kind}") for ink in ("ink", "ink-2") for kind in KINDS]
# Marks and borders of controls: 3:1 (1.4.11).
MARKS = [(f"st-{s}", "bg") for s in ("running", "done", "early", "failed", "wait")]
MARKS += [(f"op-{kind}-edge", "bg") for kind in KINDS]
MARKS += [(f"cat-{i}", "bg") for i in range(1, 9)]
MARKS += [("line-input", "bg"), ("line-input", "bg-raise"), ("axis", "bg"), ("ghost", "bg"), ("accent", "bg")]
# Okabe-Ito's orange and sky blue on white: areas, or with a label beside them, only.
LABELLED_ONLY = {("light", "cat-5"), ("light", "cat-6")}


def palette(theme: str) -> dict[str, str]:
    """Colours by token name for `light` or `dark`."""
    return {m[1]: m[1 + THEMES[theme]] for m in COLOUR.finditer(TOKENS.read_text())}


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2, definition)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours, 1 to 21."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_words_are_readable(theme, ink, ground):
    colours = palette(theme)
    assert contrast(colours[ink], colours[ground]) >= 4.5


@pytest.mark.parametrize(
    ("theme", "mark", "ground"),
    [(t, mark, ground) for t in THEMES for mark, ground in MARKS if (t, mark) not in LABELLED_ONLY],
)
def test_marks_are_visible(theme, mark, ground):
    colours = palette(theme)
    assert contrast(colours[mark], colours[ground]) >= 3


def test_running_and_convolution_are_not_the_accent():
    for theme in THEMES:
        colours = palette(theme)
        assert len({colours["accent"], colours["st-running"], colours["op-conv-edge"]}) == 3


def test_every_token_used_in_the_styles_exists():
    folder = TOKENS.parent
    names = set(re.findall(r"(--[\w-]+)\s*:", TOKENS.read_text()))
    # given by the element that uses them
    local = {"--p", "--c", "--k", "--h", "--n", "--tc", "--most", "--right", "--gap"}
    for sheet in folder.glob("*.css"):
        used = set(re.findall(r"var\((--[\w-]+)", sheet.read_text()))
        assert used <= names | local, f"{sheet.name}: {sorted(used - names - local)}"


def test_colours_are_written_in_the_tokens_only():
    for sheet in TOKENS.parent.glob("*.css"):
        if sheet != TOKENS:
            assert not re.search(r":[^;{}]*(#[0-9a-f]{3,8}\b|rgba?\()", sheet.read_text()), sheet.name
