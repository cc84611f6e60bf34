"""The tabular evaluator: CSV tables and the synthetic one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from engine.config import SearchConfig
from engine.errors import DataError, Interrupted, InvalidConfig
from engine.evaluation.base import Work
from engine.evaluation.tabular import TabularEvaluator
from engine.spaces.base import make_space
from tests.engine.driving import config


def opened(settings: SearchConfig):
    """Session and space."""
    evaluator = TabularEvaluator(settings.options("evaluator"))
    data = evaluator.data_spec(settings.options("evaluator"))
    return evaluator.open(settings, data), make_space(settings, data)


def ask(session, architecture, fidelity=27, folder=Path(), **more):
    """One look-up, with its events."""
    events: list[dict] = []
    work = Work("train", architecture, fidelity, 27, more.pop("seed", 0), folder, trial=more.pop("trial", 1), **more)
    return session.evaluate(work, events.append, lambda: None), events


@pytest.fixture
def table(tmp_path):
    """Two rows of a percent table, gzipped."""
    path = tmp_path / "cells.csv.gz"
    text = "ops,acc,acc3,test,seconds\n123412,91.5,50,90.25,54\n000000,10,10,10,9\n"
    path.write_bytes(gzip.compress(text.encode()))
    return {
        "name": "tabular", "table": str(path), "key": ["ops"], "reward": "acc", "scale": 100,
        "report": {"test_accuracy": "test"}, "cost": "seconds", "input_shape": [3, 32, 32], "data_name": "cells",
    }  # fmt: skip


def test_a_row_by_its_code(table):
    """Options' positions make the code; percent becomes a share; further columns and the cost come along."""
    session, space = opened(config(evaluator=table))
    report, events = ask(session, space.from_digits("123412"))
    assert report.metrics == {"accuracy": 0.915, "test_accuracy": 0.9025}
    assert (report.source, report.fidelity, report.cost["duration_s"]) == ("table", 27, 54)
    assert events == [{"kind": "epoch", "epochs": 27, "epoch": 27, "accuracy": 0.915}]


def test_codes_hold_where_the_space_offers_fewer_options(table):
    """Positions would shift; names do not."""
    codes = {"none": "0", "skip_connect": "1", "nor_conv_1x1": "2", "nor_conv_3x3": "3", "avg_pool_3x3": "4"}
    space_config = {
        "name": "nasbench201",
        "operations": ["skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"],
    }
    session, space = opened(config(space=space_config, evaluator={**table, "codes": codes}))
    assert ask(session, space.from_digits("123412"))[0].metrics["accuracy"] == 0.915


def test_one_column_per_decision(tmp_path):
    """Named like the decisions."""
    path = tmp_path / "t.csv"
    names = ["edge0_1", "edge0_2", "edge1_2", "edge0_3", "edge1_3", "edge2_3"]
    path.write_text(",".join([*names, "accuracy"]) + "\n" + ",".join(["none"] * 6 + ["0.5"]) + "\n")
    session, space = opened(config(evaluator={"name": "tabular", "table": str(path), "key": names}))
    assert ask(session, space.from_digits("000000"))[0].metrics == {"accuracy": 0.5}


def test_a_missing_row_is_a_failed_trial(table):
    """Not the end of the search."""
    session, space = opened(config(evaluator=table))
    report, _ = ask(session, space.from_digits("444444"))
    assert report.failure.kind == "cannot_build" and "no row 444444" in report.failure.message


def test_the_data_come_with_the_table(table):
    """Shape and name from the options, identity from the file's bytes."""
    options = config(evaluator=table).options("evaluator")
    spec = TabularEvaluator.data_spec(options)
    assert (spec.name, spec.input_shape, spec.n_classes) == ("cells", (3, 32, 32), 10)
    assert len(spec.digest) == 64


def test_schedules_need_a_column_per_rung(table):
    """Refused at opening, with the epoch; with its column the rung is answered from it."""
    halving = {"name": "successive_halving", "min_epochs": 9}
    with pytest.raises(InvalidConfig, match="epoch 9, which has no column"):
        opened(config(evaluator=table, schedule=halving))
    session, space = opened(config(evaluator={**table, "epochs": {9: "acc3"}}, schedule=halving))
    folder = Path(table["table"]).parent
    assert ask(session, space.from_digits("123412"), 9, folder)[0].metrics["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "/nowhere/x.csv"}, "cannot be read: No such file"),
        ({"reward": "accuracy"}, "no column 'accuracy'; it has ops, acc"),
        ({"reward": "ops", "key": ["acc"], "report": {"x": "words"}}, "no column 'words'"),
    ],
)
def test_errors_name_what_is_wrong(table, change, message):
    """The file, the column, what there is."""
    with pytest.raises(DataError, match=message):
        opened(config(evaluator={**table, **change}))


