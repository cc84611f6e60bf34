"""Numbers as people read them: no exponents, a true minus sign, accuracies in percent."""

from __future__ import annotations

import math

import numpy as np

#: below this a number says no more than that it is small
LEAST = 1e-4
_LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def plain(value: float, digits: int = 3) -> str:
    """A finite number with so many digits that count: "12", "0.3", "−0.5", "518 million", "under 0.0001"."""
    if 0 < abs(value) < LEAST:
        return f"under {LEAST:.4f}" if value > 0 else "just below 0"
    size, unit = abs(value), ""
    if size >= 1e15:
        return ("−" if value < 0 else "") + _power(math.log10(size))
    for limit, name in _LARGE:
        if size >= limit:
            size, unit = size / limit, f" {name}"
            break
    rounded = float(f"{size:.{digits}g}")
    text = f"{rounded:,.0f}" if rounded >= 1000 else np.format_float_positional(rounded, trim="-")
    return f"{'−' if value < 0 else ''}{text}{unit}"


def count(number: int) -> str:
    """All digits of a count up to 10^15, "about 2.81 × 10²¹" above."""
    return f"{number:,}" if number < 10**15 else f"about {_power(math.log10(number))}"


def _power(exponent: float) -> str:
    whole = math.floor(exponent)
    return f"{10 ** (exponent - whole):.2f} × 10{str(whole).translate(_RAISED)}"


def foretold(metric: str, value: float, sd: float) -> str:
    """A prediction with its spread: "accuracy 94.72 ± 1.7 %", "latency_ms 3.1 ± 0.2"."""
    scale, unit = (100, " %") if "accuracy" in metric else (1, "")
    return f"{metric} {plain(scale * value, 4)} ± {plain(scale * sd, 2)}{unit}"
