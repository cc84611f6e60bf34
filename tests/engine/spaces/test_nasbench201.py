"""The published cell: every row of the table, its writings, its classes."""

from __future__ import annotations

import csv
import functools
import gzip
import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InvalidArchitecture
from engine.network import canonical
from engine.network.build import build
from engine.network.canonical import canonical_key
from engine.network.picture import picture
from engine.spaces._nasbench201.cell import WIRES, fed, live
from engine.spaces.nasbench201 import NAMES, OPS, Nasbench201, Nasbench201Options, iso_class_string

from .specs import DIGITS, data_spec

DATA = Path(os.environ.get("NASWEB_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")
TABLE = DATA / "nas" / "nasbench201_accuracy.csv.gz"
needs_table = pytest.mark.skipif(not TABLE.exists(), reason=f"NASWEB_TEST_DATA has no {TABLE.name} ({TABLE.parent})")


def published(n_classes: int) -> Nasbench201:
    return Nasbench201(Nasbench201Options()).bind(data_spec((3, 32, 32), n_classes))


SPACE = published(10)


@needs_table
@pytest.mark.parametrize(("n_classes", "column"), [(10, "c10"), (100, "c100")])
def test_all_rows_have_their_published_costs(n_classes, column):
    space = published(n_classes)
    with gzip.open(TABLE, "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == space.size() == 15_625
    wrong = []
    for row in rows:
        arch = space.from_digits(row["ops"])
        costs = space.costs(arch)
        # the published count includes the classifier's bias
        published_costs = (int(row[f"params_{column}"]), int(row[f"flops_{column}"]))
        if (costs.n_params, costs.n_macs + n_classes) != published_costs or space.to_string(arch) != row["arch_str"]:
            wrong.append(row["index"])
    assert wrong == []


def test_writings_round_trip():
    rng = np.random.default_rng(0)
    for _ in range(100):
        arch = SPACE.sample(rng)
        assert SPACE.from_string(SPACE.to_string(arch)) == SPACE.from_digits(SPACE.to_digits(arch)) == arch
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    assert SPACE.to_digits(SPACE.from_string(text)) == "421211"
    for bad in ("", "|none~0|", text.replace("~1", "~0"), "421215"):
        with pytest.raises(InvalidArchitecture, match="a cell"):
            SPACE.from_string(bad)
    with pytest.raises(InvalidArchitecture, match="edge0_1: received 'conv'"):
        SPACE.from_string(text.replace("avg_pool_3x3", "conv"))
    with pytest.raises(InvalidArchitecture, match="six digits"):
        SPACE.from_digits("42121")
    assert SPACE.read("421211") == SPACE.read(text) and SPACE.write(SPACE.read("421211")) == text
    example = SPACE.notation.split("published, ")[1].split(" (")[0]
    assert SPACE.to_digits(SPACE.read(example)) == "301104" and "301104" in SPACE.notation


CELLS = ["".join(d) for d in itertools.product("01234", repeat=6)]


@functools.cache
def forms(**rules: bool) -> dict[str, list[str]]:
    """Cells by class, with rules left out of the canonical form."""
    plain = canonical.canonical_form
    out: dict[str, list[str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "canonical_form", lambda items, o: plain(tuple(i._replace(**rules) for i in items), o))
        for digits in CELLS:
            out.setdefault(SPACE.cell_form(SPACE.from_digits(digits)), []).append(digits)
    return out


def test_classes_of_equal_networks():
    """5,425 with copies apart, 5,260 with parameter-free copies merged, 5,044 with average pooling linear."""
    assert len({SPACE.canonical_key(SPACE.from_digits(d)) for d in CELLS}) == 5044
    assert (len(forms(linear=False)), len(forms(linear=False, merges=False))) == (5260, 5425)


@needs_table
def test_the_published_rule_gives_the_tables_classes():
    with gzip.open(TABLE, "rt") as file:
        pairs = {(iso_class_string(SPACE.from_digits(r["ops"])), r["iso_class"]) for r in csv.DictReader(file)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == 6466


def test_the_whole_network_gives_the_same_classes_as_the_cell():
    operations = ("none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3")
    space = Nasbench201(Nasbench201Options(cells=2, channels=4, operations=operations)).bind(DIGITS)
    rng = np.random.default_rng(3)
    archs = [space.sample(rng) for _ in range(250)]
    by_cell = [space.canonical_key(a) for a in archs]
    by_plan = [canonical_key(space.plan(a)) for a in archs]
    # the plan's key also merges networks whose cells hand on their input, whatever stands around them
    assert len(set(zip(by_cell, by_plan, strict=True))) == len(set(by_cell)) == len(set(by_plan)) < len(archs)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("300300", "303000", False),  # a chain over node 2 against a parallel pair
        ("300010", "000300", True),  # 0 -> 1 -> 3 by a skip, and directly
        ("410010", "000400", True),  # the same with pooling
        ("440011", "000400", False),  # two copies of one pooling count twice
        ("400410", "040401", True),  # pooling twice from the input, over node 1 or node 2
        ("030201", "300210", True),  # nodes 1 and 2 swapped
        ("330011", "330010", False),
        ("330001", "030001", True),  # edge 0 -> 1 leads nowhere
        ("200030", "200020", False),
    ],
)
def test_equal_and_different_cells(one, other, equal):
    keys = [SPACE.canonical_key(SPACE.from_digits(d)) for d in (one, other)]
    assert (keys[0] == keys[1]) is equal


def test_copies_with_weights_stay_apart_and_shared_ones_are_not_copies():
    """conv(x) twice by two convolutions is not one convolution counted twice."""
    two = SPACE.from_digits("330011")  # 0->1 conv, 0->2 conv, both handed to 3
    one_twice = SPACE.from_digits("301011")  # 0->1 conv, handed to 2 and 3, 2 handed to 3
    assert SPACE.canonical_key(two) != SPACE.canonical_key(one_twice)


class Trial:
    """Tiny networks of cells, on whose convolutions a few sets of random weights can be laid in any order."""

    def __init__(self) -> None:
        import torch

        self.space = Nasbench201(Nasbench201Options(cells=1, channels=3)).bind(data_spec((1, 8, 8), 4))
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(2, 1, 8, 8, generator=generator, dtype=torch.float64)
        self.generator = generator
        self.weights: dict[tuple[str, tuple[int, ...], int], torch.Tensor] = {}

    def tensor(self, name: str, like, number: int):
        """Weight, gamma, shift or running statistic; the same for the same name, shape and number."""
        import torch

        key = (name, tuple(like.shape), number)
        if key not in self.weights:
            made = torch.randn(like.shape, generator=self.generator, dtype=torch.float64)
            self.weights[key] = made.abs() + 0.5 if name.endswith("running_var") else made
        return self.weights[key]

    def network(self, digits: str):
        """The network, and the live convolutions of its cell."""
        arch = self.space.from_digits(digits)
        network = build(self.space.plan(arch), seed=1).double().eval()
        kept = {name: arch[name] for name in live(arch) if str(arch[name]).startswith("nor_conv")}
        return network, kept

    def output(self, network, numbers: dict[str, int]):
        """Logits, with these sets of weights on the named edges; whatever else the cells hold has some of its own."""
        import torch

        with torch.no_grad():
            for key, value in network.state_dict().items():
                part = next((p for p in key.split(".") if p in NAMES), "")
                plain = key.replace(f".{part}.", ".edge.") if part else key
                if value.is_floating_point():
                    value.copy_(self.tensor(plain, value, numbers.get(part, 100 + (NAMES.index(part) if part else 0))))
            return network(self.x)

    def same(self, one: str, other: str) -> bool:
        """Whether any way of sharing the live convolutions' weights makes the outputs equal."""
        (a, mine), (b, theirs) = self.network(one), self.network(other)
        if sorted(mine.values()) != sorted(theirs.values()):
            return False
        expected = self.output(a, {name: i for i, name in enumerate(mine)})
        scale = float(expected.abs().max())
        for order in itertools.permutations(range(len(mine))):
            numbers = dict(zip(theirs, order, strict=True))
            if any(mine[list(mine)[i]] != theirs[name] for name, i in numbers.items()):
                continue
            if float((self.output(b, numbers) - expected).abs().max()) <= 1e-5 * scale:
                return True
        return False


@pytest.fixture(scope="module")
def by_class() -> dict[str, list[str]]:
    return forms()


def convolutions(digits: str) -> tuple[str, ...]:
    arch = SPACE.from_digits(digits)
    return tuple(sorted(str(arch[n]) for n in live(arch) if str(arch[n]).startswith("nor_conv")))


def starved(digits: str) -> bool:
    """Whether a convolution of it is fed by nothing but zeros."""
    arch = SPACE.from_digits(digits)
    return any(str(arch[n]).startswith("nor_conv") and a not in fed(arch.choices) for n, a, _ in WIRES)


def test_cells_of_one_class_compute_the_same_once_they_share_weights(by_class):
    """165 pairs: weights, shifts and running statistics are random, on dead operations too."""
    rng = np.random.default_rng(5)
    trial = Trial()
    few = [g for g in by_class.values() if len(g) > 1 and len(convolutions(g[0])) <= 4]
    plain = {d: form for form, group in forms(linear=False).items() for d in group}
    apart = {d: form for form, group in forms(linear=False, merges=False).items() for d in group}
    pairs = []

    def draw(n: int, wanted) -> None:
        found = 0
        while found < n:
            group = few[int(rng.integers(len(few)))]
            one, other = (group[i] for i in rng.permutation(len(group))[:2])
            if wanted(one, other):
                pairs.append((one, other))
                found += 1

    draw(60, lambda a, b: True)
    draw(35, lambda a, b: starved(a) and not starved(b))
    draw(35, lambda a, b: plain[a] != plain[b])  # equal since average pooling is linear
    draw(35, lambda a, b: plain[a] == plain[b] and apart[a] != apart[b])  # equal since pools have no weights
    assert [pair for pair in pairs if not trial.same(*pair)] == []
    assert sum(a.count("1") != b.count("1") for a, b in pairs) > 40  # skips


def test_cells_of_other_classes_compute_something_else_however_they_share_weights(by_class):
    """60 pairs of the same live convolutions."""
    rng = np.random.default_rng(6)
    trial = Trial()
    alike: dict[tuple[str, ...], list[str]] = {}
    for group in by_class.values():
        alike.setdefault(convolutions(group[0]), []).append(group[0])
    several = [g for kept, g in alike.items() if len(g) > 1 and len(kept) <= 3]
    for _ in range(60):
        group = several[int(rng.integers(len(several)))]
        one, other = (group[i] for i in rng.permutation(len(group))[:2])
        assert not trial.same(one, other), (one, other)


def test_fewer_classes_would_be_wrong(by_class):
    """One cell of each class with random weights, in all ways of sharing them: no two compute the same.

    Computed with matrices over 6 channels of 3x3 pixels (enough that no relu lets nothing or everything through):
    relu, convolution, shift; average pooling; sums.
    """
    rng = np.random.default_rng(0)
    side, channels = 3, 6
    pixels = [(y, x) for y in range(side) for x in range(side)]

    def window(y: int, x: int) -> list[tuple[int, int, int]]:
        return [(dy, dx, pixels.index((y + dy, x + dx))) for dy in (-1, 0, 1) for dx in (-1, 0, 1)
                if (y + dy, x + dx) in pixels]  # fmt: skip

    def convolution(radius: int) -> tuple[np.ndarray, np.ndarray]:
        kernel = rng.normal(size=(channels, channels, 3, 3))
        matrix = np.zeros((channels, len(pixels), channels, len(pixels)))
        for at, (y, x) in enumerate(pixels):
            for dy, dx, source in window(y, x):
                if max(abs(dy), abs(dx)) <= radius:
                    matrix[:, at, :, source] = kernel[:, :, dy + 1, dx + 1]
        size = channels * len(pixels)
        return matrix.reshape(size, size), np.repeat(0.2 * rng.normal(size=channels), len(pixels))

    average = np.zeros((len(pixels), len(pixels)))
    for at, (y, x) in enumerate(pixels):
        near = window(y, x)
        for _, _, source in near:
            average[at, source] = 1 / len(near)
    pool = np.kron(np.eye(channels), average)
    weights = {"nor_conv_1x1": [convolution(0) for _ in range(6)], "nor_conv_3x3": [convolution(1) for _ in range(6)]}
    start, probe = rng.normal(size=(2, channels * len(pixels)))

    def output(arch, numbers: dict[str, int]) -> float:
        states = [start, *(np.zeros_like(start) for _ in range(3))]
        for name, a, b in WIRES:
            op = str(arch[name])
            if name in numbers:
                matrix, shift = weights[op][numbers[name]]
                states[b] = states[b] + matrix @ np.maximum(states[a], 0) + shift
            elif name in kept:
                states[b] = states[b] + (pool @ states[a] if op == "avg_pool_3x3" else states[a])
        return float(probe @ states[3])

    found = set()
    for digits, *_ in by_class.values():
        arch = SPACE.from_digits(digits)
        kept = live(arch)
        kinds = [[n for n in kept if arch[n] == op] for op in weights]
        orders = itertools.product(*(itertools.permutations(range(len(names))) for names in kinds))
        values = np.array([
            output(arch, {n: i for names, order in zip(kinds, chosen, strict=True)
                          for n, i in zip(names, order, strict=True)})
            for chosen in orders
        ])  # fmt: skip
        found.add((*map(len, kinds), f"{values.sum():.7g}", f"{np.tanh(values / 10).sum():.7g}"))
    assert len(found) == len(by_class) == 5044


def test_morphisms_leave_what_slept_asleep():
    """A convolution onto a node that received nothing would wake the one behind it."""
    space = Nasbench201(Nasbench201Options(cells=1, channels=3)).bind(DIGITS)
    asleep = space.from_digits("000330")  # 1 -> 3 by a convolution, nothing at 1
    whats = {m.what for m in space.morphisms(space.from_digits("003300"))}
    assert not any("edge 0→1" in what for what in whats) and any("edge 0→2" in what for what in whats)
    assert all("edge 0→1" not in m.what for m in space.morphisms(asleep))
    assert space.stage(asleep) == 3 and len(space.grow(asleep)) == 4 * 4
    assert len(space.morphisms(space.from_digits("222222"))) == 6


def test_equal_cells_are_folded_in_the_drawing():
    drawn = picture(SPACE.plan(SPACE.from_digits("420211")))
    cells = [n for n in drawn["nodes"] if n["kind"] == "cell"]
    assert [(n["repeat"], n["detail"], n["opens"]) for n in cells] == [(5, "×5", "cell, 15 times")] * 3
    assert len(drawn["nodes"]) == 19
    (cell,) = drawn["details"]
    assert [n["title"] for n in cell["nodes"]] == ["0", "1", "2", "3"]
    assert [(e["source"][-5:], e["target"][-5:], e["title"]) for e in cell["edges"]] == [
        ("in0", "node1", "avg 3×3"),
        ("in0", "node2", "conv 1×1"),
        ("in0", "node3", "conv 1×1"),
        ("node1", "node3", "skip"),
        ("node2", "node3", "skip"),
    ]


def test_live_features_leave_dead_edges_out():
    features = SPACE.features(SPACE.from_digits("334410"))
    assert {k: v for k, v in features.items() if k in NAMES} == {
        "edge0_1": OPS[3], "edge0_3": OPS[4], "edge1_3": OPS[1],
    }  # fmt: skip
    assert (features["paths"], features["longest_path"]) == (2, 1)
    assert SPACE.features(SPACE.from_digits("000000"))["paths"] == 0


def test_words():
    a, b = SPACE.from_digits("330010"), SPACE.from_digits("330030")
    assert SPACE.describe_change(a, b) == "edge 1→3: skip → conv 3×3"
    assert SPACE.difference(a, b) == [("edge 1→3", "skip", "conv 3×3")]
    assert SPACE.short_name(a) == "2×conv3 1×skip 330010"


def test_small_images():
    assert Nasbench201.suggested(DIGITS) == {"cells": 1}
    assert Nasbench201.fits(data_spec((1, 3, 3))) and Nasbench201.fits(data_spec((1, 64)))
    odd = Nasbench201(Nasbench201Options(cells=1)).bind(data_spec((1, 7, 5)))
    assert odd.plan(odd.from_digits("333333")).n_outputs == 10


def test_fewer_operations():
    space = Nasbench201(Nasbench201Options(operations=("skip_connect", "nor_conv_3x3"))).bind(DIGITS)
    assert space.size() == 64
    with pytest.raises(InvalidArchitecture, match="edge0_1"):
        space.from_digits("000000")
