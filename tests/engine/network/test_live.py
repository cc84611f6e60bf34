"""What is live: against paths followed by hand, and the closed form of a space against its plans."""

from __future__ import annotations

import numpy as np
import pytest

from engine.docs import example_spaces
from engine.network.assemble import Assembler
from engine.network.costs import costs, node_costs
from engine.network.live import live_costs, live_nodes


def test_dead_ends_zeros_and_what_only_they_feed_do_not_count():
    """A convolution nobody reads, one behind a zero, and a sum that receives both kinds."""
    net = Assembler((3, 8, 8))
    x = net.add("stem", "conv2d", "input", out_channels=4, kernel_size=3)
    net.add("unread", "conv2d", x, out_channels=4, kernel_size=3)
    nothing = net.add("nothing", "zero", x)
    behind = net.add("behind", "conv2d", nothing, out_channels=4, kernel_size=3)
    live = net.add("live", "conv2d", x, out_channels=4, kernel_size=1)
    total = net.add("total", "add", behind, live)
    pooled = net.add("pool", "global_avg_pool2d", total)
    net.add("output", "linear", pooled, out_features=2)
    plan = net.finish()
    assert [n.id for n in live_nodes(plan)] == ["stem", "live", "total", "pool", "output"]
    each = node_costs(plan)
    expected = [sum(each[i][k] for i in ("stem", "live", "output")) for k in (0, 1)]
    assert list(live_costs(plan)) == expected


@pytest.mark.parametrize("name", sorted(example_spaces()))
def test_live_costs_of_a_space_are_those_of_its_plan(name):
    """And never more than all of it."""
    space, rng = example_spaces()[name], np.random.default_rng(3)
    for _ in range(40 if name == "nasbench201" else 5):
        arch = space.sample(rng)
        found = space.live_costs(arch)
        assert found == live_costs(space.plan(arch))
        whole = costs(space.plan(arch))
        assert found[0] <= whole.n_params and found[1] <= whole.n_macs


@pytest.mark.parametrize("name", sorted(example_spaces()))
def test_unranking_follows_the_order_of_listing(name):
    """Each place once; the listing is compared where it is short, else its beginning and its end are counted."""
    space = example_spaces()[name]
    size = space.size()
    first = [a for a, _ in zip(space.enumerate(), range(30), strict=False)]
    assert [space.unrank(i) for i in range(len(first))] == first
    rng = np.random.default_rng(0)
    places = {int(rng.random() * size) for _ in range(20)} | {size - 1}
    found = {space.unrank(i) for i in places}
    assert len(found) == len(places)
    assert all(space.validate(a.choices) == a for a in found)
    for outside in (-1, size):
        with pytest.raises(IndexError, match="not between 0 and"):
            space.unrank(outside)
