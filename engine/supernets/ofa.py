"""Once-for-All (Cai et al. 2020) and BigNAS (Yu et al. 2020): one training, subnets of every size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, Field, field_validator

from engine.strategies._views import view
from engine.supernets._tiers import Tier
from engine.supernets.base import SupernetMethod
from engine.supernets.options import SearchedOptions

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.history import TrialEntry
    from engine.objectives import Objective
    from engine.spaces.base import SearchSpace
    from engine.strategies._views import View
    from engine.supernets.nets.learner import Learner, Setup


class Options(SearchedOptions):
    """How it is trained, and for which limits."""

    training: Literal["sandwich", "progressive"] = Field(
        "sandwich",
        description="Largest, smallest and random subnets in every step (BigNAS), or the largest network first and "
        "then smaller kernels, depths and widths stage by stage (Once-for-All).",
    )
    subnets: int = Field(
        2, ge=0, le=16, description="Random subnets a step beside the largest and the smallest (sandwich)."
    )
    distillation: float = Field(
        1.0, ge=0, le=10,
        description="Weight of what the largest network answers, soft targets for the smaller ones; 0 = labels only.",
    )  # fmt: skip
    kernel_transform: bool = Field(
        False, description="A smaller depthwise kernel is the centre of the larger one times a learned matrix."
    )
    tiers: tuple[float, ...] = Field(
        (), max_length=8,
        description="Limits for each of which the best subnet is sought, e.g. one a device; empty = without limit.",
    )  # fmt: skip
    tier_cost: Literal["n_macs", "n_params", "activation_bytes"] = Field(
        "n_macs", description="The exact cost that these limits are on."
    )

    @field_validator("tiers")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if bad := [v for v in value if not 0 < v < float("inf")]:
            raise ValueError(f"limits are numbers above 0, not {bad[0]:g}")
        return tuple(sorted(set(value)))


class Ofa(SupernetMethod):
    """Trains subnets of all sizes as slices of the largest network, then finds the best within each limit.

    Sandwich (Yu & Huang 2019, Universally Slimmable Networks, Algorithm 1; Yu et al. 2020, BigNAS, section 3.1): a step
    adds up the gradients of the largest network on the labels and of the smallest and `subnets` random ones on what the
    largest answers, whose gradient stops there (in-place distillation).

    Progressive (Cai et al. 2020, section 3.3): the largest network alone, then elastic kernel, depth (the two largest
    first, then all) and width (so too), with 1, 1, 2, 2, 4, 4 subnets a step and epochs as 180 : 125 : 25 : 125 : 25 :
    125; stages that change nothing in a space are left out, and an epoch belongs to the stage in which its middle lies.
    Loss = that of the labels + lambda x that of the soft targets of the trained largest network, lambda =
    `distillation`. Which sizes: `_shrinking.ROLES`; image size and whatever is no size is drawn in all stages.

    With `tiers` the search among subnets is done once for each limit; the best of each is trained alone beside its
    random partner of the same cost, and is a winner of the search.

    Deviations: one cosine of the learning rate over all stages, where the paper restarts a smaller one in each; what is
    no size is drawn for the teacher and for each subnet by itself; channels keep their order (no sorting by importance
    before the width shrinks); BigNAS's initialization, constant tail of the learning rate and regularization of the
    largest alone are left out. Weight decay and momentum act on whole weights, also where a step used a part of them,
    as in the published code.
    """

    name = "ofa"
    summary = "Trains subnets of every size at once, then finds the best within each limit."
    reference = "Cai et al. 2020, Once-for-All: Train One Network and Specialize It for Efficient Deployment"
    guide = (
        "Good where the space is about sizes (width, depth, kernels) and networks for several limits are wanted. "
        "Take SPOS where options are kinds of operations, or a strategy that trains each network for a single limit."
    )
    searches: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = Options

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """Sandwich or progressive shrinking."""
        from engine.supernets.nets.shrinking import ProgressiveLearner, SandwichLearner

        return SandwichLearner(setup) if setup.options.training == "sandwich" else ProgressiveLearner(setup)

    @classmethod
    def supports(cls, space: SearchSpace, objectives: Sequence[Objective]) -> str | None:
        """Spaces whose networks are slices of a largest one."""
        if not space.elastic and "supernet" not in space.unavailable:
            return "its networks share weights of equal size only: none is a slice of a larger one"
        return super().supports(space, objectives)

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """What it will do with this budget."""
        o: Any = options
        text = super().sentence(options, budget)
        if not o.tiers:
            return text
        limits = ", ".join(Tier.of(o.tier_cost, most).words for most in o.tiers)
        return f"{text}; subnets are scored for each limit by itself: {limits}"

    def tiers(self) -> list[Tier]:
        """The limits asked for; one without limit where there are none."""
        return [Tier.of(self.options.tier_cost, most) for most in self.options.tiers] or super().tiers()

    # -- what came of it ------------------------------------------------------------------------
    def best_of_tiers(self) -> list[TrialEntry | None]:
        """The best trial within each limit, None where there is none yet."""
        level = self.context.history.top
        measured = self.rank([e for e in self.context.history if level is not None and level in e.values])
        held = [(e, self.context.costs(e.architecture)) for e in measured]
        return [next((e for e, costs in held if tier.holds(costs)), None) for tier in self.tiers()]

    def winners(self) -> list[int]:
        """The best within each limit, the largest limit first."""
        if not self.options.tiers:
            return []
        return list(dict.fromkeys(e.number for e in reversed(self.best_of_tiers()) if e is not None))

    def views(self) -> dict[str, View]:
        """The best trial within each limit."""
        if not self.options.tiers:
            return super().views()
        cost = self.options.tier_cost
        rows: list[list[str | int | float | None]] = []
        for tier, entry in zip(self.tiers(), self.best_of_tiers(), strict=True):
            if entry is None:
                rows.append([tier.words, None, None, None])
                continue
            shared = self.inherited.get(self.context.identity(entry.architecture))
            spent = Tier.of(cost, self.context.costs(entry.architecture)[cost]).words
            rows.append([tier.words, entry.number, spent, None if shared is None else round(100 * shared, 1)])
        table = view(
            "Which network is best within each limit", ["limit", "trial", "it takes", "by shared weights, %"], rows,
            note="of the networks trained alone so far",
        )  # fmt: skip
        return {**super().views(), "tiers": table}
