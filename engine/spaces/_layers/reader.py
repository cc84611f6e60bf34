"""From the words of a written sequence to an architecture of `layers`."""

from __future__ import annotations

from math import inf, log
from typing import TYPE_CHECKING, Any, cast

from engine.architecture import Architecture, Option
from engine.spaces._decision import Decision
from engine.spaces._layers.text import Conv, Sentence, Word

if TYPE_CHECKING:
    from engine.spaces.layers import Layers


class Reader(Sentence):
    """Reads one written sequence for a space.

    Words that are left out are chosen as the space can; words that stand there and cannot be are errors.
    """

    def architecture(self) -> Architecture:
        """The architecture the words describe."""
        stem = 1 if self.opt.stem_kernel else 0
        depth = len(self.convs) - stem
        wanted: dict[str, tuple[Option, Word]] = {}
        self._depth(depth, stem)
        wanted["depth"] = (depth, self.convs[-1].word)
        if stem:
            self._stem(self.convs[0])
        self._move_dropout()
        if self.norm:
            wanted["norm"] = (self.norm[1], self.norm[0])
        if self.activation:
            wanted["activation"] = (self.activation[1], self.activation[0])
        if self.end and (self.end[1] != "avg" or "head_pool" in self.offered):
            wanted["head_pool"] = (self.end[1], self.end[0])
        for i, (word, units) in enumerate(self.dense, start=1):
            some = [u for u in self.opt.dense if u]
            wanted["dense" if i == 1 else f"dense{i}"] = (units if units is not None else (some or [-1])[0], word)
        if self.dropout:
            rates = [r for r in self.opt.dropout if r]
            rate = self.dropout[1]
            wanted["dropout"] = (rate if rate is not None else (rates or [-1.0])[0], self.dropout[0])
        for k, conv in enumerate(self.convs[stem:], start=1):
            self._block(k, conv, wanted)
        for k, conv in enumerate(self.convs, start=1 - stem):
            name = f"block{k}_pool" if k else "stem_pool"
            if name in self.offered:
                wanted[name] = (conv.pool is not None, conv.pool[0] if conv.pool else conv.word)
            if conv.pool and conv.pool[1]:
                old = wanted.setdefault("pool", (conv.pool[1], conv.pool[0]))
                if old[0] != conv.pool[1]:
                    conv.pool[0].refuse(f"one kind of pooling for all, and word {old[1].place} is {old[1].text!r}")
        arch = self._best(wanted, stem)
        self._check(arch, stem)
        return arch

    def _depth(self, depth: int, stem: int) -> None:
        depths = cast(list[int], list(self.offered["depth"].options))
        if depth in depths:
            return
        has = f"this space has {'a stem and ' if stem else ''}{_list(depths)} blocks"
        more = [d for d in depths if d < depth]
        if more:
            self.convs[more[-1] + stem].word.refuse(f"{has}, and this is block {more[-1] + 1}")
        self.convs[-1].word.refuse(f"{has}, and no convolution follows this one")

    def _stem(self, conv: Conv) -> None:
        o = self.opt
        if conv.factor is not None:
            conv.word.refuse("only a block's channels have a factor")
        if conv.kind != "conv" or conv.kernel not in (None, o.stem_kernel):
            conv.word.refuse(f"the first convolution is the stem, conv{o.stem_kernel} in this space")
        if conv.stride != o.stem_stride and "/" in conv.word.text:
            conv.word.refuse(f"the stem has stride {o.stem_stride} in this space")
        for word, _ in conv.joins:
            word.refuse("the stem has nothing to join in")
        if conv.dropout:
            conv.dropout[0].refuse("the stem has no dropout")

    def _move_dropout(self) -> None:
        last = self.convs[-1]
        if last.dropout and not (self.dense or self.dropout) and self.opt.block_dropout == (0.0,):
            word = last.dropout[0]
            self.dropout, last.dropout = (word, last.dropout[1] if "-" in word.text else None), None

    def _block(self, k: int, conv: Conv, wanted: dict[str, tuple[Option, Word]]) -> None:
        part, operations = f"block{k}", self.offered[f"block{k}_op"].options
        if conv.kernel is None:
            mine = [str(o) for o in operations if str(o).startswith(conv.kind)]
            operation = f"{conv.kind}3" if f"{conv.kind}3" in mine or not mine else mine[0]
        else:
            operation = f"{conv.kind}{conv.kernel}"
        wanted[f"{part}_op"] = (operation, conv.word)
        if conv.stride != 1 or f"{part}_stride" in self.offered:
            wanted[f"{part}_stride"] = (conv.stride, conv.word)
        if conv.factor is not None:
            wanted[f"{part}_factor"] = (conv.factor, conv.word)
        if conv.dropout:
            wanted[f"{part}_dropout"] = (conv.dropout[1], conv.dropout[0])
        if conv.channels is not None and f"{part}_width" in self.offered:
            wanted[f"{part}_width"] = (conv.channels, conv.word)
        for word, j in conv.joins:
            if self.opt.connections == "residual" and j in (0, k - 1):
                wanted[f"{part}_skip"] = (True, word)
            elif self.opt.connections == "residual":
                word.refuse("a block joins only its own input in this space (connections: residual)")
            else:
                wanted[f"{part}_from{j or k - 1}"] = (True, word)

    def _best(self, wanted: dict[str, tuple[Option, Word]], stem: int) -> Architecture:
        """Width and widening that come nearest to the channels written."""
        best: tuple[float, Architecture | None] = (inf, None)
        first = self.convs[0].word
        alone = Decision("", (None,))
        for width in self.offered.get("width", alone).options:
            for widen in self.offered.get("widen", alone).options:
                trial = dict(wanted)
                if width is not None:
                    trial["width"] = (width, first)
                if widen is not None:
                    trial["widen"] = (widen, first)
                arch = self._walk(trial, loose=("widen",))
                if any(n.endswith("_factor") for n in arch.choices):
                    arch = self._factors(arch, trial, stem)
                off = sum(abs(log(have / c.channels)) for have, c in self._channels(arch, stem) if c.channels)
                # of two that fit alike, the one with fewer factors
                off += 1e-9 * sum(abs(log(cast(float, o))) for n, o in arch.items if n.endswith("_factor"))
                if off < best[0]:
                    best = (off, arch)
        assert best[1] is not None
        return best[1]

    def _channels(self, arch: Architecture, stem: int) -> list[tuple[int, Conv]]:
        layout = self.space.layout(arch)
        have = [layout.stem.channels] * stem + [block.channels for block in layout.blocks]
        return list(zip(have, self.convs, strict=True))

    def _factors(self, arch: Architecture, trial: dict[str, tuple[Option, Word]], stem: int) -> Architecture:
        tried = {}
        for name, d in ((n, self.offered[n]) for n in arch.choices if n.endswith("_factor")):
            k = int(name.removeprefix("block").removesuffix("_factor"))
            if name in trial:
                continue
            target = self.convs[k - 1 + stem].channels
            near = []
            for option in d.options:
                other = self.space._change(arch, {name: option})
                have = self.space.layout(other).blocks[k - 1].channels
                simple = abs(log(cast(float, option)))
                near.append(((abs(log(have / target)) if target else 0.0, simple), option))
            tried[name] = (min(near, key=lambda pair: pair[0])[1], self.convs[k - 1 + stem].word)
        return self._walk({**trial, **tried}, loose=("widen",))

    def _walk(self, wanted: dict[str, tuple[Option, Word]], loose: tuple[str, ...] = ()) -> Architecture:
        def choose(d: Decision) -> Option:
            if d.name in wanted:
                option, word = wanted[d.name]
                for o in d.options:
                    if o == option and isinstance(o, bool) == isinstance(option, bool):
                        return o
                said = ", ".join(self.space.format(d.name, o) for o in d.options)
                word.refuse(f"this space offers {said} as {self.space.title(d.name)}")
            return _plainest(d)

        arch = self.space._walk(choose)
        for name, (option, word) in wanted.items():
            idle = name in arch.choices or name in loose or option in (False, "avg")
            if name not in arch.choices and name == "head_pool":
                idle = option == "avg"
            if not idle:
                word.refuse(f"this space does not decide {_words(self.space, name)} here")
        return arch

    def _check(self, arch: Architecture, stem: int) -> None:
        """What is no decision must still be what was written."""
        pools = self.space.pools(int(cast(int, arch["depth"])), arch.choices)
        for k, conv in enumerate(self.convs, start=1 - stem):
            if conv.pool and k not in pools:
                where = _list(list(pools)) if pools else "no block"
                conv.pool[0].refuse(f"this network pools behind {where} (option pool after), and this is block {k}")
            if conv.pool and conv.pool[2] not in (0, self.opt.pool_size):
                conv.pool[0].refuse(f"pooling has the size {self.opt.pool_size} in this space")
        for have, conv in self._channels(arch, stem):
            if conv.channels not in (None, have):
                conv.word.refuse(f"the nearest this space has here is {have} channels")


def _plainest(d: Decision) -> Option:
    """What a word left out means: nothing, where that is offered."""
    plain: tuple[Any, ...] = (False, "none", 0, 1)
    for option in d.options:
        if any(option == p and isinstance(option, bool) == isinstance(p, bool) for p in plain):
            return option
    return d.options[0]


def _words(space: Layers, name: str) -> str:
    try:
        return space.title(name)
    except (KeyError, ValueError):
        return name.replace("_", " ")


def _list(numbers: list[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} or {last}" if most else last
