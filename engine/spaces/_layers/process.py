"""The decisions of the space `layers`: which there are, in which order, and how many architectures follow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import cast

from engine.architecture import Architecture, Option
from engine.spaces._layers.options import LayersOptions
from engine.spaces.base import Decision, SearchSpace

_UNKNOWN_SIDE = 1 << 30


class LayersProcess(SearchSpace):
    """The process of decisions of `layers`, without the networks."""

    @property
    def _opt(self) -> LayersOptions:
        return cast(LayersOptions, self.options)

    # -- strides and places of pooling ----------------------------------------------------------
    @cached_property
    def _stem_sides(self) -> tuple[int, ...]:
        o = self._opt
        sides = tuple(self.data.input_shape[1:]) if self.data else (_UNKNOWN_SIDE,)
        if not o.stem_kernel:
            return sides
        padding = o.stem_kernel // 2
        return tuple((side + 2 * padding - o.stem_kernel) // o.stem_stride + 1 for side in sides)

    @cached_property
    def _places(self) -> dict[str, Decision]:
        """Decisions about strides and places of pooling, by name."""
        o = self._opt
        out: dict[str, Decision] = {}
        for k in range(max(o.depth) + 1):
            group, part = (f"block {k}", f"block{k}") if k else ("stem", "stem")
            if k and o.stride != (1,):
                out[f"{part}_stride"] = Decision(
                    f"{part}_stride", o.stride, True, group, "Stride of its convolution: 2 halves the image."
                )
            if k in o.pool_after and o.pool_where != (True,) and (k or o.stem_kernel):
                out[f"{part}_pool"] = Decision(f"{part}_pool", o.pool_where, False, group, "Whether it is pooled here.")
        return out

    def _walk_places(self, depth: int, chosen: Mapping[str, Option]) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
        """(first open decision about places or "", sides of the image then, blocks behind which it is pooled)."""
        o, places = self._opt, self._places
        sides = self._stem_sides
        pooled: list[int] = []
        for k in range(0 if o.stem_kernel else 1, depth + 1):
            part = f"block{k}" if k else "stem"
            if k and o.stride != (1,):
                if f"{part}_stride" not in chosen:
                    return f"{part}_stride", sides, tuple(pooled)
                if chosen[f"{part}_stride"] == 2:
                    sides = tuple((side + 1) // 2 for side in sides)
            if k in o.pool_after and (k < depth or o.pool_last) and min(sides) >= 2 * o.pool_size:
                if f"{part}_pool" in places:
                    if f"{part}_pool" not in chosen:
                        return f"{part}_pool", sides, tuple(pooled)
                    if not chosen[f"{part}_pool"]:
                        continue
                sides = tuple(side // o.pool_size for side in sides)
                pooled.append(k)
        return "", sides, tuple(pooled)

    def pools(self, depth: int, chosen: Mapping[str, Option] | None = None) -> tuple[int, ...]:
        """Blocks behind which a network of this depth pools: where blocks follow and 2 pixels stay.

        Args:
            depth: number of blocks.
            chosen: strides and places of pooling, where they are decided; None = every place where it can be pooled.
        """
        if not self._places:
            return self._always(depth)
        if chosen is None:
            return self._possible(depth)
        cache = self._cache("pools")
        key = (depth, tuple((n, chosen[n]) for n in self._places if n in chosen))
        if key not in cache:
            cache[key] = self._walk_places(depth, chosen)[2]
        found: tuple[int, ...] = cache[key]
        return found

    def _always(self, depth: int) -> tuple[int, ...]:
        """`pools` where nothing about it is decided."""
        cache = self._cache("always")
        if depth not in cache:
            cache[depth] = self._walk_places(depth, {})[2]
        found: tuple[int, ...] = cache[depth]
        return found

    def _possible(self, depth: int) -> tuple[int, ...]:
        """Where it can be pooled if it is as little as can be before."""
        least: dict[str, Option] = {n: False if n.endswith("_pool") else min(self._opt.stride) for n in self._places}
        out = []
        for k in self._opt.pool_after:
            name = f"block{k}_pool" if k else "stem_pool"
            if name not in self._places:
                return self._walk_places(depth, least)[2]  # only strides are decided
            if True in self._opt.pool_where and k in self._walk_places(depth, {**least, name: True})[2]:
                out.append(k)
        return tuple(out)

    # -- the process --------------------------------------------------------------------------
    @cached_property
    def _depth(self) -> Decision:
        return Decision("depth", self._opt.depth, True, "network", "Number of blocks.")

    @cached_property
    def _fixed(self) -> dict[str, Decision]:
        """Decisions about the network as a whole, in order."""
        o = self._opt
        out = [
            Decision("width", o.width, True, "stem", "Channels of the stem and the first blocks."),
            Decision("pool", o.pool, False, "pool", "Kind of pooling, one for all."),
            Decision("widen", o.widen, True, "pool", "Factor on the channels behind each pooling."),
            Decision("norm", o.norm, False, "blocks", "Normalisation, one for all blocks."),
            Decision("activation", o.activation, False, "blocks", "Activation, one for all blocks."),
            Decision("head_pool", o.head_pool, False, "head", "How the last image becomes a vector."),
            Decision("dense", o.dense, True, "head", "Units of a dense layer before the output."),
            *(
                Decision(f"dense{i}", o.dense, True, "head", f"Units of dense layer {i}.")
                for i in range(2, o.dense_layers + 1)
            ),
            Decision("dropout", o.dropout, True, "head", "Dropout rate before the output."),
        ]
        # what would decide nothing is left out
        idle = {"width": bool(o.block_width) and not o.stem_kernel, "widen": bool(o.block_width),
                "head_pool": o.head_pool == ("avg",)}  # fmt: skip
        return {d.name: d for d in out if not idle.get(d.name)}

    @cached_property
    def _block_decisions(self) -> tuple[tuple[Decision, ...], ...]:
        """By block, from the first."""
        o = self._opt
        out = []
        for k in range(1, max(o.depth) + 1):
            part, group = f"block{k}", f"block {k}"
            mine = [Decision(f"{part}_op", o.operation, False, group, "Convolution of this block.")]
            if o.block_width:
                mine.append(Decision(f"{part}_width", o.block_width, True, group, "Its channels."))
            if o.block_factor != (1.0,):
                mine.append(Decision(f"{part}_factor", o.block_factor, True, group, "Factor on its channels."))
            if o.block_dropout != (0.0,):
                mine.append(Decision(f"{part}_dropout", o.block_dropout, True, group, "Dropout at its end."))
            if o.connections == "residual":
                mine.append(Decision(f"{part}_skip", o.skip, False, group, "Its input is added to its output."))
            else:
                mine += [
                    Decision(f"{part}_from{j}", o.skip, False, group, f"The output of block {j} is added to its own.")
                    for j in range(1, k)
                ]
            out.append(tuple(mine))
        return tuple(out)

    def _order(self, depth: int, pools: tuple[int, ...]) -> tuple[Decision, ...]:
        """Decisions behind depth and places, where it is pooled behind these blocks."""
        cache = self._cache("order")
        key = (depth, bool(pools), any(k < depth for k in pools))
        if key not in cache:
            idle = {"pool": not key[1], "widen": not key[2]}
            fixed = (d for n, d in self._fixed.items() if not idle.get(n))
            cache[key] = (*fixed, *(d for block in self._block_decisions[:depth] for d in block))
        found: tuple[Decision, ...] = cache[key]
        return found

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        if "depth" not in partial:
            return self._depth
        depth = int(cast(int, partial["depth"]))
        if self._places:
            if self._order(depth, ())[0].name not in partial and (open_ := self._walk_places(depth, partial)[0]):
                return self._places[open_]
            order = self._order(depth, self.pools(depth, partial))
        else:
            order = self._orders[depth]
            at = len(partial) - 1
            # choices made in order: the next one is where it is expected
            usual = self._opt.dense_layers == 1 and 0 < at < len(order)
            if usual and order[at].name not in partial and order[at - 1].name in partial:
                return order[at]
        for decision in order:
            if decision.name not in partial and not self._idle(decision.name, partial):
                return decision
        return None

    @cached_property
    def _orders(self) -> dict[int, tuple[Decision, ...]]:
        """Decisions behind the depth, where places are not decided."""
        return {depth: self._order(depth, self._always(depth)) for depth in self._opt.depth}

    def _idle(self, name: str, partial: Mapping[str, Option]) -> bool:
        """Whether it is a further dense layer behind none."""
        if not name.startswith("dense") or name == "dense":
            return False
        before = int(name.removeprefix("dense")) - 1
        return not partial.get("dense" if before == 1 else f"dense{before}")

    def _all(self) -> list[Decision]:
        o = self._opt
        places = dict(self._places)
        at = {(k, depth) for depth in o.depth for k in self.pools(depth)}
        for k in o.pool_after:
            if k not in {k for k, _ in at}:
                places.pop(f"block{k}_pool" if k else "stem_pool", None)
        idle = {"pool": not at, "widen": not any(k < depth for k, depth in at)}
        fixed = [d for n, d in self._fixed.items() if not idle.get(n)]
        return [self._depth, *places.values(), *fixed, *(d for block in self._block_decisions for d in block)]

    @cached_property
    def _free(self) -> dict[str, tuple[Option, ...]]:
        """Options by decision, of those that bring no others about."""
        fixed = (d for n, d in self._fixed.items() if not n.startswith("dense") or self._opt.dense_layers == 1)
        return {d.name: d.options for d in (*fixed, *(d for block in self._block_decisions for d in block))}

    def _change(self, arch: Architecture, changes: Mapping[str, Option]) -> Architecture:
        # the walk through all decisions is left out where it would end in the same ones
        free, have = self._free, arch.choices
        if not self._allowed and all(n in have and o in free.get(n, ()) for n, o in changes.items()):
            return Architecture(arch.space, tuple((n, changes.get(n, o)) for n, o in arch.items))
        return super()._change(arch, changes)

    def count(self, partial: Mapping[str, Option]) -> int:
        """A product per depth; where strides and places of pooling are decided, a sum over them first."""
        if "depth" not in partial:
            depths = self.next(partial)
            return sum(self.count({**partial, "depth": o}) for o in (depths.options if depths else ()))
        depth = int(cast(int, partial["depth"]))
        dense = self._count_dense(partial)
        if not self._places:
            return dense * self._count_free(self._order(depth, self._always(depth)), partial)
        total = 0
        for (somewhere, before), ways in self._count_places(depth, partial).items():
            pools = (depth - 1,) if before else (depth,) if somewhere else ()
            total += ways * self._count_free(self._order(depth, pools), partial)
        return dense * total

    def _count_free(self, order: tuple[Decision, ...], partial: Mapping[str, Option]) -> int:
        free = (d for d in order if d.name not in partial and not d.name.startswith("dense"))
        return prod(len(self._allowed.get(d.name, d.options)) for d in free)

    def _count_places(self, depth: int, chosen: Mapping[str, Option]) -> dict[tuple[bool, bool], int]:
        """(pooled anywhere, pooled before the last block) -> ways to decide strides and places of pooling.

        Block by block; what counts of the blocks before is only how large the image is behind them.
        """
        o, places = self._opt, self._places

        def options(name: str) -> tuple[Option, ...]:
            return (chosen[name],) if name in chosen else self._allowed.get(name, places[name].options)

        states: dict[tuple[tuple[int, ...], bool, bool], int] = {(self._stem_sides, False, False): 1}
        for k in range(0 if o.stem_kernel else 1, depth + 1):
            part = f"block{k}" if k else "stem"
            after: dict[tuple[tuple[int, ...], bool, bool], int] = {}
            strides = options(f"{part}_stride") if f"{part}_stride" in places else (1,)
            pools = k in o.pool_after and (k < depth or o.pool_last)
            for (before, somewhere, inside), ways in states.items():
                for stride in strides:
                    sides = tuple((side + 1) // 2 for side in before) if stride == 2 else before
                    here: tuple[Option, ...] = (False,)
                    if pools and min(sides) >= 2 * o.pool_size:
                        here = options(f"{part}_pool") if f"{part}_pool" in places else (True,)
                    for pooled in here:
                        end = tuple(side // o.pool_size for side in sides) if pooled else sides
                        key = (end, somewhere or bool(pooled), inside or bool(pooled) and k < depth)
                        after[key] = after.get(key, 0) + ways
            states = after
        found: dict[tuple[bool, bool], int] = {}
        for (_, somewhere, inside), ways in states.items():
            found[somewhere, inside] = found.get((somewhere, inside), 0) + ways
        return found

    def _count_dense(self, partial: Mapping[str, Option]) -> int:
        """Ways to go on with the dense layers: a layer of 0 units is the end."""
        names = [n for n in self._fixed if n.startswith("dense")]

        def ways(i: int) -> int:
            if i == len(names):
                return 1
            options = [partial[names[i]]] if names[i] in partial else self._allowed.get(names[i], self._opt.dense)
            rest = ways(i + 1)
            return sum(rest if o else 1 for o in options)

        return ways(0)
