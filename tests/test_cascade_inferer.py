"""Candidates, their patches, and the inference of the whole cascade."""

import pytest
import torch

from csvd.inferers import CascadeInferer, LabelDetector, find_candidates, infer_slabs, relative_position
from csvd.networks import CascadeNetwork, ShallowUNet, StudentClassifier, read_location_prior
from csvd.transforms import gather_patches


class BrightIsSuspect(torch.nn.Module):
    """Detector that takes the first channel for log-odds."""

    def forward(self, image):
        return torch.cat([torch.zeros_like(image[:, :1]), image[:, :1]], dim=1)


class CentreDecides(torch.nn.Module):
    """Discriminator that takes the second channel at the centre of the patch for log-odds."""

    def classify(self, patches):
        odds = patches[(slice(None), 1, *(size // 2 for size in patches.shape[2:]))]
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


@pytest.fixture
def network():
    return CascadeNetwork(BrightIsSuspect(), CentreDecides())


@pytest.fixture
def scan():
    """Two candidates, of which the second, larger one is a microbleed in the second channel."""
    scan = torch.full((1, 2, 20, 16, 12), -9.0)
    scan[0, 0, 3, 3, 3] = 4
    scan[0, 0, 10:13, 8, 6] = 2
    scan[0, 1, 11, 8, 6] = 1
    return scan


def test_candidates_come_with_their_centres(scan):
    candidates = find_candidates(scan[0, :1].sigmoid(), threshold=0.5)
    assert candidates.centres.tolist() == [[3, 3, 3], [11, 8, 6]]
    torch.testing.assert_close(candidates.probability, torch.tensor([4.0, 2.0]).sigmoid())
    assert candidates.instances[0, 12, 8, 6] == 2


def test_patches_are_centred_and_zero_outside():
    image = torch.arange(1.0, 1 + 2 * 6 * 5 * 4).reshape(2, 6, 5, 4)
    patches = gather_patches(image, torch.tensor([[3.0, 2, 2], [0, 0, 0]]), (4, 2, 2))
    torch.testing.assert_close(patches[0], image[:, 1:5, 1:3, 1:3])
    assert patches[1, :, 2, 1, 1].tolist() == image[:, 0, 0, 0].tolist()
    assert (patches[1, :, :2] == 0).all()


def test_each_candidate_gets_the_probability_of_its_patch(scan, network):
    detected, decided = CascadeInferer(threshold=0.5, patch_size=(9, 9, 9))(scan, network)[0]
    torch.testing.assert_close(detected, scan[0, 0].sigmoid())
    torch.testing.assert_close(decided[10:13, 8, 6], torch.tensor(1.0).sigmoid().expand(3))
    assert decided[3, 3, 3] < 0.001
    assert (decided[detected < 0.5] == 0).all()


def test_both_steps_have_their_say(scan, network):
    network.temperature.fill_(2)
    network.detector_weight.fill_(0.25)
    network.bias.fill_(-1)
    decided = CascadeInferer(threshold=0.5, patch_size=(9, 9, 9))(scan, network)[0, 1]
    torch.testing.assert_close(decided[11, 8, 6], torch.tensor(1 / 2 + 0.25 * 2 - 1).sigmoid())


def test_positions_run_from_minus_one_to_one_in_any_volume():
    corners = torch.tensor([[0.0, 0, 0], [20, 10, 4], [5, 5, 2]])
    assert relative_position(corners, (21, 11, 5)).tolist() == [[-1, -1, -1], [1, 1, 1], [-0.5, 0, 0]]
    assert relative_position(corners[:1], (1, 1, 1)).tolist() == [[-1, -1, -1]]


def test_prior_is_read_at_the_position_left_and_right_alike():
    prior = torch.zeros(10, 24, 20)
    prior[3, 6, 11] = 2
    cell = torch.tensor([3 / 9, 2 * 6 / 23 - 1, 2 * 11 / 19 - 1])
    halfway = cell + torch.tensor([0, 1 / 23, 0])
    position = torch.stack([cell, cell * torch.tensor([-1, 1, 1]), cell * torch.tensor([1, -1, 1]), halfway])
    torch.testing.assert_close(read_location_prior(prior, position), torch.tensor([2.0, 2, 0, 1]), atol=1e-4, rtol=0)


def test_each_candidate_has_the_prior_of_its_own_position(scan, network):
    before = CascadeInferer(threshold=0.5, patch_size=(3, 3, 3))(scan, network)[0, 1]
    network.places[5:] = -3  # the first candidate lies aside, the second in the middle
    after = CascadeInferer(threshold=0.5, patch_size=(3, 3, 3), batch_size=1)(scan, network)[0, 1]
    torch.testing.assert_close(after[11, 8, 6], before[11, 8, 6])
    torch.testing.assert_close(after[3, 3, 3].logit(), before[3, 3, 3].logit() - 3)


def test_patch_is_classified_in_four_mirrorings():
    class Corner(torch.nn.Module):
        def classify(self, patches):
            return patches[:, :2, 0, 0, 0]

    patch = torch.rand(1, 2, 4, 6, 2)
    corners = patch[:, :, [0, 0, -1, -1], [0, -1, 0, -1], 0]
    said = CascadeNetwork(BrightIsSuspect(), Corner()).candidate_logits(patch, torch.zeros(1, 3))
    torch.testing.assert_close(said, corners.mean(dim=2))


def test_scan_without_candidates_is_empty(scan, network):
    assert (CascadeInferer(threshold=0.5)(scan * 0 - 9, network)[0, 1] == 0).all()


def test_hundred_candidates_all_get_their_own(network):
    scan = torch.full((1, 2, 40, 40, 40), -9.0)
    scan[:, 0, ::4, ::4, 8] = 3
    odds = torch.linspace(-3, 3, 100).reshape(10, 10)
    scan[0, 1, ::4, ::4, 8] = odds
    decided = CascadeInferer(threshold=0.5, patch_size=(3, 3, 3), batch_size=7)(scan, network)[0, 1]
    torch.testing.assert_close(decided[::4, ::4, 8], odds.sigmoid())


@pytest.mark.parametrize("strides", [((2, 2, 2), (2, 2, 2)), ((2, 2, 1), (2, 2, 2))])
@pytest.mark.parametrize("shape", [(120, 48, 24), (24, 48, 140)])
def test_slabs_give_what_the_whole_scan_gives(strides, shape):
    torch.manual_seed(0)
    detector, image = ShallowUNet(features=4, strides=strides).eval(), torch.rand(1, 2, *shape)
    for module in detector.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight)  # the paper's small weights let little through from afar
    with torch.inference_mode():
        whole, slabs = detector(image), infer_slabs(image, detector, max_voxels=48 * 24 * 40)
        too_little = infer_slabs(image, detector, max_voxels=48 * 24 * 40, halo=8)
    torch.testing.assert_close(slabs, whole, atol=1e-4, rtol=0)
    assert (too_little - whole).abs().max() > 1e-3


def test_cascade_of_real_networks_runs_at_any_depth():
    strides = ((2, 2, 1), (2, 2, 2))
    network = CascadeNetwork(
        ShallowUNet(features=2, strides=strides),
        StudentClassifier(patch_size=(24, 24, 12), features=2, strides=strides),
    ).eval()
    result = CascadeInferer(threshold=0, patch_size=(24, 24, 12))(torch.rand(2, 2, 16, 16, 8), network)
    assert result.shape == (2, 2, 16, 16, 8)
    assert result.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 2}, "`threshold` must be between 0 and 1, got 2"),
        ({"threshold": 0.5, "batch_size": 0}, "`batch_size` must be above 0, got 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        CascadeInferer(**arguments)


def test_detector_of_monai_label_gives_the_same_maps(scan, network):
    inferer = CascadeInferer(threshold=0.5)
    detector = LabelDetector(network, inferer)
    detector.eval()
    assert not network.training
    torch.testing.assert_close(detector(scan, use_inferer=True)[0]["pred"], inferer(scan, network)[0])


def test_no_candidate_has_probability_zero(scan, network):
    scan[0, 1] = -200
    decided = CascadeInferer(threshold=0.5)(scan, network)[0, 1]
    assert (decided > 0).sum() == 4
