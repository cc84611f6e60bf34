"""Grammar-based: a cell derived from sequences, branchings, residuals and operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np

from engine.architecture import Architecture, Option
from engine.errors import InvalidArchitecture
from engine.network import canonical
from engine.network.assemble import Assembler
from engine.network.canonical import Item
from engine.network.morphism import Made, Morphism
from engine.spaces._decision import draw
from engine.spaces._offers import Capability
from engine.spaces._outline import Outline
from engine.spaces._shared import cell_network as cells
from engine.spaces._shared.cell_network import CellNetwork, CellOptions
from engine.spaces._tree.counts import ROOT, Trees, children_of, depth_of
from engine.spaces._tree.options import PRESETS, RULES, TreeOptions
from engine.spaces._tree.writing import Part, read_term, rule_of, written
from engine.spaces.base import Decision, Preset


class Tree(CellNetwork):
    """A cell derived from T -> operation | seq(T, ...) | branch_add(T, ...) | branch_cat(T, ...) | residual(T).

    One decision for each place of the tree, named by the way to it: "root", "root.1", "root.1.2" ...; what exists
    follows from the places above. Depth and leaves are bounded by offering only what leaves an operation for each open
    place. The prior takes an operation at level d of D with probability (d - 1/2) / D, a rule otherwise.
    """

    name: ClassVar[str] = "tree"
    summary: ClassVar[str] = "Grammar-based: trees of sequences, branchings, residuals and operations."
    reference: ClassVar[str] = (
        "Schrodi et al. 2023, Construction of Hierarchical NAS Spaces based on CFGs; Ericsson et al. 2024, einspace"
    )
    Options: ClassVar[type[CellOptions]] = TreeOptions
    entangled: ClassVar[bool] = True
    unavailable: ClassVar[Mapping[Capability, str]] = {
        "supernet": "its networks unfold to any shape: there are no places that all of them have",
        "mixture": "its networks unfold to any shape: there are no places that all of them have",
    }
    notation: ClassVar[str] = (
        "A term of seq, branch_add, branch_cat, residual and operations: "
        "seq(conv3, branch_add(sep3, skip), residual(conv5))."
    )
    presets: ClassVar[tuple[Preset, ...]] = PRESETS

    @property
    def _opt(self) -> TreeOptions:
        return cast(TreeOptions, self.options)

    # -- the process --------------------------------------------------------------------------
    @cached_property
    def _rules(self) -> dict[str, int]:
        """Rule with its number of parts -> that number; fewest first."""
        rules = {"residual": 1} if "residual" in self._opt.rules else {}
        many = [rule for rule in self._opt.rules if rule != "residual"]
        return rules | {f"{rule}{n}": n for n in self._opt.parts for rule in many}

    @property
    def _trees(self) -> Trees:
        cache = self._caches.setdefault("trees", {})
        if not cache:
            o = self._opt
            cache["all"] = Trees(o.operations, self._rules, o.depth, o.max_leaves, self._allowed)
        trees: Trees = cache["all"]
        return trees

    def _decision(self, position: str, most: int) -> Decision:
        """The decision of a place when a rule of up to `most` parts fits there."""
        cache = self._caches.setdefault("decisions", {})
        if (position, most) not in cache:
            level = depth_of(position)
            rules = tuple(r for r, n in self._rules.items() if n <= most) if level < self._opt.depth else ()
            cache[position, most] = Decision(
                position, (*self._opt.operations, *rules), False, f"level {level}", "An operation, or a rule."
            )
        found: Decision = cache[position, most]
        return found

    def _open(self, partial: Mapping[str, Option]) -> tuple[list[str], int]:
        """(places that are not decided, the next one last; leaves so far)."""
        stack, leaves, rules = [ROOT], 0, self._rules
        while stack and stack[-1] in partial:
            position = stack.pop()
            n = rules.get(str(partial[position]), 0)
            leaves += not n
            for k in range(n, 0, -1):
                stack.append(f"{position}.{k}")
        return stack, leaves

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        places, leaves = self._open(partial)
        return self._decision(places[-1], min(3, self._opt.max_leaves - leaves - len(places) + 1)) if places else None

    def _all(self) -> list[Decision]:
        out, stack = [], [ROOT]
        while stack:
            position = stack.pop()
            out.append(self._decision(position, min(3, self._opt.max_leaves)))
            if depth_of(position) < self._opt.depth:
                widest = max((n for n in self._rules.values() if n <= self._opt.max_leaves), default=0)
                stack.extend(reversed(children_of(position, widest)))
        return out

    def _completes(self, partial: Mapping[str, Option]) -> bool:
        return self.count(partial) > 0

    def count(self, partial: Mapping[str, Option]) -> int:
        """Trees below the open places, by dynamic programming over levels and leaves."""
        places, leaves = self._open(partial)
        found = self._trees.product([self._trees.counts(p) for p in places])
        return sum(found[: self._opt.max_leaves - leaves + 1])

    def sample(self, rng: np.random.Generator) -> Architecture:
        """An operation at level d of D with probability (d - 1/2) / D, else a rule; each uniform over those offered."""
        depth, operations = self._opt.depth, self._opt.operations
        count = len(operations)
        numbers = iter(rng.random(2 * depth * self._opt.max_leaves + 2).tolist())

        def choose(options: tuple[Option, ...], level: int) -> Option:
            # operations stand first; a restriction may have taken some away
            first = count if options[:count] == operations else sum(o in operations for o in options)
            u, v = next(numbers), next(numbers)
            if first == len(options) or (first and u * depth < level - 0.5):
                return options[int(v * first)]
            return options[first + int(v * (len(options) - first))]

        if self._allowed:
            return self._walk(lambda d: choose(d.options, depth_of(d.name)))
        out: list[tuple[str, Option]] = []
        stack, free, rules = [(ROOT, 1)], self._opt.max_leaves, self._rules
        decisions = self._caches.setdefault("decisions", {})
        while stack:
            position, level = stack.pop()
            most = free if free < 3 else 3  # leaves that are left for this place
            decision = decisions.get((position, most)) or self._decision(position, most)
            option = choose(decision.options, level)
            out.append((position, option))
            n = rules.get(str(option), 0)
            if n:
                free -= n - 1
                stack += [(f"{position}.{k}", level + 1) for k in range(n, 0, -1)]
        return Architecture(self.name, tuple(out))

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """Every tree alike: leaves by their share of all trees, then place by place."""
        return Architecture(self.name, tuple(self._trees.draw(rng)))

    def _redraw(
        self, arch: Architecture, targets: list[str], rng: np.random.Generator
    ) -> tuple[Architecture, list[str]]:
        """As everywhere, but a rule above other targets keeps them, new places become operations where they may, and
        no more leaves are added than are free: so that what was not meant to change does not.
        """
        below = {part.position: sum(not p.parts for p in part.all()) for part in self.derivation(arch).all()}
        free = self._opt.max_leaves - below[ROOT]
        reached: list[str] = []

        def leaves(place: str, option: Option) -> int:
            """Leaves under a place once it has this option and keeps the parts it has."""
            parts = children_of(place, self._rules.get(str(option), 0))
            return sum(below.get(p, 1) for p in parts) or 1

        def choose(d: Decision) -> Option:
            nonlocal free
            if d.name not in arch.choices:
                return draw(tuple(o for o in d.options if o in self._opt.operations) or d.options, rng)
            old = arch[d.name]
            others = tuple(o for o in d.options if o != old)
            if d.name not in targets or not others:
                return old if old in d.options else draw(d.options, rng)
            reached.append(d.name)
            inside = [int(t[len(d.name) + 1 :].split(".")[0]) for t in targets if t.startswith(f"{d.name}.")]
            keeps = tuple(o for o in others if self._rules.get(str(o), 0) >= max(inside, default=0)) or others
            new = draw(tuple(o for o in keeps if leaves(d.name, o) - below[d.name] <= free) or keeps, rng)
            free -= leaves(d.name, new) - below[d.name]
            return new

        return self._walk(choose), reached

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """One tree with a subtree of the other at the same place; what does not fit stays, or is drawn anew."""
        base, donor = (a, b) if rng.integers(2) else (b, a)
        shared = [name for name, _ in base.items if name in donor.choices]
        at = str(draw(shared, rng))

        def choose(d: Decision) -> Option:
            inside = d.name == at or d.name.startswith(f"{at}.")
            for parent in (donor, base) if inside else (base, donor):
                if parent.choices.get(d.name) in d.options:
                    return parent[d.name]
            return draw(d.options, rng)

        return self._walk(choose)

    # -- the tree -----------------------------------------------------------------------------
    def derivation(self, arch: Architecture) -> Part:
        """The tree of an architecture."""

        def part(position: str) -> Part:
            option = str(arch[position])
            return Part(position, option, tuple(part(p) for p in children_of(position, self._rules.get(option, 0))))

        return part(ROOT)

    def _cell(self, net: Assembler, x: str, arch: Architecture, name: str, group: str, channels: int) -> str:
        prefix = name.replace(".", "_")

        def build(part: Part, x: str) -> str:
            id = f"{prefix}_{_id(part.position)}"
            rule = rule_of(part.option)
            if not part.parts:
                return cells.add_operation(net, id, part.option, x, group, name)
            if rule == "seq":
                for p in part.parts:
                    x = build(p, x)
                return x
            ends = [build(p, x) for p in part.parts]
            if rule == "residual":
                ends.append(x)
            return cells.add_join(net, id, "concat" if rule == "branch_cat" else "sum", ends, group, name)

        return build(self.derivation(arch), x)

    def _cell_items(self, arch: Architecture) -> list[Item]:
        items: list[Item] = []

        def build(part: Part, x: int) -> int:
            rule = rule_of(part.option)
            if rule == "seq":
                for p in part.parts:
                    x = build(p, x)
                return x
            if part.parts:
                ends = [build(p, x) for p in part.parts] + ([x] if rule == "residual" else [])
                items.append(cells.join_item("concat" if rule == "branch_cat" else "sum", ends))
            else:
                items.append(cells.item(part.option, x))
            return len(items) - 1

        build(self.derivation(arch), -1)
        return items

    # -- larger ones, and other ones with the same function -----------------------------------
    def _stage(self, arch: Architecture) -> int:
        return sum(str(option) not in self._rules for _, option in arch.items)

    def _made(self, arch: Architecture, changes: Mapping[str, Option]) -> Architecture | None:
        """With other places, or None where the bounds or a restriction do not allow it."""
        try:
            return self.validate({**arch.choices, **changes})
        except InvalidArchitecture:
            return None

    def _grow(self, arch: Architecture) -> list[Architecture]:
        """One more operation: behind or beside another one, or as a further part of a rule."""
        out: list[Architecture | None] = []
        for part in self.derivation(arch).all():
            for rule in ("seq", "branch_add", "branch_cat"):
                n = len(part.parts)
                if f"{rule}{n + 1 if n else 2}" not in self._rules or (n and part.option != f"{rule}{n}"):
                    continue
                old = {} if n else {f"{part.position}.1": part.option}
                for op in self._opt.operations:
                    if op != "skip" or rule != "seq":  # a skip behind something is nothing more
                        new = f"{part.position}.{n + 1 if n else 2}"
                        changes = {part.position: f"{rule}{n + 1 if n else 2}", **old, new: op}
                        out.append(self._made(arch, changes))
        return [a for a in out if a is not None]

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        """Larger windows; a convolution more, beside others or behind them in a residual, that adds nothing yet."""
        out: list[Morphism] = []

        def offer(changes: dict[str, Option], what: str, made: Any) -> None:
            child = self._made(arch, changes)
            if child is not None:
                out.append(Morphism(child, what, self._every_cell(made)))

        for part in self.derivation(arch).all():
            p, n, title = part.position, len(part.parts), self.title(part.position)
            for new in cells.wider_windows(part.option, self._opt.operations) if not n else ():
                grown = cells.window_weights(_id(p), part.option, new, self._dims)
                what = f"{title}: {self._operation_words(part.option)} within a {self._operation_words(new)}"
                offer({p: new}, what, lambda width, made=grown: made)
            for op in self._opt.operations:
                if op[:-1] not in cells.TENSORS:
                    continue
                words = f"{self._operation_words(op)} that adds nothing yet"
                last = f"{p}.{n + 1}"
                silent = cells.silent_weights(_id(last), op)
                if not n:
                    moved = cells.moved_weights(_id(p), f"{_id(p)}_1", part.option)
                    silent = cells.silent_weights(f"{_id(p)}_2", op)
                    offer({p: "branch_add2", f"{p}.1": part.option, f"{p}.2": op}, f"{title}: beside it {words}",
                          lambda width, made=moved | silent: made)  # fmt: skip
                elif part.option == f"branch_add{n}":
                    offer({p: f"branch_add{n + 1}", last: op}, f"{title}: one more branch, {words}",
                          lambda width, made=silent: made)  # fmt: skip
                elif part.option == f"branch_cat{n}":
                    fresh = {name: Made() for name in silent}
                    weight = f"{_id(p)}.conv.weight"
                    offer({p: f"branch_cat{n + 1}", last: op}, f"{title}: one more branch, {words}",
                          lambda width, made=fresh, w=weight: {**made, w: Made(w, pad={1: (0, width)})})  # fmt: skip
                elif part.option == f"seq{n}":
                    inner = cells.silent_weights(f"{_id(last)}_1", op)
                    changes: dict[str, Option] = {p: f"seq{n + 1}", last: "residual", f"{last}.1": op}
                    offer(changes, f"{title}: behind it a residual {words}", lambda width, made=inner: made)
        return out

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """The decisions, and the shape of the tree: leaves, levels, how often each operation and each rule."""
        options = Counter(rule_of(str(option)) if str(option) in self._rules else str(option)
                          for _, option in arch.items)  # fmt: skip
        return {
            **super().features(arch),
            "leaves": float(self._stage(arch)),
            "levels": float(max(depth_of(name) for name, _ in arch.items)),
            **{f"n_{o}": float(options[o]) for o in (*self._opt.operations, *self._opt.rules)},
        }

    # -- writing and words --------------------------------------------------------------------
    def write(self, arch: Architecture) -> str:
        """ "seq(conv3, branch_add(sep3, skip), residual(conv5))"."""
        return written(self.derivation(arch))

    def _read(self, text: str) -> Architecture:
        return self.validate(read_term(text, self.notation))

    def title(self, decision: str) -> str:
        """ "root", "part 1.2"."""
        return decision if decision == ROOT else f"part {decision.removeprefix(f'{ROOT}.')}"

    def format(self, decision: str, option: Option) -> str:
        """ "separable 5×5", "sequence of 2"."""
        words = {"seq": "sequence of", "branch_add": "sum of", "branch_cat": "join of", "residual": "residual"}
        rule = rule_of(str(option))
        if rule not in RULES:
            return self._operation_words(str(option))
        return f"{words[rule]} {str(option).removeprefix(rule)}".strip()

    def short_name(self, arch: Architecture) -> str:
        """ "5 leaves 2×sep3 1×conv3 a1f0": what is most frequent, and a mark that tells trees apart."""
        ops = Counter(str(option) for _, option in arch.items if str(option) not in self._rules)
        common = " ".join(f"{times}×{op}" for op, times in ops.most_common(2))
        return f"{ops.total()} leaves {common} {canonical.digest(arch.key)[:4]}"

    def _cell_outline(self, drawing: Outline, repeat: str | None) -> str:
        o = self._opt
        names = [d.name for d in self._all()]
        inner = [name for name in names if depth_of(name) < o.depth]
        leaves = [name for name in names if depth_of(name) == o.depth]
        return drawing.part(
            "cell", "cell", "tree", f"up to {o.max_leaves} operations on {o.depth} levels", repeat=repeat,
            decide=[(inner, "a rule or an operation, each place by itself"),
                    (leaves, "an operation, each place of the last level by itself")],
        )  # fmt: skip


def _id(position: str) -> str:
    return position.replace(".", "_")
