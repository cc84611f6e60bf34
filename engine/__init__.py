"""The science: search spaces, strategies, schedules, evaluation, training, export. Knows no Django.

``engine.run(config)`` drives a whole search in this process; see `engine.loop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.config import SearchConfig
    from engine.loop import RunResult


def run(config: SearchConfig, **options: Any) -> RunResult:
    """Runs a search to its end in this process; see `engine.loop.run` for the options."""
    from engine import loop  # imported here: `import engine` alone stays cheap

    return loop.run(config, **options)
