"""From a plan to a torch module (the torch side)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn

from engine.network.operations import OPERATIONS, module_path
from engine.network.plan import NetworkPlan, Node


class Part(nn.Module):
    """Holds the operations of one repeated cell under its name."""


#: deviation of fresh word vectors. torch's is 1, which drowns what little is learned of a rare word: four random
#: transformers reached 72 % on TREC after 6 epochs with it, 82 % with this, 76 % with a uniform in +-0.1
WORD_STD = 0.1

#: a module, where its inputs are, where its output goes, and what nobody reads afterwards
Step = tuple[Callable[..., torch.Tensor], tuple[int, ...], int, tuple[int, ...]]


class PlanNetwork(nn.Module):
    """Runs a plan. Weights are named by `module_path`, exactly as in the exported model.py.

    Args:
        plan: the network.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__()
        #: logits of the auxiliary heads of the last forward pass in training mode; whoever reads them empties it
        self.side_logits: list[torch.Tensor] = []
        modules: dict[str, nn.Module] = {}
        for node in plan.nodes:
            modules[node.id] = module = make_block(node)
            parent: nn.Module = self
            *outer, name = module_path(node)
            for part in outer:
                if not hasattr(parent, part):
                    parent.add_module(part, Part())
                parent = parent.get_submodule(part)
            parent.add_module(name, module)
        slots = {"input": 0} | {node.id: i for i, node in enumerate(plan.nodes, start=1)}
        self._side = tuple(slots[name] for name in plan.auxiliary)
        self._steps = _steps(plan.nodes, modules, slots)
        # auxiliary heads, with all that only they read, take no part in a prediction
        self._short = _steps(without_side(plan), modules, slots) if plan.auxiliary else self._steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, n_outputs) of a batch (B, *input_shape)."""
        values: dict[int, torch.Tensor] = {0: x}
        for module, inputs, slot, done in self._steps if self.training else self._short:
            x = module(*[values[i] for i in inputs])
            for i in done:  # nobody reads it again
                del values[i]
            values[slot] = x
        if self.training and self._side:
            self.side_logits = [values[slot] for slot in self._side]
        return x


def _steps(nodes: Sequence[Node], modules: dict[str, nn.Module], slots: dict[str, int]) -> list[Step]:
    """What to run, in order; each value is given up after its last reader."""
    last_use = {slots[name]: slots[node.id] for node in nodes for name in node.inputs}
    out: list[Step] = []
    for node in nodes:
        slot, inputs = slots[node.id], tuple(slots[name] for name in node.inputs)
        out.append((modules[node.id], inputs, slot, tuple(i for i in sorted(set(inputs)) if last_use[i] == slot)))
    return out


def without_side(plan: NetworkPlan) -> list[Node]:
    """The nodes without those that lead to auxiliary logits alone."""

    def leading_to(targets: Iterable[str]) -> set[str]:
        found = set(targets)
        for node in reversed(plan.nodes):
            if node.id in found:
                found.update(node.inputs)
        return found

    side = leading_to(plan.auxiliary) - leading_to([plan.nodes[-1].id])
    return [node for node in plan.nodes if node.id not in side]


def make_block(node: Node) -> nn.Module:
    """The torch block of one node with its literal arguments."""
    module_name, class_name = OPERATIONS[node.op].block.split(":")
    block: nn.Module = getattr(importlib.import_module(module_name), class_name)(**node.args)
    return block


def initialize(network: nn.Module) -> None:
    """Draws the weights that torch's defaults are not good for; from torch's global generator.

    Convolutions: He's normal initialisation (He et al. 2015, equation 10), biases zero. Word vectors (embeddings with a
    padding row): normal with `WORD_STD`, zeros for padding. All others keep what their constructors gave them: dense
    and recurrent layers and attention torch's uniform of the fan-in, norms one and zero, embeddings of categories and
    positions what their blocks say.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.normal_(module.weight, std=WORD_STD)
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()


def build(plan: NetworkPlan, *, seed: int | None = None) -> nn.Module:
    """Makes the network of a plan with fresh weights.

    Args:
        plan: the network.
        seed: of the weights; None draws from torch's global generator as the caller left it. With a seed the
            global generator is left untouched.
    """
    if seed is None:
        network = PlanNetwork(plan)
        initialize(network)
        return network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(plan)
