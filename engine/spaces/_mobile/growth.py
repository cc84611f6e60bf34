"""What a mobile network consists of, how it grows, and which larger ones compute the same."""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import cast

from engine.architecture import Architecture, Option
from engine.network.morphism import Made, Morphism
from engine.spaces._mobile import blocks as blocks
from engine.spaces._mobile import morphs as morphs
from engine.spaces._mobile.blocks import Place, Settings
from engine.spaces._mobile.options import SKIP, MobileOptions
from engine.spaces._mobile.process import Process, StageProcess
from engine.spaces.base import SearchSpace


class MobileGrowth(SearchSpace):
    """The part of the `mobile` space that knows where each block stands."""

    @property
    def _opt(self) -> MobileOptions:
        return cast(MobileOptions, self.options)

    @cached_property
    def _process(self) -> Process:
        return Process(self._opt)

    @cached_property
    def _offered_options(self) -> dict[str, tuple[Option, ...]]:
        return {d.name: d.options for d in self.all_decisions()}

    def settings(self, arch: Architecture) -> Settings:
        """All of an architecture, decided and settled things alike."""
        return self._process.settings(arch.choices)

    def _made(self, drawn: dict[str, Option], depths: dict[str, Option]) -> Architecture:
        """The architecture of a value for every decision that can occur."""
        drawn |= depths
        items = [(d.name, drawn[d.name]) for d in self._process.first]
        for stage in self._process.stages:
            items += [(d.name, drawn[d.name]) for d in stage.decisions(stage.depth(drawn))]
        return Architecture(self.name, tuple(items))

    @staticmethod
    def _places(settings: Settings, shape: tuple[int, ...]) -> list[tuple[int, int, Place]]:
        """(stage, number in it, place) of each block, for the shape behind the stem."""
        out = []
        for i, stage in enumerate(settings.stages, start=1):
            for k, block in enumerate(stage.blocks, start=1):
                place = Place(shape, stage.width, stage.stride if k == 1 else 1, stage.activation, block)
                out.append((i, k, place))
                shape = place.out
        return out

    def _stem_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return Place(shape, self._opt.stem_width, self._opt.stem_stride, "relu", None).out

    # -- larger ones --------------------------------------------------------------------------
    def _stage(self, arch: Architecture) -> int:
        """One, a step for each depth above the least, and one for each block that is not skipped but could be."""
        offered, total = self._offered_options, 1
        for name, option in arch.items:
            if name.endswith("_depth"):
                total += offered[name].index(option)
            elif name.endswith("_op") and SKIP in offered[name]:
                total += option != SKIP
        return total

    def _grow(self, arch: Architecture) -> list[Architecture]:
        """A stage one step deeper, with every further block there is (skipped where it can be), or a skip filled.

        Where one step is several blocks, they are alike.
        """
        out: dict[str, Architecture] = {}
        offered = self._offered_options
        for stage in self._process.stages:
            for depth in self._deeper(arch, stage)[:1]:
                knobs = self._new_knobs(stage, stage.depth(arch.choices), depth)
                menus = [offered[names[0]] for names in knobs]
                menus = [(SKIP,) if SKIP in menu else menu for menu in menus]
                for values in product(*menus):
                    changes: dict[str, Option] = {f"{stage.name}_depth": depth}
                    for names, value in zip(knobs, values, strict=True):
                        changes |= dict.fromkeys(names, value)
                    child = self._change(arch, changes)
                    out.setdefault(child.key, child)
        for name, option in arch.items:
            if name.endswith("_op") and option == SKIP:
                for other in offered[name]:
                    if other != SKIP:
                        child = self._change(arch, {name: other})
                        out.setdefault(child.key, child)
        return list(out.values())

    def _deeper(self, arch: Architecture, stage: StageProcess) -> list[int]:
        """Depths above the one it has, from the nearest."""
        name = f"{stage.name}_depth"
        if name not in arch.choices:
            return []
        return [cast(int, d) for d in self._offered_options[name] if cast(int, d) > stage.depth(arch.choices)]

    @staticmethod
    def _new_knobs(stage: StageProcess, old: int, new: int) -> list[list[str]]:
        """Decisions of the further blocks, those that decide the same thing together."""
        by_knob: dict[str, list[str]] = {}
        for block in stage.blocks[old:new]:
            for d in block:
                by_knob.setdefault(d.name.rsplit("_", 1)[1], []).append(d.name)
        return list(by_knob.values())

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        """See `_mobile.morphs`: deeper, a skip filled, larger kernels, wider expansions; one decision each."""
        out = []
        for name, old in arch.items:
            stage = next((s for s in self._process.stages if name.startswith(f"{s.name}_")), None)
            if stage is None or name.rsplit("_", 1)[1] not in ("depth", "kernel", "expansion", "op"):
                continue
            deeper = name == f"{stage.name}_depth"
            for option in self._deeper(arch, stage) if deeper else self._offered_options[name]:
                if option == old:
                    continue
                child = self._change(arch, self._like_the_last(arch, stage, option) if deeper else {name: option})
                weights = self._carried(arch, child)
                if weights is not None:
                    out.append(Morphism(child, self._phrase(name, old, option), weights))
        return out

    def _like_the_last(self, arch: Architecture, stage: StageProcess, depth: Option) -> dict[str, Option]:
        """A deeper stage whose further blocks are like its last one, and none of them skipped if possible."""
        changes: dict[str, Option] = {f"{stage.name}_depth": depth}
        old = stage.depth(arch.choices)
        for names in self._new_knobs(stage, old, cast(int, depth)):
            knob = names[0].rsplit("_", 1)[1]
            usual = arch.choices.get(f"{stage.prefixes[old - 1]}_{knob}")
            for name in names:
                menu = tuple(o for o in self._offered_options[name] if o != SKIP) or (SKIP,)
                changes[name] = usual if usual in menu else menu[0]
        return changes

    def _carried(self, arch: Architecture, child: Architecture) -> dict[str, Made] | None:
        """Tensors that change from a network to its child; None = its function would change."""
        before, after = self.settings(arch), self.settings(child)
        shape = self._stem_shape(blocks.resized(self.input_shape, before.resolution))
        old = {(i, k): place for i, k, place in self._places(before, shape)}
        out: dict[str, Made] = {}
        for i, k, place in self._places(after, shape):
            prefix = f"stage{i}_block{k}"
            if (i, k) not in old:
                out |= morphs.added(self._opt, place, prefix)
                continue
            made = morphs.changed(self._opt, old[i, k], place, prefix)
            if made is None:
                return None
            out |= made
        return out
