"""Derivation trees as values and as terms: "seq(conv3, branch_add(sep3, skip), residual(conv5))"."""

from __future__ import annotations

import re
from typing import NamedTuple

from engine.errors import InvalidArchitecture
from engine.spaces._tree.counts import ROOT, depth_of

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z_0-9]*|[(),])")
#: more levels, and more words and brackets, are not read
_LEVELS, _TOKENS = 32, 10_000


class Part(NamedTuple):
    """One node of a derivation tree.

    Attributes:
        position: its decision, "root.2.1".
        option: an operation, or a rule with its number of parts, "seq3".
        parts: what the rule puts together.
    """

    position: str
    option: str
    parts: tuple[Part, ...]

    def all(self) -> list[Part]:
        """This one and all below, depth first."""
        return [self, *(p for part in self.parts for p in part.all())]


def rule_of(option: str) -> str:
    """ "seq" of "seq3"."""
    return option.rstrip("0123456789")


def written(part: Part) -> str:
    """The term."""
    if not part.parts:
        return part.option
    return f"{rule_of(part.option)}({', '.join(map(written, part.parts))})"


def read_term(text: str, notation: str) -> dict[str, str]:
    """The choices a term stands for; whether a space offers them is for it to say.

    Args:
        notation: what would be right, for messages.

    Raises:
        InvalidArchitecture: this is no term; the message says what was received where.
    """
    tokens: list[str] = []
    end = 0
    while (match := _TOKEN.match(text, end)) and len(tokens) < _TOKENS:
        tokens.append(match[1])
        end = match.end()
    if text[end:].strip():
        raise InvalidArchitecture(f"received {text[end:].strip()[:40]!r}; {notation}")
    choices: dict[str, str] = {}
    at = _term(tokens, 0, ROOT, choices, notation)
    if at < len(tokens):
        raise InvalidArchitecture(f"received {tokens[at][:40]!r} behind the end of the term; {notation}")
    return choices


def _term(tokens: list[str], at: int, position: str, choices: dict[str, str], notation: str) -> int:
    """Reads one term from token `at` on and returns where it ends."""
    if at >= len(tokens) or tokens[at] in ("(", ")", ","):
        found = repr(tokens[at]) if at < len(tokens) else "the end"
        raise InvalidArchitecture(f"received {found} where a term begins; {notation}")
    if depth_of(position) > _LEVELS:
        raise InvalidArchitecture(f"received more than {_LEVELS} levels; {notation}")
    name, n = tokens[at], 0
    choices[position] = name
    at += 1
    if at == len(tokens) or tokens[at] != "(":
        return at
    while tokens[at] != ")":
        n += 1
        at = _term(tokens, at + 1, f"{position}.{n}", choices, notation)
        if at == len(tokens) or tokens[at] not in (",", ")"):
            raise InvalidArchitecture(f"a bracket of {name[:40]!r} is not closed; {notation}")
    choices[position] = name if name == "residual" and n == 1 else f"{name}{n}"
    return at + 1
