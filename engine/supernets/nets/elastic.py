"""Elastic weights: small networks run on slices of the weights of the largest ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import CannotBuild
from engine.network.build import make_block
from engine.network.plan import Node
from engine.spaces.base import SearchSpace
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.slicing import RULES, Window, cut

#: a name, an operation and the arguments that its sizes have in common
Family = tuple[str, str, tuple[tuple[str, Any], ...]]
#: operations of smaller sizes that are remembered, many times what one network has
_REMEMBERED = 8192


class ElasticBank(Bank):
    """Weights of the largest operations at each place; a smaller one of the same kind runs on slices of them.

    Which slices, `slicing.RULES` says. What the covering set does not announce (an operation without a rule, or one
    that fits into none of the largest) has weights of its own, by exact arguments, as in any bank. Gradients reach the
    large weights; what a subnet leaves out of a weight it uses gets zeros, so that momentum and weight decay act on all
    of it, as in the published trainings. A smaller batch norm uses the leading running statistics in place.

    With `transforms` a smaller depthwise kernel is the centre of the next larger one times a matrix, one for all its
    channels, learned and the identity at first (Once-for-All, section 3.3, "elastic kernel size", with its figure 4:
    the shared 25 x 25 and 9 x 9 kernel transformation matrices).

    Args:
        cover: name and node of all operations that the space's networks have, at least at their largest.
        seed, device, layout: as of any bank.
        transforms: learned matrices between kernels.
    """

    def __init__(
        self,
        cover: Iterable[tuple[str, Node]],
        *,
        seed: int,
        device: torch.device | None = None,
        layout: torch.memory_format = torch.contiguous_format,
        transforms: bool = False,
    ) -> None:
        super().__init__(seed=seed, device=device, layout=layout)
        self._views: OrderedDict[tuple[str, str, Any], nn.Module] = OrderedDict()
        self._largest: dict[Family, dict[str, Any]] = {}
        self._large: dict[Family, nn.Module] = {}
        self._matrices: dict[Family, dict[int, nn.Parameter]] = {}
        kernels: dict[Family, set[int]] = {}
        for name, node in cover:
            if (rule := RULES.get(node.op)) is None:
                super().block(name, node)
                continue
            family: Family = (name, node.op, rule.rigid(node.args))
            before = self._largest.get(family)
            self._largest[family] = dict(node.args) if before is None else rule.joined(before, node.args)
            if node.op == "depthwise_conv2d":
                kernels.setdefault(family, set()).add(int(node.args["kernel_size"]))  # type: ignore[arg-type]
        for family, args in self._largest.items():
            name, op, _ = family
            self._large[family] = large = super().block(name, Node(name, op, args, (), ()))
            for size in sorted(kernels.get(family, ()), reverse=True)[1:] if transforms else ():
                matrix = nn.Parameter(torch.eye(size * size, device=self.device))
                large.register_parameter(f"to{size}", matrix)
                self._matrices.setdefault(family, {})[size] = matrix

    def block(self, name: str, node: Node) -> nn.Module:
        """The operation of a node: the largest one itself, one that runs on slices of it, or one of its own."""
        key = (name, node.op, tuple(node.args.items()))
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = self._view(name, node)
            if len(self._views) > _REMEMBERED:
                self._views.popitem(last=False)
        else:
            self._views.move_to_end(key)
        return found

    def _view(self, name: str, node: Node) -> nn.Module:
        rule = RULES.get(node.op)
        if rule is None:
            return super().block(name, node)
        family: Family = (name, node.op, rule.rigid(node.args))
        args = self._largest.get(family)
        if args is None or not rule.fits(args, node.args):
            return super().block(name, node)
        large, matrices = self._large[family], self._matrices.get(family, {})
        if dict(node.args) == args and not matrices:
            return large
        return Sliced(node, large, matrices).train(self.training)

    def train(self, mode: bool = True) -> ElasticBank:
        """Training or evaluation, of the smaller operations, too."""
        super().train(mode)
        for module in self._views.values():
            if isinstance(module, Sliced):
                module.train(mode)
        return self


class Sliced(nn.Module):
    """An operation that runs on slices of a larger one's weights; it owns none.

    The operation's own block, made without memory, is handed the slices before each run: a few microseconds.

    Args:
        node: the operation.
        large: holds the weights.
        matrices: by the kernel they lead to, see `ElasticBank`.
    """

    def __init__(self, node: Node, large: nn.Module, matrices: Mapping[int, Tensor] | None = None) -> None:
        super().__init__()
        with torch.device("meta"):
            self.inner = make_block(node)
        self._parts: list[tuple[dict[str, Any], str, Tensor, tuple[tuple[int, int, int], ...], int]] = []
        self._channels = int(node.args.get("out_channels") or 0)  # type: ignore[arg-type]
        self._steps: list[tuple[int, Tensor]] = []
        if matrices:
            kernel = node.args["kernel_size"]
            self._steps = [(k, m) for k, m in sorted(matrices.items(), reverse=True) if k >= kernel]  # type: ignore[operator]
        windows = RULES[node.op].windows(node.args)
        state: dict[str, Tensor] = {**dict(large.named_parameters()), **dict(large.named_buffers())}
        for prefix, module in self.inner.named_modules():
            for name in [*module._buffers, *(n for n, p in module._parameters.items() if p is not None)]:
                full = f"{prefix}.{name}" if prefix else name
                whole, window = state[full], windows.get(full, Window(()))
                if name in module._buffers:
                    module._buffers[name] = window.of(whole)
                else:
                    bounds = window.bounds(tuple(whole.shape))
                    self._parts.append((module._parameters, name, whole, bounds, window.parts))
        self._bind()

    def _bind(self) -> None:
        for owner, name, whole, bounds, parts in self._parts:
            owner[name] = self._kernel(whole) if self._steps and name == "weight" else cut(whole, bounds, parts)

    def _kernel(self, weight: Tensor) -> Tensor:
        """A depthwise kernel by way of all larger ones: the centre of each, times its matrix."""
        weight = weight[: self._channels]  # (channels, 1, kernel, kernel)
        for size, matrix in self._steps:
            off = (weight.shape[-1] - size) // 2
            flat = weight[..., off : off + size, off : off + size].flatten(2)
            weight = (flat @ matrix.T).view(*flat.shape[:2], size, size)
        return weight

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the operation's own block."""
        self._bind()
        out: Tensor = self.inner(*inputs)
        return out

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The slices, under the names of a stand-alone block."""
        self._bind()
        return self.inner.state_dict(*args, **kwargs)


def cover(space: SearchSpace) -> Iterator[tuple[str, Node]]:
    """Name and node of each operation of the space's covering architectures."""
    for architecture in space.covering():
        try:
            plan = space.planned(architecture)
        except CannotBuild:
            continue
        names = space.weight_names(architecture)
        for node in plan.nodes:
            yield names.get(node.id, node.id), node
