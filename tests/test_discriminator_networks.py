"""Teacher, student and the network that owns detector and discriminator."""

import pytest
import torch
from torchvision.models import vgg16_bn

from csvd.networks import (
    CascadeNetwork,
    ClassifierArm,
    FiveBlockCNN,
    MeanOfFolds,
    MultiTaskTeacher,
    ResidualPatchClassifier,
    ShallowUNet,
    StudentClassifier,
)

SMALL = {"features": 2, "strides": ((2, 2, 1), (2, 2, 2))}


@pytest.fixture
def patches():
    return torch.rand(3, 2, 24, 24, 12, generator=torch.Generator().manual_seed(0))


def test_teacher_starts_from_the_detector(patches):
    detector, teacher = ShallowUNet(**SMALL).eval(), MultiTaskTeacher((24, 24, 12), **SMALL).eval()
    teacher.segmentor.load_state_dict(detector.state_dict())
    voxels, classes = teacher(patches)
    torch.testing.assert_close(voxels, detector(patches))
    torch.testing.assert_close(teacher.classify(patches), classes)


def test_student_is_the_teacher_without_its_segmentor(patches):
    teacher = MultiTaskTeacher((24, 24, 12), act="leakyrelu", **SMALL).eval()
    student = StudentClassifier(patch_size=(24, 24, 12), act="leakyrelu", **SMALL).eval()
    student.encoder.load_state_dict(teacher.segmentor.encoder.state_dict())
    student.classifier.load_state_dict(teacher.classifier.state_dict())
    torch.testing.assert_close(student(patches), teacher(patches)[1])


def test_fully_connected_layers_are_the_papers():
    student = StudentClassifier(features=4)
    widths = [layer.out_features for layer in student.modules() if isinstance(layer, torch.nn.Linear)]
    assert widths == [1024, 128, 32, 2]
    assert student.embed(torch.zeros(2, 2, 24, 24, 24)).shape == (2, 32)
    assert sum(p.numel() for p in StudentClassifier().parameters()) == 14_256_811


def test_cascade_called_on_a_scan_is_the_detector():
    detector, image = ShallowUNet(**SMALL).eval(), torch.rand(1, 2, 16, 12, 8)
    cascade = CascadeNetwork(detector, StudentClassifier(patch_size=(24, 24, 12), **SMALL))
    torch.testing.assert_close(cascade(image), detector(image))
    parts = {"detector", "discriminator", "temperature", "detector_weight", "bias", "places"}
    assert {name.split(".")[0] for name in cascade.state_dict()} == parts


def test_patch_must_fit_the_poolings():
    with pytest.raises(ValueError, match=r"`patch_size` must be divisible by \(4, 4, 2\), got \(24, 24, 11\)"):
        StudentClassifier(patch_size=(24, 24, 11), **SMALL)


def test_patch_must_be_large_enough():
    with pytest.raises(ValueError, match=r"`spatial_size` must be at least 2 along each axis, got \(6, 6, 1\)"):
        ClassifierArm(8, (6, 6, 1))


@pytest.mark.parametrize("network", [ResidualPatchClassifier(features=2), FiveBlockCNN(features=2, hidden=4)])
def test_discriminators_answer_for_each_patch(network):
    patches = torch.rand(3, 2, 32, 32, 12, generator=torch.Generator().manual_seed(0))
    logits = network.eval().classify(patches)
    assert logits.shape == (3, 2)
    torch.testing.assert_close(logits[1:2], network.classify(patches[1:2]))


@pytest.mark.parametrize("depth", [2, 4, 8, 12])
def test_residual_network_answers_alike_in_half_precision(depth):
    network = ResidualPatchClassifier(features=8).eval()  # whose stages halve the depth three times
    patches = torch.rand(32, 2, 24, 24, depth, generator=torch.Generator().manual_seed(0))
    exact = network(patches)
    for _ in range(3):
        torch.full((1_000_000,), torch.nan)  # what was in memory before does not count
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(network(patches).float(), exact, rtol=0.05, atol=0.05)


def test_folds_answer_with_their_mean_probability():
    network = MeanOfFolds(ResidualPatchClassifier(features=2), folds=2).eval()
    for value in network.folds[1].parameters():
        torch.nn.init.normal_(value, generator=torch.Generator().manual_seed(0))
    patches = torch.rand(3, 2, 32, 32, 12, generator=torch.Generator().manual_seed(0))
    of_folds = [one.classify(patches).softmax(dim=1) for one in network.folds]
    assert not torch.allclose(*of_folds)
    torch.testing.assert_close(network.classify(patches).softmax(dim=1), sum(of_folds) / 2)


def test_five_blocks_look_at_the_middle_slice_and_its_neighbours():
    torch.manual_seed(0)
    network = FiveBlockCNN(features=8, hidden=16).eval()
    patch = torch.rand(1, 2, 32, 32, 12, generator=torch.Generator().manual_seed(0))
    before = network(patch)
    patch[:, 1], patch[..., :5], patch[..., 8:] = 0, 0, 0
    torch.testing.assert_close(network(patch), before)
    patch[:, 0, 16, 16, 6] += 1000  # through thirteen layers that learned nothing yet, little of it is left
    assert (network(patch) - before).abs().max() > 1e-6


def test_five_blocks_start_from_vgg(tmp_path):
    state = {f"features.{name}": value for name, value in FiveBlockCNN().features.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(2, 2)}, tmp_path / "vgg16_bn.pth")
    network = FiveBlockCNN(weights=str(tmp_path / "vgg16_bn.pth"))
    torch.testing.assert_close(network.features[0].weight, state["features.0.weight"])
    assert set(state) == {name for name in vgg16_bn().state_dict() if name.startswith("features.")}
    torch.save({}, tmp_path / "other.pth")
    with pytest.raises(KeyError, match=r"features\.0\.weight"):
        FiveBlockCNN(weights=str(tmp_path / "other.pth"))
