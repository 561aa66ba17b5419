"""Region growing from points and boxes on lesions of known shape."""

import pytest
import torch

from csvd.transforms import grow_lesions
from csvd.transforms.lesions.grow_lesions import growing_radius

THICK = (0.8, 0.8, 3.0)


@pytest.fixture
def truth():
    """A ball of radius 3 voxels at (12, 12, 8), flat along the slices, and one at (30, 28, 8)."""
    grid = torch.stack(torch.meshgrid(torch.arange(40.0), torch.arange(40.0), torch.arange(16.0), indexing="ij"))

    def ball(*centre):
        offset = (grid - torch.tensor(centre)[:, None, None, None]) / torch.tensor([3.0, 3.0, 1.5])[:, None, None, None]
        return offset.norm(dim=0) <= 1

    return torch.stack([ball(12.0, 12.0, 8.0), ball(30.0, 28.0, 8.0)])


@pytest.fixture
def scan(truth):
    """SWI: tissue of 100 with noise, microbleeds of 20."""
    noise = torch.randn(1, 40, 40, 16, generator=torch.Generator().manual_seed(0)) * 4
    return torch.where(truth.any(dim=0, keepdim=True), 20.0, 100.0) + noise


def dice(a, b):
    return 2 * (a & b).sum().item() / (a.sum() + b.sum()).item()


def test_points_become_the_lesions(scan, truth):
    label = grow_lesions(scan, torch.tensor([[12.0, 12, 8], [30, 28, 8]]), spacing=THICK, contrast="dark")
    assert label.dtype == torch.int32
    assert [dice(label[0] == k + 1, truth[k]) for k in range(2)] == pytest.approx([1, 1], abs=0.12)


def test_bright_lesions_grow_too(scan, truth):
    label = grow_lesions(-scan, torch.tensor([[12.0, 12, 8]]), spacing=THICK, contrast="bright")
    assert dice(label[0] == 1, truth[0]) > 0.88


def test_a_click_beside_a_small_lesion_finds_it(truth):
    scan = torch.full((1, 40, 40, 16), 100.0)
    scan[0, 20:22, 20, 8] = 30
    label = grow_lesions(scan, torch.tensor([[19.0, 21, 8]]), spacing=THICK, contrast="dark")
    assert label.nonzero()[:, 1:].tolist() == [[20, 20, 8], [21, 20, 8]]


def test_box_is_not_left(scan):
    centre, half = torch.tensor([[12.0, 12, 8]]), torch.tensor([[1.0, 1, 0]])
    label = grow_lesions(scan, centre, spacing=THICK, contrast="dark", half_sizes=half)
    low, high = label.nonzero()[:, 1:].amin(dim=0).tolist(), label.nonzero()[:, 1:].amax(dim=0).tolist()
    assert (low, high) == ([11, 11, 8], [13, 13, 8])


def test_lesion_anywhere_in_its_box_is_found():
    scan = torch.full((1, 40, 40, 16), 100.0)
    scan[0, 24, 17, 9] = 30
    centre, half = torch.tensor([[21.0, 20, 8]]), torch.tensor([[4.0, 4, 2]])
    label = grow_lesions(scan, centre, spacing=THICK, contrast="dark", half_sizes=half)
    assert label.nonzero()[:, 1:].tolist() == [[24, 17, 9]]


def test_a_vein_is_followed_five_voxels_and_no_more():
    scan = torch.full((1, 40, 40, 16), 100.0)
    scan[0, :, 20, 8] = 30
    scan[0, 20, 20, :] = 30
    label = grow_lesions(scan, torch.tensor([[20.0, 20, 8]]), spacing=THICK, contrast="dark")
    along = label.nonzero()[:, 1:]
    assert (along - torch.tensor([20, 20, 8])).abs().amax(dim=0).tolist() == [5, 0, 3]


def test_lesion_at_the_border_and_no_lesion_are_fine(scan):
    label = grow_lesions(scan, torch.tensor([[0.0, 39, 0]]), spacing=THICK, contrast="dark")
    assert label[0, :2, 38:, :2].any()
    assert not grow_lesions(scan, torch.zeros(0, 3), spacing=THICK, contrast="dark").any()


@pytest.mark.parametrize(
    ("spacing", "radius"),
    [
        ((0.8, 0.8, 3), (5, 5, 3)),
        ((3, 0.8, 0.8), (3, 5, 5)),
        ((1, 1, 1), (5, 5, 3)),
        ((0.8, 0.8000001, 0.8), (5, 5, 3)),
    ],
)
def test_slices_are_the_thickest_axis(spacing, radius):
    assert growing_radius(spacing) == radius


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": torch.tensor([[50.0, 0, 0]])}, r"voxel \[50, 0, 0\] lies outside \[40, 40, 16\]"),
        ({"contrast": "grey"}, "`contrast` must be one of 'dark', 'bright', got 'grey'"),
        ({"image": torch.zeros(2, 4, 4, 4)}, r"cannot grow lesions in .*needs to be \(1, H, W, D\)"),
    ],
)
def test_bad_arguments_are_named(scan, arguments, message):
    usual = {"image": scan, "points": torch.zeros(1, 3), "spacing": THICK, "contrast": "dark"}
    with pytest.raises(ValueError, match=message):
        grow_lesions(**{**usual, **arguments})
