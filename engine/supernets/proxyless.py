"""ProxylessNAS (Cai, Zhu & Han 2019): binary gates, two paths a step, latency in the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets._hardware import HardwareOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class ProxylessOptions(HardwareOptions):
    """Weight of the latency, and what it is compared with."""

    #: high enough for any number of steps
    published: ClassVar[tuple[float, int]] = (6e-3, 0)

    alpha_decay: float = Field(0.0, ge=0, le=1, description="Weight decay of the two that are updated.")
    latency_weight: float = Field(
        0.2, ge=0, le=1000,
        description="Weight of the expected latency in the loss, in units of the reference; 0 = it is not measured.",
    )  # fmt: skip
    reference_ms: float | None = Field(
        None, gt=0, le=1e6, description="Latency that counts as 1; empty = that of all options alike.",
        json_schema_extra={"unit": "ms"},
    )  # fmt: skip


class Proxyless(SupernetMethod):
    """Trains one drawn path a step and, in turn, the odds of two; memory never holds more.

    Section 3.2: a block gives what one of its N options gives, drawn by p = softmax(alpha): binary gates g (equation
    2). Section 3.2.1: a weight step draws a path and descends on it; in an architecture step the weights stay and
    dL/dalpha_i is estimated by sum_j dL/dg_j p_j (1[i = j] - p_i) (equation 4). So that not all N outputs must be held,
    two options are drawn by p and the others left out as if they did not exist: p is the softmax over the two, and one
    of them is the active path, drawn by that p. After the step both alphas are shifted alike, so that exp(alpha_a) +
    exp(alpha_b) is what it was: one path is enhanced, one attenuated, all others keep their probability. Section
    3.3.1: E[latency] is the sum over blocks and options of p_j F(o_j), F measured; loss = cross-entropy + lambda_1
    |w|^2 + lambda_2 E[latency]. The strongest option of each block is derived.

    As in the published code: Adam's first moment is off (beta_1 = 0), so that a step follows the two paths of this step
    and not those of earlier ones. In an architecture step the latency, too, is that of the two options alone. It counts
    as a share of a reference (`reference_ms`), so that lambda_2 means the same on fast and slow devices; the code's
    other loss, its default, has a factor like FBNet's instead. The weights get ahead for `warm_up` epochs.

    **Deviations.** Architecture and weight steps take turns one by one; the published code takes one after five steps
    of the weights, with a rate of 1e-3, and by default compares all options, one after the other, instead of two. It
    leaves alpha as it is where the active option is zeros; here it moves. Weights have no Nesterov's momentum and no
    smoothed labels. Without `reference_ms` the reference is the latency of all options alike. Options of equal shape at
    a place share weights where the space has it so. The variant by REINFORCE (section 3.3.2) is left out: the latency
    here has a gradient. A recurrent cell is measured whole, not by operation: the latency in the loss is a constant.
    """

    name = "proxyless"
    summary = "Draws one path for the weights and two for the odds, with measured latency in the loss."
    reference = "Cai, Zhu & Han 2019, ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware"
    group = "gradient"
    guide = (
        "Good for networks that must be fast on the workers' device, with many options a block: memory is that of two "
        "paths. Take FBNet where all options side by side fit into memory, SPOS where multiply-adds are enough, and "
        "DARTS for recurrent cells, whose latency is measured as a whole and prefers nothing inside."
    )
    mixes: ClassVar[bool] = True
    measures: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = ProxylessOptions

    def needs_latency(self) -> bool:
        """Only where it is weighed."""
        return bool(self.options.latency_weight)

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """One path, two paths."""
        from engine.supernets.nets.binary import BinaryLearner

        return BinaryLearner(setup)
