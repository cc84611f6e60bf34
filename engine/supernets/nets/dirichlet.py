"""DrNAS: mixing weights from a Dirichlet distribution with learned concentrations."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from engine.supernets.mixture import Mixture
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.learner import At, Batch, Setup, SharedSGD
from engine.supernets.nets.network import Gate
from engine.supernets.nets.partial import partial_mixture
from engine.supernets.nets.staged import StagedLearner
from engine.supernets.nets.widening import carry

#: share of the options that stay in the second of two stages (Chen et al. 2021: 4 of 7, 3 of 5)
KEPT = 3 / 5
#: purposes of the generators of a step, by turn
_DRAWS = (0xD120, 0xD121)


def concentration(alpha: Tensor) -> Tensor:
    """elu(alpha) + 1, in float64 and written so that it never rounds to 0."""
    a = alpha.double()
    return torch.where(a > 0, a + 1, torch.where(a > 0, 0.0, a).exp())


def sample(beta: Tensor, seed: int) -> Tensor:
    """One draw of Dir(beta) that beta's gradient flows through; torch's own generator stays as it was.

    Args:
        beta: (options,), positive.
        seed: of the draw; the same on every device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        drawn: Tensor = Dirichlet(beta.cpu()).rsample()
    return drawn.to(beta.device)


class DirichletLearner(StagedLearner):
    """Gates are samples; one stage, or two with partial channels."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup, stages=2 if setup.options.progressive else 1)

    # -- the distribution -------------------------------------------------------------------------
    def probabilities(self) -> dict[str, Tensor]:
        """(options,) by table: the means of the distributions."""
        betas = {t.name: concentration(self.alphas[t.name]) for t in self.mixture.tables}
        return {name: beta / beta.sum() for name, beta in betas.items()}

    def gates(self, at: At) -> dict[str, Gate]:
        """All options, with weights drawn from (seed, step, turn)."""
        rng = self.rng(at.step, _DRAWS[at.turn])
        out: dict[str, Gate] = {}
        for table in self.mixture.tables:
            beta = concentration(self.alphas[table.name])
            out[table.name] = range(len(beta)), sample(beta, int(rng.integers(1 << 62))).float()
        return out

    def distance(self) -> Tensor:
        """() of all concentrations to the anchor 1."""
        total = torch.zeros((), dtype=torch.float64, device=self.setup.device)
        for table in self.mixture.tables:
            beta = concentration(self.alphas[table.name])
            one = torch.ones_like(beta)
            if self.options.anchor == "kl":
                total = total + kl_divergence(Dirichlet(beta), Dirichlet(one))
            else:
                total = total + ((beta - one) ** 2).sum() / 2
        return total

    def architecture_step(self, at: At, train: Batch, held: Batch) -> Tensor:
        """One step of the alphas on held-out loss and anchor (Chen et al. 2021)."""
        x, y = held
        loss = self.loss(self.logits(x, replace(at, turn=1)), y)
        self.descend_alphas(loss + self.options.anchor_weight * self.distance())
        return loss.detach()

    # -- stages -----------------------------------------------------------------------------------
    def frozen(self, epoch: int) -> bool:
        """At the start of each of several stages."""
        return self.stages > 1 and super().frozen(epoch)

    def count(self, options: int, stage: int) -> int:
        """All in the first stage."""
        return options if stage == 0 else min(options, max(2, math.floor(options * KEPT + 0.5)))

    def make_mixture(self) -> Mixture:
        """Partial channels where there are stages."""
        if self.stages == 1:
            return super().make_mixture()
        return partial_mixture(self.space, max(1, self.options.partial // 2**self.stage))

    def enter(self, stage: int) -> None:
        """Drops options and widens the channels; weights, alphas and their optimizers go on."""
        s, o = self.setup, self.options
        network, sgd, alphas, adam = self.network, self.sgd, self.alphas, self.adam
        self.bank = Bank(seed=s.seed, device=s.device, layout=s.setting.memory_format, affine=False)
        self.sgd = SharedSGD(momentum=o.momentum, weight_decay=o.weight_decay, clip=o.clip)
        self.begin(self.make_mixture().keep(self.kept), s.seed)
        carry(network, sgd, self.network, self.sgd, s.seed)
        for table in self.mixture.tables:
            stay = [network.mixture.by_name[table.name].options.index(option) for option in table.options]
            old, new = alphas[table.name], self.alphas[table.name]
            with torch.no_grad():
                new.copy_(old[stay])
            if state := adam.state.get(old):
                self.adam.state[new] = {k: v.clone() if v.dim() == 0 else v[stay] for k, v in state.items()}
