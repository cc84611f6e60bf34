"""Changes of mobile networks that keep their function, as maps of tensors.

* A further block at the end of a stage, or a block where one was skipped: its last norm starts at zero, so that it adds
  nothing to its input (Goyal et al. 2017, section 5.1).
* A larger kernel: zeros around the old one.
* A wider expansion: further copies of the channels inside, which nothing reads yet: the weights behind them start at
  zero (Net2Net, Chen et al. 2016, with the readers of Wei et al. 2016; unlike halved ones they grow apart).

Not offered, since no weights keep the function: another activation or resolution; squeeze-excite (a gate of one is
saturated and would never learn); expansion 1 to more (an activation comes in between); another width of a stage (the
channels inside each of its blocks follow from it).
"""

from __future__ import annotations

from engine.network.morphism import Made
from engine.spaces._mobile.blocks import Place, expands, hidden, squeezed
from engine.spaces._mobile.options import MBConv, MobileOptions

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def added(o: MobileOptions, place: Place, prefix: str) -> dict[str, Made]:
    """A block that hands its input on."""
    mb = place.block
    if mb is None:
        return {}
    names = ["depth_conv.weight", "project_conv.weight"]
    norms = ["depth_norm", "project_norm"]
    if expands(o, mb, place.shape[0]):
        names.append("expand_conv.weight")
        norms.append("expand_norm")
    if mb.se:
        names += [f"se.{part}" for part in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")]
    names += [f"{norm}.{part}" for norm in norms for part in _NORM]
    out = {f"{prefix}.{name}": Made(fill="fresh") for name in names}
    return out | {f"{prefix}.project_norm.{part}": Made(fill="zeros") for part in ("weight", "bias")}


def changed(o: MobileOptions, old: Place, new: Place, prefix: str) -> dict[str, Made] | None:
    """From one block to another in its place; None = the function would change."""
    if old == new:
        return {}
    if (old.shape, old.width, old.stride, old.activation) != (new.shape, new.width, new.stride, new.activation):
        return None
    if old.block is None:
        return added(o, new, prefix) if new.keeps else None
    if new.block is None:
        return None
    return _larger(o, old.block, new.block, old.shape[0], prefix)


def _larger(o: MobileOptions, old: MBConv, new: MBConv, channels: int, prefix: str) -> dict[str, Made] | None:
    before, after = hidden(channels, old.expansion), hidden(channels, new.expansion)
    margin, more = (new.kernel - old.kernel) // 2, after - before
    wide = expands(o, new, channels)
    if (old.se, old.groups, expands(o, old, channels)) != (new.se, new.groups, wide) or margin < 0 or more < 0:
        return None
    # a shuffle would move the copies, and without a first convolution nothing makes them
    if more and (new.groups > 1 or not wide):
        return None
    out: dict[str, Made] = {}
    take = {0: tuple(i % before for i in range(after))} if more else {}
    window = {2: (margin, margin), 3: (margin, margin)} if margin else {}
    if take or window:
        name = f"{prefix}.depth_conv.weight"
        out[name] = Made(name, take=take, pad=window)
    if not more:
        return out
    for norm in ("expand_norm", "depth_norm"):
        for part in _NORM[:-1]:
            out[f"{prefix}.{norm}.{part}"] = Made(f"{prefix}.{norm}.{part}", take=take)
    out[f"{prefix}.expand_conv.weight"] = Made(f"{prefix}.expand_conv.weight", take=take)
    out[f"{prefix}.project_conv.weight"] = Made(f"{prefix}.project_conv.weight", pad={1: (0, more)})
    if new.se:
        units = squeezed(o, channels, before), squeezed(o, channels, after)
        copies = {0: tuple(i % units[0] for i in range(units[1]))}
        gate = f"{prefix}.se"
        out |= {
            f"{gate}.fc1.weight": Made(f"{gate}.fc1.weight", take=copies, pad={1: (0, more)}),
            f"{gate}.fc1.bias": Made(f"{gate}.fc1.bias", take=copies),
            f"{gate}.fc2.weight": Made(f"{gate}.fc2.weight", take=take, pad={1: (0, units[1] - units[0])}),
            f"{gate}.fc2.bias": Made(f"{gate}.fc2.bias", take=take),
        }
    return out
