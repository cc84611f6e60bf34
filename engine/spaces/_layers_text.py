"""The written sequence of `layers`: "conv3-32 bn relu +skip pool-max flatten dense-64 relu dropout-0.2 softmax"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, log
from typing import TYPE_CHECKING, Any, NoReturn, cast, get_args

from engine.architecture import Architecture, Option
from engine.errors import InvalidArchitecture
from engine.spaces._decision import Decision
from engine.spaces._layers_network import Layout
from engine.spaces._layers_options import Activation

if TYPE_CHECKING:
    from engine.spaces.layers import Layers

NOTATION = (
    "A sequence of words: conv3-32 bn relu +skip pool-max flatten dense-64 relu dropout-0.2 softmax. Operations are "
    "conv, sep, max and avg with window, channels and /stride; +3 joins block 3 in; numbers may be left out; the first "
    "convolution is the stem, where there is one; softmax stands for the output layer."
)
_NORMS = {"bn": "batch", "gn": "group", "ln": "layer", "batch": "batch", "group": "group", "layer": "layer",
          "batchnorm": "batch", "groupnorm": "group", "layernorm": "layer"}  # fmt: skip
_WRITTEN_NORM = {"batch": "bn", "group": "gn", "layer": "ln"}
_SAME = {"fc": "dense", "drop": "dropout", "maxpool": "pool-max", "avgpool": "pool-avg", "gap": "global",
         "global-avg": "global", "globalpool": "global", "linear": "output", "logits": "output", "separable": "sep",
         "hardswish": "hard_swish", "leakyrelu": "leaky_relu", "swish": "silu"}  # fmt: skip
_WORD = re.compile(r"([a-z_]+)(\d+)?(?:x\d+)?(?:-([a-z]+|\d+(?:\.\d+)?(?:e-?\d+)?))?(?:/(\d+))?")
_ACTIVATIONS = frozenset(get_args(Activation))
_LONGEST = 20_000


def write(layout: Layout) -> str:
    """A layout in words; `Reader` reads them back."""
    style, stem, blocks, head = layout
    tail = [_WRITTEN_NORM[style.norm]] if style.norm in _WRITTEN_NORM else []
    tail.append(style.activation)
    pool = f"pool-{style.pool}" + (f"/{style.pool_size}" if style.pool_size != 2 else "")
    words = []
    if stem.kernel:
        words += [f"conv{stem.kernel}-{stem.channels}{_stride(stem.stride)}", *tail]
    if stem.pooled:
        words.append(pool)
    for block in blocks:
        words += [f"{block.operation}-{block.channels}{_stride(block.stride)}", *tail]
        words += ["+skip"] if block.skip else [f"+{j}" for j in block.joins]
        if block.dropout:
            words.append(f"dropout-{block.dropout!r}")
        if block.pooled:
            words.append(pool)
    words.append("flatten" if head.flatten else "global")
    for units in head.dense:
        words += [f"dense-{units}", style.activation]
    if head.dropout:
        words.append(f"dropout-{head.dropout!r}")
    return " ".join([*words, "softmax"])


def _stride(stride: int) -> str:
    return f"/{stride}" if stride != 1 else ""


@dataclass
class _Word:
    """One word with its place, from 1."""

    text: str
    place: int

    def refuse(self, why: str) -> NoReturn:
        raise InvalidArchitecture(f"word {self.place}, {self.text[:40]!r}: {why}")


@dataclass
class _Conv:
    """One convolution and what is written behind it."""

    word: _Word
    kind: str
    kernel: int | None
    channels: int | None
    stride: int
    pool: tuple[_Word, str, int] | None = None
    dropout: tuple[_Word, float] | None = None
    joins: list[tuple[_Word, int]] = field(default_factory=list)  # 0 = its own input


class Reader:
    """Reads one written sequence for a space.

    Words that are left out are chosen as the space can; words that stand there and cannot be are errors.

    Args:
        space: bound to its data.
        text: see `NOTATION`.

    Raises:
        InvalidArchitecture: names the word that cannot be expressed, and why.
    """

    def __init__(self, space: Layers, text: str) -> None:
        if len(text) > _LONGEST:
            raise InvalidArchitecture(f"a sequence of {len(text):,} characters; at most {_LONGEST:,}")
        self.space, self.opt = space, space._opt
        self.offered = {d.name: d for d in space.all_decisions()}
        self.convs: list[_Conv] = []
        self.norm: tuple[_Word, str] | None = None
        self.activation: tuple[_Word, str] | None = None
        self.end: tuple[_Word, str] | None = None
        self.dense: list[tuple[_Word, int | None]] = []
        self.dropout: tuple[_Word, float | None] | None = None
        self.done: _Word | None = None
        words = [w for w in re.split(r"(?:\s|,|\||→|->)+", text.lower()) if w]
        for place, word in enumerate(words, start=1):
            self._read(_Word(word, place))
        if not self.convs:
            raise InvalidArchitecture(f"received {text[:60]!r}, in which there is no convolution; {NOTATION}")

    # -- words ----------------------------------------------------------------------------------
    def _read(self, word: _Word) -> None:
        text = _SAME.get(word.text, word.text)
        if self.done is not None and not (self.done.text.startswith(("output", "linear")) and text == "softmax"):
            word.refuse(f"nothing comes behind {self.done.text!r}")
        if text in _ACTIVATIONS:
            self.activation = self._one(self.activation, word, text, "activation")
        elif text in _NORMS:
            if self.end or self.dense:
                word.refuse("only convolutions have a norm here, not the head")
            self.norm = self._one(self.norm, word, _NORMS[text], "norm")
        elif text in ("global", "flatten"):
            if self.end or self.dense:
                word.refuse("the image has ended before")
            self.end = (word, "avg" if text == "global" else "flatten")
        elif text == "softmax":
            self.done = word
        elif text.startswith("+"):
            self._join(word, text[1:])
        else:
            match = _WORD.fullmatch(text)
            known: dict[str, Callable[..., None]] = {
                "conv": self._conv, "sep": self._conv, "max": self._conv, "avg": self._conv, "pool": self._pool,
                "dense": self._dense, "dropout": self._drop, "output": self._output,
            }  # fmt: skip
            if match is None or match[1] not in known:
                word.refuse(f"is no word of this notation. {NOTATION}")
            known[match[1]](word, *match.groups())

    @staticmethod
    def _one(old: tuple[_Word, str] | None, word: _Word, value: str, what: str) -> tuple[_Word, str]:
        if old is not None and old[1] != value:
            word.refuse(f"there is one {what} for the whole network, and word {old[0].place} is {old[0].text!r}")
        return old or (word, value)

    def _last(self, word: _Word) -> _Conv:
        if not self.convs or self.end or self.dense:
            word.refuse("stands behind a convolution, before the head")
        return self.convs[-1]

    def _conv(self, word: _Word, kind: str, kernel: str | None, channels: str | None, stride: str | None) -> None:
        if self.end or self.dense:
            word.refuse("convolutions come before the head (global, flatten, dense)")
        if channels is not None and not channels.isdigit():
            word.refuse("channels are a whole number, as in conv3-32")
        self.convs.append(
            _Conv(word, kind, int(kernel) if kernel else None, int(channels) if channels else None, int(stride or 1))
        )

    def _pool(self, word: _Word, _: str, number: str | None, kind: str | None, size: str | None) -> None:
        if number or kind not in (None, "max", "avg"):
            word.refuse("pooling is written pool, pool-max or pool-avg, with /size")
        conv = self._last(word)
        if conv.pool:
            word.refuse("it is pooled here before")
        conv.pool = (word, kind or "", int(size or 0))

    def _dense(self, word: _Word, _: str, number: str | None, units: str | None, stride: str | None) -> None:
        if number or stride or (units is not None and not units.isdigit()):
            word.refuse("a dense layer is written dense or dense-64")
        if self.dropout:
            word.refuse("dropout comes behind the dense layers here")
        self.dense.append((word, int(units) if units else None))

    def _drop(self, word: _Word, _: str, number: str | None, rate: str | None, stride: str | None) -> None:
        if number or stride or (rate is not None and rate.isalpha()):
            word.refuse("dropout is written dropout or dropout-0.2")
        if self.end or self.dense:
            if self.dropout:
                word.refuse("one dropout before the output")
            self.dropout = (word, None if rate is None else float(rate))
            return
        conv = self._last(word)
        if conv.pool or conv.dropout:
            word.refuse("one dropout a block, before its pooling")
        some = [r for r in self.opt.block_dropout if r] or [0.0]
        conv.dropout = (word, some[0] if rate is None else float(rate))

    def _output(self, word: _Word, _: str, number: str | None, units: str | None, stride: str | None) -> None:
        if units is not None and units != str(self.space.n_classes):
            word.refuse(f"the output has {self.space.n_classes} logits, one per class")
        self.done = word

    def _join(self, word: _Word, what: str) -> None:
        conv = self._last(word)
        if what != "skip" and not what.isdigit():
            word.refuse("what is joined in is written +skip, or +3 for block 3")
        conv.joins.append((word, 0 if what == "skip" else int(what)))

    # -- from words to choices ------------------------------------------------------------------
    def architecture(self) -> Architecture:
        """The architecture the words describe."""
        stem = 1 if self.opt.stem_kernel else 0
        depth = len(self.convs) - stem
        wanted: dict[str, tuple[Option, _Word]] = {}
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

    def _stem(self, conv: _Conv) -> None:
        o = self.opt
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

    def _block(self, k: int, conv: _Conv, wanted: dict[str, tuple[Option, _Word]]) -> None:
        part, operations = f"block{k}", self.offered[f"block{k}_op"].options
        if conv.kernel is None:
            mine = [str(o) for o in operations if str(o).startswith(conv.kind)]
            operation = f"{conv.kind}3" if f"{conv.kind}3" in mine or not mine else mine[0]
        else:
            operation = f"{conv.kind}{conv.kernel}"
        wanted[f"{part}_op"] = (operation, conv.word)
        if conv.stride != 1 or f"{part}_stride" in self.offered:
            wanted[f"{part}_stride"] = (conv.stride, conv.word)
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

    def _best(self, wanted: dict[str, tuple[Option, _Word]], stem: int) -> Architecture:
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
                if off < best[0]:
                    best = (off, arch)
        assert best[1] is not None
        return best[1]

    def _channels(self, arch: Architecture, stem: int) -> list[tuple[int, _Conv]]:
        layout = self.space.layout(arch)
        have = [layout.stem.channels] * stem + [block.channels for block in layout.blocks]
        return list(zip(have, self.convs, strict=True))

    def _factors(self, arch: Architecture, trial: dict[str, tuple[Option, _Word]], stem: int) -> Architecture:
        plain = {n: cast(float, o) for n, o in arch.choices.items() if n.endswith("_factor")}
        tried = {}
        for name, d in ((n, self.offered[n]) for n in plain):
            k = int(name.removeprefix("block").removesuffix("_factor"))
            target = self.convs[k - 1 + stem].channels
            near = []
            for option in d.options:
                other = self.space._change(arch, {name: option})
                have = self.space.layout(other).blocks[k - 1].channels
                near.append((abs(log(have / target)) if target else abs(log(cast(float, option))), option))
            tried[name] = (min(near, key=lambda pair: pair[0])[1], self.convs[k - 1 + stem].word)
        return self._walk({**trial, **tried}, loose=("widen",))

    def _walk(self, wanted: dict[str, tuple[Option, _Word]], loose: tuple[str, ...] = ()) -> Architecture:
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
