"""Trains subnets of all sizes as slices of the largest network: sandwich rule, progressive shrinking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.architecture import Architecture
from engine.supernets._shrinking import Stage, largest, smallest, stage_at, stages_of, within
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.elastic import ElasticBank, cover
from engine.supernets.nets.learner import At, Batch, Setup
from engine.supernets.nets.paths import PathLearner, drawn
from engine.supernets.nets.scoring import by_batch, norms
from engine.training.inference import autocast


def soft_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy of logits (B, n) with what the teacher's logits (B, n) say; no gradient goes to the teacher."""
    wanted = teacher.detach().float().softmax(dim=1)
    return -(wanted * logits.float().log_softmax(dim=1)).sum(dim=1).mean()


class _Elastic(PathLearner):
    """What both trainings share: a bank of slices."""

    def make_bank(self, affine: bool) -> Bank:
        """Slices, with matrices between kernels where they are asked for."""
        s = self.setup
        return ElasticBank(
            cover(s.space), seed=s.seed, device=s.device, layout=s.setting.memory_format,
            transforms=s.options.kernel_transform,
        )  # fmt: skip


class SandwichLearner(_Elastic):
    """Largest, smallest and random subnets in every step (Yu & Huang 2019, Algorithm 1; Yu et al. 2020, BigNAS)."""

    def sample(self, rng: np.random.Generator) -> list[Architecture]:
        """The subnets of one step, the largest first."""
        ends = [largest(self.space, rng), smallest(self.space, rng)]
        return [*ends, *(drawn(self.space, rng) for _ in range(self.options.subnets))]

    def step(self, at: At, train: Batch, held: Batch | None) -> dict[str, Tensor]:
        """Gradients of all of them are added up before the weights change."""
        x, y = train
        first, *others = self.sample(self.rng(at.step))
        teacher = self.run(first, x)
        loss = self.loss(teacher, y)
        loss.backward()  # type: ignore[no-untyped-call]
        weight, total = self.options.distillation, torch.zeros_like(loss)
        for other in others:
            logits = self.run(other, x)
            theirs = weight * soft_loss(logits, teacher) if weight else self.loss(logits, y)
            theirs.backward()
            total += theirs.detach()
        self.sgd.step(self.bank.weights, at.rate)
        return {"loss": loss.detach(), "subnet_loss": total / len(others)}

    def paths(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """The largest, the smallest, and random ones."""
        ends = [largest(self.space, rng), smallest(self.space, rng)]
        return [*ends, *super().paths(max(0, n - 2), rng)][:n]


class ProgressiveLearner(_Elastic):
    """The largest network first, then ever smaller ones, taught by it (Cai et al. 2020, section 3.3).

    Attributes:
        stages: of this space.
        epoch: the one it is in.
        teacher: weights of the largest network as its stage left them; None before that, or without distillation.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.stages = stages_of(self.space)
        self.epoch = 0
        self.teacher: Bank | None = None

    def stage(self, epoch: int) -> Stage:
        """Of an epoch, from 0."""
        return stage_at(self.stages, epoch, self.setup.epochs)

    def begin_epoch(self, epoch: int) -> None:
        """With the end of the first stage the teacher is what it is."""
        self.epoch = epoch
        if epoch and self.teacher is None and self.options.distillation and self.stage(epoch) != self.stages[0]:
            self.teacher = self._teacher({f"bank.{n}": t for n, t in self.bank.named_weights()}, self.bank.keys())

    def _teacher(self, tensors: Mapping[str, Tensor], keys: list[list[str]]) -> Bank:
        bank = self.make_bank(True)
        bank.hold(keys)
        with torch.no_grad():
            for name, t in bank.named_weights():
                t.copy_(tensors[f"bank.{name}"])
        return bank.requires_grad_(False).eval()

    def sample(self, rng: np.random.Generator) -> list[Architecture]:
        """The subnets of one step."""
        stage = self.stage(self.epoch)
        return [within(self.space, stage, rng) for _ in range(stage.subnets)]

    def step(self, at: At, train: Batch, held: Batch | None) -> dict[str, Tensor]:
        """Gradients of the stage's subnets, on labels and on the teacher's answers, are added up."""
        self.epoch = at.epoch
        x, y = train
        rng = self.rng(at.step)
        paths = self.sample(rng)
        taught = self._taught(largest(self.space, rng), x)
        hard, soft = torch.zeros((), device=x.device), torch.zeros((), device=x.device)
        for path in paths:
            logits = self.run(path, x)
            loss = self.loss(logits, y)
            hard += loss.detach() / len(paths)
            if taught is not None:
                theirs = soft_loss(logits, taught)
                soft += theirs.detach() / len(paths)
                loss = loss + self.options.distillation * theirs
            loss.backward()  # type: ignore[no-untyped-call]
        self.sgd.step(self.bank.weights, at.rate)
        return {"loss": hard} if self.teacher is None else {"loss": hard, "subnet_loss": soft}

    @torch.no_grad()
    def _taught(self, architecture: Architecture, x: Tensor) -> Tensor | None:
        """Logits of the teacher, whose norms take the statistics of the batch, as in its training; no dropout."""
        if self.teacher is None:
            return None
        plan, names = self.space.planned(architecture), self.space.weight_names(architecture)
        with autocast(self.setup.device, self.setup.setting), by_batch(norms(self.teacher.blocks_of(plan, names))):
            return self.teacher.run(plan, x, names)

    def paths(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Subnets of the stage it is in."""
        stage = self.stage(self.epoch)
        return [within(self.space, stage, rng) for _ in range(n)]

    def views(self) -> dict[str, Any]:
        """The stage, where one begins."""
        here = self.stage(self.epoch)
        begins = not self.epoch or self.stage(self.epoch - 1) != here
        return {"note": f"stage: {here.name}"} if begins else {}

    # -- kept ---------------------------------------------------------------------------------
    def tensors(self) -> dict[str, Tensor]:
        """The teacher's weights, too."""
        out = super().tensors()
        if self.teacher is not None:
            out |= {f"teacher.{n}": t for n, t in self.teacher.named_weights()}
        return out

    def about(self) -> dict[str, Any]:
        """The epoch, and what the teacher holds."""
        held = None if self.teacher is None else self.teacher.keys()
        return {**super().about(), "epoch": self.epoch, "teacher": held}

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Takes over the teacher, too."""
        super().restore(tensors, about)
        self.epoch = int(about["epoch"])
        if about["teacher"] is not None:
            mine = {f"bank.{n.removeprefix('teacher.')}": t for n, t in tensors.items() if n.startswith("teacher.")}
            self.teacher = self._teacher(mine, about["teacher"])
