"""On a machine without a GPU: every network, loss and transform of fixed shapes with tensors that pretend to be on one.

PyTorch's fake tensors have a device and a shape and no values. An operation of two devices fails as it would on a GPU,
so a tensor that is left on the CPU is found. What has shapes that depend on values is tested where there is a GPU.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.nn.functional import softmax

from csvd import losses, networks, transforms
from csvd.inferers.foci import focus_response
from csvd.inferers.series import SeriesInferer
from csvd.transforms.grid.window_maximum import window_maximum


def on_cuda(*shape, dtype=torch.float32):
    return torch.zeros(shape, dtype=dtype, device="cuda")


class Call(torch.nn.Module):
    """A method of a network."""

    def __init__(self, network, method="forward"):
        super().__init__()
        self.network, self.method = network, method

    def forward(self, *inputs):
        return getattr(self.network, self.method)(*inputs)


def run(network, *inputs, method="forward"):
    """Return the results of a network whose weights and buffers are on the GPU, in fake mode."""
    called = Call(network, method)
    tensors = [*called.named_parameters(), *called.named_buffers()]
    moved = {name: on_cuda(*value.shape, dtype=value.dtype) for name, value in tensors}
    results = functional_call(called, moved, inputs)
    return results if isinstance(results, tuple) else (results,)


PATCHES = (2, 2, 24, 24, 24)
NETWORKS = {
    "PatchClassifier": (networks.PatchClassifier, {}, (3, 5, 48, 48)),
    "PatchEnsemble": (networks.PatchEnsemble, {}, (3, 5, 48, 48)),
    "ShallowUNet": (networks.ShallowUNet, {"features": 4}, (1, 2, 32, 32, 16)),
    "StudentClassifier": (networks.StudentClassifier, {"features": 4}, PATCHES),
    "MultiTaskTeacher": (networks.MultiTaskTeacher, {"features": 4}, PATCHES),
    "ResidualPatchClassifier": (networks.ResidualPatchClassifier, {}, PATCHES),
    "FiveBlockCNN": (networks.FiveBlockCNN, {"features": 4, "hidden": 8}, (2, 2, 32, 32, 8)),
    "SequenceClassifier": (networks.SequenceClassifier, {}, (3, 1, 64, 64)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_networks_keep_to_their_device(name, training):
    kind, settings, shape = NETWORKS[name]
    network = kind(**settings).train(training)
    with FakeTensorMode():
        assert {result.device.type for result in run(network, on_cuda(*shape))} == {"cuda"}


@pytest.mark.parametrize("method", ["odds", "mirrored_odds", "calibrate"])
def test_log_odds_of_the_detector_stay_on_its_device(method):
    network = networks.PatchEnsemble().eval()
    with FakeTensorMode():
        (odds,) = run(network, on_cuda(3) if method == "calibrate" else on_cuda(3, 5, 48, 48), method=method)
        assert odds.device.type == "cuda"


def test_losses_keep_to_their_device():
    with FakeTensorMode():
        patches, target = on_cuda(2, 2), on_cuda(2, dtype=torch.int64)
        distilled = losses.DistillationLoss()(patches, (target, softmax(patches, dim=1)))
        found = (distilled, losses.PatchLoss()(patches, on_cuda(2, 2)))
        assert {loss.device.type for loss in found} == {"cuda"}


TRANSFORMS = {
    "adjacent_slices": lambda volume: transforms.adjacent_slices(volume),
    "fine_grid": lambda volume: transforms.fine_grid(volume[0], (0.8, 0.8)),
    "gather_patches": lambda volume: transforms.gather_patches(volume, on_cuda(3, 3, dtype=torch.int64), (8, 8, 4)),
    "focus_response": lambda volume: focus_response(volume[0].permute(2, 0, 1), (0.8, 0.8)),
    "window_maximum": lambda volume: window_maximum(volume[0], (3, 5, 5)),
    "series": lambda volume: SeriesInferer()(volume[None], lambda slices: slices.mean((2, 3))),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_keep_to_their_device(name):
    with FakeTensorMode():
        assert TRANSFORMS[name](on_cuda(1, 32, 32, 8)).device.type == "cuda"


def test_a_tensor_left_on_the_cpu_is_found():
    with FakeTensorMode(), pytest.raises((RuntimeError, TypeError), match="device"):
        on_cuda(2) + torch.zeros(2)
