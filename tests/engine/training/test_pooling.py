"""The faster average pooling equals torch's."""

import copy

import pytest
import torch
from torch import nn

from engine.training.pooling import speed_up


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("size", "side", "include"), [(3, 8, False), (3, 1, False), (3, 7, True), (5, 9, False)])
def test_outputs_and_gradients_equal_torch_s(
    size: int, side: int, include: bool, layout: torch.memory_format, dtype: torch.dtype
) -> None:
    plain = nn.AvgPool2d(size, 1, size // 2, count_include_pad=include)
    fast = copy.deepcopy(plain)
    assert speed_up(fast) == 1
    found = []
    for pool in (plain, fast):
        torch.manual_seed(1)
        x = torch.randn(4, 6, side, side + 2).to(dtype, memory_format=layout).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):  # which leaves pooling alone
            out = pool(x)
        (out.float() * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
        found.append((out.detach(), x.grad))
    tolerance = 3e-2 if dtype == torch.bfloat16 else 1e-6
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype == dtype and a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
        assert a.is_contiguous(memory_format=layout) == b.is_contiguous(memory_format=layout)


def test_the_gradient_can_be_derived_again() -> None:
    """As second-order methods do."""
    pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    speed_up(pool)
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, x)
    assert torch.autograd.gradgradcheck(lambda x: pool(x) ** 2, x)


def test_what_was_first_seen_without_gradients_is_trained_afterwards() -> None:
    pool = nn.AvgPool2d(3, 1, 1)
    speed_up(pool)
    with torch.inference_mode():
        pool(torch.randn(1, 2, 4, 4))
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    pool(x).sum().backward()
    assert x.grad is not None


def test_only_poolings_that_keep_the_sides_are_touched() -> None:
    others = nn.Sequential(
        nn.AvgPool2d(2, 1),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 1),
        nn.AvgPool2d((3, 5), 1, (1, 2)),
        nn.AvgPool2d(3, 1, 1, ceil_mode=True),
        nn.AvgPool2d(3, 1, 1, divisor_override=2),
        nn.MaxPool2d(3, 1, 1),
    )
    assert speed_up(others) == 0
