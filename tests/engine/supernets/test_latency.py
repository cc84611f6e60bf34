"""Latency of operations: every option of every table, sums over slots, bounded time, orders; the table of the rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine import catalog
from engine.config import SearchConfig
from engine.errors import Interrupted
from engine.evaluation.base import Work
from engine.evaluation.trained import TrainedSession
from engine.spaces.base import space_of
from engine.spaces.nasbench201 import Nasbench201
from engine.supernets.latency import fixed_ms, latency_of, predicted_ms, rows_of
from engine.supernets.nets import latency
from engine.training.device import Setting
from engine.training.exclusive import Device
from tests.engine.spaces.mobiles import mobile
from tests.engine.spaces.specs import DIGITS
from tests.engine.supernets import small

CPU = torch.device("cpu")
SPACES = {
    "nasbench201": lambda: space_of(Nasbench201, Nasbench201.Options(channels=4, cells=2), DIGITS),
    "mobile": lambda: mobile(stages=[{"width": [8], "depth": [1, 2]}, {"width": [8], "depth": [2], "stride": 2}]),
    "mobile by stage": lambda: mobile(stages=[{"width": [8], "depth": [1, 2]}], share="stage", se=[False]),
}


def measured(space, should_stop=lambda: None, **more):
    return latency.measure(space, CPU, Setting(), should_stop, **more)


@pytest.fixture
def a_millisecond(monkeypatch):
    """Everything takes 1 ms; counts the readings."""
    readings = []

    def read(self, device):
        self.run()
        readings.append(self.runs)
        return 1e-3 * self.runs

    monkeypatch.setattr(latency._Piece, "read", read)
    return readings


@pytest.mark.parametrize("kind", SPACES)
def test_every_option_of_every_table_has_a_row_and_networks_are_measured_beside_their_sums(kind):
    space = SPACES[kind]()
    rows = measured(space, seconds=0)
    tables = space.mixture().tables
    assert [(r["table"], r["option"]) for r in rows if r["table"]] == [
        (t.name, str(o)) for t in tables for o in t.options
    ]
    assert all(np.isfinite(r["ms"]) and r["ms"] >= 0 and r["spread_ms"] >= 0 for r in rows)
    whole = [r for r in rows if "ratio" in r]
    assert len(whole) == latency.NETWORKS
    table = latency_of(rows)
    assert set(table) == {"", *(t.name for t in tables)} and set(table[""]) == {""}
    for row in whole:
        chosen = space.chosen(space.validate(row["choices"]))
        assert row["sum_ms"] == pytest.approx(predicted_ms(table, chosen))
        assert row["ratio"] == pytest.approx(row["sum_ms"] / row["ms"])


def test_a_row_is_the_sum_over_the_slots_that_share_it(a_millisecond):
    """Two cells a stage, three stages: an edge's operation stands at six places; zeros are computed nowhere."""
    space = SPACES["nasbench201"]()
    table = latency_of(measured(space, seconds=0))
    for edge in ("edge0_1", "edge2_3"):
        assert table[edge] == {"none": 0.0, **dict.fromkeys(
            ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"), 6.0)}  # fmt: skip
    assert fixed_ms(table) == sum(not hasattr(p, "table") for p in space.mixture().parts)


def test_a_recurrent_cell_is_measured_whole_and_prefers_nothing_inside(a_millisecond):
    """Smaller cells than the mixture's are no networks of it: the sums are checked on others."""
    space = small.space_of("recurrent")
    assert len({space.sample(np.random.default_rng(i))["nodes"] for i in range(8)}) == 2
    mixture = space.mixture()
    rows = measured(space, seconds=0)
    table = latency_of(rows)
    assert mixture.inside and {ms for name, row in table.items() if name for ms in row.values()} == {0.0}
    assert fixed_ms(table) == len(mixture.parts)
    assert [row["sum_ms"] for row in rows if "sum_ms" in row] == [fixed_ms(table)] * latency.NETWORKS
    for method in ("fbnet", "proxyless"):
        assert "recurrent cells, whose latency is measured as a whole" in catalog.get("strategy", method).guide


def test_equal_operations_at_equal_shapes_are_timed_once(a_millisecond):
    space = SPACES["nasbench201"]()
    measured(space, seconds=0)  # slow: one round to warm up, one that counts
    parts = {(p.op, str(p.args), p.shape, len(p.inputs)) for p in space.mixture().parts if not hasattr(p, "table")}
    # four operations in three stages
    assert len(a_millisecond) <= 2 * (3 * 4 + len(parts) + latency.NETWORKS)


def test_rounds_are_bounded_and_fewer_where_they_are_slow(a_millisecond):
    space = SPACES["mobile by stage"]()
    measured(space, seconds=0)
    few = len(a_millisecond)
    measured(space, seconds=600)
    assert len(a_millisecond) - few == few // 2 * (latency.WARM_UP + latency.ROUNDS)


def test_orders_end_it_and_the_batch_reaches_the_operations(a_millisecond):
    with pytest.raises(Interrupted, match="pause"):
        measured(SPACES["mobile"](), lambda: "pause" if len(a_millisecond) >= 5 else None)
    assert len(a_millisecond) == 5
    seen = set()
    before = latency._Chain.__call__

    def call(self):
        out = before(self)
        seen.add(len(out))
        return out

    latency._Chain.__call__ = call
    try:
        measured(SPACES["mobile by stage"](), seconds=0, batch=3)
    finally:
        latency._Chain.__call__ = before
    assert seen == {3}


def test_a_table_that_was_not_measured_is_named():
    space = SPACES["nasbench201"]()
    table = {t.name: {str(o): 1.0 for o in t.options} for t in space.mixture().tables}
    assert rows_of(table, space.mixture())["edge0_1"] == [1.0] * 5
    del table["edge1_2"]["nor_conv_1x1"]
    with pytest.raises(ValueError, match="edge1_2: no latency was measured for nor_conv_1x1"):
        rows_of(table, space.mixture())


def test_the_piece_has_the_device_alone_and_its_rows_become_the_setup_of_a_learner(tmp_path):
    from engine.data import registry

    config = SearchConfig.model_validate({
        "name": "measured",
        "data": {"name": "digits"}, "space": {"name": "nasbench201", "cells": 1, "channels": 4},
        "strategy": {"name": "spos", "epochs": 1}, "budget": {"trials": 2, "epochs": 1},
    })  # fmt: skip
    session = TrainedSession(config, registry.spec("digits", config.data.options()))
    lock = tmp_path / "device"
    more = {"device_lock": str(lock), "setting": Setting().model_dump()}
    work = Work(kind="measure", architecture=None, fidelity=0, max_fidelity=0, seed=1, folder=tmp_path, extra=more)
    with Device(lock, lambda event: None, lambda: None).shared(), pytest.raises(Interrupted, match="drain"):
        session.evaluate(work, lambda event: None, lambda: "drain")
    events = []
    report = session.evaluate(work, events.append, lambda: None)
    assert any(e.get("what") == "latency" for e in events)
    setup = session._shared._setup(
        Work(kind="supernet", architecture=None, fidelity=1, max_fidelity=1, seed=1, folder=tmp_path,
             extra={"latency_ms": list(report.rows)}), Setting(),
    )  # fmt: skip
    assert set(setup.latency_ms["edge0_1"]) == set(Nasbench201.Options().operations)
    assert setup.latency_ms[""][""] > 0


@pytest.mark.parametrize("method", ["proxyless", "fbnet"])
def test_what_a_supernet_costs_is_told_before_anything_was_measured(tmp_path, method):
    """With epochs of the weights alone at the start: a step in which everything learns is what is timed."""
    from engine.data import registry

    config = SearchConfig.model_validate({
        "name": "before", "data": {"name": "digits"}, "space": {"name": "nasbench201", "cells": 1, "channels": 4},
        "strategy": {"name": method, "epochs": 9, "warm_up": 3}, "budget": {"trials": 2, "epochs": 1},
    })  # fmt: skip
    session = TrainedSession(config, registry.spec("digits", config.data.options()))
    work = Work(kind="preflight", architecture=None, fidelity=0, max_fidelity=0, seed=1, folder=tmp_path)
    asked = []
    learner = catalog.get("strategy", method).learner
    step = type(learner(session._shared._setup(work, Setting()))).architecture_step

    def counted(self, *args):
        asked.append(1)
        return step(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{step.__module__}.{step.__qualname__}", counted)
        told = session._shared.preflight(work, Setting(), lambda: "enough" if asked else None)
    assert asked and told["epoch_s"] > 0 and told["score_s"] > 0
