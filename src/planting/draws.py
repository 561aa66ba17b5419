"""Random numbers of batches, from one generator, so that a seed decides everything that is planted."""

import math

import torch


class Draws:
    """Draws tensors of shape (n,) on the CPU.

    Args:
        seed: same seed, same numbers.
    """

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, n: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """Return numbers from ``low`` to ``high``."""
        return torch.rand(n, generator=self.generator) * (high - low) + low

    def log_uniform(self, n: int, low: float, high: float) -> torch.Tensor:
        """Return numbers from ``low`` to ``high`` whose logarithm is uniform."""
        return self.uniform(n, math.log(low), math.log(high)).exp()

    def normal(self, *size: int) -> torch.Tensor:
        """Return standard normal numbers of shape ``size``."""
        return torch.randn(*size, generator=self.generator)

    def chance(self, n: int, probability: float | torch.Tensor) -> torch.Tensor:
        """Return n truth values, each true with a probability, one for all or (n,)."""
        return torch.rand(n, generator=self.generator) < probability

    def among(self, n: int, count: int) -> torch.Tensor:
        """Return n integers from 0 to ``count - 1``."""
        return torch.randint(count, (n,), generator=self.generator)
