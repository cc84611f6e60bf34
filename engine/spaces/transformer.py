"""Encoders over words, patches or frames, whose blocks attend, convolve, recur or pool."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, ClassVar, cast

from pydantic import BaseModel

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.errors import InvalidArchitecture
from engine.network.morphism import Made, Morphism
from engine.network.plan import NetworkPlan
from engine.spaces._offers import Capability
from engine.spaces._outline import Outline, input_words
from engine.spaces._shared.sequence_stems import patch_stem, signal_stem, strides, word_stem
from engine.spaces._transformer import blocks as blocks
from engine.spaces._transformer.options import OPERATIONS, POOLS, TransformerOptions
from engine.spaces._transformer.presets import PRESETS
from engine.spaces.base import Decision, Preset, SearchSpace

#: more patches than this and attention alone would need gigabytes
_MAX_PATCHES = 1024
_HEAD = ("width", "patch", "position", "activation", "pool", "dropout")
_BLOCK = ("op", "heads", "ratio", "skip")
_TITLES = {"op": "block {k} operation", "heads": "heads of block {k}", "ratio": "feed-forward of block {k}",
           "skip": "skip of block {k}"}  # fmt: skip


class Transformer(SearchSpace):
    """Stem, a number of residual blocks with their norms in front, norm, pooling over the steps, output.

    Decisions: depth, width, patch (images), positional encoding, activation, pooling, dropout; then of each block its
    operation, heads (attention), feed-forward ratio and (where skips are offered) an earlier block that joins. Those
    of block k exist only when depth >= k, and its weights are called `block<k>` whatever the depth: a deeper network
    holds the names and shapes of a shallower one, a wider one those of a narrower one as leading slices (of
    each gate in recurrent layers).
    """

    name: ClassVar[str] = "transformer"
    summary: ClassVar[str] = (
        "Encoders for text, patches and signals: attention, convolution, recurrence or pooling per block."
    )
    reference: ClassVar[str] = "Vaswani et al. 2017, Attention Is All You Need; Wang et al. 2020, TextNAS"
    Options: ClassVar[type[BaseModel]] = TransformerOptions
    unavailable: ClassVar[Mapping[Capability, str]] = {
        "mixture": "its options differ in width and depth; they share slices of the largest network's weights instead",
    }
    presets: ClassVar[tuple[Preset, ...]] = PRESETS
    entangled: ClassVar[bool] = True
    elastic: ClassVar[bool] = True
    notation: ClassVar[str] = (
        "the network's choices, then its blocks: `width=64 position=learned activation=gelu pool=mean dropout=0.1 "
        "/ attention heads=4 ratio=2 / conv3 ratio=4`"
    )

    @property
    def _opt(self) -> TransformerOptions:
        return cast(TransformerOptions, self.options)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Text, images, signals."""
        if data.kind == "table":
            return "it needs a sequence (text, an image's patches, a signal); the columns of a table have no order"
        return None

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """Smaller patches and widths for smaller samples."""
        if data.kind == "text":
            return {"dropout": (0.1, 0.3)}
        if data.kind == "signal":
            return {"width": (32, 48, 64)}
        side = min(data.input_shape[1:], default=1)
        if side < 16:
            return {"width": (32, 48, 64), "patch": (2,), "dropout": (0.0, 0.1)}
        if side < 64:
            return {"width": (64, 96, 128), "depth": (2, 3, 4, 6), "patch": (4,), "dropout": (0.0, 0.1)}
        return {"width": (96, 128, 192), "depth": (4, 6, 8), "patch": (8, 16), "dropout": (0.0, 0.1)}

    # -- the process --------------------------------------------------------------------------
    def patches(self) -> tuple[int, ...]:
        """Sides of patches of which 4 to 1,024 cover an image; else the one that comes closest. Others: none."""
        if self.data is None or self.data.kind != "image":
            return self._opt.patch if self.data is None else ()
        height, width = self.data.input_shape[1:]
        tokens = {p: -(-height // p) * -(-width // p) for p in self._opt.patch}
        fitting = tuple(p for p, n in tokens.items() if 4 <= n <= _MAX_PATCHES)
        return fitting or (min(tokens, key=lambda p: abs(tokens[p] - 4)),)

    def heads(self, width: int) -> tuple[int, ...]:
        """Offered heads that divide a width."""
        return tuple(h for h in self._opt.heads if width % h == 0)

    @cached_property
    def _depth(self) -> Decision:
        return Decision("depth", self._opt.depth, True, "network", "Number of blocks.")

    @cached_property
    def _fixed(self) -> tuple[Decision, ...]:
        o = self._opt
        only_attention = o.operation == ("attention",)
        widths = tuple(w for w in o.width if self.heads(w) or not only_attention)
        out = (
            Decision("width", widths, True, "stem", "Channels of every step."),
            Decision("patch", self.patches(), True, "stem", "Side of the patches in pixels."),
            Decision("position", o.position, False, "stem", "What tells the steps apart."),
            Decision("activation", o.activation, False, "blocks", "Activation, one for all blocks."),
            Decision("pool", o.pool, False, "head", "What becomes of the steps before the output."),
            Decision("dropout", o.dropout, True, "blocks", "Dropout rate behind the stem and in every block."),
        )
        return tuple(d for d in out if d.options)

    def _block(self, k: int, width: int | None = None) -> dict[str, Decision]:
        """The decisions of block k; with a width those it leaves."""
        key = (k, width)
        cache = self._cache("block")
        if key not in cache:
            o, group = self._opt, f"block {k}"
            heads = o.heads if width is None else self.heads(width)
            operations = tuple(op for op in o.operation if op != "attention" or heads)
            out = {
                "op": Decision(f"block{k}_op", operations, False, group, "What mixes the steps in this block."),
                "heads": Decision(f"block{k}_heads", heads, True, group, "Heads of this block's attention."),
                "ratio": Decision(f"block{k}_ratio", o.ratio, True, group, "Hidden channels per channel."),
            }
            if "attention" not in operations:
                del out["heads"]
            if o.skips and k > 2:
                earlier = tuple(range(k - 1))  # 0 = none; the block before is the input anyway
                out["skip"] = Decision(
                    f"block{k}_skip", earlier, False, group, "An earlier block that joins its input."
                )
            cache[key] = out
        found: dict[str, Decision] = cache[key]
        return found

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        if "depth" not in partial:
            return self._depth
        for decision in self._fixed:
            if decision.name not in partial:
                return decision
        width = cast(int, partial["width"])
        for k in range(1, cast(int, partial["depth"]) + 1):
            for what, decision in self._block(k, width).items():
                if decision.name not in partial and (what != "heads" or partial[f"block{k}_op"] == "attention"):
                    return decision
        return None

    def _all(self) -> list[Decision]:
        each = (self._block(k) for k in range(1, max(self._opt.depth) + 1))
        return [self._depth, *self._fixed, *(d for decisions in each for d in decisions.values())]

    def _completes(self, partial: Mapping[str, Option]) -> bool:
        return self.count(partial) > 0

    def count(self, partial: Mapping[str, Option]) -> int:
        """Closed form: for each depth and width a product over the blocks, in which attention brings its heads."""
        if "depth" not in partial or "width" not in partial:
            name = "width" if "depth" in partial else "depth"
            decision = self._depth if name == "depth" else next(d for d in self._fixed if d.name == name)
            return sum(self.count({**partial, name: o}) for o in self._kept(decision))
        width = cast(int, partial["width"])
        total = prod(len(self._kept(d)) for d in self._fixed if d.name not in partial)
        for k in range(1, cast(int, partial["depth"]) + 1):
            total *= self._ways(k, width, partial)
        return total

    def _ways(self, k: int, width: int, partial: Mapping[str, Option]) -> int:
        """In how many ways block k can be completed."""
        mine = self._block(k, width)
        left = {what: 1 if d.name in partial else len(self._kept(d)) for what, d in mine.items()}
        ops = (partial[f"block{k}_op"],) if f"block{k}_op" in partial else self._kept(mine["op"])
        mixed = sum(left["heads"] if op == "attention" else 1 for op in ops)
        return mixed * prod(n for what, n in left.items() if what not in ("op", "heads"))

    # -- the network --------------------------------------------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """Stem, position, blocks, norm, pooling, output."""
        c, data, net = arch.choices, self._bound(), self._assembler()
        width, dropout, pool = cast(int, c["width"]), cast(float, c["dropout"]), str(c["pool"])
        mask = ""
        if data.kind == "text":
            mask = net.add("mask", "padding_mask", "input", group="stem", extra=int(pool == "first"))
            x = word_stem(net, data, width)
        elif data.kind == "image":
            x = patch_stem(net, cast(int, c["patch"]), width)
        else:
            x = signal_stem(net, width, self._opt.steps, "layer_norm", str(c["activation"]))
        if pool == "first":
            x = net.add("token", "class_token", x, group="stem")
        if c["position"] != "none":
            x = net.add("position", f"{c['position']}_position", x, group="stem")
        if dropout:
            x = net.add("stem_drop", "dropout", x, group="stem", p=dropout)
        outputs = [x]
        for k in range(1, cast(int, c["depth"]) + 1):
            skip = cast(int, c.get(f"block{k}_skip", 0))
            x = blocks.add_block(
                net, k, x, mask, str(c[f"block{k}_op"]), heads=cast(int, c.get(f"block{k}_heads", 1)),
                ratio=cast(int, c[f"block{k}_ratio"]), activation=str(c["activation"]), dropout=dropout,
                skip=outputs[skip] if skip else "",
            )  # fmt: skip
            outputs.append(x)
        x = net.add("norm", "layer_norm", x, group="head")
        if pool == "first":
            x = net.add("pool", "first_step", x, group="head")
        else:
            x = net.add("pool", f"{pool}_over_time", x, *((mask,) if mask else ()), group="head")
        net.add("output", "linear", x, group="output", out_features=self.n_classes)
        return net.finish()

    def _weight_names(self, arch: Architecture) -> Mapping[str, str]:
        return blocks.weight_names(arch.choices)

    # -- larger ones --------------------------------------------------------------------------
    @property
    def _depths(self) -> tuple[int, ...]:
        return cast(tuple[int, ...], self._kept(self._depth))

    def _stage(self, arch: Architecture) -> int:
        return self._depths.index(cast(int, arch["depth"])) + 1

    def _deeper(self, arch: Architecture) -> tuple[int, ...]:
        """Numbers of the blocks that the next depth adds."""
        depth = cast(int, arch["depth"])
        return next((tuple(range(depth + 1, d + 1)) for d in self._depths if d > depth), ())

    def _fills(self, arch: Architecture, k: int) -> Iterator[dict[str, Option]]:
        """Every choice for block k of a network of this width."""
        offered = {what: self._kept(d) for what, d in self._block(k, cast(int, arch["width"])).items()}
        for op in offered["op"]:
            names = [what for what in offered if what != "op" and (what != "heads" or op == "attention")]
            for options in product(*(offered[what] for what in names)):
                yield {"op": op, **dict(zip(names, options, strict=True))}

    def _with_blocks(
        self, arch: Architecture, added: tuple[int, ...], fill: Mapping[str, Option]
    ) -> Architecture | None:
        choices = dict(arch.choices, depth=added[-1])
        for k in added:
            # block 2 has no skip that block 3 may have
            choices |= {f"block{k}_{what}": o for what, o in fill.items() if what in self._block(k)}
            if "skip" in self._block(k):
                choices.setdefault(f"block{k}_skip", 0)
        return self._if_offered(choices)

    def _if_offered(self, choices: Mapping[str, Option]) -> Architecture | None:
        """The architecture, unless a restriction leaves it out."""
        try:
            return self.validate(choices)
        except InvalidArchitecture:
            return None

    def _grow(self, arch: Architecture) -> list[Architecture]:
        """Every block on top; where depth grows by several blocks, equal ones."""
        added = self._deeper(arch)
        if not added:
            return []
        larger = (self._with_blocks(arch, added, fill) for fill in self._fills(arch, added[0]))
        return list({a.key: a for a in larger if a is not None}.values())

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        """Deeper, wider feed-forward parts, larger windows, a learned position that begins with zeros."""
        out: list[Morphism] = []
        c, width = arch.choices, cast(int, arch["width"])

        def offer(child: Architecture | None, what: str, weights: dict[str, Made]) -> None:
            if child is not None and all(child != m.child for m in out):
                out.append(Morphism(child, what, weights))

        if added := self._deeper(arch):
            said = f"block {added[0]} added" if len(added) == 1 else f"blocks {added[0]} to {added[-1]} added"
            for fill in self._fills(arch, added[0]):
                if fill.get("skip"):
                    continue  # it would read something new
                op, ratio = str(fill["op"]), cast(int, fill["ratio"])
                weights = {name: made for k in added for name, made in blocks.new_block(k, op, ratio).items()}
                words = ", ".join(self.format(f"block{added[0]}_{w}", o) for w, o in fill.items() if w != "skip")
                offer(self._with_blocks(arch, added, fill), f"{said}: {words}", weights)
        for k in range(1, cast(int, c["depth"]) + 1):
            offered = self._block(k, width)
            ratio, op = cast(int, c[f"block{k}_ratio"]), str(c[f"block{k}_op"])
            for more in cast(tuple[int, ...], offered["ratio"].options):
                if more > ratio:
                    what = f"feed-forward of block {k} {'×' + str(ratio) if ratio else 'none'} → ×{more}"
                    child = self._if_offered({**c, f"block{k}_ratio": more})
                    offer(child, what, blocks.wider_feed_forward(k, ratio * width, more * width))
            for other in map(str, offered["op"].options):
                alike = blocks.convolves(op) and op[:-1] == other[:-1]
                if alike and blocks.kernel(other) > blocks.kernel(op):
                    what = f"window of block {k} {blocks.kernel(op)} → {blocks.kernel(other)}"
                    child = self._if_offered({**c, f"block{k}_op": other})
                    offer(child, what, blocks.larger_window(k, op, other))
        if c["position"] == "none":
            child = self._if_offered({**c, "position": "learned"})
            offer(child, "a learned position that begins with zeros", {"position.weight": Made(fill="zeros")})
        return out

    # -- writing and reading ------------------------------------------------------------------
    def write(self, arch: Architecture) -> str:
        """See `notation`."""
        c = arch.choices
        parts = [" ".join(f"{name}={c[name]}" for name in _HEAD if name in c)]
        for k in range(1, cast(int, c["depth"]) + 1):
            more = (f"{what}={c[f'block{k}_{what}']}" for what in _BLOCK[1:] if f"block{k}_{what}" in c)
            parts.append(" ".join([str(c[f"block{k}_op"]), *more]))
        return " / ".join(parts)

    def _read(self, text: str) -> Architecture:
        head, *rest = (part.strip() for part in text.split("/"))
        choices: dict[str, Any] = {"depth": len(rest)}
        for k, part in enumerate([head, *rest]):
            words = part.split()
            if k:
                choices[f"block{k}_op"] = words.pop(0) if words else ""
            for word in words:
                match = re.fullmatch(r"(\w{1,20})=([\w.+-]{1,20})", word)
                if match is None or not rest:
                    raise InvalidArchitecture(f"received {word[:40]!r}; an encoder reads {self.notation}")
                choices[f"block{k}_{match[1]}" if k else match[1]] = _value(match[2])
        if not rest:
            raise InvalidArchitecture(f"received {text[:80]!r}; an encoder reads {self.notation}")
        return self.validate(choices)

    # -- words --------------------------------------------------------------------------------
    def title(self, decision: str) -> str:
        """ "block 5 operation", "feed-forward of block 5", "positional encoding"."""
        if match := re.fullmatch(r"block(\d+)_(\w+)", decision):
            return _TITLES[match[2]].format(k=match[1])
        return {"position": "positional encoding", "pool": "pooling"}.get(decision, decision)

    def format(self, decision: str, option: Option) -> str:
        """ "separable 5", "×4", "4 heads", "block 2"."""
        if decision.endswith("_op"):
            return OPERATIONS[str(option)]
        if decision.endswith("_ratio"):
            return f"×{option}" if option else "none"
        if decision.endswith("_heads"):
            return f"{option} head{'s' if option != 1 else ''}"
        if decision.endswith("_skip"):
            return f"block {option}" if option else "none"
        return POOLS[str(option)] if decision == "pool" else super().format(decision, option)

    def short_name(self, arch: Architecture) -> str:
        """ "4×attention/conv3+1-64 ff12 mean": depth, the most frequent operations, width, sum of ratios, pooling."""
        c = arch.choices
        each = range(1, cast(int, c["depth"]) + 1)
        used = Counter(str(c[f"block{k}_op"]) for k in each)
        common = sorted(used, key=lambda op: (-used[op], list(OPERATIONS).index(op)))
        more = f"+{len(common) - 2}" if len(common) > 2 else ""
        hidden = sum(cast(int, c[f"block{k}_ratio"]) for k in each)
        patch = f" p{c['patch']}" if "patch" in c else ""
        return f"{c['depth']}×{'/'.join(common[:2])}{more}-{c['width']}{patch} ff{hidden} {c['pool']}"

    def outline(self) -> dict[str, Any]:
        """Stem, a block that repeats, head."""
        drawn = Outline(self)
        data = self.data
        depths = self._depths
        each = range(1, max(depths) + 1)
        drawn.part("input", "input", *input_words(data.kind if data else "sequence", data.input_shape if data else ()))
        detail = {"text": "word vectors", "image": "patches"}.get(data.kind, self._frames()) if data else ""
        drawn.part("stem", "conv", "stem", detail, decide=["width", "patch", "position"])
        times = f"{depths[0]} to {depths[-1]} times" if len(depths) > 1 else f"{depths[0]} times"
        drawn.part(
            "block", "other", "block", times, repeat=times,
            decide=["depth",
                    ([f"block{k}_op" for k in each], "operation, each block by itself"),
                    ([f"block{k}_heads" for k in each], "heads, each attention by itself"),
                    ([f"block{k}_ratio" for k in each], "feed-forward, each block by itself"),
                    ([f"block{k}_skip" for k in each], "adds the output of, each block by itself"),
                    "activation", "dropout"],
        )  # fmt: skip
        drawn.part("norm", "norm", "layer norm")
        drawn.part("pool", "pool", "over all steps", decide=["pool"])
        drawn.part("output", "output", "linear", f"{data.n_classes} classes" if data else "")
        drawn.chain()
        return drawn.done()

    def _frames(self) -> str:
        shorter = strides(self.input_shape[-1], self._opt.steps)
        return f"convolutions /{' /'.join(map(str, shorter))}" if shorter else "conv 3"


def _value(text: str) -> Option:
    """A number where it is one."""
    if re.fullmatch(r"\d+", text):
        return int(text)
    return float(text) if re.fullmatch(r"\d+(\.\d+)?(e-\d+)?", text) else text
