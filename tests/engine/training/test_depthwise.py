"""The faster gradient of large depthwise convolutions equals torch's."""

import copy

import pytest
import torch
from torch import nn

from engine.training import depthwise
from engine.training.depthwise import speed_up


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("size", "padding", "side"), [(5, 2, 8), (7, 3, 9), (5, 0, 10), (5, 2, 2), (9, 4, 8), (4, 1, 9)]
)
def test_outputs_and_all_gradients_equal_the_plain_convolution_s(
    monkeypatch: pytest.MonkeyPatch, size: int, padding: int, side: int, layout: torch.memory_format, autocast: bool
) -> None:
    monkeypatch.setattr(depthwise, "WORTH", (0, 0))
    torch.manual_seed(0)
    plain = nn.Conv2d(40, 40, size, padding=padding, groups=40).to(memory_format=layout)
    fast = copy.deepcopy(plain)
    assert speed_up(fast) == 1
    grads = []
    for conv in (plain, fast):
        torch.manual_seed(1)
        x = torch.randn(6, 40, side, side - side // 4).to(memory_format=layout).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            out = conv(x)
        (out.float() * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
        grads.append([out.detach(), x.grad, conv.weight.grad, conv.bias.grad])
    tolerance = 2e-2 if autocast else 1e-4
    for a, b in zip(*grads, strict=True):
        assert a.dtype == b.dtype
        scale = float(a.float().abs().max())
        torch.testing.assert_close(a.float(), b.float(), rtol=tolerance, atol=tolerance * scale)


def test_only_large_plain_depthwise_convolutions_of_stride_1_are_touched() -> None:
    others = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 5, padding=2),
        nn.Conv2d(4, 4, 5, padding=2, groups=2),
        nn.Conv2d(4, 8, 5, padding=2, groups=4),
        nn.Conv2d(4, 4, 5, padding=2, groups=4, stride=2),
        nn.Conv2d(4, 4, 5, padding=4, groups=4, dilation=2),
        nn.Conv2d(4, 4, 5, padding=2, groups=4, padding_mode="reflect"),
        nn.Conv2d(4, 4, (5, 3), padding=(2, 1), groups=4),
        nn.Conv2d(4, 4, 5, padding="same", groups=4),
    )
    assert speed_up(others) == 0
