import pytest
import torch
from planted import ball
from torch.nn.functional import max_pool3d

from csvd.inferers.foci import find_foci, focus_response, gaussian, tissue_field
from csvd.inferers.patch_detector import PatchDetector
from csvd.networks.patch_classifier import PatchClassifier, ring_weights
from csvd.networks.patch_ensemble import SURELY_NOT, PatchEnsemble
from csvd.phantom.planting_scan import plant_scan
from csvd.planes import slice_axis
from csvd.transforms.brain.close_mask import close_mask
from csvd.transforms.grid.window_maximum import window_maximum
from csvd.transforms.intensity.dark_contrast import dark_contrast
from csvd.transforms.slices.slice_context import context_patches, context_slices, fine_grid, to_fine


class Darkness(torch.nn.Module):
    """In place of a trained network: the darker the middle, the surer."""

    def quick_odds(self, patches):
        return 10 * (0.8 - patches[:, 2, 23:26, 23:26].amin((1, 2)))

    def mirrored_odds(self, patches, first=0):
        return self.quick_odds(patches)

    def calibrate(self, odds):
        return odds


@pytest.mark.parametrize(
    ("spacing", "axis"), [((0.45, 0.45, 4), 2), ((4, 0.9, 0.9), 0), ((1, 1, 1), 2), ((1.1, 1, 1), 2), ((1, 2, 1), 1)]
)
def test_slices_lie_along_the_coarsest_axis_or_the_last(spacing, axis):
    assert slice_axis(spacing) == axis


def test_thick_slices_are_taken_one_by_one_and_repeated_at_the_ends():
    assert context_slices(5, 20, 3.0) == [[3], [4], [5], [6], [7]]
    assert context_slices(0, 20, 3.0) == [[0], [0], [0], [1], [2]]


def test_thin_slices_are_averaged_over_three_millimetres():
    assert context_slices(10, 21, 1.0) == [[3, 4, 5], [6, 7, 8], [10], [12, 13, 14], [15, 16, 17]]


def test_a_missing_side_of_a_slab_is_mirrored():
    assert context_slices(0, 6, 1.0) == [[2, 3, 4], [2, 3, 4], [0], [2, 3, 4], [5]]
    assert context_slices(1, 3, 0.8) == [[2], [2], [1], [2], [2]]


def test_a_scan_of_half_millimetre_slices_reaches_as_far_as_one_of_three():
    below = context_slices(30, 61, 0.5)[0]
    assert (30 - below[0]) * 0.5 == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("spacing", "size"), [((0.45, 0.45), (40, 60)), ((0.9, 0.9), (80, 120)), ((0.225, 0.45), (20, 60))]
)
def test_the_fine_grid_has_045_mm_and_keeps_the_mean(spacing, size):
    volume = torch.rand(40, 60, 3)
    fine = fine_grid(volume, spacing)
    assert fine.shape == (*size, 3)
    assert float(fine.mean()) == pytest.approx(float(volume.mean()), rel=0.02)


@pytest.mark.parametrize("mm", [0.45, 0.6, 1.0, 2.3])
def test_a_point_is_found_again_on_the_fine_grid(mm):
    volume = torch.zeros(40, 40, 3)
    volume[25, 12, 1] = 1
    fine = fine_grid(volume, (mm, mm))
    row, column, index = to_fine(torch.tensor([[25, 12, 1]]), volume.shape, fine.shape)[0].tolist()
    assert index == 1
    assert fine[row, column, 1] > 0.9 * fine.max()


def test_the_middle_of_a_patch_is_its_point():
    fine = torch.arange(60.0 * 50 * 6).reshape(60, 50, 6)
    points = torch.tensor([[30, 20, 3], [0, 49, 0]])
    patches = context_patches(fine, points, spacing_mm=3.0)
    assert patches.shape == (2, 5, 48, 48)
    assert patches[0, :, 24, 24].tolist() == [fine[30, 20, k] for k in (1, 2, 3, 4, 5)]
    assert patches[1, 2, 24, 24] == fine[0, 49, 0]
    assert patches[1, 2, 0, 24] == fine[0, 49, 0]  # beyond the edge


def test_window_maximum_is_that_of_max_pooling():
    volume = torch.rand(5, 20, 21)
    pooled = max_pool3d(volume[None], (3, 5, 3), stride=1, padding=(1, 2, 1))[0]
    assert torch.equal(window_maximum(volume, (3, 5, 3)), pooled)


