"""An ensemble of LSTMs that read the decision sequence token by token (Liu et al. 2018, PNAS, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.predictors.nets.training import Dense


class RecurrentEnsemble(nn.Module):
    """Embedding, one LSTM layer, and a linear read-out of the state behind the last token.

    Args:
        members: networks that share no weights.
        n_tokens: ids 1 to `n_tokens`; 0 is padding, at which the state stands still.
        embedding, hidden: sizes.
        draw: the weights come from it.
    """

    def __init__(self, members: int, n_tokens: int, *, embedding: int, hidden: int, draw: torch.Generator) -> None:
        super().__init__()
        self.members, self.hidden = members, hidden
        table = torch.empty(members, n_tokens + 1, embedding).normal_(0.0, 1.0, generator=draw)
        self.table = nn.Parameter(table)
        self.into = Dense(members, embedding, 4 * hidden, draw)
        self.around = Dense(members, hidden, 4 * hidden, draw)
        with torch.no_grad():  # remember at first (Jozefowicz et al. 2015)
            self.into.bias[:, :, hidden : 2 * hidden] += 1.0
        self.out = Dense(members, hidden, 1, draw)

    def forward(self, tokens: Tensor) -> Tensor:
        n, length = tokens.shape
        each = self.into(self.table)  # (members, n_tokens + 1, 4 hidden): what a token adds to the gates
        h = each.new_zeros(self.members, n, self.hidden)
        c = torch.zeros_like(h)
        for t in range(length):
            gates = self.around(h) + each[:, tokens[:, t]]  # (members, n, 4 hidden)
            i, f, g, o = gates.chunk(4, dim=2)
            new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            new_h = torch.sigmoid(o) * torch.tanh(new_c)
            here = (tokens[:, t] > 0).view(1, n, 1)
            h, c = torch.where(here, new_h, h), torch.where(here, new_c, c)
        out: Tensor = self.out(h).squeeze(2)  # (members, n)
        return out
