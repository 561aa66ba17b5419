"""Weights on disk: bare state dicts."""

from pathlib import Path

import torch

from ..files import atomic_path


def save_weights(network: torch.nn.Module, path: Path) -> None:
    """Write the bare state dict of a network to a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.save(network.state_dict(), temporary)


def load_weights(network: torch.nn.Module, path: str | Path) -> None:
    """Load a bare state dict into a network, wherever both are.

    Raises:
        FileNotFoundError: there is no such file.
    """
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
