"""The recurrent controller: reads the choices made so far, gives probabilities of the next one. Needs torch.

Nothing here draws from torch's generators, which all searches of a process would share: weights come from a passed
NumPy generator, choices from the proposal's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_, parameters_to_vector, vector_to_parameters

from engine.strategies._controllers.sequences import Draft, Grammar, Pen, Step, flattened, pick, softmax
from engine.strategies.base import Arrays

#: weights begin uniformly between minus and plus this (Pham et al. 2018)
INITIAL = 0.1
#: largest norm of a gradient
CLIP = 5.0


class Controller(nn.Module):
    """One LSTM layer over the tokens written so far; a row of `head` for each token; a value where asked for.

    At step t it reads the token of step t - 1 (0 at the start) and which decision comes, and scores the offered tokens:
    logits = `squash` * tanh(head h), as in Bello et al. 2017 and Pham et al. 2018, so that no option is ever ruled out.

    Args:
        n_tokens: tokens without the 0.
        n_decisions: decisions that can occur.
        hidden: width of embeddings and state.
        squash: bound of a logit, None for no bound.
        rng: of the initial weights.
    """

    def __init__(
        self, *, n_tokens: int, n_decisions: int, hidden: int, squash: float | None, rng: np.random.Generator
    ) -> None:
        super().__init__()

        def drawn(*shape: int) -> Tensor:
            return torch.from_numpy(rng.uniform(-INITIAL, INITIAL, size=shape).astype(np.float32))

        # neither is made by its own constructor with weights: that would draw from torch's global generator
        self.token = nn.Embedding.from_pretrained(drawn(n_tokens + 1, hidden), freeze=False)  # type: ignore[no-untyped-call]
        self.decision = nn.Embedding.from_pretrained(drawn(n_decisions, hidden), freeze=False)  # type: ignore[no-untyped-call]
        with torch.device("meta"):
            self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
            self.head, self.value = nn.Linear(hidden, n_tokens + 1), nn.Linear(hidden, 1)
        for part in (self.lstm, self.head, self.value):
            part.to_empty(device="cpu")
            with torch.no_grad():
                for p in part.parameters():
                    p.copy_(drawn(*p.shape))
        self.squash, self.hidden = squash, hidden

    def forward(self, tokens: Tensor, decisions: Tensor) -> tuple[Tensor, Tensor]:
        """States of the LSTM (batch, steps, hidden) and logits of all tokens (batch, steps, n_tokens + 1).

        Args:
            tokens: (batch, steps) written before each step.
            decisions: (batch, steps) to be taken at each step.
        """
        h, _ = self.lstm(self.token(tokens) + self.decision(decisions))
        logits = self.head(h)
        if self.squash is not None:
            logits = self.squash * torch.tanh(logits)
        return h, logits

    def step(self, tokens: Tensor, decisions: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Any]:
        """`forward` for one step, quicker: logits (batch, n_tokens + 1) and the state after it.

        Args:
            tokens, decisions: (batch,).
            state: of the LSTM before, two of (batch, hidden).
        """
        x = functional.embedding(tokens, self.token.weight) + functional.embedding(decisions, self.decision.weight)
        state = torch.lstm_cell(x, state, *self.lstm.all_weights[0])
        logits = functional.linear(state[0], self.head.weight, self.head.bias)
        return logits if self.squash is None else self.squash * torch.tanh(logits), state


@dataclass(frozen=True)
class Scores:
    """What a controller says of sequences; padded steps hold zeros.

    Attributes:
        log_p: (batch, steps) log-probability of each choice.
        entropy: (batch, steps) of each choice's distribution.
        values: (batch, steps) expected reward before each choice.
        mask: (batch, steps) true where there is a step.
    """

    log_p: Tensor
    entropy: Tensor
    values: Tensor
    mask: Tensor


class Learner:
    """A controller with its optimizer (Adam).

    Args:
        grammar: tokens of the space.
        hidden, squash: see `Controller`.
        lr: learning rate.
        rng: of the initial weights.
    """

    def __init__(
        self, grammar: Grammar, *, hidden: int, squash: float | None, lr: float, rng: np.random.Generator
    ) -> None:
        self.grammar = grammar
        self.net = Controller(
            n_tokens=grammar.n_tokens, n_decisions=len(grammar.decisions), hidden=hidden, squash=squash, rng=rng
        )
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=lr)

    def drafts(self, rng: np.random.Generator, n: int, temperature: float) -> list[Draft]:
        """Writes `n` architectures side by side, a choice at a time."""
        pens = [Pen(self.grammar) for _ in range(n)]
        tokens, decisions = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        state = (torch.zeros(n, self.net.hidden), torch.zeros(n, self.net.hidden))
        with torch.inference_mode():
            while any(pen.decision is not None for pen in pens):
                for row, pen in enumerate(pens):
                    if pen.decision is not None:
                        decisions[row] = self.grammar.index(pen.decision)
                out, state = self.net.step(torch.from_numpy(tokens), torch.from_numpy(decisions), state)
                logits = out.numpy().astype(np.float64)  # (n, n_tokens + 1)
                at = rng.random(n)
                for row, pen in enumerate(pens):
                    if pen.decision is None:
                        continue
                    offered = pen.offered
                    p = softmax(logits[row, offered])
                    pen.choose(pick(flattened(p, temperature), at[row]), p)
                    tokens[row] = pen.steps[-1].token
        return [pen.draft() for pen in pens]

    def scores(self, sequences: Sequence[Sequence[Step]]) -> Scores:
        """Scores of sequences under the controller as it is; padded to the longest."""
        batch, longest = len(sequences), max(len(s) for s in sequences)
        most = max(len(step.offered) for s in sequences for step in s)
        tokens, decisions, chosen = (np.zeros((batch, longest), dtype=np.int64) for _ in range(3))
        offered, open_ = np.zeros((batch, longest, most), dtype=np.int64), np.zeros((batch, longest, most), dtype=bool)
        mask = np.zeros((batch, longest), dtype=bool)
        open_[..., 0] = True  # so that padding has a distribution
        for b, steps in enumerate(sequences):
            mask[b, : len(steps)] = True
            for t, step in enumerate(steps):
                decisions[b, t], chosen[b, t] = step.decision, step.chosen
                offered[b, t, : len(step.offered)], open_[b, t, : len(step.offered)] = step.offered, True
                if t + 1 < len(steps):
                    tokens[b, t + 1] = step.token
        h, logits = self.net(torch.from_numpy(tokens), torch.from_numpy(decisions))
        there = torch.from_numpy(mask)
        among = logits.gather(2, torch.from_numpy(offered))  # (batch, steps, most)
        among = among.masked_fill(~torch.from_numpy(open_), -1e9)
        log_p = torch.log_softmax(among, dim=-1)
        picked = log_p.gather(2, torch.from_numpy(chosen)[..., None])[..., 0]
        entropy = -(log_p.exp() * log_p).sum(-1)
        values = self.net.value(h)[..., 0]
        return Scores(picked * there, entropy * there, values * there, there)

    def descend(self, loss: Tensor) -> None:
        """One step of Adam."""
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(self.net.parameters(), CLIP)
        self.optimizer.step()

    # -- kept ------------------------------------------------------------------------------------
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights and Adam's moments as vectors of float32, in the order of the parameters; and its steps."""
        parameters = list(self.net.parameters())
        states = [self.optimizer.state.get(p, {}) for p in parameters]
        weights = parameters_to_vector([p.detach() for p in parameters]).numpy().copy()
        out = {"weights": weights, "adam_steps": np.zeros(1, dtype=np.int64)}
        for key, name in (("exp_avg", "adam_m"), ("exp_avg_sq", "adam_v")):
            moments = [s.get(key, torch.zeros_like(p)).reshape(-1) for s, p in zip(states, parameters, strict=True)]
            out[name] = torch.cat(moments).detach().numpy().copy()
        if states[0]:
            out["adam_steps"][0] = int(states[0]["step"])
        return out

    def load(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave, bit for bit."""
        parameters = list(self.net.parameters())
        vector_to_parameters(torch.from_numpy(np.array(arrays["weights"])), parameters)
        steps = int(arrays["adam_steps"][0])
        if not steps:
            return
        at = 0
        for p in parameters:
            part = slice(at, at + p.numel())
            at += p.numel()
            self.optimizer.state[p] = {
                "step": torch.tensor(float(steps)),
                "exp_avg": torch.from_numpy(np.array(arrays["adam_m"][part])).reshape(p.shape),
                "exp_avg_sq": torch.from_numpy(np.array(arrays["adam_v"][part])).reshape(p.shape),
            }


def reinforce(
    learner: Learner, sequences: Sequence[Sequence[Step]], advantages: Sequence[float], entropy: float
) -> None:
    """One step along the mean of A sum_t log P(a_t | a_1..a_(t-1)) + `entropy` sum_t H_t (Williams 1992).

    Args:
        learner: the controller.
        sequences: (batch) what was written.
        advantages: (batch,) A of each: its reward minus a baseline.
        entropy: weight of the bonus.
    """
    scores = learner.scores(sequences)
    gain = torch.tensor(list(advantages)) * scores.log_p.sum(1) + entropy * scores.entropy.sum(1)
    learner.descend(-gain.mean())


def clipped_surrogate(log_p: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """min(r A, clip(r, 1 - clip, 1 + clip) A) with r = pi / pi_old (Schulman et al. 2017, eq. 7); shape of `log_p`."""
    ratio = torch.exp(log_p - old)
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
