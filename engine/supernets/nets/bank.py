"""A bank of weights: every operation that a space's networks have at a place, once, found by name and arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from engine.network.build import initialize, make_block, without_side
from engine.network.operations import OPERATIONS, module_path
from engine.network.plan import NetworkPlan, Node
from engine.training import depthwise, pooling
from engine.training.seeds import stream

#: one operation at one place: (name of the weights, operation, arguments as JSON)
Key = tuple[str, str, str]
Block = Callable[..., Tensor]
#: blocks kept of the operations that have many over the same weights
_FORMS = 64


def key_of(name: str, node: Node) -> Key:
    """Nodes with the same name, operation and arguments share their weights."""
    return _key(name, node.op, tuple(node.args.items()))


@lru_cache(maxsize=1 << 16)
def _key(name: str, op: str, args: tuple[tuple[str, Any], ...]) -> Key:
    return name, op, json.dumps(dict(args), sort_keys=True)


def node_of(key: Key) -> Node:
    """A node that has this key; what it reads and its shape are not part of it."""
    name, op, args = key
    literal: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(args).items()}
    return Node(name, op, literal, (), ())


class _Held(nn.Module):
    """Weights that several blocks of one operation share (`Operation.free_args`)."""

    def lend(self, block: nn.Module) -> bool:
        """Puts the held weights in the place of a block's own; False, and nothing done, where it has more."""
        places = [(m, leaf, f"{name}.{leaf}".lstrip(".").replace(".", "__"))
                  for name, m in block.named_modules() for leaf, _ in m.named_parameters(recurse=False)]  # fmt: skip
        if any(name not in self._parameters for _, _, name in places):
            return False
        for module, leaf, name in places:
            setattr(module, leaf, self.get_parameter(name))
        return True

    def hold(self, block: nn.Module) -> None:
        """Takes in what it does not hold yet."""
        for name, p in block.named_parameters():
            name = name.replace(".", "__")
            if name not in self._parameters:
                self.register_parameter(name, nn.Parameter(p.detach()))


