"""Architectures as text: JSON, and the notation of their field."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from engine.architecture import Architecture
from engine.errors import InvalidArchitecture


class Writings(ABC):
    """Writes JSON and reads it; spaces add their own notation."""

    #: how an architecture is written, in a sentence with an example; "" = only as JSON
    notation: ClassVar[str] = ""

    @abstractmethod
    def validate(self, choices: Mapping[str, Any]) -> Architecture:
        """Reads choices from outside."""

    def write(self, arch: Architecture) -> str:
        """The architecture in the notation of its field (see `notation`), read back by `read`; JSON by default."""
        return json.dumps(arch.choices, ensure_ascii=False)

    def read(self, text: str) -> Architecture:
        """Reads the space's own notation, or JSON: choices, or what `Architecture.to_json` or a bundle wrote.

        Raises:
            InvalidArchitecture: says what was received and what would be right.
        """
        stripped = text.strip()
        if not stripped.startswith("{"):
            return self._read(stripped)
        try:
            value = json.loads(stripped)
        except (ValueError, RecursionError) as e:
            raise InvalidArchitecture(f"this is not JSON: {e}") from e
        for part in ("architecture", "choices"):
            if isinstance(value, dict) and isinstance(value.get(part), dict):
                value = value[part]
        return self.validate(value)

    def _read(self, text: str) -> Architecture:
        """Reads `notation`; overridden together with `write`."""
        raise InvalidArchitecture(f"received {text[:80]!r}; {self.notation or 'an architecture of this space is JSON'}")
