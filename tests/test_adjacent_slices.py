"""Slices with their neighbours."""

import pytest
import torch

from csvd.transforms.slices.adjacent_slices import AdjacentSlices, AdjacentSlicesd, adjacent_slices


@pytest.fixture
def stack():
    """Slices of 0, 1, 2 and 3."""
    return torch.arange(4.0).expand(1, 5, 6, 4)


def test_each_slice_is_between_its_neighbours_and_edges_are_repeated(stack):
    slices = adjacent_slices(stack)
    assert slices.shape == (4, 3, 5, 6)
    assert slices[:, :, 2, 3].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]


def test_rows_and_columns_stay(stack):
    image = torch.rand(1, 5, 6, 4)
    assert torch.equal(adjacent_slices(image)[2, 1], image[0, :, :, 2])


def test_more_neighbours(stack):
    assert AdjacentSlices(neighbours=2)(stack)[1, :, 0, 0].tolist() == [0, 0, 1, 2, 3]


def test_one_slice_alone_is_its_own_neighbour(stack):
    assert AdjacentSlicesd("image")({"image": stack[..., 3:]})["image"][0, :, 0, 0].tolist() == [3, 3, 3]


def test_two_channels_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 5, 6, 4\)"):
        adjacent_slices(torch.zeros(2, 5, 6, 4))


def test_no_neighbour_is_refused():
    with pytest.raises(ValueError, match="neighbours"):
        AdjacentSlices(neighbours=0)
