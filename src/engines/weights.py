"""Weights on disk: bare state dicts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch

from ..files import atomic_path
from .distributed import is_first


def save_weights(network: torch.nn.Module, path: Path) -> None:
    """Write the bare state dict of a network, see :func:`save_state`."""
    save_state(network.state_dict(), path)


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write to a temporary name and rename it. Of several processes the first writes, and the others wait."""
    if is_first():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            torch.save(state, temporary)
    idist.barrier()


def load_weights(network: torch.nn.Module, path: str | Path) -> None:
    """Load a bare state dict into a network, wherever both are.

    Raises:
        FileNotFoundError: there is no such file.
    """
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
