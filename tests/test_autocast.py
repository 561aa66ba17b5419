"""Mixed precision of a training on a CPU."""

import pytest
import torch
from monai.inferers import SlidingWindowInferer

from csvd.inferers import AutocastInferer


class Both(torch.nn.Module):
    """Gives two results, as the teacher does."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(5, 3)

    def forward(self, inputs):
        result = self.layer(inputs)
        self.computed_in = result.dtype
        return result, -result


@pytest.mark.parametrize(("has_instructions", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_computes_in_half_precision_where_that_is_fast_and_learns_in_single(monkeypatch, has_instructions, dtype):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_instructions)
    torch.manual_seed(0)
    network, inputs = Both(), torch.randn(4, 5)
    one, other = AutocastInferer()(inputs, network)
    assert network.computed_in == dtype
    assert one.dtype == other.dtype == torch.float32
    torch.testing.assert_close(one, network(inputs)[0], rtol=0.02, atol=0.02)
    one.sum().backward()
    assert network.layer.weight.grad.dtype == torch.float32


def test_wraps_another_inferer(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    network, inputs = torch.nn.Conv2d(1, 1, 3, padding=1), torch.randn(1, 1, 20, 20)
    windows = SlidingWindowInferer(8, mode="gaussian")
    with torch.no_grad():
        found = AutocastInferer(windows)(inputs, network)
        exact = windows(inputs, network)
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact)
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0.02)
