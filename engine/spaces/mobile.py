"""Mobile networks: stages of inverted residual blocks (MBConv), from MobileNetV2 and V3 to Once-for-All."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from math import prod
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import BaseModel

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec, said
from engine.network import costs as closed_form
from engine.network.assemble import Assembler
from engine.network.plan import Costs, NetworkPlan
from engine.spaces._mobile import blocks as blocks
from engine.spaces._mobile import writing as writing
from engine.spaces._mobile.blocks import Place
from engine.spaces._mobile.mixing import MobileMixing, option_words
from engine.spaces._mobile.options import SKIP, MobileOptions, parse
from engine.spaces._mobile.outline import outline
from engine.spaces._mobile.presets import PRESETS
from engine.spaces._offers import Preset
from engine.spaces.base import Decision

_WHAT = {"se": "squeeze-excite", "op": "operation"}


class Mobile(MobileMixing):
    """Resize, stem, stages of MBConv blocks, head.

    Decisions: resolution; then for each stage its depth, width, activation, and for each block (or once for the stage)
    kernel, expansion and squeeze-excite, or one whole operation of a menu. Those of block k exist only where the
    stage's depth is at least k. What has one option is settled and no decision.

    The preset `nasbench_macro` is NAS-Bench-Macro: parameters and multiply-adds equal all 6,561 published rows. Its
    paper leaves open what an identity does where a layer changes the shape; the rows agree with a 1×1 convolution of
    the layer's stride and a norm, here without an activation (of which they cannot say anything).
    """

    name: ClassVar[str] = "mobile"
    summary: ClassVar[str] = "Stages of mobile blocks: depth, width, kernel, expansion, squeeze-excite, image size."
    reference: ClassVar[str] = "Howard et al. 2019, Searching for MobileNetV3; Cai et al. 2020, Once-for-All"
    Options: ClassVar[type[BaseModel]] = MobileOptions
    caveat: ClassVar[str] = (
        "options stand side by side where each stage has one width and one activation and all images one size"
    )
    presets: ClassVar[tuple[Preset, ...]] = PRESETS
    notation: ClassVar[str] = writing.NOTATION
    elastic: ClassVar[bool] = True

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Images of any size: nothing is halved below one pixel."""
        return None if data.kind == "image" else f"it needs images, {said(data)}"

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """Stages and widths by the image's size; large images are halved in the stem and may be resized."""
        side = min(data.input_shape[1:], default=1)
        if side < 16:
            return {
                "stages": [{"width": [16], "depth": [1, 2]}, {"width": [24, 32], "depth": [1, 2, 3], "stride": 2}],
                "expansion": [2.0, 4.0],
            }
        if side < 64:
            return {"head_conv": 160}
        large = {
            "stages": [
                {"width": [16], "depth": [1], "kernel": [3], "expansion": [1.0], "se": [False]},
                {"width": [24], "depth": [1, 2, 3], "stride": 2},
                {"width": [40], "depth": [1, 2, 3], "stride": 2},
                {"width": [80], "depth": [2, 3, 4], "stride": 2, "activation": ["hard_swish"]},
                {"width": [112, 160], "depth": [1, 2, 3], "stride": 2, "activation": ["hard_swish"]},
            ],
            "stem_stride": 2, "stem_activation": "hard_swish", "head_conv": 480, "head_activation": "hard_swish",
        }  # fmt: skip
        sizes = sorted({side, *(max(32, round(side * share / 16) * 16) for share in (0.5, 0.75))} - {0})
        return {**large, "resolution": [s for s in sizes if s <= min(side, 224)] or [224]}

    # -- the process --------------------------------------------------------------------------
    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        return self._process.next(cast(dict[str, Option], partial))

    def _all(self) -> list[Decision]:
        return list(self._process.every)

    def count(self, partial: Mapping[str, Option]) -> int:
        """Closed form: a product over stages of sums over their depths."""
        p, chosen = self._process, cast(dict[str, Option], partial)
        first = prod(len(self._allowed.get(d.name, d.options)) for d in p.first if d.name not in partial)
        return first * prod(sum(p.weights(stage, chosen, self._allowed).values()) for stage in p.stages)

    def _change(self, arch: Architecture, changes: Mapping[str, Option]) -> Architecture:
        # each decision is free of the others, so that no walk is needed
        offered, have = self._offered_options, arch.choices
        said = {n: changes[n] if n in changes else have.get(n, options[0]) for n, options in offered.items()}
        return self._made({n: o if o in offered[n] else offered[n][0] for n, o in said.items()}, {})

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.array([len(options) for options in self._offered_options.values()], dtype=np.int64)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Each decision uniform over its options; all are drawn at once, those that do not act are left out."""
        return self._made(self._drawn(rng), {})

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """Each stage's depth in proportion to the networks that have it, all else uniform."""
        depths: dict[str, Option] = {}
        for stage in self._process.stages:
            if len(stage.depths) > 1:
                ways = self._process.weights(stage, {}, self._allowed)
                total = sum(ways.values())
                at = int(rng.choice(len(ways), p=[n / total for n in ways.values()]))
                depths[f"{stage.name}_depth"] = list(ways)[at]
        return self._made(self._drawn(rng), depths)

    def _drawn(self, rng: np.random.Generator) -> dict[str, Option]:
        offered = self._offered_options
        if not offered:
            return {}
        return {name: options[i] for (name, options), i in zip(offered.items(), rng.integers(self._sizes), strict=True)}

    # -- the network --------------------------------------------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """Resizing where the size differs, stem, stages, head."""
        settings, net, o = self.settings(arch), self._assembler(), self._opt
        x = "input"
        shape = blocks.resized(self.input_shape, settings.resolution)
        if shape != self.input_shape:
            x = net.add("resize", "resize2d", x, group="input", height=shape[1], width=shape[2])
        x = blocks.stem(net, x, o)
        for i, k, place in self._places(settings, net.shape(x)):
            x = blocks.block(net, x, o, place, f"stage{i}.block{k}", f"stage {i}")
        blocks.head(net, x, o, self.n_classes)
        return net.finish()

    def _costs(self, arch: Architecture) -> Costs:
        """Closed form: what stem, blocks and head cost where they stand, each computed once."""
        settings = self.settings(arch)
        shape = blocks.resized(self.input_shape, settings.resolution)
        n_params = n_macs = 0
        n_bytes = 4 * prod(shape) if shape != self.input_shape else 0
        parts, shape = [self._part("stem", shape)], self._stem_shape(shape)
        for _, _, place in self._places(settings, shape):
            parts.append(self._part(place, place.shape))
            shape = place.out
        parts.append(self._part("head", shape))
        for part in parts:
            n_params += part.n_params
            n_macs += part.n_macs
            n_bytes += part.activation_bytes
        return Costs(n_params, n_macs, n_bytes)

    def _part(self, what: Place | str, shape: tuple[int, ...]) -> Costs:
        cache = self._cache("parts")
        key = (what, shape)
        if key not in cache:
            net = Assembler(shape)
            if what == "head":
                blocks.head(net, "input", self._opt, self.n_classes)
                cache[key] = closed_form.costs(net.finish())
            else:
                if isinstance(what, Place):
                    end = blocks.block(net, "input", self._opt, what, "stage1.block1", "")
                else:
                    end = blocks.stem(net, "input", self._opt)
                # a plan ends with a vector: the average that makes one costs its own output only
                net.add("end", "global_avg_pool2d", end)
                whole = closed_form.costs(net.finish())
                extra = 4 * net.shape(end)[0]
                cache[key] = Costs(whole.n_params, whole.n_macs, whole.activation_bytes - extra)
        found: Costs = cache[key]
        return found

    def _weight_names(self, arch: Architecture) -> Mapping[str, str]:
        """A block's weights by its place; apart from them those of a block that does something else there.

        Kernel, expansion and width are slices. Whole operations of a menu have weights of their own, as in ProxylessNAS
        and FBNet; so have a block that does not expand and what stands for a skipped one.
        """
        settings, nodes = self.settings(arch), self.planned(arch).by_id
        shape = self._stem_shape(blocks.resized(self.input_shape, settings.resolution))
        out: dict[str, str] = {}
        for i, k, place in self._places(settings, shape):
            prefix = f"stage{i}_block{k}"
            if apart := blocks.apart(self._opt, i, place):
                for part in blocks.WEIGHTED:
                    if (id := f"{prefix}_{part}") in nodes:
                        out[id] = f"{prefix}_{apart}_{part}"
        return out

    # -- writing and reading ------------------------------------------------------------------
    @cached_property
    def _only_operations(self) -> bool:
        """Whether one digit a block says everything."""
        every = self._process.every
        return bool(every) and all(d.name.endswith("_op") for d in every)

    def write(self, arch: Architecture) -> str:
        """One digit a block where whole operations are all that is decided, else stage by stage."""
        if not self._only_operations:
            return writing.written(self.settings(arch))
        positions = {d.name: d.options for d in self._process.every}
        return "".join(writing.DIGITS[positions[name].index(option)] for name, option in arch.items)

    def _read(self, text: str) -> Architecture:
        every = self._process.every
        if self._only_operations and len(text) == len(every) and all(c in writing.DIGITS for c in text):
            menus = {d.name: d.options for d in every}
            return self.validate(writing.digits_of(text, [d.name for d in every], menus))
        said = writing.settings_of(text, tuple(s.stride for s in self._opt.stages))
        settled = self._process.settings({})
        names = frozenset(d.name for d in every)
        depths = [stage.depths for stage in self._process.stages]
        return self.validate(writing.choices_of(said, names, settled, depths, self._opt.share == "stage"))

    # -- words --------------------------------------------------------------------------------
    def title(self, decision: str) -> str:
        """ "stage 2 block 1 kernel", "stage 1 depth", "resolution"."""
        *places, what = decision.split("_")
        words = [place.replace("stage", "stage ").replace("block", "block ") for place in places]
        return " ".join([*words, _WHAT.get(what, what)])

    def format(self, decision: str, option: Option) -> str:
        """ "5×5", "×6", "5×5 ×6 SE", "160 px"."""
        what = decision.rsplit("_", 1)[-1]
        if what == "op":
            depth, text = option_words(str(option))
            block = parse(text)
            words = SKIP if block is None else block.words
            return f"{depth} of {words}" if depth else words
        if what == "kernel":
            return f"{option}×{option}"
        if what == "expansion":
            return f"×{option:g}"
        if what == "resolution":
            return f"{option} px"
        return str(option).replace("_", " ") if what == "activation" else super().format(decision, option)

    def short_name(self, arch: Architecture) -> str:
        """ "22212220", or "r160 2·3·4 k4.2 e4.5 se5 3f": sizes, depths, means, blocks with SE, and two digits."""
        if self._only_operations and len(self._process.every) <= 24:
            return self.write(arch)
        settings = self.settings(arch)
        found = [b for stage in settings.stages for b in stage.blocks if b is not None]
        parts = [] if settings.resolution is None else [f"r{settings.resolution}"]
        depth = "·".join(str(sum(b is not None for b in stage.blocks)) for stage in settings.stages)
        parts.append(depth if len(depth) <= 14 else f"{len(found)} blocks")
        if found:
            parts.append(f"k{np.mean([b.kernel for b in found]):.1f} e{np.mean([b.expansion for b in found]):.1f}")
            if gates := sum(b.se for b in found):
                parts.append(f"se{gates}")
        parts.append(blake2b(arch.key.encode(), digest_size=1).hexdigest())
        return " ".join(parts)

    def outline(self) -> dict[str, Any]:
        """Input, stem, one place a stage, head."""
        return outline(self, self._opt, self._process, self.data)
