"""Figures of the Supernet tab: what they show, that they stay small, and that text stays text."""

import json
import math

import pytest

from searches.charts import alphas, subnets, supernet, trust
from searches.charts.base import MAX_POINTS
from searches.selectors.trust import Both, Pair

ROWS = [
    {"epoch": e, "train_loss": 2 / e, "held_loss": 2.2 / e, "accuracy": 0.1 * e, "skips": e / 10, "eigenvalue": 0.2 * e,
     "reward": 0.1 * e, "entropy": 1 - 0.1 * e, "within": 0.5}
    for e in range(1, 9)
]  # fmt: skip


def plain(figure):
    out = figure.to_json()
    json.dumps(out, allow_nan=False)
    assert {t["type"] for t in out["data"]} <= {"scatter", "bar", "heatmap"}  # nothing that wants WebGL and eval
    return out


CURVES = [supernet.losses, supernet.accuracy, supernet.skips, supernet.eigenvalue, supernet.controller]


@pytest.mark.parametrize("draw", CURVES)
def test_every_curve_is_drawn_said_and_read_as_a_table(draw):
    out = plain(draw(ROWS, epochs=20))
    assert out["data"] and out["summary"].endswith("after epoch 8 of 20.")
    assert [row[0] for row in out["table"]["rows"]] == list(range(1, 9))
    assert out["layout"]["xaxis"]["range"][1] == 20  # room for the epochs that are to come
    nothing = plain(draw([], epochs=20))
    assert nothing["data"] == [] and nothing["empty"]


def test_losses_are_two_lines_named_at_their_ends_or_one():
    both = plain(supernet.losses(ROWS, epochs=8))
    assert [t["name"] for t in both["data"]] == ["training", "held out"]
    assert both["table"]["columns"] == ["epoch", "training loss", "held out loss"]
    single = plain(supernet.losses([{"epoch": 1, "train_loss": 2.0}], epochs=8))
    assert single["data"][0]["mode"] == "markers"
    (end,) = single["layout"]["annotations"]
    assert (end["text"], end["name"]) == ("<b>2</b>", "short:2"), "no name, for which a narrow chart has no room"


def test_a_controller_has_a_line_for_each_thing_that_is_known_of_it():
    out = plain(supernet.controller(ROWS, epochs=8))
    assert [t["name"] for t in out["data"]] == ["reward", "entropy", "within"]
    assert out["data"][0]["y"] == pytest.approx([10 * e for e in range(1, 9)])  # percent
    unlimited = plain(supernet.controller([{"epoch": 1, "reward": 0.4, "entropy": 0.9}], epochs=8))
    assert [t["name"] for t in unlimited["data"]] == ["reward", "entropy"]


def test_what_happened_stands_at_its_epoch_and_is_text():
    rows = [*ROWS, {"epoch": 9, "train_loss": 0.2, "note": "<img> options pruned"}]
    out = plain(supernet.losses(rows, epochs=9))
    assert [s["x0"] for s in out["layout"]["shapes"]] == [9]
    assert "&lt;img&gt; options pruned" in [n["text"] for n in out["layout"]["annotations"]]


def test_the_alarm_is_a_rule_at_its_epoch():
    out = plain(supernet.skips(ROWS, epochs=20, alarm=6))
    assert [s["x0"] for s in out["layout"]["shapes"]] == [6]
    assert "raised in epoch 6" in out["summary"]
    assert out["data"][0]["y"] == pytest.approx([10 * e for e in range(1, 9)])  # percent
    assert not supernet.skips(ROWS, epochs=20).layout["shapes"]


def test_ten_thousand_epochs_stay_small():
    rows = [{"epoch": e, "train_loss": 1 + 1 / e} for e in range(1, 10_001)]
    out = plain(supernet.losses(rows, epochs=10_000))
    assert len(out["data"][0]["x"]) <= MAX_POINTS and len(out["table"]["rows"]) == 200


# -- probabilities ---------------------------------------------------------------------------------
def tables(n_tables=2, options=("skip", "conv"), epochs=5):
    made = [alphas.Row(f"t{i}", f"edge {i}", tuple(options), tuple(o.upper() for o in options))
            for i in range(n_tables)]  # fmt: skip
    history = []
    for e in range(1, epochs + 1):
        first = (1 + e / epochs) / len(options) / 2
        rest = (1 - first) / (len(options) - 1)
        history.append((e, {r.name: {o: first if j == 0 else rest for j, o in enumerate(options)} for r in made}))
    return history, made


