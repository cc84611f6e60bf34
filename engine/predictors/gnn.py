"""Message passing over the network's graph, with a Bayesian linear layer on top (Shi et al. 2020, BONAS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.encodings import OPERATION_IDS, GraphArrays, Places, graph_arrays
from engine.network.plan import NetworkPlan
from engine.objectives import EXACT_COSTS
from engine.predictors._scaled import Scale, Vector
from engine.predictors.base import Predictor
from engine.predictors.encoders import REMEMBERED, cells
from engine.recipe import RECIPE_PREFIX

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

#: a network of at most so many different cells is given as those, a more varied one whole
FEW_CELLS = 4
#: graphs of one step of training
AT_ONCE = 40
#: graphs that are predicted at a time: padded they take memory
TOGETHER = 500


class Options(BaseModel):
    """The network, its size and training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(32, ge=4, le=256, description="Numbers a node carries.")
    layers: int = Field(3, ge=1, le=10, description="Rounds of messages.")
    steps: int = Field(150, ge=5, le=2000, description="Steps of training.")
    lr: float = Field(0.01, gt=0, le=1, description="First learning rate.")


class Gnn(Predictor):
    """Embeds the graph; a Bayesian linear regression on the embedding gives mean and spread.

    Symbols: phi = the embedding before the last layer (BONAS, section 3.2), alpha and beta = precisions of the weights'
    prior and of the noise, by evidence maximization.

    Deviations: messages run along the edges and against them (Wen et al. 2020, section 3.2) in place of a global node;
    the regression is linear in scaled losses, not behind a sigmoid. A network of few different cells is given as these;
    beside the graph the net sees the exact costs and what an architecture decides about its training.
    """

    name = "gnn"
    summary = "A graph network over the operations and who reads whom"
    reference = "Shi et al. 2020, Bridging the Gap between Sample-based and One-shot NAS with BONAS; Wen et al. 2020"
    Options = Options

    def __init__(self, options: BaseModel, space: SearchSpace) -> None:
        super().__init__(options, space)
        self.places = Places(space)
        self._recipe = [i for i, d in enumerate(self.places.decisions) if d.name.startswith(RECIPE_PREFIX)]
        self._read: dict[str, tuple[GraphArrays, Vector]] = {}
        self._net: Any = None

    def fit(self, architectures: Sequence[Architecture], losses: Vector, rng: np.random.Generator) -> None:
        """Learns from scratch."""
        import torch

        from engine.predictors.nets.graph import GraphNet
        from engine.predictors.nets.training import generator, one_thread, train

        o = self.options
        self.scale = Scale.of(losses)
        read = [self._reading(a) for a in architectures]
        self._standards = (
            _standard(np.concatenate([graph.features for graph, _ in read])),
            _standard(np.array([known for _, known in read])),
        )
        batch = self._batch(architectures)
        goal = torch.from_numpy(self.scale.to(losses)).float()
        net = GraphNet(
            len(OPERATION_IDS), batch.numbers.shape[2], batch.globals.shape[1],
            width=o.width, layers=o.layers, draw=generator(rng),
        )  # fmt: skip
        drawn = iter(_rounds(len(losses), o.steps, rng))

        def loss() -> Any:
            rows = torch.from_numpy(next(drawn))
            return (net(batch.part(rows)) - goal[rows]).square().mean()

        with one_thread():
            train(net, loss, steps=o.steps, lr=o.lr, decay=0.01)
            with torch.no_grad():
                phi = net.embed(batch).double().numpy()
        self._net = net
        self._posterior(np.column_stack([phi, np.ones(len(phi))]), self.scale.to(losses))

    def _posterior(self, phi: Vector, goal: Vector) -> None:
        """Weights' mean and covariance, alpha and beta by MacKay's fixed point (Bishop 2006, 3.5.2)."""
        gram, moment = phi.T @ phi, phi.T @ goal
        eigen = np.maximum(np.linalg.eigvalsh(gram), 0.0)
        alpha, beta = 1.0, 4.0
        for _ in range(20):
            self._covariance = np.linalg.inv(beta * gram + alpha * np.eye(len(gram)))
            self._mean = beta * self._covariance @ moment
            gamma = float((beta * eigen / (beta * eigen + alpha)).sum())
            alpha = float(np.clip(gamma / max(float(self._mean @ self._mean), 1e-9), 1e-3, 1e3))
            error = float(((goal - phi @ self._mean) ** 2).sum())
            beta = float(np.clip(max(len(goal) - gamma, 1.0) / max(error, 1e-9), 1e-2, 1e2))

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Vector, Vector]:
        """Of the regression, without noise."""
        import torch

        from engine.predictors.nets.training import one_thread

        with torch.no_grad(), one_thread():
            parts = [architectures[i : i + TOGETHER] for i in range(0, len(architectures), TOGETHER)]
            phi = np.concatenate([self._net.embed(self._batch(part)).double().numpy() for part in parts])
        phi = np.column_stack([phi, np.ones(len(phi))])
        sd = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", phi, self._covariance, phi), 0.0))
        return self.scale.back(phi @ self._mean, sd)

    # -- graphs ----------------------------------------------------------------------------------
    def _reading(self, architecture: Architecture) -> tuple[GraphArrays, Vector]:
        """Its graph and what is known of it as a whole."""
        key = architecture.key
        if key not in self._read:
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            costs = self.space.costs(architecture).as_metrics()
            ordinal = self.places.ordinal(architecture)[self._recipe]
            known = np.array([*(np.log10(1.0 + costs[name]) for name in EXACT_COSTS), *ordinal])
            self._read[key] = (_graph(self.space.planned(architecture)), known)
        return self._read[key]

    def _batch(self, architectures: Sequence[Architecture]) -> Any:
        import torch

        from engine.predictors.nets.graph import Batch

        read = [self._reading(a) for a in architectures]
        n, most = len(read), max(len(graph.operations) for graph, _ in read)
        (node_shift, node_scale), (shift, scale) = self._standards
        operations = np.zeros((n, most), dtype=np.int64)
        numbers = np.zeros((n, most, len(node_shift)), dtype=np.float32)
        fed, there = np.zeros((n, most, most), dtype=np.float32), np.zeros((n, most, 1), dtype=np.float32)
        for i, (graph, _) in enumerate(read):
            here = len(graph.operations)
            operations[i, :here], there[i, :here] = graph.operations, 1.0
            numbers[i, :here] = (graph.features - node_shift) / node_scale
            np.add.at(fed[i], (graph.edges[1], graph.edges[0]), 1.0)
        reads = fed.transpose(0, 2, 1)
        known = (np.array([row for _, row in read]) - shift) / scale
        return Batch(
            torch.from_numpy(operations),
            torch.from_numpy(numbers),
            torch.from_numpy(fed / np.maximum(fed.sum(2, keepdims=True), 1.0)),
            torch.from_numpy(reads / np.maximum(reads.sum(2, keepdims=True), 1.0)),
            torch.from_numpy(there),
            torch.from_numpy(known).float(),
        )


def _rounds(n: int, steps: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Graphs of each step: all in a shuffled order, `AT_ONCE` at a time, then again."""
    size = min(n, AT_ONCE)
    order = np.concatenate([rng.permutation(n) for _ in range(-(-steps * size // n))])
    return [order[i * size : (i + 1) * size] for i in range(steps)]


def _standard(rows: Vector) -> tuple[Vector, Vector]:
    spread = rows.std(axis=0)
    return rows.mean(axis=0), np.where(spread > 1e-9, spread, 1.0)


def _graph(plan: NetworkPlan) -> GraphArrays:
    """Of its different cells side by side where there are few of them, else of the whole network."""
    parts = cells(plan)
    graphs = [graph_arrays(p) for p in (parts if len(parts) <= FEW_CELLS else [plan])]
    if len(graphs) == 1:
        return graphs[0]
    starts = np.cumsum([0, *(len(g.operations) for g in graphs[:-1])])
    return GraphArrays(
        np.concatenate([g.operations for g in graphs]),
        np.concatenate([g.features for g in graphs]),
        np.concatenate([g.edges + start for g, start in zip(graphs, starts, strict=True)], axis=1),
        OPERATION_IDS,
    )
