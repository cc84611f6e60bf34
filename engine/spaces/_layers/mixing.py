"""Operations of a block side by side: mixtures of layer sequences, and what they derive."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from itertools import product

from engine.architecture import Architecture, Option
from engine.errors import CannotBuild
from engine.spaces._layers.network import Block, Layout, Style, write_block, write_head, write_pool, write_stem
from engine.spaces._layers.process import LayersProcess
from engine.spaces._shared.mixing import Branch, Mixing
from engine.spaces._shares import Strengths
from engine.supernets.mixture import Mixture, Table

#: end of an option that adds the block's input
WITH_SKIP = "+skip"
#: decisions that a reason names, at most
_NAMED = 4


class LayersMixing(LayersProcess):
    """The part of the space `layers` that lets the operations of a block stand side by side.

    A slot is a block: its options are its operations, with and without a skip where that is decided. Pooling behind a
    block stands behind its slot.
    """

    @abstractmethod
    def layout(self, arch: Architecture) -> Layout:
        """What the choices mean, part by part."""

    def _unmixed(self) -> str | None:
        """Something is open besides operations and skips, or blocks read several others."""
        still = {d.name: d.options for d in self.all_decisions()
                 if len(d.options) > 1 and not d.name.endswith(("_op", "_skip"))}  # fmt: skip
        if still:
            named = [f"{self.title(n)} {', '.join(self.format(n, o) for o in options)}" for n, options in still.items()]
            more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            return (
                "operations stand side by side only where all else is settled: keep one option of each of these: "
                f"{'; '.join(named[:_NAMED])}{more}"
            )
        if self._opt.connections == "any" and any(b.joins for b in self.layout(self._first()).blocks):
            return (
                "a block that joins earlier ones reads several, while options side by side read one: "
                "let skips join a block's own input (connections: residual), or offer none"
            )
        return None

    def _first(self) -> Architecture:
        """An architecture with the first option of everything."""
        return self._walk(lambda decision: decision.options[0])

    @cached_property
    def _rivals(self) -> dict[int, dict[str, dict[str, Option]]]:
        """Options of each block by its number: what they decide, by their text; what is settled has one."""
        offered = {d.name: d.options for d in self.all_decisions()}
        out: dict[int, dict[str, dict[str, Option]]] = {}
        for k in range(1, len(self.layout(self._first()).blocks) + 1):
            op, skip = f"block{k}_op", f"block{k}_skip"
            skips = offered.get(skip, (False,))
            out[k] = {}
            for o, s in product(offered[op], skips):
                text = f"{o}{WITH_SKIP}" if s and len(skips) > 1 else str(o)
                out[k][text] = {op: o, **({skip: s} if skip in offered else {})}
        return out

    def _mixture(self, partial: int, norm_pools: bool) -> Mixture:
        """Stem, a slot for each block that has several options, pooling, head."""
        if partial > 1:
            raise CannotBuild(
                "blocks of layers change the channels, so an option cannot see a part of them: "
                "take a method without partial channels"
            )
        style, stem, blocks, head = self.layout(self._first())
        net, tables = Mixing(self.input_shape), []
        x = write_stem(net, style, stem)
        for k, options in self._rivals.items():
            branches: dict[Option, Branch] = {
                text: self._branch(style, k, blocks[k - 1], said) for text, said in options.items()
            }
            if len(branches) == 1:
                (only,) = branches.values()
                x = str(only(net, x))
            else:
                tables.append(Table(f"block{k}_op", tuple(branches)))
                x = net.slot(f"block{k}_mixed", f"block{k}_op", x, branches)
            x = write_pool(net, style, x, blocks[k - 1].pooled)
        write_head(net, style, head, x, self.n_classes, self.weight_names(self._first()))
        return net.mixture(tables)

    @staticmethod
    def _branch(style: Style, k: int, block: Block, said: Mapping[str, Option]) -> Branch:
        """A block's nodes with this operation and skip under the names of their weights, without the pooling behind."""
        mine = block._replace(operation=str(said[f"block{k}_op"]), skip=bool(said.get(f"block{k}_skip")), pooled=0)
        return lambda net, x: write_block(net, style, k, mine, x, {}, by_kind=True)

    def _taken(self, arch: Architecture) -> dict[str, Option]:
        """Option of each table."""
        out: dict[str, Option] = {}
        for k, options in self._rivals.items():
            if len(options) > 1:
                mine = {n: arch.choices.get(n) for n in next(iter(options.values()))}
                out[f"block{k}_op"] = next(text for text, said in options.items() if said == mine)
        return out

    def _derive(self, strengths: Strengths) -> Architecture:
        """The strongest option of each block."""
        chosen: dict[str, Option] = {}
        for k, options in self._rivals.items():
            row = strengths.get(f"block{k}_op", {})
            chosen |= options[max(options, key=lambda text: row.get(text, 0.0))]
        return self._walk(lambda decision: chosen.get(decision.name, decision.options[0]))
