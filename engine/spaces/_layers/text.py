"""The written sequence of `layers`: "conv3-32 bn relu +skip pool-max flatten dense-64 relu dropout-0.2 softmax"."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, get_args

from engine.errors import InvalidArchitecture
from engine.spaces._layers.network import Layout
from engine.spaces._layers.options import Activation

if TYPE_CHECKING:
    from engine.spaces.layers import Layers

NOTATION = (
    "A sequence of words: conv3-32 bn relu +skip pool-max flatten dense-64 relu dropout-0.2 softmax. Operations are "
    "conv, sep, max and avg with window, channels (conv3-48*1.5: by a factor of 1.5) and /stride; +3 joins block 3 "
    "in; numbers may be left out; the first convolution is the stem, where there is one; softmax stands for "
    "the output layer."
)
_NORMS = {"bn": "batch", "gn": "group", "ln": "layer", "batch": "batch", "group": "group", "layer": "layer",
          "batchnorm": "batch", "groupnorm": "group", "layernorm": "layer"}  # fmt: skip
_WRITTEN_NORM = {"batch": "bn", "group": "gn", "layer": "ln"}
_SAME = {"fc": "dense", "drop": "dropout", "maxpool": "pool-max", "avgpool": "pool-avg", "gap": "global",
         "global-avg": "global", "globalpool": "global", "linear": "output", "logits": "output", "separable": "sep",
         "hardswish": "hard_swish", "leakyrelu": "leaky_relu", "swish": "silu"}  # fmt: skip
_PATTERN = re.compile(
    r"([a-z_]+)(\d{1,9})?(?:x\d{1,9})?(?:-([a-z]+|\d{1,9}(?:\.\d{1,20})?(?:e-?\d{1,3})?))?(?:/(\d{1,9}))?"
    r"(?:\*(\d{1,9}(?:\.\d{1,20})?))?",
    re.ASCII,
)
_ACTIVATIONS = frozenset(get_args(Activation))
_LONGEST = 20_000


def write(layout: Layout, factors: Sequence[float]) -> str:
    """A layout in words; `_layers.reader.Reader` reads them back.

    Args:
        layout: the network.
        factors: on the channels of each block.
    """
    style, stem, blocks, head = layout
    tail = [_WRITTEN_NORM[style.norm]] if style.norm in _WRITTEN_NORM else []
    tail.append(style.activation)
    pool = f"pool-{style.pool}" + (f"/{style.pool_size}" if style.pool_size != 2 else "")
    words = []
    if stem.kernel:
        words += [f"conv{stem.kernel}-{stem.channels}{_stride(stem.stride)}", *tail]
    if stem.pooled:
        words.append(pool)
    for block, factor in zip(blocks, factors, strict=True):
        times = f"*{factor!r}" if factor != 1 else ""
        words += [f"{block.operation}-{block.channels}{_stride(block.stride)}{times}", *tail]
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
class Word:
    """One word with its place, from 1."""

    text: str
    place: int

    def refuse(self, why: str) -> NoReturn:
        raise InvalidArchitecture(f"word {self.place}, {self.text[:40]!r}: {why}")


@dataclass
class Conv:
    """One convolution and what is written behind it."""

    word: Word
    kind: str
    kernel: int | None
    channels: int | None
    stride: int
    factor: float | None = None
    pool: tuple[Word, str, int] | None = None
    dropout: tuple[Word, float] | None = None
    joins: list[tuple[Word, int]] = field(default_factory=list)  # 0 = its own input


class Sentence:
    """The words of one written sequence, in their places.

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
        self.convs: list[Conv] = []
        self.norm: tuple[Word, str] | None = None
        self.activation: tuple[Word, str] | None = None
        self.end: tuple[Word, str] | None = None
        self.dense: list[tuple[Word, int | None]] = []
        self.dropout: tuple[Word, float | None] | None = None
        self.done: Word | None = None
        words = [w for w in re.split(r"(?:\s|,|\||→|->)+", text.lower()) if w]
        for place, word in enumerate(words, start=1):
            self._read(Word(word, place))
        if not self.convs:
            raise InvalidArchitecture(f"received {text[:60]!r}, in which there is no convolution; {NOTATION}")

    # -- words ----------------------------------------------------------------------------------
    def _read(self, word: Word) -> None:
        text = _SAME.get(word.text, word.text)
        if self.done is not None and not (
            self.done.text.startswith(("output", "linear", "logits")) and text == "softmax"
        ):
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
            match = _PATTERN.fullmatch(text)
            known: dict[str, Callable[..., None]] = {
                "conv": self._conv, "sep": self._conv, "max": self._conv, "avg": self._conv, "pool": self._pool,
                "dense": self._dense, "dropout": self._drop, "output": self._output,
            }  # fmt: skip
            name = _SAME.get(match[1], match[1]) if match else ""
            if match is None or name not in known:
                word.refuse(f"is no word of this notation. {NOTATION}")
            if match[5] and known[name] != self._conv:
                word.refuse("only a block's channels have a factor")
            known[name](word, name, *match.groups()[1:4])
            if match[5]:
                self.convs[-1].factor = float(match[5])

    @staticmethod
    def _one(old: tuple[Word, str] | None, word: Word, value: str, what: str) -> tuple[Word, str]:
        if old is not None and old[1] != value:
            word.refuse(f"there is one {what} for the whole network, and word {old[0].place} is {old[0].text!r}")
        return old or (word, value)

    def _last(self, word: Word) -> Conv:
        if not self.convs or self.end or self.dense:
            word.refuse("stands behind a convolution, before the head")
        return self.convs[-1]

    def _conv(self, word: Word, kind: str, kernel: str | None, channels: str | None, stride: str | None) -> None:
        if self.end or self.dense:
            word.refuse("convolutions come before the head (global, flatten, dense)")
        if channels is not None and not channels.isdigit():
            word.refuse("channels are a whole number, as in conv3-32")
        self.convs.append(
            Conv(word, kind, int(kernel) if kernel else None, int(channels) if channels else None, int(stride or 1))
        )

    def _pool(self, word: Word, _: str, number: str | None, kind: str | None, size: str | None) -> None:
        if number or kind not in (None, "max", "avg"):
            word.refuse("pooling is written pool, pool-max or pool-avg, with /size")
        conv = self._last(word)
        if conv.pool:
            word.refuse("it is pooled here before")
        conv.pool = (word, kind or "", int(size or 0))

    def _dense(self, word: Word, _: str, number: str | None, units: str | None, stride: str | None) -> None:
        if number or stride or (units is not None and not units.isdigit()):
            word.refuse("a dense layer is written dense or dense-64")
        if self.dropout:
            word.refuse("dropout comes behind the dense layers here")
        self.dense.append((word, int(units) if units else None))

    def _drop(self, word: Word, _: str, number: str | None, rate: str | None, stride: str | None) -> None:
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
        some = [r for r in self.opt.block_dropout if r] or [-1.0]
        conv.dropout = (word, some[0] if rate is None else float(rate))

    def _output(self, word: Word, _: str, number: str | None, units: str | None, stride: str | None) -> None:
        if units is not None and units != str(self.space.n_classes):
            word.refuse(f"the output has {self.space.n_classes} logits, one per class")
        self.done = word

    def _join(self, word: Word, what: str) -> None:
        conv = self._last(word)
        if what != "skip" and not re.fullmatch(r"[0-9]{1,9}", what):
            word.refuse("what is joined in is written +skip, or +3 for block 3")
        conv.joins.append((word, 0 if what == "skip" else int(what)))
