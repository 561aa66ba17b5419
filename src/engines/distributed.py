"""Training in several processes, started by ``torchrun``: one a GPU, or a CPU each where there is none."""

import os

import ignite.distributed as idist
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


def local_device() -> torch.device:
    """Return the device of this process: the GPU of its local rank, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def start(device: torch.device) -> None:
    """Join the other processes, by NCCL on GPUs and by Gloo on CPUs."""
    if dist.is_initialized():
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def stop() -> None:
    """Leave the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def share(network: torch.nn.Module, device: torch.device) -> DistributedDataParallel:
    """Return the network with gradients, and on GPUs batch statistics, of all processes."""
    if device.type == "cuda":
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return DistributedDataParallel(network, device_ids=[device])
    return DistributedDataParallel(network)


def is_first() -> bool:
    """Return whether this process is the one that writes files."""
    return idist.get_rank() == 0
