"""What a trial begins with: a parent's tensors, its function, or its own seed where neither is to be had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.data import registry
from engine.errors import Interrupted
from engine.evaluation import inherited
from engine.evaluation.base import Origin, Report, Work
from engine.evaluation.trained import TrainedSession
from engine.network.build import build
from engine.training import checkpoint

SETTING = {"setting": {"precision": "float32", "layout": "contiguous", "threads": 1}}


@pytest.fixture(scope="module")
def session() -> TrainedSession:
    """Small networks of layers on the digits."""
    config = SearchConfig.parse(
        {"name": "n", "space": {"name": "layers"}, "budget": {"trials": 3, "epochs": 2}, "seed": 1}
    )
    return TrainedSession(config, registry.spec("digits"))


@pytest.fixture(scope="module")
def parent(session: TrainedSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Architecture, Path]:
    """A network with several morphisms, two epochs old."""
    space = session.space
    for seed in range(50):
        architecture = space.sample(np.random.default_rng(seed))
        if 1e4 < space.costs(architecture).n_macs < 3e5 and len(space.morphisms(architecture)) > 4:
            break
    report = evaluate(session, architecture, tmp_path_factory.mktemp("parent"), trial=1)
    assert "inherited" not in report.cost and "inherited_epochs" not in report.cost
    return architecture, Path(report.artifacts["checkpoint"])


def evaluate(session: TrainedSession, architecture: Architecture, folder: Path, **changes: Any) -> Report:
    heard: list[dict[str, Any]] = changes.pop("heard", [])
    stop = changes.pop("stop", lambda: None)
    work = Work(kind="train", architecture=architecture, fidelity=2, max_fidelity=2, seed=7, folder=folder,
                extra=SETTING)  # fmt: skip
    return session.evaluate(replace(work, **changes), heard.append, stop)


def judged(path: Path) -> dict[str, torch.Tensor]:
    """The averaged weights in a checkpoint."""
    return {k.removeprefix("average."): t for k, t in checkpoint.load(path)[0].items() if k.startswith("average.")}


def begun(
    session: TrainedSession, child: Architecture, how: dict[str, Any], parent: tuple[Architecture, Path | None]
) -> tuple[torch.nn.Module, inherited.Beginning]:
    def fresh() -> torch.nn.Module:
        return session._fresh(child, 7, 0)

    return inherited.begin(Origin(how, *parent), child, session.space, fresh, 7)


def outputs(module: torch.nn.Module) -> torch.Tensor:
    x = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        out: torch.Tensor = module.eval()(x)
    return out


def test_matching_takes_what_fits_and_leaves_the_rest_fresh(
    session: TrainedSession, parent: tuple[Architecture, Path]
) -> None:
    rng = np.random.default_rng(2)
    mixed = 0
    for _ in range(8):
        child = session.space.mutate(parent[0], 2, rng)
        module, beginning = begun(session, child, inherited.matching(1), parent)
        theirs, fresh = judged(parent[1]), session._fresh(child, 7, 0).state_dict()
        taken = 0
        for name, tensor in module.state_dict().items():
            same = name in theirs and theirs[name].shape == tensor.shape
            assert torch.equal(tensor, theirs[name] if same else fresh[name]), name
            taken += same and tensor.is_floating_point()
        counted = sum(t.is_floating_point() for t in fresh.values())
        assert (beginning["tensors"], beginning["of"], beginning["epochs"]) == (taken, counted, 2 if taken else 0)
        if 0 < taken < counted:
            mixed += 1
            assert inherited.words(beginning) == f"{taken} of {counted} tensors from #1"
    assert mixed


def test_a_morphism_begins_with_the_function_of_the_averaged_parent(
    session: TrainedSession, parent: tuple[Architecture, Path]
) -> None:
    teacher = build(session.space.plan(parent[0]))
    teacher.load_state_dict(judged(parent[1]))
    wanted = outputs(teacher)
    for index, morphism in enumerate(session.space.morphisms(parent[0])):
        module, beginning = begun(session, morphism.child, inherited.morphed(1, [(index, morphism.what)]), parent)
        assert torch.allclose(outputs(module), wanted, atol=1e-3), morphism.what
        assert inherited.words(beginning) == "weights from #1 (function preserved)" and beginning["epochs"] == 2


def test_so_does_a_chain_of_them(session: TrainedSession, parent: tuple[Architecture, Path]) -> None:
    space, rng = session.space, np.random.default_rng(4)
    teacher = build(space.plan(parent[0]))
    teacher.load_state_dict(judged(parent[1]))
    for _ in range(4):
        at, steps = parent[0], []
        for _ in range(3):
            offered = space.morphisms(at)
            if not offered:
                break
            index = int(rng.integers(len(offered)))
            steps.append((index, offered[index].what))
            at = offered[index].child
        module, beginning = begun(session, at, inherited.morphed(1, steps), parent)
        assert beginning["how"] == "morphism" and torch.allclose(outputs(module), outputs(teacher), atol=1e-3)


@pytest.mark.parametrize("trouble", ["gone", "damaged", "another", "changed", "elsewhere"])
def test_what_cannot_be_had_is_no_error(
    session: TrainedSession, parent: tuple[Architecture, Path], tmp_path: Path, trouble: str
) -> None:
    architecture, path = parent
    (morphism, other, *_) = session.space.morphisms(architecture)
    how, child, place = inherited.morphed(1, [(0, morphism.what)]), morphism.child, (architecture, path)
    if trouble == "gone":
        place, why = (architecture, None), "the weights of #1 are gone"
    elif trouble == "damaged":
        (tmp_path / "broken.safetensors").write_bytes(path.read_bytes()[:500])
        place, why = (architecture, tmp_path / "broken.safetensors"), "the weights of #1 cannot be read"
    elif trouble == "another":
        place, why = (other.child, path), "the stored weights of #1 are those of another network"
    elif trouble == "changed":
        how, why = inherited.morphed(1, [(0, "twice as wise")]), "the space does not offer “twice as wise” any more"
    else:
        child, why = other.child, "the changes of #1 do not lead to this network"
    module, beginning = begun(session, child, how, place)
    assert inherited.words(beginning) == f"from its seed: {why}"
    assert (beginning["tensors"], beginning["epochs"]) == (0, 0)
    fresh = session._fresh(child, 7, 0).state_dict()
    assert all(torch.equal(t, fresh[name]) for name, t in module.state_dict().items())


def test_reports_tell_it_over_generations_and_interruptions(
    session: TrainedSession, parent: tuple[Architecture, Path], tmp_path: Path
) -> None:
    architecture, path = parent
    origin, heard = Origin(inherited.matching(1), architecture, path), []
    child = session.space.mutate(architecture, 1, np.random.default_rng(5))
    first = evaluate(session, child, tmp_path / "a", origin=origin, heard=heard, trial=2)
    said = first.cost["inherited"]
    assert first.cost["inherited_epochs"] == 2 and first.fidelity == 2 and first.source == "trained"
    assert [e["message"] for e in heard if e.get("what") == "weights"] == [inherited.words(said)]
    again = Origin(inherited.matching(2), child, Path(first.artifacts["checkpoint"]))
    second = evaluate(session, child, tmp_path / "b", origin=again, trial=3)
    assert second.cost["inherited_epochs"] == 4 and second.cost["inherited"]["trial"] == 2
    assert second.cost["inherited"]["tensors"] == second.cost["inherited"]["of"]

    turns = iter([None] * 5)
    with pytest.raises(Interrupted):
        evaluate(session, child, tmp_path / "c", origin=origin, stop=lambda: next(turns, "pause"))
    resumed = evaluate(session, child, tmp_path / "c", checkpoint=tmp_path / "c/checkpoint.safetensors", origin=origin)
    assert resumed.metrics == first.metrics and resumed.cost["inherited"] == said


def test_tables_take_no_notice() -> None:
    from engine import catalog

    config = SearchConfig.parse(
        {"name": "n", "space": "layers", "evaluator": {"name": "tabular"}, "budget": {"trials": 3, "epochs": 2}}
    )
    evaluator = catalog.get("evaluator", "tabular")(config.options("evaluator"))
    spec = evaluator.data_spec(config.options("evaluator")) or registry.spec("digits")
    from engine.spaces.base import make_space

    architecture = make_space(config, spec).sample(np.random.default_rng(0))
    work = Work(kind="train", architecture=architecture, fidelity=2, max_fidelity=2, seed=7, folder=Path("none"))
    session = evaluator.open(config, spec)
    with_one = replace(work, origin=Origin(inherited.matching(1), architecture, None))
    first, second = (session.evaluate(w, lambda event: None, lambda: None) for w in (work, with_one))
    assert first == second and "inherited" not in second.cost
