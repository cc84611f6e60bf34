"""The `trained` evaluator: reports, events, failures, the sealed test split, preflight."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine import catalog
from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.data import registry
from engine.data.arrays import normalize
from engine.errors import DataError, Interrupted
from engine.evaluation.base import Report
from engine.evaluation.trained import TrainedSession
from engine.training.device import device_model
from engine.training.inference import reference_logits
from tests.engine.training.networks import SMALL, Small, network, never, session, work


def hand_made(**choices: Any) -> Architecture:
    return Architecture.of("hand_made", {"width": 4, **choices})


def quiet(event: dict[str, Any]) -> None:
    """Hears nothing."""


def test_a_trained_report_is_complete_and_survives_json(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    report = session().evaluate(work(tmp_path, fidelity=6, max_fidelity=6), events.append, never)
    assert report.failure is None
    assert report.metrics["accuracy"] > 0.7
    assert (report.fidelity, report.source, report.n_samples, report.seed) == (6, "trained", 360, 11)
    assert report.correct is not None
    bits = np.unpackbits(np.frombuffer(report.correct, np.uint8), count=360)
    assert bits.mean() == pytest.approx(report.metrics["accuracy"])
    assert [row["epoch"] for row in report.curve] == [1, 2, 3, 4, 5, 6]
    assert set(report.curve[0]) == {
        "epoch",
        "accuracy",
        "loss",
        "train_loss",
        "learning_rate",
        "samples_per_s",
    }
    assert report.curve[-1]["accuracy"] == report.metrics["accuracy"]
    assert report.curve[-1]["train_loss"] < report.curve[0]["train_loss"]
    assert report.cost["epochs"] == 6
    assert report.cost["duration_s"] > 0
    assert report.cost["samples_per_s"] > 0
    expected = ("device", "device_model", "precision", "layout", "threads")
    assert [report.cost[k] for k in expected][2:] == ["float32", "contiguous", 1]
    assert Path(report.artifacts["checkpoint"]).is_file()
    assert Report.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False))) == report
    assert [e["phase"] for e in events if e["kind"] == "phase"] == ["data", "train"]
    epochs = [e for e in events if e["kind"] == "epoch"]
    assert [(e["epoch"], e["epochs"]) for e in epochs] == [(i, 6) for i in range(1, 7)]
    assert [e for e in events if e["kind"] == "checkpoint"][-1]["epoch"] == 6


def test_the_bits_are_those_of_the_validation_split_in_its_order(tmp_path: Path) -> None:
    report = session().evaluate(work(tmp_path), quiet, never)
    tensors = load_file(report.artifacts["checkpoint"])
    averaged = Small(6)
    averaged.load_state_dict({k[8:]: t for k, t in tensors.items() if k.startswith("average.")})
    validation = registry.load("digits").validation
    logits = reference_logits(averaged, normalize(validation.x, registry.spec("digits")))
    assert np.packbits(logits.argmax(1) == validation.y).tobytes() == report.correct


def test_batches_are_told_at_most_a_few_times_a_second(tmp_path: Path) -> None:
    class Slow(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            until = time.perf_counter() + 0.02
            while time.perf_counter() < until:
                pass
            return super().forward(x)

    events: list[dict[str, Any]] = []
    begun = time.perf_counter()
    session(lambda architecture: Slow(4)).evaluate(work(tmp_path), events.append, never)
    batches = [e for e in events if e["kind"] == "batch"]
    assert 1 <= len(batches) <= 4 * (time.perf_counter() - begun)
    assert batches[0]["batches"] == 17
    assert 0 < batches[0]["samples_per_s"] < 64 / 0.02


def test_stop_is_asked_every_batch_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    asked = []

    def stop() -> str | None:
        asked.append(1)
        return "cancel" if len(asked) == 20 else None

    with pytest.raises(Interrupted) as error:
        session().evaluate(work(tmp_path), quiet, stop)
    assert error.value.reason == "cancel"
    assert len(asked) == 20
    assert (tmp_path / "checkpoint.safetensors").is_file()


def test_a_checkpoint_is_written_every_half_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.training import loop

    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(loop, "REPORT_S", 0.0)
    events: list[dict[str, Any]] = []
    session().evaluate(work(tmp_path, fidelity=1), events.append, never)
    assert [(e["epoch"], e["batch"]) for e in events if e["kind"] == "checkpoint"] == [
        *((0, b) for b in range(1, 18)),
        (1, 0),
    ]


def failure(report: Report) -> tuple[str, str]:
    assert report.failure is not None
    assert report.metrics == {}
    json.dumps(report.to_json(), allow_nan=False)
    return report.failure.kind, report.failure.message


@pytest.mark.parametrize(("steps", "where"), [(0, "epoch 1, batch 1 of 17"), (44, "epoch 3, batch 11 of 17")])
def test_a_loss_that_is_not_finite_ends_the_trial_and_says_where(tmp_path: Path, steps: int, where: str) -> None:
    architecture = hand_made(kind="explodes", steps=steps)
    kind, message = failure(session().evaluate(work(tmp_path, architecture=architecture), quiet, never))
    assert kind == "not_finite"
    assert message == f"loss is NaN at {where}"
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_out_of_memory_is_typed_and_the_session_goes_on(tmp_path: Path) -> None:
    s = session()
    kind, message = failure(s.evaluate(work(tmp_path, architecture=hand_made(kind="huge")), quiet, never))
    assert kind == "out_of_memory"
    assert "batch size 64" in message
    assert s.evaluate(work(tmp_path / "next", fidelity=1), quiet, never).failure is None


def test_what_cannot_be_built_is_refused_before_training(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    architecture = hand_made(kind="impossible")
    report = session().evaluate(work(tmp_path, architecture=architecture), events.append, never)
    assert failure(report) == ("cannot_build", "pooled below 1×1 at block 4")
    assert not [e for e in events if e["kind"] in ("epoch", "batch")]


def test_an_error_of_the_code_is_not_dressed_up(tmp_path: Path) -> None:
    def broken(architecture: Architecture) -> Small:
        class Broken(Small):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.head(x)

        return Broken(4)

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        session(broken).evaluate(work(tmp_path), quiet, never)


def test_the_test_split_is_opened_by_the_final_training_alone_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = registry.load_test

    def load_test(*args: Any) -> Any:
        opened.append(args)
        return real(*args)

    monkeypatch.setattr(registry, "load_test", load_test)
    s = session()
    s.evaluate(work(tmp_path / "rung"), quiet, never)
    assert opened == []
    events: list[dict[str, Any]] = []
    report = s.evaluate(work(tmp_path / "final", kind="final", fidelity=6, max_fidelity=6), events.append, never)
    assert opened == [("digits", {})]
    assert [e["phase"] for e in events if e["kind"] == "phase"] == ["train", "test"]
    assert report.metrics["n_test"] == 360
    assert report.metrics["test_accuracy"] > 0.7
    # the files are the network: they reproduce both numbers exactly
    weights = load_file(report.artifacts["weights"])
    again = Small(6)
    again.load_state_dict(weights, strict=True)
    spec = registry.spec("digits")
    validation, test = registry.load("digits").validation, real("digits")
    logits = reference_logits(again, normalize(validation.x, spec))
    assert np.array_equal(logits, np.load(report.artifacts["logits"], allow_pickle=False))
    assert (logits.argmax(1) == validation.y).mean() == report.metrics["accuracy"]
    assert np.packbits(logits.argmax(1) == validation.y).tobytes() == report.correct
    tested = reference_logits(again, normalize(test.x, spec)).argmax(1) == test.y
    assert tested.mean() == report.metrics["test_accuracy"]


def test_a_final_training_in_bfloat16_reports_the_numbers_of_its_float32_files(tmp_path: Path) -> None:
    setting = {"precision": "bfloat16", "layout": "channels_last", "threads": 1}
    report = session().evaluate(work(tmp_path, kind="final", extra={"setting": setting}), quiet, never)
    again = Small(6)
    again.load_state_dict(load_file(report.artifacts["weights"]), strict=True)
    assert {t.dtype for t in again.parameters()} == {torch.float32}
    validation = registry.load("digits").validation
    logits = reference_logits(again, normalize(validation.x, registry.spec("digits")))
    assert (logits.argmax(1) == validation.y).mean() == report.metrics["accuracy"]
    assert report.cost["precision"] == "bfloat16"


def test_the_setting_is_probed_once_and_told(tmp_path: Path) -> None:
    s = session(precision="auto")
    events: list[dict[str, Any]] = []
    settings = {"settings_folder": str(tmp_path / "settings")}
    costs = [
        s_.evaluate(work(tmp_path / name, fidelity=1, extra=settings), events.append, never).cost
        for s_, name in ((s, "a"), (s, "b"), (session(precision="auto"), "c"))
    ]
    probes = [e for e in events if e["kind"] == "log" and e["what"] == "probe"]
    assert len(probes) == 1
    assert len({(c["precision"], c["layout"]) for c in costs}) == 1
    assert f"{costs[0]['precision']} {costs[0]['layout']} chosen" in probes[0]["message"]


def test_a_given_setting_is_used_without_a_probe(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    given = {"precision": "bfloat16", "layout": "contiguous", "threads": 1}
    s = session(precision="auto")
    report = s.evaluate(work(tmp_path, fidelity=1, extra={"setting": given}), events.append, never)
    assert {k: report.cost[k] for k in given} == given
    assert not [e for e in events if e["kind"] == "log" and e["what"] == "probe"]


def test_what_the_search_recorded_for_this_device_model_is_used(tmp_path: Path) -> None:
    given = {"precision": "bfloat16", "layout": "channels_last", "threads": 1}
    other = {"precision": "float32", "layout": "contiguous", "threads": 1}
    settings = {device_model(torch.device("cpu")): given, "another machine": other}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        report = session(precision="auto").evaluate(
            work(tmp_path, fidelity=1, extra={"settings": settings}), quiet, never
        )
    assert {k: report.cost[k] for k in given} == given


def test_other_data_than_the_search_was_made_with_is_refused(tmp_path: Path) -> None:
    s = session()
    s.spec = s.spec.model_copy(update={"digest": "0" * 64})
    with pytest.raises(DataError, match="not the one the search was made with"):
        s.evaluate(work(tmp_path), quiet, never)


def test_preflight_measures_every_architecture_given(tmp_path: Path) -> None:
    given = [SMALL.to_json(), Architecture.of("hand_made", {"width": 96}).to_json()]
    s = session()
    extra = {"architectures": given, "setting": work(tmp_path).extra["setting"]}
    report = s.evaluate(work(tmp_path, kind="preflight", architecture=None, extra=extra), quiet, never)
    rows = report.cost["networks"]
    assert [row["architecture"] for row in rows] == given
    assert [row["n_params"] for row in rows] == [sum(p.numel() for p in network(SMALL).parameters()), 17_386]
    assert rows[0]["epoch_s"] < rows[1]["epoch_s"]
    assert all(row["memory_bytes"] > 64 * 96 * 64 * 4 for row in rows)
    assert rows[1]["memory_bytes"] >= 0.9 * rows[0]["memory_bytes"]
    assert report.metrics["epoch_s"] == rows[1]["epoch_s"]
    assert list(tmp_path.iterdir()) == []
    json.dumps(report.to_json(), allow_nan=False)
    # the extrapolated epoch is a real one's, within what a shared machine does to a clock
    begun = time.perf_counter()
    s.evaluate(work(tmp_path, architecture=Architecture.from_json(given[1]), fidelity=2), quiet, never)
    assert 0.2 < 2 * rows[1]["epoch_s"] / (time.perf_counter() - begun) < 5


def test_a_last_batch_of_one_sample_is_left_out(tmp_path: Path) -> None:
    report = session(batch_size=269).evaluate(work(tmp_path, fidelity=1), quiet, never)  # 1,077 = 4 * 269 + 1
    assert report.failure is None


def test_the_evaluator_opens_on_a_real_search_space(tmp_path: Path) -> None:
    config = SearchConfig.parse({"name": "path", "training": {"precision": "float32"}})
    data = registry.spec("digits")
    evaluator = catalog.get("evaluator", "trained")(config.options("evaluator"))
    from engine.spaces.base import make_space

    architecture = make_space(config, data).sample(np.random.default_rng(0))
    s = evaluator.open(config, data)
    assert isinstance(s, TrainedSession)
    report = s.evaluate(work(tmp_path, architecture=architecture, fidelity=1, max_fidelity=3), quiet, never)
    assert report.failure is None
    assert report.metrics["accuracy"] > 0.05
    s.close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_trains_resumes_and_reports(tmp_path: Path) -> None:
    whole = session().evaluate(work(tmp_path / "whole"), quiet, never)
    assert whole.cost["device"] == "cuda"
    session().evaluate(work(tmp_path / "part", fidelity=1), quiet, never)
    again = session().evaluate(
        work(tmp_path / "part", checkpoint=tmp_path / "part" / "checkpoint.safetensors"), quiet, never
    )
    assert dict(again.metrics) == dict(whole.metrics)