def test_entropy_is_a_share_of_the_largest():
    assert alphas.entropy({"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}) == pytest.approx(1)
    assert alphas.entropy({"a": 1.0, "b": 0.0}) == 0 and alphas.entropy({"a": 1.0}) == 0
    assert alphas.entropy({"a": 0.9, "b": 0.1}) == pytest.approx(-(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1)))


def test_one_epoch_is_drawn_and_all_of_them_come_along():
    history, rows = tables()
    newest, third = plain(alphas.probabilities(history, rows)), plain(alphas.probabilities(history, rows, epoch=3))
    assert (newest["notes"]["epoch"], third["notes"]["epoch"]) == (5, 3)
    assert [f["epoch"] for f in third["notes"]["frames"]] == [1, 2, 3, 4, 5]
    assert third["data"][0]["z"] == third["notes"]["frames"][2]["z"] == [[0.4, 0.6], [0.4, 0.6]]
    assert third["data"][0]["zmax"] == newest["data"][0]["zmax"]  # a colour means one thing in all epochs
    assert third["table"]["columns"] == ["decision", "SKIP", "CONV", "entropy"]
    assert "epoch 3" in third["summary"] and "edge 0: CONV 0.60" in third["summary"]
    assert plain(alphas.probabilities(history, rows, epoch=99))["notes"]["epoch"] == 5


def test_many_tables_and_epochs_stay_readable_and_small():
    history, rows = tables(28, tuple("abcdefgh"), epochs=600)
    out = plain(alphas.probabilities(history, rows, epoch=217))
    kept = [f["epoch"] for f in out["notes"]["frames"]]
    assert len(kept) <= alphas.MOST_FRAMES + 1 and kept[0] == 1 and kept[-1] == 600 and 217 in kept
    assert out["height"] / 28 >= 14 and len(json.dumps(out)) < 300_000


def test_tables_with_options_of_their_own_leave_holes_or_share_places():
    rows = [alphas.Row("k", "kernel", ("3", "5"), ("3×3", "5×5")), alphas.Row("d", "depth", ("1", "2"), ("1", "2"))]
    history = [(1, {"k": {"3": 0.5, "5": 0.5}, "d": {"1": 0.9, "2": 0.1}})]
    out = plain(alphas.probabilities(history, rows))
    assert out["data"][0]["z"] == [[0.5, 0.5, None, None], [None, None, 0.9, 0.1]]
    many = [alphas.Row(f"t{i}", f"t{i}", ("a", "b"), (f"a{i}", f"b{i}")) for i in range(20)]
    out = plain(alphas.probabilities([(1, {r.name: {"a": 0.7, "b": 0.3} for r in many})], many))
    assert out["data"][0]["z"] == [[0.7, 0.3]] * 20 and out["notes"]["cells"][3] == ["a3", "b3"]


def test_long_titles_give_way_to_names_and_long_heads_to_two_lines():
    title = "normal node 2 from last cell but one"
    rows = [alphas.Row("normal2_from0", title, ("a", "b"), ("separable 3×3", "skip"))]
    out = plain(alphas.probabilities([(1, {"normal2_from0": {"a": 0.7, "b": 0.3}})], rows))
    assert out["layout"]["xaxis"]["ticktext"] == ["separable<br>3×3", "skip", "entropy"]
    assert out["layout"]["yaxis"]["ticktext"] == [title]
    assert out["small"]["layout"]["yaxis"]["ticktext"] == ["normal2 from0"]


def test_a_pruned_option_leaves_a_hole():
    rows = [alphas.Row("t", "t", ("a", "b"), ("a", "b"))]
    out = plain(alphas.probabilities([(1, {"t": {"a": 0.5, "b": 0.5}}), (2, {"t": {"a": 1.0}})], rows))
    assert out["data"][0]["z"] == [[1.0, None]]


def test_names_of_options_are_text():
    rows = [alphas.Row("t", "<b>edge", ("a", "b"), ("<i>", "b"))]
    out = plain(alphas.probabilities([(1, {"t": {"a": 0.5, "b": 0.5}})], rows))
    assert out["data"][0]["text"][0][0] == "&lt;b&gt;edge<br>&lt;i&gt;"


def test_before_the_first_epoch_it_says_so():
    assert plain(alphas.probabilities([], []))["empty"]


# -- subnets, trust, random ------------------------------------------------------------------------
def test_subnets_trained_alone_are_marked_and_lead_to_their_trial():
    rows = [
        subnets.SubnetRow("a", 0.5, 10**6),
        subnets.SubnetRow("b", 0.6, 2 * 10**6, trial=1, by="darts"),
        subnets.SubnetRow("c<", 0.4, 3 * 10**6, trial=2, by="random"),
    ]
    out = plain(subnets.against_macs(rows))
    by = {t["name"]: t for t in out["data"]}
    assert by["derived"]["customdata"] == [1] and by["random partner"]["customdata"] == [2]
    assert by["scored"]["y"] == [50.0] and "c&lt;" in by["random partner"]["text"][0]
    assert out["table"]["rows"][0][0] == "b" and "60.0 %" in out["summary"]
    assert plain(subnets.against_macs([]))["empty"]


def test_twenty_thousand_subnets_stay_small():
    out = plain(subnets.against_macs([subnets.SubnetRow("n", i / 40_000, 1000 + i) for i in range(20_000)]))
    assert sum(len(t["x"]) for t in out["data"]) <= MAX_POINTS


def test_orders_are_drawn_without_a_diagonal_or_a_shared_scale():
    both = [Both(1, "a", "derived", 0.5, 0.9, 10), Both(2, "b", "random", 0.4, 0.85, 10)]
    out = plain(trust.orders(both))
    assert not out["layout"].get("shapes")
    assert out["layout"]["xaxis"]["range"] != out["layout"]["yaxis"]["range"]
    by = {t["name"]: t for t in out["data"]}
    assert by["derived"]["x"] == [50.0] and by["random partner"]["y"] == [85.0]
    assert plain(trust.orders([]))["empty"]


def test_pairs_stand_beside_each_other_with_their_difference():
    pairs = [Pair(1, 2, "a", "b", 0.9, 0.88, 10, 10), Pair(3, 4, "c", "d", 0.8, 0.83, 10, 10)]
    out = plain(trust.beside(pairs))
    assert [n["text"] for n in out["layout"]["annotations"]] == ["+2.0", "−3.0"]
    assert "better in 1" in out["summary"] and out["table"]["rows"][0][-1] == 2.0
    assert plain(trust.beside([]))["empty"]
