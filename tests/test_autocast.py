"""Mixed precision of a training on a CPU."""

import torch

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


def test_computes_in_half_precision_and_learns_in_single():
    torch.manual_seed(0)
    network, inputs = Both(), torch.randn(4, 5)
    one, other = AutocastInferer()(inputs, network)
    assert network.computed_in == torch.bfloat16
    assert one.dtype == other.dtype == torch.float32
    torch.testing.assert_close(one, network(inputs)[0], rtol=0.02, atol=0.02)
    one.sum().backward()
    assert network.layer.weight.grad.dtype == torch.float32
