"""What a search is made of: its space for its data, what its strategy sees, its strategy and its schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine import catalog
from engine.errors import InvalidConfig
from engine.schedules.base import Schedule
from engine.strategies.base import Context, Strategy

if TYPE_CHECKING:
    from engine.config import SearchConfig
    from engine.data.spec import DataSpec
    from engine.experience import Experience
    from engine.spaces.base import SearchSpace


def refused(config: SearchConfig, space: SearchSpace) -> str | None:
    """Why the strategy cannot serve a search, None where it can: the space, the objectives, or the evaluator."""
    cls = catalog.get("strategy", config.strategy.name)
    reason: str | None = cls.supports(space, config.objectives)
    if reason is None and config.strategy.name in catalog.plugins("supernet"):
        evaluator = catalog.get("evaluator", config.evaluator.name)
        if evaluator.inline:
            reason = f"it trains a supernet, and the evaluator {config.evaluator.name} trains nothing"
    return reason


def parts(
    config: SearchConfig, data: DataSpec, experience: Sequence[Experience] = ()
) -> tuple[Context, Strategy, Schedule]:
    """Makes them.

    Args:
        config: the search.
        data: what it is for.
        experience: of the earlier searches that the config names.

    Raises:
        InvalidConfig: the strategy does not serve this space or these objectives, or cannot work with its options;
            or results that the config names are not among `experience`.
    """
    from engine.spaces.base import make_space

    if missing := sorted(set(config.experience) - {e.digest for e in experience}):
        text = f"the results {missing[0][:12]}… of an earlier search are named, but not at hand"
        raise InvalidConfig([(("experience",), text)])
    space = make_space(config, data)
    context = Context(
        space=space,
        objectives=config.objectives,
        limits=config.limits,
        budget=config.budget,
        parallelism=config.parallelism,
        seed=config.seed,
        max_fidelity=config.budget.epochs,
        duplicates=config.duplicates,
        experience=experience,
    )
    strategy_class = catalog.get("strategy", config.strategy.name)
    if (reason := refused(config, space)) is not None:
        raise InvalidConfig([(("strategy", "name"), reason)])
    strategy = strategy_class(config.options("strategy"), context)
    schedule_class = catalog.get("schedule", config.schedule.name)
    schedule = schedule_class(config.options("schedule"), config.budget.epochs, len(config.objectives))
    return context, strategy, schedule