def test_a_notch_at_the_edge_of_a_mask_is_closed_and_a_hole_filled():
    mask = torch.zeros(40, 40, 2, dtype=torch.bool)
    mask[5:35, 5:35] = True
    whole = mask.clone()
    mask[5:8, 19:21, 1] = False
    mask[20, 20, 0] = False
    assert torch.equal(close_mask(mask, (1.0, 1.0)), whole)


def test_closing_does_not_grow_a_convex_mask():
    _, mask, _ = ball()
    closed = close_mask(mask, (0.9, 0.9))
    assert (closed & ~mask).sum() < 0.02 * mask.sum()
    assert not (mask & ~closed).any()


@pytest.mark.parametrize("factor", [0.01, 1, 1000])
def test_magnitude_becomes_relative_to_tissue(factor):
    image, mask, _ = ball()
    assert dark_contrast(factor * image, mask)[mask].median() == pytest.approx(1)


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_susceptibility_is_dark_whatever_its_unit(factor):
    _, mask, _ = ball()
    qsm = factor * 0.03 * torch.randn(mask.shape, generator=torch.Generator().manual_seed(0))
    qsm[32, 32, 6] = factor * 0.5
    dark = dark_contrast(qsm, mask, "bright")
    assert dark[mask].median() == pytest.approx(1, abs=1e-3)
    assert dark[32, 32, 6] == 0


@pytest.mark.parametrize(
    ("image", "message"), [(torch.zeros(4, 4, 4), "median 0"), (torch.full((4, 4, 4), torch.nan), "finite")]
)
def test_a_brain_without_contrast_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        dark_contrast(image, torch.ones(4, 4, 4, dtype=torch.bool))


def test_a_gaussian_sums_to_one():
    assert gaussian(1.7).sum() == pytest.approx(1)


def test_dots_respond_and_lines_do_not():
    plane = torch.ones(1, 64, 64)
    plane[0, 15:18, 15:18] = 0.3
    plane[0, 40:43] = 0.3
    response = focus_response(plane, (0.6, 0.6))[0]
    assert response[16, 16] > 5 * response[41, 10:50].max()


def test_the_field_follows_tissue_and_not_bright_fluid():
    image, mask, _ = ball()
    image[28:36, 28:36] *= 4
    field = tissue_field(image, mask, (0.9, 0.9, 4.0))
    assert 90 < field[mask].median() < 130


@pytest.mark.parametrize("spacing", [(0.45, 0.45, 4.0), (0.9, 0.9, 3.0), (0.8, 0.8, 1.0)])
def test_planted_microbleeds_are_candidates(spacing):
    shape = tuple(round(n / mm) for n, mm in zip((60, 60, 48), spacing, strict=True))
    image, mask, affine = ball(shape, spacing)
    scan = plant_scan(image, mask, affine, lesions=5, seed=1, radius_mm=(1.0, 2.5), depth=(0.6, 0.9))
    foci = find_foci(dark_contrast(scan.image, mask), mask, spacing)
    for number in range(1, len(scan.lesions) + 1):
        voxels = (scan.label == number).nonzero()
        distance = ((foci.points[:, None] - voxels) * torch.tensor(spacing)).norm(dim=-1).amin()
        assert distance <= max(1.0, spacing[2])


def test_candidates_are_the_strongest_first_and_no_more_than_asked():
    image, mask, _ = ball(noise=0.2)
    foci = find_foci(image, mask, (0.9, 0.9, 4.0), threshold=0.01, most=7)
    assert len(foci.points) == 7
    assert foci.response.tolist() == sorted(foci.response.tolist(), reverse=True)
    assert mask[tuple(foci.points.T)].all()


def test_the_detector_returns_the_surest_first_and_none_twice():
    image, mask, affine = ball((96, 96, 12), (0.6, 0.6, 4.0))
    scan = plant_scan(image, mask, affine, lesions=3, seed=3, radius_mm=(1.5, 1.5), depth=(0.8, 0.8))
    found = PatchDetector()(dark_contrast(scan.image, mask), mask, (0.6, 0.6, 4.0), Darkness())
    sure = found.points[found.probability > 0.9]
    assert found.probability.tolist() == sorted(found.probability.tolist(), reverse=True)
    assert {int(scan.label[tuple(point)]) for point in sure} - {0} == {1, 2, 3}
    apart = (sure[:, None] - sure).float() * torch.tensor([0.6, 0.6, 4.0])
    close = (apart[..., :2].norm(dim=-1) <= 3) & (apart[..., 2].abs() <= 4)
    assert int(close.sum()) == len(sure)  # each is near itself alone


