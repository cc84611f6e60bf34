"""A supernet of mixtures: architecture parameters (alphas) weigh the options that stand side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.spaces._shares import Strengths
from engine.supernets.alarm import collapse
from engine.supernets.epochs import rounded, skip_share
from engine.supernets.limits import limited
from engine.supernets.mixture import Mixture
from engine.supernets.nets.learner import At, Batch, Learner, Setup
from engine.supernets.nets.network import Gate, MixtureNetwork
from engine.training.inference import autocast

#: standard deviation of fresh architecture parameters (Liu et al. 2019's code: 1e-3)
ALPHA_STD = 1e-3


class MixedLearner(Learner):
    """Weights and architecture parameters in turn, each on its half of the training split.

    Attributes:
        mixture: what stands side by side now.
        network: runs it.
        alphas: (options,) by table, leaves.
        adam: the architecture parameters' optimizer.
        handed: what an earlier epoch derived, where that is handed over instead of the last one's.
    """

    halves: ClassVar[bool] = True
    elastic: ClassVar[bool] = False  # options stand side by side, each with weights of its own

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup, affine=False)
        self.handed: Architecture | None = None
        self.begin(self.make_mixture(), setup.seed)

    def begin(self, mixture: Mixture, seed: int) -> None:
        """Fresh alphas and a fresh optimizer of theirs over what stands side by side from now on."""
        self.mixture = mixture
        self.network = self.make_network()
        self.alphas = self.fresh_alphas(torch.Generator().manual_seed(seed))
        o = self.options
        learning = sum(not self.frozen(epoch) for epoch in range(self.setup.epochs))
        self.adam = torch.optim.Adam(
            list(self.alphas.values()),
            lr=o.rate(self.steps * learning),
            betas=(0.5, 0.999),
            weight_decay=o.alpha_decay,
        )

    def make_mixture(self) -> Mixture:
        """What stands side by side at the start."""
        return self.space.mixture(norm_pools=True)

    def make_network(self) -> MixtureNetwork:
        """What runs the mixture."""
        return MixtureNetwork(self.mixture, self.bank)

    def fresh_alphas(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Leaves by table; methods with other architecture parameters add them under names of their own."""
        return {t.name: self.leaf(ALPHA_STD * torch.randn(len(t.options), generator=generator))
                for t in self.mixture.tables}  # fmt: skip

    def leaf(self, values: Tensor) -> Tensor:
        """An architecture parameter with these values, on the device."""
        return values.to(self.setup.device).requires_grad_()

    # -- gates --------------------------------------------------------------------------------
    def probabilities(self) -> dict[str, Tensor]:
        """(options,) by table: what the alphas say."""
        return {t.name: torch.softmax(self.alphas[t.name], dim=0) for t in self.mixture.tables}

    def gates(self, at: At) -> dict[str, Gate]:
        """Gates of one forward pass: all options, weighted. Where they are drawn, from (seed, step, turn)."""
        return {name: (range(len(p)), p) for name, p in self.probabilities().items()}

    def forward(self, x: Tensor, gates: Mapping[str, Gate]) -> Tensor:
        """Logits of the mixture."""
        with autocast(self.setup.device, self.setup.setting):
            return self.network(x, gates)

    def logits(self, x: Tensor, at: At) -> Tensor:
        """One forward pass of a step, with gates of its own."""
        return self.forward(x, self.gates(at))

    def answer(self, x: Tensor) -> Tensor | None:
        """Logits of all options, each as probable as the alphas say."""
        return self.forward(x, {name: (range(len(p)), p) for name, p in self.probabilities().items()})

    def run(self, architecture: Architecture, x: Tensor) -> Tensor:
        """Logits of one subnet as the mixture has it: with norms behind poolings and channels that pass by."""
        return self.forward(x, self.one_hot(architecture))

    def blocks_of(self, architecture: Architecture) -> list[nn.Module]:
        """The shared operations of that subnet."""
        return self.network.blocks_of(self.one_hot(architecture))

    def one_hot(self, architecture: Architecture) -> dict[str, Gate]:
        """Gates that compute just what an architecture takes.

        Raises:
            CannotBuild: it takes an option that no longer stands in the mixture.
        """
        chosen = self.space.chosen(architecture)
        gates: dict[str, Gate] = {}
        for table in self.mixture.tables:
            if table.name not in chosen:
                gates[table.name] = (), None
            elif chosen[table.name] in table.options:
                gates[table.name] = (table.options.index(chosen[table.name]),), None
            else:
                raise CannotBuild(f"{table.name}: {chosen[table.name]} was dropped from the supernet")
        return gates

    # -- steps --------------------------------------------------------------------------------
    def step(self, at: At, train: Batch, held: Batch | None) -> dict[str, Tensor]:
        """Architecture first, then weights (Liu et al. 2019, Algorithm 1)."""
        assert held is not None
        out = {}
        if not self.frozen(at.epoch):
            out["held_loss"] = self.architecture_step(at, train, held)
        x, y = train
        with self.fixed_alphas():
            loss = self.loss(self.logits(x, at), y)
            self.descend(loss, at.rate)
        return {"loss": loss.detach(), **out}

    @contextmanager
    def fixed_alphas(self) -> Iterator[None]:
        """Nothing is kept for a gradient of the alphas meanwhile: the outputs of all options are what it would take."""
        for a in self.alphas.values():
            a.requires_grad_(False)
        try:
            yield
        finally:
            for a in self.alphas.values():
                a.requires_grad_()

    def frozen(self, epoch: int) -> bool:
        """Whether the alphas stay as they are in an epoch (from 0), so that the weights get ahead."""
        return False

    def architecture_step(self, at: At, train: Batch, held: Batch) -> Tensor:
        """One step of the alphas on the held half, the weights as they are (first order: xi = 0)."""
        x, y = held
        loss = self.loss(self.logits(x, replace(at, turn=1)), y)
        self.descend_alphas(loss)
        return loss.detach()

    def descend_alphas(self, loss: Tensor) -> None:
        """One step of the alphas; gradients that reached the weights are thrown away."""
        self.descend_along(torch.autograd.grad(loss, list(self.alphas.values()), allow_unused=True))

    def descend_along(self, grads: Sequence[Tensor | None]) -> None:
        """One step of the alphas along gradients in their order; None = zeros."""
        for a, g in zip(self.alphas.values(), grads, strict=True):
            a.grad = torch.zeros_like(a) if g is None else g
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)

    # -- asked --------------------------------------------------------------------------------
    def strengths(self) -> dict[str, dict[Any, float]]:
        """Probability of each option by table."""
        with torch.no_grad():
            rows = {name: p.detach().cpu().tolist() for name, p in self.probabilities().items()}
        return {t.name: dict(zip(t.options, rows[t.name], strict=True)) for t in self.mixture.tables}

    def votes(self) -> Strengths:
        """What speaks for each option when an architecture is derived."""
        return self.strengths()

    def genotype(self) -> Architecture:
        """What the votes make now."""
        return limited(self.space, self.votes(), self.options.max_skips)

    def derived(self) -> list[Architecture]:
        """The genotype of this epoch, or of an earlier one that training went back to."""
        return [self.genotype() if self.handed is None else self.handed]

    def stop_reason(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """The collapse alarm, where it is to stop the training: what was derived before is handed over."""
        if self.options.on_collapse != "stop":
            return ""
        alarm = collapse(rows)
        if alarm["alarmed"]:
            self.go_back(rows, alarm["before"])
        return alarm["why"]

    def go_back(self, rows: Sequence[Mapping[str, Any]], epoch: int) -> None:
        """Hands over what that epoch (from 1) derived; 0 = what the last one derived."""
        if epoch:
            self.handed = self.space.validate(rows[epoch - 1]["derived"])

    def paths(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """What is derived now: one network, whatever `n`."""
        return self.derived()

    def views(self) -> dict[str, Any]:
        """Probabilities, and the share of skip connections of the derived architecture."""
        derived = self.genotype()
        offered = {d.name: d.options for d in self.space.decisions(derived)}
        share = skip_share(derived.choices, offered)
        out: dict[str, Any] = {"tables": rounded(self.strengths())}
        return out if share is None else {**out, "skips": share}

    # -- kept ---------------------------------------------------------------------------------
    def tensors(self) -> dict[str, Tensor]:
        """The alphas and the state of their Adam beside the weights."""
        out = super().tensors() | {f"alpha.{n}": a for n, a in self.alphas.items()}
        for name, a in self.alphas.items():
            for what, value in self.adam.state.get(a, {}).items():
                out[f"adam.{what}.{name}"] = value
        return out

    def about(self) -> dict[str, Any]:
        """What is handed over, too, where that is an earlier epoch's; and which options the alphas are of."""
        tables = {t.name: [str(o) for o in t.options] for t in self.mixture.tables}
        return super().about() | {
            "handed": None if self.handed is None else dict(self.handed.choices), "tables": tables,
        }  # fmt: skip

    def begin_from(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> tuple[int, int]:
        """Alphas of the same tables and options, too, where `start_alphas` says so."""
        taken, of = super().begin_from(tensors, about)
        if not self.options.start_alphas:
            return taken, of
        theirs = {name: tensors[f"alpha.{name}"] for name in about.get("tables", {}) if f"alpha.{name}" in tensors}
        mine = {t.name: [str(o) for o in t.options] for t in self.mixture.tables}
        with torch.no_grad():
            for name, alpha in theirs.items():
                if mine.get(name) == about["tables"][name] and alpha.shape == self.alphas[name].shape:
                    self.alphas[name].copy_(alpha)
                    taken += 1
        return taken, of + len(theirs)

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Takes over alphas and Adam, too."""
        handed = about.get("handed")
        self.handed = None if handed is None else self.space.validate(handed)
        # the options of all slots were made at once, in the order a checkpoint has them
        with torch.no_grad():
            for name, t in self.bank.named_weights():
                t.copy_(tensors[f"bank.{name}"])
            for name, p in self.bank.named_parameters():
                if (buffer := tensors.get(f"momentum.{name}")) is not None:
                    self.sgd.buffers[p] = torch.empty_like(p).copy_(buffer)
            for name, a in self.alphas.items():
                a.copy_(tensors[f"alpha.{name}"])
                state = {
                    what: tensors[f"adam.{what}.{name}"].clone()
                    for what in ("step", "exp_avg", "exp_avg_sq")
                    if f"adam.{what}.{name}" in tensors
                }
                if state:
                    self.adam.state[a] = {k: v if k == "step" else v.to(a.device) for k, v in state.items()}
