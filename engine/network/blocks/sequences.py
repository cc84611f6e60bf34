"""Blocks for token sequences and time series, (B, C, L): channels first, padding only at the end of a sample.

A mask is (B, 1, L), 1 at the steps of a sample and 0 at its padding. With it the output at the steps of a sample is
the same however much padding follows. Standalone like `basic`: the source is printed into the exported model.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class TokenEmbedding(nn.Module):
    """Tokens (B, L) to vectors (B, D, L); padding (token 0) is the zero vector and stays it."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_embeddings, embedding_dim, padding_idx=0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.table(x)
        return y.transpose(1, 2)


class PaddingMask(nn.Module):
    """Tokens (B, L) to a mask (B, 1, extra + L): 0 at padding (token 0); `extra` steps stand in front of the text."""

    def __init__(self, extra: int = 0) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = (x != 0).to(torch.float32).unsqueeze(1)
        return F.pad(mask, (self.extra, 0), value=1.0) if self.extra else mask


class MaskSteps(nn.Module):
    """Zeros at padding, so that a window over it sees what it sees beyond the end."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return x * mask


class LearnedPosition(nn.Module):
    """Adds a learned vector to each step (Gehring et al. 2017; Devlin et al. 2019)."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        # of the size of what it is added to: with less, short trainings never learn where a step stands
        self.weight = nn.Parameter(torch.randn(channels, length))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.weight


class SinusoidalPosition(nn.Module):
    """Adds sines and cosines of the step (Vaswani et al. 2017, section 3.5)."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        half = (channels + 1) // 2
        rates = 10000.0 ** (-torch.arange(half, dtype=torch.float32) / half)
        angles = rates.unsqueeze(1) * torch.arange(length, dtype=torch.float32)
        waves = torch.stack((angles.sin(), angles.cos()), dim=1).flatten(0, 1)[:channels]
        self.register_buffer("waves", waves, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.get_buffer("waves")


class ClassToken(nn.Module):
    """Puts a learned step in front of the sequence (Devlin et al. 2019; Dosovitskiy et al. 2021)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((self.weight.to(x.dtype).expand(x.shape[0], -1, -1), x), dim=2)


class ChannelLayerNorm(nn.Module):
    """Layer norm over the channels of each step or pixel (Ba et al. 2016), channels first."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(num_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(x.movedim(1, -1))
        return y.movedim(-1, 1)


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2); padding is never attended to."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        y = x.transpose(1, 2)
        query, key, value = (
            part(y).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        # finite, so that a sample of nothing but padding gives numbers
        away = None if mask is None else ((mask - 1.0) * 1e4).unsqueeze(1).to(query.dtype)
        z = F.scaled_dot_product_attention(query, key, value, attn_mask=away)
        out: torch.Tensor = self.output(z.transpose(1, 2).flatten(2))
        return out.transpose(1, 2)


class WindowPool(nn.Module):
    """Average or maximum over a window around each step; the length stays (odd windows). Padding does not count."""

    def __init__(self, mode: str, kernel_size: int) -> None:
        super().__init__()
        self.mode, self.kernel_size = mode, kernel_size

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        side = self.kernel_size // 2
        if self.mode == "max":
            y = x if mask is None else x.masked_fill(mask == 0, torch.finfo(x.dtype).min)
            y = F.max_pool1d(y, self.kernel_size, 1, side)
            return y if mask is None else torch.where(mask == 0, torch.zeros_like(y), y)
        if mask is None:
            return F.avg_pool1d(x, self.kernel_size, 1, side, count_include_pad=False)
        total = F.avg_pool1d(x * mask, self.kernel_size, 1, side)
        share = F.avg_pool1d(mask, self.kernel_size, 1, side)
        return total / share.clamp(min=1e-6) * mask


class RecurrentLayer(nn.Module):
    """LSTM or GRU, in both directions half of the channels each. The way back begins at the last step of the text."""

    def __init__(self, kind: str, in_channels: int, out_channels: int, bidirectional: bool = True) -> None:
        super().__init__()
        layer = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
        back = out_channels // 2 if bidirectional else 0
        self.ahead = layer(in_channels, out_channels - back, batch_first=True)
        self.back = layer(in_channels, back, batch_first=True) if back else None

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        y = x.transpose(1, 2)
        out: torch.Tensor = self.ahead(y)[0]
        if self.back is not None and mask is None:
            out = torch.cat((out, self.back(y.flip(1))[0].flip(1)), dim=2)
        elif self.back is not None and mask is not None:
            step = torch.arange(y.shape[1], device=y.device)
            length = mask.sum(dim=2).to(torch.int64)
            turn = torch.where(step < length, length - 1 - step, step).unsqueeze(2)
            seen: torch.Tensor = self.back(y.gather(1, turn.expand(-1, -1, y.shape[2])))[0]
            out = torch.cat((out, seen.gather(1, turn.expand(-1, -1, seen.shape[2]))), dim=2)
        out = out.transpose(1, 2)
        return out if mask is None else out * mask


class MeanOverTime(nn.Module):
    """(B, C, L) to (B, C): the mean of the steps that are no padding."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if mask is None:
            return x.mean(dim=2)
        return (x * mask).sum(dim=2) / mask.sum(dim=2).clamp(min=1.0)


