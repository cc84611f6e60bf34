"""All operations of DARTS cells side by side: the published search network, and Liu's rule for what is derived."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from engine.errors import CannotBuild
from engine.spaces.darts import Darts, DartsOptions
from engine.supernets.darts import Darts as Method
from engine.supernets.mixture import Mixture, Slot
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.network import MixtureNetwork

from .specs import CIFAR, DIGITS, PHOTOS, data_spec

PRESETS = {p.name: p for p in Darts.presets}
#: Liu et al. 2019's code prints the size of the network it searches in, CIFAR-10, 8 cells of 16 channels
SEARCHED_IN = 1_930_618


def tiny(data=DIGITS, **options) -> Darts:
    return Darts(DartsOptions(**{"channels": 4, "layers": 3, **options})).bind(data)


def preset(name: str) -> Darts:
    return Darts(DartsOptions(**PRESETS[name].options)).bind(CIFAR)


def by_id(mixture: Mixture) -> dict[str, Slot]:
    return {s.id: s for s in mixture.slots}


# -- the network ------------------------------------------------------------------------------------
def test_the_published_search_network():
    """14 edges in each of 8 cells; 14 rows of 8 alphas for either kind of cell; its published number of weights."""
    mixture = preset("darts-search").mixture(norm_pools=True)
    assert len(mixture.slots) == 14 * 8 and len(mixture.tables) == 2 * 14
    assert [t.name for t in mixture.tables][:5] == [
        f"normal{n}_from{i}" for n, i in ((2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
    ]
    assert all(t.options == DartsOptions().operations and len(t.options) == 8 for t in mixture.tables)
    groups = Counter(t.group for t in mixture.tables)
    assert groups == {f"{kind}{n}": n for kind in ("normal", "reduce") for n in (2, 3, 4, 5)}
    shapes = [next(s.shape for s in mixture.slots if s.id.startswith(f"cell{i}_")) for i in range(1, 9)]
    assert shapes == [(16, 32, 32)] * 2 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3
    assert {s.table[:6] for s in mixture.slots if s.id.startswith(("cell3_", "cell6_"))} == {"reduce"}
    bank = Bank(seed=0, affine=False)
    MixtureNetwork(mixture, bank)
    learned = sum(p.numel() for p in bank.parameters() if p.requires_grad)
    stem = 2 * 48  # there its norm has scale and shift, here no norm of a gradient search has
    assert learned + stem == SEARCHED_IN


def test_reductions_halve_and_skips_of_stride_2_are_factorized():
    slots = by_id(preset("darts-search").mixture())
    ops = {o: [n.op for n in nodes] for o, nodes in slots["cell3_node2_from0_mixed"].alternatives.items()}
    assert ops["skip_connect"] == ["factorized_reduce"] and ops["none"] == []
    assert [n.op for n in slots["cell3_node3_from2_mixed"].alternatives["skip_connect"]] == ["identity"]
    assert [n.op for n in slots["cell1_node2_from0_mixed"].alternatives["skip_connect"]] == ["identity"]


@pytest.mark.parametrize("data", [DIGITS, PHOTOS, data_spec((3, 67), name="odd signal")])
def test_channels_that_pass_by_a_reduction_are_halved_by_max_pooling(data):
    space = tiny(data, channels=8)
    mixture = space.mixture(partial=4, norm_pools=True)
    dims = len(data.input_shape) - 1
    bypasses = [s.bypass for s in mixture.slots if s.bypass]
    # two reductions, of each node the edges from the two inputs
    assert len(bypasses) == 2 * 4 * 2 and {b[0].op for b in bypasses} == {f"max_pool{dims}d"}
    assert {(b[0].args["kernel_size"], b[0].args["stride"]) for b in bypasses} == {(2, 2)}
    network = MixtureNetwork(mixture, Bank(seed=0))
    x = torch.randn(2, *data.input_shape, generator=torch.Generator().manual_seed(0))
    assert network(x, {t.name: ((len(t.options) - 1,), None) for t in mixture.tables}).shape == (2, data.n_classes)
    with pytest.raises(CannotBuild, match="8 channels cannot be divided into 3 parts"):
        space.mixture(partial=3)


def test_a_deeper_search_network_has_the_same_tables():
    """P-DARTS (Chen et al. 2019): 5, 11, 17 cells."""
    space = tiny(layers=5)
    deeper = space.skeleton(layers=11, channels=8)
    assert deeper.mixture().tables == space.mixture().tables
    assert [len(s.mixture().slots) for s in (space, deeper)] == [14 * 5, 14 * 11]


def test_one_cell_for_both_kinds_has_one_set_of_tables():
    mixture = tiny(one_cell=True).mixture()
    assert len(mixture.tables) == 14 and {t.name[:4] for t in mixture.tables} == {"cell"}
    assert len(mixture.slots) == 14 * 3


def test_nodes_that_nobody_reads_are_not_known_beforehand():
    space = preset("nasnet")
    assert space.unmixed() == Method.supports(space, ()) and "join all nodes" in space.unmixed()
    with pytest.raises(CannotBuild, match="join all nodes"):
        space.mixture()
    assert preset("darts").unmixed() is None is Method.supports(preset("pnas"), ())


def test_a_table_offers_what_the_restriction_leaves_to_its_edge():
    space = tiny().restrict(
        {"normal3_inputs": ["0,2", "1,2"], "normal3_op1": ["sep_conv_3x3"], "normal3_op2": ["none", "skip_connect"]}
    )
    tables = space.mixture().by_name
    assert tables["normal3_from0"].options == tables["normal3_from1"].options == ("sep_conv_3x3",)
    assert tables["normal3_from2"].options == ("none", "skip_connect")
    # edges that no pair names stand nowhere
    fewer = tiny().restrict({"normal3_inputs": ["0,2"]}).mixture()
    assert "normal3_from1" not in fewer.by_name and len(fewer.slots) == 14 * 3 - 1


# -- weights ----------------------------------------------------------------------------------------
def test_weights_belong_to_an_edge_and_an_operation():
    space, bank = tiny(), Bank(seed=0)
    first = space.sample(np.random.default_rng(0))

    def operation(changes: dict, node: str):
        arch = space._change(first, changes)
        names = space.weight_names(arch)
        return bank.block(names[node], space.plan(arch).by_id[node])

    # state 1 as the second term of node 4, and as its first
    second = operation({"normal4_inputs": "0,1", "normal4_op2": "sep_conv_3x3"}, "cell1_node4_op2")
    again = operation({"normal4_inputs": "1,3", "normal4_op1": "sep_conv_3x3"}, "cell1_node4_op1")
    assert second is again
    for other in ({"normal4_inputs": "0,2", "normal4_op2": "sep_conv_3x3"},
                  {"normal4_inputs": "0,1", "normal4_op2": "sep_conv_5x5"},
                  {"normal4_inputs": "0,1", "normal4_op2": "dil_conv_3x3"}):  # fmt: skip
        assert operation(other, "cell1_node4_op2") is not second


# -- what is derived --------------------------------------------------------------------------------
def random_strengths(space: Darts, seed: int) -> dict[str, dict]:
    rng = np.random.default_rng(seed)
    return {t.name: dict(zip(t.options, rng.dirichlet(np.ones(len(t.options))).tolist(), strict=True))
            for t in space.mixture().tables}  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_the_two_strongest_edges_of_each_node_by_their_strongest_operation(seed):
    """Against a list of all edges of a node, sorted."""
    space = tiny(inputs="any" if seed % 2 else "distinct")
    strengths = random_strengths(space, seed)
    for kind, cell in zip(space.kinds, space.cells(space.derive(strengths)), strict=True):
        for n, (i, op1, j, op2) in enumerate(cell, start=2):
            rows = {s: {o: p for o, p in strengths[f"{kind}{n}_from{s}"].items() if o != "none"} for s in range(n)}
            wanted = sorted(rows, key=lambda s: -max(rows[s].values()))[:2]
            assert {(i, op1), (j, op2)} == {(s, max(rows[s], key=rows[s].get)) for s in wanted}


def test_none_is_derived_only_where_nothing_else_has_strength():
    space = tiny()
    strengths = random_strengths(space, 0)
    strong = {t: {**row, "none": 5.0} for t, row in strengths.items()}
    assert space.derive(strong) == space.derive(strengths)
    # P-DARTS drops operations: an edge that kept nothing else stays empty, and comes last
    pruned = {**strengths, "normal2_from0": {"none": 1.0}, "normal3_from2": {"none": 1.0}}
    derived = space.derive(pruned)
    assert derived["normal2_op1"] == "none" and derived["normal2_op2"] != "none"
    assert derived["normal3_inputs"] == "0,1"


def test_rows_that_were_pruned_or_are_missing():
    space = tiny()
    kept = {"normal4_from3": {"dil_conv_5x5": 0.01, "none": 0.9}, "normal4_from1": {"max_pool_3x3": 0.02}}
    derived = space.derive(kept)
    assert (derived["normal4_inputs"], derived["normal4_op1"], derived["normal4_op2"]) == (
        "1,3", "max_pool_3x3", "dil_conv_5x5",
    )  # fmt: skip


def test_restrictions_hold_for_what_is_derived():
    space = tiny().restrict({"normal5_inputs": ["0,1", "2,3"], "normal5_op1": ["skip_connect", "sep_conv_3x3"]})
    strengths = random_strengths(space, 3)
    strengths["normal5_from4"] = {"sep_conv_5x5": 99.0}  # nobody may read state 4
    strengths["normal5_from3"] = {**strengths["normal5_from3"], "sep_conv_5x5": 1.0}
    derived = space.derive(strengths)
    assert derived["normal5_inputs"] == "2,3" and derived["normal5_op2"] == "sep_conv_5x5"
    assert derived["normal5_op1"] in ("skip_connect", "sep_conv_3x3")


def test_where_the_number_of_nodes_is_decided_cells_are_as_large_as_they_can_be():
    space = tiny(steps=(2, 3, 4))
    assert len(space.mixture().tables) == 28
    derived = space.derive(random_strengths(space, 1))
    assert derived["normal_nodes"] == derived["reduce_nodes"] == 4
    smaller = space.restrict({"normal_nodes": [2, 3]})
    assert len(smaller.mixture().tables) == 9 + 14
    assert smaller.derive({})["normal_nodes"] == 3
    with pytest.raises(CannotBuild, match="4 nodes, this one has 3"):
        space.chosen(smaller.derive({}))


def test_a_state_read_twice_is_no_path():
    space = tiny(inputs="any")
    arch = space._change(space.derive({}), {"normal3_in1": 1, "normal3_in2": 1})
    with pytest.raises(CannotBuild, match="node 3 reads state 1 twice"):
        space.chosen(arch)
    # unless a restriction leaves nothing else to derive
    only = space.restrict({"normal3_in1": [1], "normal3_in2": [1]})
    assert (only.derive({})["normal3_in1"], only.derive({})["normal3_in2"]) == (1, 1)


def test_tables_have_words():
    space = tiny()
    assert space.title("normal3_from1") == "normal node 3 from last cell"
    assert space.title("reduce4_from2") == "reduction node 4 from node 2"
    assert space.format("normal3_from1", "sep_conv_3x3") == "separable 3×3"
