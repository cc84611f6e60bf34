"""All that a block may be, side by side: mixtures of mobile networks, and what they derive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import log
from typing import cast

from engine.architecture import Architecture, Option
from engine.errors import CannotBuild
from engine.network.assemble import Assembler
from engine.spaces._mobile import blocks as blocks
from engine.spaces._mobile.blocks import Place, StageSettings
from engine.spaces._mobile.growth import MobileGrowth
from engine.spaces._mobile.options import SKIP, MBConv
from engine.spaces._mobile.process import Choices, StageProcess
from engine.spaces._shared.mixing import Branch, Mixing
from engine.spaces._shares import Strengths
from engine.supernets.mixture import Mixture, Table

#: what nothing speaks for; its logarithm is finite, so that two such things can still be told apart by the rest
_NOTHING = 1e-30
#: ends of names of decisions about blocks
_OF_BLOCKS = ("_kernel", "_expansion", "_se", "_op")
#: between depth and block in an option that is a whole stage
_TIMES = "x_"


@dataclass(frozen=True)
class Rivals:
    """What competes for one block, or for a whole stage whose blocks are alike.

    Attributes:
        table: its name: that of the decision where the blocks have a menu, else made as if they had one.
        first: number of its first block in the stage, from 1.
        parts: the blocks of each option, None = skipped; an option of fewer blocks than another ends the stage early.
        said: what each option decides.
    """

    table: str
    first: int
    parts: Mapping[str, tuple[MBConv | None, ...]]
    said: Mapping[str, Choices]


def option_words(option: str) -> tuple[str, str]:
    """("2", "k3_e6") of "2x_k3_e6"; ("", option) where it is one block."""
    depth, times, block = option.partition(_TIMES)
    return (depth, block) if times else ("", option)


class MobileMixing(MobileGrowth):
    """The part of the `mobile` space that lets blocks stand side by side.

    A slot is a block: its options are all combinations of what is decided there (or the operations of its menu), and
    skip where the stage may be less deep; where all blocks of a stage decide together, a slot is the whole stage.
    Options of equal shape at a place share weights, as plans do: k3_e6 and k5_e6 have one expansion between them, but
    operations of a menu share none.
    """

    @cached_property
    def _rivals(self) -> dict[str, tuple[Rivals, ...]]:
        """What competes, by stage, in the order of its blocks."""
        return {s.name: tuple(self._stage_rivals(s)) for s in self._process.stages}

    def _fixed(self, stage: StageProcess) -> Choices:
        """What is settled of a stage, also by a restriction."""
        offered = {n: o for n, o in self._offered_options.items() if n.startswith(f"{stage.name}_")}
        return {**stage.settled, **{n: options[0] for n, options in offered.items() if len(options) == 1}}

    def _depths(self, stage: StageProcess) -> tuple[int, ...]:
        return cast("tuple[int, ...]", self._offered_options.get(f"{stage.name}_depth", stage.depths))

    def _stage_rivals(self, stage: StageProcess) -> Iterator[Rivals]:
        depths = self._depths(stage)
        if self._opt.share == "stage":
            alike = tuple(d.name for d in stage.before if d.name.endswith(_OF_BLOCKS))
            found = self._combinations(stage, stage.name, alike)
            several = len(depths) > 1
            parts, said = dict[str, tuple[MBConv | None, ...]](), dict[str, Choices]()
            for depth, (text, (block, choices)) in product(depths, found.items()):
                option = f"{depth}{_TIMES}{text}" if several else text
                parts[option] = (block,) * depth
                said[option] = {**choices, **({f"{stage.name}_depth": depth} if several else {})}
            yield Rivals(f"{stage.name}_op", 1, parts, said)
            return
        for k in range(1, max(depths) + 1):
            prefix = stage.prefixes[k - 1]
            found = self._combinations(stage, prefix, tuple(d.name for d in stage.blocks[k - 1]))
            blocks_of: dict[str, tuple[MBConv | None, ...]] = {text: (block,) for text, (block, _) in found.items()}
            decided = {text: choices for text, (_, choices) in found.items()}
            if k > min(depths):
                blocks_of.setdefault(SKIP, (None,))
                decided.setdefault(SKIP, {})
            yield Rivals(f"{prefix}_op", k, blocks_of, decided)

    def _combinations(
        self, stage: StageProcess, prefix: str, names: tuple[str, ...]
    ) -> dict[str, tuple[MBConv | None, Choices]]:
        """Every block that these decisions can give, as text: (block, what was chosen)."""
        fixed, out = self._fixed(stage), dict[str, tuple[MBConv | None, Choices]]()
        for options in product(*(self._offered_options[n] for n in names)):
            choices: Choices = dict(zip(names, options, strict=True))
            block = StageProcess.block({**fixed, **choices}, prefix)
            out.setdefault(SKIP if block is None else block.text, (block, choices))
        return out

    # -- the mixture --------------------------------------------------------------------------
    def _unmixed(self) -> str | None:
        """Something that changes shapes beside a block is still open."""
        still = [n for n, o in self._offered_options.items()
                 if len(o) > 1 and (n == "resolution" or n.endswith(("_width", "_activation")))]  # fmt: skip
        if not still:
            return None
        listed = "; ".join(
            f"{self.title(n)} {', '.join(self.format(n, o) for o in self._offered_options[n])}" for n in still
        )
        return f"blocks stand side by side only where shapes are settled: keep one option of each of these: {listed}"

    def _mixture(self, partial: int, norm_pools: bool) -> Mixture:
        """Resizing, stem, a slot for each block (or stage) that has several options, head."""
        if partial > 1:
            raise CannotBuild(
                "the blocks of a mobile network change the channels, so an option cannot see a part of them: "
                "take a method without partial channels"
            )
        data, o = self._bound(), self._opt
        net = Mixing(data.input_shape, data.input_type)
        size = self._offered_options.get("resolution", o.resolution[:1])
        shape = blocks.resized(self.input_shape, cast("int | None", size[0] if size else None))
        x, tables = "input", []
        if shape != self.input_shape:
            x = net.add("resize", "resize2d", x, group="input", height=shape[1], width=shape[2])
        x = blocks.stem(net, x, o)
        for number, stage in enumerate(self._process.stages, start=1):
            settings = stage.settings(self._fixed(stage))
            for rivals in self._rivals[stage.name]:
                if len(rivals.parts) == 1:
                    (only,) = rivals.parts.values()
                    x = self._chain(net, x, settings, number, rivals.first, only)
                    continue
                tables.append(Table(rivals.table, tuple(rivals.parts)))
                branches: dict[Option, Branch] = {
                    option: self._branch(settings, number, rivals.first, part) for option, part in rivals.parts.items()
                }
                x = net.slot(f"{rivals.table.removesuffix('_op')}_mixed", rivals.table, x, branches)
        blocks.head(net, x, o, self.n_classes)
        return net.mixture(tables)

    def _branch(self, settings: StageSettings, number: int, first: int, part: tuple[MBConv | None, ...]) -> Branch:
        return lambda net, x: self._chain(net, x, settings, number, first, part)

    def _chain(
        self, net: Assembler, x: str, settings: StageSettings, number: int, first: int, part: tuple[MBConv | None, ...]
    ) -> str:
        """Appends blocks `first`, `first + 1` ... of a stage, as a plan has them, under the names of their weights."""
        for k, block in enumerate(part, start=first):
            stride = settings.stride if k == 1 else 1
            place = Place(net.shape(x), settings.width, stride, settings.activation, block)
            apart = blocks.apart(self._opt, number, place)
            name = f"stage{number}.block{k}" + (f"_{apart}" if apart else "")
            x = blocks.block(net, x, self._opt, place, name, f"stage {number}")
        return x

    # -- from options to architectures and back -------------------------------------------------
    def _taken(self, arch: Architecture) -> dict[str, Option]:
        """Option of each table; a block behind the last one of its stage is skipped."""
        out: dict[str, Option] = {}
        for stage, chosen in zip(self._process.stages, self.settings(arch).stages, strict=True):
            texts = [SKIP if b is None else b.text for b in chosen.blocks]
            for rivals in self._rivals[stage.name]:
                if len(rivals.parts) == 1:
                    continue
                if self._opt.share == "stage":
                    whole = f"{len(texts)}{_TIMES}{texts[0]}"
                    out[rivals.table] = whole if whole in rivals.parts else texts[0]
                else:
                    out[rivals.table] = texts[rivals.first - 1] if rivals.first <= len(texts) else SKIP
        return out

    def _derive(self, strengths: Strengths) -> Architecture:
        """The strongest option of each table; of several depths the one whose options have the largest product.

        The tables of a stage are independent, so that a block in the middle may be skipped and a later one not, while
        an architecture of this depth skips the last ones only. What is derived is the most probable of those: for each
        depth the strongest operation of every block up to it, and skip of each behind it; the smaller depth wins a tie.
        """
        chosen: Choices = {n: options[0] for n, options in self._offered_options.items()}
        for stage in self._process.stages:
            rivals = self._rivals[stage.name]
            if self._opt.share == "stage":
                chosen |= rivals[0].said[self._strongest(rivals[0], strengths, tuple(rivals[0].parts))[0]]
                continue
            best, depths = float("-inf"), sorted(self._depths(stage))
            for depth in depths:
                total, choices = 0.0, dict[str, Option]()
                if len(depths) > 1:
                    choices[f"{stage.name}_depth"] = depth
                for r in rivals:
                    inside = r.first <= depth
                    # a skip that only stands for less depth is none of the options inside it
                    allowed = (tuple(t for t in r.parts if r.said[t] or t != SKIP) or (SKIP,)) if inside else (SKIP,)
                    option, speaks = self._strongest(r, strengths, allowed)
                    total += log(max(speaks, _NOTHING))
                    choices |= r.said[option] if inside else {}
                if total > best:
                    best, mine = total, choices
            chosen |= mine
        return self._made(chosen, {})

    @staticmethod
    def _strongest(rivals: Rivals, strengths: Strengths, allowed: tuple[str, ...]) -> tuple[str, float]:
        """The strongest of some options, and what speaks for it."""
        row = strengths.get(rivals.table, {})
        if len(rivals.parts) == 1:
            return allowed[0], 1.0
        best = max(allowed, key=lambda t: row.get(t, 0.0))
        return best, row.get(best, 0.0)