class MaxOverTime(nn.Module):
    """(B, C, L) to (B, C): the maximum of the steps that are no padding."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if mask is None:
            return x.amax(dim=2)
        y = x.masked_fill(mask == 0, torch.finfo(x.dtype).min).amax(dim=2)
        return torch.where(mask.amax(dim=2) == 0, torch.zeros_like(y), y)


class LastStep(nn.Module):
    """(B, C, L) to (B, C): the last step that is no padding."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if mask is None:
            return x[:, :, -1]
        last = (mask.sum(dim=2, keepdim=True) - 1.0).clamp(min=0.0).to(torch.int64)
        return x.gather(2, last.expand(-1, x.shape[1], -1)).squeeze(2)


class FirstStep(nn.Module):
    """(B, C, L) to (B, C): the first step."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, 0]


class ToSequence(nn.Module):
    """(B, C, H, W) to (B, C, H * W): pixels or patches row by row as steps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2)


class RecurrentCell(nn.Module):
    """A recurrent cell as a graph (Pham et al. 2018, section 2.1; Liu et al. 2019), run over all steps.

    Node 0 is `h + gate * (tanh(candidate) - h)` of the step's input and the state h. Node i reads an earlier node s:
    `s + gate * (activation(candidate) - s)` with a matrix of its own. The next state is the mean of some nodes; at
    padding it stays what it was.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        activations: tuple[str, ...],
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        self.activations, self.inputs, self.outputs = activations, inputs, outputs
        # candidate and gate in one matrix
        self.from_input = nn.Linear(in_channels, 2 * hidden_channels, bias=False)
        self.from_state = nn.Linear(hidden_channels, 2 * hidden_channels, bias=False)
        self.nodes = nn.ModuleList(nn.Linear(hidden_channels, 2 * hidden_channels, bias=False) for _ in inputs)

    def step(
        self, arrives: torch.Tensor, seen: torch.Tensor, state: torch.Tensor, weights: list[torch.Tensor]
    ) -> torch.Tensor:
        """The state (B, H) after one step."""
        new, gate = (arrives + F.linear(state, weights[0])).chunk(2, dim=1)
        values = [state + gate.sigmoid() * (new.tanh() - state)]
        for name, source, weight in zip(self.activations, self.inputs, weights[1:], strict=True):
            before = values[source]
            new, gate = F.linear(before, weight).chunk(2, dim=1)
            if name != "identity":
                new = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}[name](new)
            values.append(before + gate.sigmoid() * (new - before))
        after = torch.stack([values[i] for i in self.outputs]).mean(dim=0)
        return torch.where(seen > 0, after, state)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        weights = [self.from_state.weight, *(node.get_parameter("weight") for node in self.nodes)]
        arrives = self.from_input(x.transpose(1, 2)).transpose(0, 1)
        seen = (torch.ones_like(x[:, :1]) if mask is None else mask).permute(2, 0, 1)
        state = arrives.new_zeros(x.shape[0], self.hidden_channels)
        if torch.compiler.is_exporting() and hasattr(torch._higher_order_ops, "scan"):
            # one copy of the cell in the exported graph instead of one per step
            weights = [weight.detach() for weight in weights]

            def once(state: torch.Tensor, now: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
                after = self.step(*now, state, weights)
                return after, after.clone()

            whole: torch.Tensor = torch._higher_order_ops.scan(once, state, (arrives.detach(), seen))[1]
            return whole.permute(1, 2, 0)
        states = []
        for now, there in zip(arrives.unbind(), seen.unbind(), strict=True):
            state = self.step(now, there, state, weights)
            states.append(state)
        return torch.stack(states, dim=2)