class Bank(nn.Module):
    """Weights of all networks of a space; a network is run by walking its plan over them.

    An operation is made when it is first asked for, with initial weights from a seed of its own name, so that they do
    not depend on the order of asking. What has neither weights nor state is shared by all places. An operation with
    `free_args` has a block for each of their values, over the same weights.

    Args:
        seed: of the initial weights.
        device, layout: where the weights live, and how.
        affine: whether batch norms learn scale and shift; gradient search leaves them out, since they would undo what
            an architecture parameter scales (Liu et al. 2019, section 3.1.1).
    """

    def __init__(
        self,
        *,
        seed: int,
        device: torch.device | None = None,
        layout: torch.memory_format = torch.contiguous_format,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.seed, self.device, self.layout, self.affine = seed, device or torch.device("cpu"), layout, affine
        self.blocks = nn.ModuleList()
        self._weights: list[nn.Parameter] = []  # [] = to be listed anew; walking all modules at each step is dear
        self._keys: dict[Key, int] = {}
        self._plain: dict[tuple[str, str], nn.Module] = {}  # without weights: no part of the state
        self._held: dict[Key, int] = {}  # without the free arguments
        self._forms: dict[Key, nn.Module] = {}  # over weights that `blocks` hold

    @property
    def weights(self) -> Sequence[nn.Parameter]:
        """All parameters, in the order of `parameters`."""
        if not self._weights:
            self._weights = list(self.parameters())
        return self._weights

    def block(self, name: str, node: Node) -> nn.Module:
        """The operation of a node, under the name of its weights."""
        key = key_of(name, node)
        if free := OPERATIONS[node.op].free_args:
            return self._form(key, node, free)
        if key in self._keys:
            return self.blocks[self._keys[key]]
        plain = key[1:]
        if plain in self._plain:
            return self._plain[plain]
        made = self._make(key, node)
        if not made.state_dict():  # fixed tables (sinusoids) are no state
            self._plain[plain] = made.train(self.training)
            return made
        self._keys[key] = len(self.blocks)
        self._append(made.train(self.training))
        return made

    def _append(self, made: nn.Module) -> None:
        self.blocks.append(made)
        self._weights = []

    def _form(self, key: Key, node: Node, free: tuple[str, ...]) -> nn.Module:
        """A block over shared weights, which grow where it has more; `_keys` lists those that made them grow."""
        if key in self._forms:
            return self._forms[key]
        fixed = {k: v for k, v in node.args.items() if k not in free}
        place = (key[0], key[1], json.dumps(fixed, sort_keys=True))
        if place not in self._held:
            self._held[place] = len(self.blocks)
            self._append(_Held())
        held = self.blocks[self._held[place]]
        assert isinstance(held, _Held)
        with torch.device("meta"):
            made = make_block(node)
        if not held.lend(made):
            self._keys[key] = self._held[place]
            held.hold(self._make(place, node))
            self._weights = []
            held.lend(made)
        if len(self._forms) >= _FORMS:
            self._forms.clear()
        self._forms[key] = made
        return made

    def _make(self, key: Key, node: Node) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            # mixed, since torch's CPU generator reads the lower 32 bits alone; and of the CPU alone: dropout on a GPU
            # has a generator of its own, which goes on
            torch.default_generator.manual_seed(stream(self.seed, 0, repr(key)))
            made = make_block(node)
            initialize(made)
        if not self.affine:
            for module in made.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
                    module.weight.requires_grad_(False)
                    module.bias.requires_grad_(False)
        if self.device.type == "cpu":
            depthwise.speed_up(made)
            pooling.speed_up(made)
        return made.to(self.device).to(memory_format=self.layout)

    def train(self, mode: bool = True) -> Bank:
        """Training or evaluation, of what has no weights, too (dropout)."""
        super().train(mode)
        for module in self._plain.values():
            module.train(mode)
        return self

    # -- a network of the bank ----------------------------------------------------------------
    def run(self, plan: NetworkPlan, x: Tensor, names: Mapping[str, str] | None = None) -> Tensor:
        """Logits (B, n_outputs) of the network of a plan for a batch (B, *input_shape), under the shared weights.

        Args:
            plan: the network; auxiliary heads, and what leads to them alone, are left out.
            x: the batch.
            names: names of the weights by node, where they differ from the nodes' ids.
        """
        names = names or {}
        nodes = without_side(plan) if plan.auxiliary else plan.nodes
        last = {source: i for i, node in enumerate(nodes) for source in node.inputs}
        values: dict[str, Tensor] = {"input": x}
        for i, node in enumerate(nodes):
            inputs = [values[source] for source in node.inputs]
            x = values[node.id] = self.block(names.get(node.id, node.id), node)(*inputs)
            for source in node.inputs:  # nobody reads it again
                if last[source] == i:
                    values.pop(source, None)
        return x

    def blocks_of(self, plan: NetworkPlan, names: Mapping[str, str] | None = None) -> list[nn.Module]:
        """The operations with weights or state that a network uses, each once."""
        names = names or {}
        found = {id(m): m for m in (self.block(names.get(n.id, n.id), n) for n in plan.nodes)}
        return [m for m in found.values() if any(True for _ in (*m.parameters(), *m.buffers()))]

    def extract(self, plan: NetworkPlan, names: Mapping[str, str] | None = None) -> dict[str, Tensor]:
        """State dict of the stand-alone network (`network.build.PlanNetwork`) with the shared weights: copies."""
        names = names or {}
        out: dict[str, Tensor] = {}
        for node in plan.nodes:
            prefix = ".".join(module_path(node))
            for name, tensor in self.block(names.get(node.id, node.id), node).state_dict().items():
                out[f"{prefix}.{name}"] = tensor.detach().clone(memory_format=torch.contiguous_format)
        return out

    # -- kept ---------------------------------------------------------------------------------
    def keys(self) -> list[list[str]]:
        """What made the bank hold what it holds, in that order: JSON for a checkpoint."""
        return [list(key) for key in self._keys]

    def hold(self, keys: Sequence[Sequence[str]]) -> None:
        """Makes what a checkpoint holds, in its order. For an empty bank."""
        for name, op, args in keys:
            self.block(name, node_of((name, op, args)))

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers by place in the bank, e.g. `blocks.3.conv.weight`."""
        yield from self.named_parameters()
        yield from self.named_buffers()