@pytest.mark.parametrize(("slices", "thickness"), [(3, 0.8), (1, 4.0), (6, 0.8)])
def test_slabs_of_few_slices_are_read(slices, thickness):
    image, mask = 100 + torch.randn(96, 96, slices), torch.ones(96, 96, slices, dtype=torch.bool)
    image[40:44, 50:54, slices // 2] = 10
    found = PatchDetector()(dark_contrast(image, mask), mask, (0.5, 0.5, thickness), Darkness())
    assert found.probability[0] > 0.9
    assert (found.points[0] - torch.tensor([42, 52, slices // 2])).abs().max() <= 1


def test_a_scan_without_dots_has_no_detections():
    image, mask, _ = ball(noise=0)
    found = PatchDetector(threshold=0.3)(dark_contrast(image, mask), mask, (0.9, 0.9, 4.0), Darkness())
    assert found.points.shape == (0, 3)
    assert found.probability.shape == (0,)


@pytest.mark.parametrize(("name", "value"), [("threshold", -1), ("most", 0), ("batch_size", 0), ("apart_mm", 0)])
def test_bad_arguments_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        PatchDetector(**{name: value})


def test_the_classifier_ignores_the_scale_of_a_scan():
    network, patches = PatchClassifier().eval(), torch.rand(3, 5, 48, 48) + 0.5
    torch.testing.assert_close(network(1000 * patches), network(patches), atol=1e-3, rtol=1e-3)


def test_rings_lie_around_the_middle_and_do_not_overlap():
    rings = ring_weights().view(-1, 48, 48)
    assert rings[0, 24, 24] > 0
    assert ((rings > 0).sum(0) <= 1).all()
    torch.testing.assert_close(rings.sum((1, 2)), torch.ones(5))


def test_an_ensemble_is_the_mean_of_its_members_and_is_calibrated():
    ensemble, patches = PatchEnsemble(members=2).eval(), torch.rand(3, 5, 48, 48) + 0.5
    mean = (ensemble.members[0](patches) + ensemble.members[1](patches)) / 2
    torch.testing.assert_close(ensemble.odds(patches), mean)
    ensemble.temperature.fill_(2.0)
    ensemble.bias.fill_(-1.0)
    torch.testing.assert_close(ensemble(patches), (mean / 2 - 1).sigmoid()[:, None])


class Recorded(torch.nn.Module):
    """In place of a member: its answers are fixed, and it keeps how many patches it was asked for."""

    def __init__(self, odds):
        super().__init__()
        self.odds, self.asked = odds, []

    def forward(self, patches):
        self.asked.append(len(patches))
        return self.odds[: len(patches)].clone()


@pytest.mark.parametrize("sure", [[0], [1], [2], [0, 1, 2], []])
def test_the_other_members_are_not_asked_where_the_first_is_surely_negative(sure):
    ensemble, patches = PatchEnsemble(members=3), torch.rand(3, 5, 48, 48)
    first = torch.zeros(3)
    first[sure] = SURELY_NOT - 0.1
    ensemble.members = torch.nn.ModuleList(
        [Recorded(first), Recorded(torch.full((3,), 3.0)), Recorded(torch.full((3,), 6.0))]
    )
    expected = torch.full((3,), 3.0)
    expected[sure] = SURELY_NOT - 0.1
    torch.testing.assert_close(ensemble.quick_odds(patches), expected)
    left = [3 - len(sure)] if len(sure) < 3 else []
    assert [member.asked for member in ensemble.members] == [[3], left, left]


def test_mirrored_odds_do_not_change_when_the_scan_is_mirrored():
    ensemble, patches = PatchEnsemble().eval(), torch.rand(2, 5, 48, 48) + 0.5
    torch.testing.assert_close(
        ensemble.mirrored_odds(patches.flip(2)), ensemble.mirrored_odds(patches), atol=1e-4, rtol=1e-4
    )


def test_an_ensemble_needs_a_member():
    with pytest.raises(ValueError, match=r"members.*0"):
        PatchEnsemble(members=0)


def test_an_ensemble_is_exported_as_torchscript():
    ensemble, patches = PatchEnsemble(members=2).eval(), torch.rand(2, 5, 48, 48) + 0.5
    torch.testing.assert_close(torch.jit.script(ensemble)(patches), ensemble(patches))
