"""Weights on disk: bare state dicts."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import ignite.distributed as idist
import torch

from ..checks import InputError
from ..io.files import atomic_path
from ..networks import CascadeNetwork, MeanOfFolds
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


def read_state(path: str | Path) -> dict[str, Any]:
    """Return a bare state dict from disk, on the CPU. What is in the file beside tensors is never run.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is damaged, or holds more than tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # PyTorch has one for each way in which a file can be broken
        raise InputError(
            f"weights '{path}' cannot be read ({type(error).__name__}): the file is damaged, or holds more "
            "than tensors, which would run code. Copy it again, or save a bare state dict."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"weights '{path}' must be a bare state dict, tensors by name. Save `network.state_dict()`.")
    return state


class HalfPrecision:
    """Step that makes a file of weights smaller: floating point numbers of 16 bits, which load into networks of 32.

    Args:
        path: the file, a bare state dict.
        prefix: only of entries whose names begin with it. Defaults to all.
    """

    def __init__(self, path: str, prefix: str = "") -> None:
        self.path = Path(path)
        self.prefix = prefix

    def run(self) -> None:
        """Write the file again.

        Raises:
            FileNotFoundError: there is no such file.
        """
        state = read_state(self.path)
        halved = {
            name: value.half() if name.startswith(self.prefix) and value.is_floating_point() else value
            for name, value in state.items()
        }
        save_state(halved, self.path)


def load_weights(network: torch.nn.Module, path: str | Path, prefix: str = "") -> None:
    """Load a bare state dict into a network, wherever both are.

    Args:
        network: gets the weights.
        path: the file.
        prefix: where names in the file begin with it, those alone are taken, and the prefix is cut off.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: see :func:`read_state`.
    """
    state = read_state(path)
    part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    network.load_state_dict(part or state)


def load_network(network: torch.nn.Module, path: str | Path) -> torch.nn.Module:
    """Return a network with its weights, in evaluation mode, for a config; raises as :func:`load_weights`."""
    load_weights(network, path)
    return network.eval()


def join_folds(network: CascadeNetwork, folder: str | Path) -> None:
    """Write ``model.pt`` with a detector and the discriminators of all folds.

    Args:
        network: its discriminator is a :class:`csvd.networks.MeanOfFolds`.
        folder: has ``detector.pt`` and, for each fold, ``fold_0/student.pt`` and so on.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    folder = Path(folder)
    load_weights(network.detector, folder / "detector.pt")
    for fold, one in enumerate(cast(MeanOfFolds, network.discriminator).folds):
        load_weights(one, folder / f"fold_{fold}" / "student.pt")
    save_weights(network, folder / "model.pt")


def load_ensemble(network: torch.nn.Module, folder: str | Path, names: Sequence[str]) -> list[torch.nn.Module]:
    """Return a copy of a network for each of several trainings, with its weights.

    Args:
        network: gives the architecture.
        folder: has a folder for each training, with ``model.pt``.
        names: of those folders.

    Raises:
        FileNotFoundError: a file is missing.
    """
    return [load_network(deepcopy(network), Path(folder) / name / "model.pt") for name in names]