def test_cells_that_are_no_numbers_name_their_line(tmp_path):
    """Line numbers as in an editor."""
    path = tmp_path / "t.csv"
    path.write_text("ops,accuracy\n123412,0.5\n000000,good\n")
    with pytest.raises(DataError, match="t.csv, line 3"):
        opened(config(evaluator={"name": "tabular", "table": str(path), "key": ["ops"]}))


def test_only_tables_and_with_a_key():
    """Any other file is refused before it is opened."""
    for bad in ({"table": "/etc/passwd"}, {"table": "x.csv"}):
        with pytest.raises(InvalidConfig) as e:
            config(evaluator={"name": "tabular", **bad})
        assert e.value.errors[0][0][0] == "evaluator"


def test_synthetic_is_a_landscape():
    """The same everywhere, spread out, larger mostly better, learning curves rise, neighbours are alike."""
    session, space = opened(config())
    drawn = [space.sample(np.random.default_rng(i)) for i in range(150)]
    accuracy = np.array([ask(session, a)[0].metrics["accuracy"] for a in drawn])
    assert 0.1 < accuracy.min() < 0.7 and 0.9 < accuracy.max() < 1
    size = np.log([1 + space.costs(a).n_macs for a in drawn])
    assert 0.2 < np.corrcoef(size, accuracy)[0, 1] < 0.95
    curve = ask(session, drawn[0])[0].curve
    assert [p["epoch"] for p in curve] == list(range(1, 28))
    assert all(a["accuracy"] < b["accuracy"] for a, b in zip(curve, curve[1:], strict=False))
    step = [
        abs(ask(session, n)[0].metrics["accuracy"] - accuracy[i])
        for i in range(20)
        for n in space.neighbours(drawn[i])[:5]
    ]
    assert np.mean(step) < 0.7 * np.abs(accuracy[:, None] - accuracy[None, :]).mean()
    again, _ = opened(config())
    assert ask(again, drawn[0])[0].metrics == ask(session, drawn[0])[0].metrics


def test_low_rungs_inform_and_sometimes_mislead():
    """Rank correlation of epoch 3 with epoch 27: high, not one."""
    from scipy.stats import spearmanr

    session, space = opened(config())
    drawn = [space.sample(np.random.default_rng(i)) for i in range(100)]
    low = [session.synthetic.accuracy(a, 3, 27) for a in drawn]
    high = [session.synthetic.accuracy(a, 27, 27) for a in drawn]
    assert 0.6 < spearmanr(low, high)[0] < 0.999


def test_noise_depends_on_the_seed_alone():
    """The same seed gives the same value."""
    session, space = opened(config(evaluator={"name": "tabular", "noise": 0.01}))
    a = space.from_digits("123412")
    values = [ask(session, a, seed=s)[0].metrics["accuracy"] for s in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_a_rung_resumes_from_its_checkpoint(tmp_path):
    """Only the epochs in between are executed; a missing or foreign checkpoint is an error, never a silent restart."""
    session, space = opened(config(schedule="successive_halving"))
    a = space.from_digits("123412")
    first, _ = ask(session, a, 3, tmp_path)
    checkpoint = Path(first.artifacts["checkpoint"])
    second, events = ask(session, a, 9, tmp_path, checkpoint=checkpoint)
    assert (first.cost["epochs"], second.cost["epochs"]) == (3, 6)
    assert [e["epoch"] for e in events] == [4, 5, 6, 7, 8, 9]
    assert "checkpoint" not in ask(session, a, 27, tmp_path, checkpoint=checkpoint)[0].artifacts
    with pytest.raises(DataError, match="of trial 2 is not one of it"):
        ask(session, a, 27, tmp_path, trial=2, checkpoint=checkpoint)
    with pytest.raises(DataError, match="cannot be read"):
        ask(session, a, 27, tmp_path, checkpoint=tmp_path / "gone.json")
    assert json.loads(checkpoint.read_text())["epoch"] == 9


def test_a_delay_listens(tmp_path):
    """It hands back when asked to."""
    session, space = opened(config(evaluator={"name": "tabular", "delay_s": 60}))
    work = Work("train", space.from_digits("123412"), 27, 27, 0, tmp_path)
    with pytest.raises(Interrupted, match="pause"):
        session.evaluate(work, lambda e: None, lambda: "pause")
