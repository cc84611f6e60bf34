"""Weights that a trial begins with instead of random ones: those of an earlier trial, as `Proposal.init_from` says.

* `{"trial": 41, "how": "matching"}`: tensors of equal name and shape are taken over, the rest starts fresh (Real et al.
  2017, Large-Scale Evolution, section 3.3).
* `{"trial": 41, "how": "morphism", "steps": [[3, "block 3 twice as wide"], ...]}`: the network begins with the function
  of the parent (Chen et al. 2016, Net2Net). A step names a change by its place in `space.morphisms`, and by its phrase,
  so that a change of that list is noticed.

What cannot be had (the weights are gone, or do not fit any more) is no error: the trial starts from its seed, as any
other, and says so. Whatever it began with stands in `Report.cost["inherited"]`, and `cost["inherited_epochs"]` holds
the epochs that those weights were trained for: such a trial has had more training than its fidelity tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.architecture import Architecture
from engine.errors import EngineError
from engine.evaluation.base import Origin

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engine.network.morphism import Morphism
    from engine.spaces.base import SearchSpace

#: what a trial began with: {"trial", "how": "matching" | "morphism" | "seed", "tensors", "of", "epochs", "why"}
Beginning = dict[str, Any]


def matching(trial: int) -> dict[str, Any]:
    """An `init_from`: the tensors of a trial that fit."""
    return {"trial": trial, "how": "matching"}


def morphed(trial: int, steps: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """An `init_from`: the function of a trial, through these changes, each (place in `morphisms`, phrase)."""
    return {"trial": trial, "how": "morphism", "steps": [[index, what] for index, what in steps]}


def words(inherited: Mapping[str, Any]) -> str:
    """What a trial began with, for people: "12 of 14 tensors from #41"; "" for one that was to inherit nothing."""
    if not inherited:
        return ""
    trial = f"#{inherited['trial']}"
    if inherited["how"] == "seed":
        return f"from its seed: {inherited.get('why') or f'nothing of {trial} fits'}"
    if inherited["how"] == "morphism":
        return f"weights from {trial} (function preserved)"
    return f"{inherited['tensors']:,} of {inherited['of']:,} tensors from {trial}"


def cost(beginning: Beginning) -> dict[str, Any]:
    """What a report's `cost` says of it."""
    if not beginning:
        return {}
    said = {name: value for name, value in beginning.items() if name != "epochs"}
    return {"inherited": said, "inherited_epochs": beginning["epochs"]}


def begin(
    origin: Origin, architecture: Architecture, space: SearchSpace, fresh: Callable[[], nn.Module], seed: int
) -> tuple[nn.Module, Beginning]:
    """The network of an architecture with the weights it is to begin with, and what became of that.

    Args:
        origin: which weights, and how.
        architecture: of the child.
        space: in which both are.
        fresh: makes the child's network as it would be without a parent.
        seed: of the child's training.
    """
    module = fresh()
    try:
        tensors, epochs = _parent(origin)
        if origin.how["how"] == "morphism":
            taken = _morph(origin, tensors, architecture, space, module, seed)
        else:
            taken = _match(tensors, module)
    except (EngineError, KeyError) as e:
        why = str(e) if isinstance(e, EngineError) else f"{e} is missing"
        nothing = {"trial": origin.trial, "how": "seed", "tensors": 0, "of": len(_counted(module)), "epochs": 0}
        return fresh(), {**nothing, "why": why}
    how = origin.how["how"] if taken else "seed"
    return module, {
        "trial": origin.trial,
        "how": how,
        "tensors": taken,
        "of": len(_counted(module)),
        "epochs": epochs if taken else 0,
        "why": "",
    }


def _parent(origin: Origin) -> tuple[dict[str, Tensor], int]:
    """Weights of the network the parent was judged by, and the epochs they were trained for in all."""
    from engine.training import checkpoint

    if origin.checkpoint is None:
        raise EngineError(f"the weights of #{origin.trial} are gone")
    try:
        tensors, about = checkpoint.load(origin.checkpoint)
    except checkpoint.CheckpointError as e:
        raise EngineError(f"the weights of #{origin.trial} cannot be read") from e
    if about["identity"].get("architecture") != origin.architecture.key:
        raise EngineError(f"the stored weights of #{origin.trial} are those of another network")
    prefix = "average." if any(name.startswith("average.") for name in tensors) else "model."
    weights = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    progress = about["progress"]
    return weights, int(progress["epoch"]) + int(progress.get("beginning", {}).get("epochs", 0))


def _counted(module: nn.Module) -> list[str]:
    """Tensors that hold something learned: how many batches a norm has seen is no weight."""
    return [name for name, t in module.state_dict().items() if t.is_floating_point()]


def _match(parent: Mapping[str, Tensor], module: nn.Module) -> int:
    taken = 0
    for name, tensor in module.state_dict().items():
        source = parent.get(name)
        if source is not None and source.shape == tensor.shape and source.dtype == tensor.dtype:
            tensor.copy_(source)
            taken += tensor.is_floating_point()
    return taken


def _morph(
    origin: Origin, parent: Mapping[str, Tensor], child: Architecture, space: SearchSpace, module: nn.Module, seed: int
) -> int:
    """Step by step, the last one into the child's own network; what starts fresh is the child's own."""
    from engine.network.build import build
    from engine.network.inherit import take_over
    from engine.training.seeds import stream

    steps = _steps(origin, child, space)
    weights = dict(parent)
    for i, step in enumerate(steps[:-1]):
        between = build(space.plan(step.child), seed=stream(seed, 0, "morphism", i))
        take_over(between, weights, step.weights)
        weights = between.state_dict()
    take_over(module, weights, steps[-1].weights)
    fresh = {name for name, made in steps[-1].weights.items() if not made.source}
    return len([name for name in _counted(module) if name not in fresh])


def _steps(origin: Origin, child: Architecture, space: SearchSpace) -> list[Morphism]:
    """The changes from the parent to the child, found again in the space.

    Raises:
        EngineError: they do not lead there (any more).
    """
    at, found = origin.architecture, []
    for index, what in origin.how["steps"]:
        offered = space.morphisms(at)
        if not (0 <= index < len(offered)) or offered[index].what != what:
            raise EngineError(f"the space does not offer “{what}” any more")
        found.append(offered[index])
        at = offered[index].child
    if not found or at != child:
        raise EngineError(f"the changes of #{origin.trial} do not lead to this network")
    return found
