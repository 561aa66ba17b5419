import numpy as np
import pytest
import torch
from planted import ball

from csvd.engines.background_bank import read_background, write_background
from csvd.engines.dot_training import Sampler, train_dots
from csvd.networks.patch_classifier import PatchClassifier
from csvd.phantom.planting_patches import Kind
from csvd.phantom.planting_scan import plant_scan
from csvd.transforms.dark_contrast import dark_contrast

SPACING = (0.9, 0.9, 4.0)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """A scan without microbleeds and one with three of its own."""
    folder = tmp_path_factory.mktemp("bank")
    image, mask, affine = ball(noise=0.08)
    scan = plant_scan(image, mask, affine, lesions=3, seed=3, radius_mm=(1.5, 2), depth=(0.8, 0.9))
    for name, volume, label in (("empty", image, None), ("full", scan.image, scan.label)):
        write_background(folder, name, dark_contrast(volume, mask), mask, SPACING, label, seed=1, inside=500)
    return [read_background(folder / name) for name in ("empty", "full")]


def test_the_middle_of_a_cut_patch_is_its_point(bank):
    scan = bank[0]
    row, column, index = scan.dots[0]
    assert scan.cut(scan.dots[0], stripped=False)[2, 32, 32] == scan.slices[index, row + 36, column + 36]


def test_own_microbleeds_are_dark_and_dots_lie_away_from_them(bank):
    scan = bank[1]
    assert sorted(set(scan.lesions[:, 3])) == [1, 2, 3]
    for point in scan.lesions:
        assert scan.cut(point[:3], stripped=False)[2, 30:35, 30:35].min() < 0.5
        away = np.linalg.norm((scan.dots - point[:3]) * [0.45, 0.45, 4.0], axis=1)
        assert away.min() > 2


def test_a_stripped_patch_is_0_outside_the_brain(bank):
    scan = bank[0]
    edge = scan.inside[np.argmax(scan.inside[:, 0])]
    mask = scan.brain[edge[2], edge[0] + 4 : edge[0] + 68, edge[1] + 4 : edge[1] + 68]
    assert not scan.cut(edge, stripped=True)[2][~mask].any()


def test_a_batch_has_patches_of_all_kinds_and_own_microbleeds(bank):
    batch = Sampler(bank, np.ones(2), seed=0).draw(200)
    assert batch.patches.shape == (200, 5, 64, 64)
    assert set(batch.kinds.tolist()) == {int(kind) for kind in Kind}
    assert 10 < batch.own.sum() < 60
    assert (batch.kinds[batch.own] == Kind.NOTHING).all()


def test_hard_dots_come_more_often(bank):
    sampler = Sampler(bank[:1], np.ones(1), seed=0)
    sampler.hardness[0][:] = 0.1
    sampler.hardness[0][5] = 0.9
    drawn = [origin[1] for origin in sampler.draw(300).origin if origin]
    assert drawn.count(5) > 2 * len(drawn) / len(bank[0].dots)


def test_training_lowers_the_loss_and_resumes(bank, tmp_path):
    lines = []
    torch.manual_seed(0)
    network = PatchClassifier(features=8)
    path = tmp_path / "state.pt"
    sampler = Sampler(bank, np.ones(2), seed=0)
    train_dots(network, sampler, path, 30, seed=0, batch_size=32, report=lines.append)
    state = torch.load(path, weights_only=True)
    assert state["done"] == 30
    again = train_dots(PatchClassifier(features=8), Sampler(bank, np.ones(2), seed=0), path, 30, seed=0)
    torch.testing.assert_close(again.state_dict(), state["average"])
    assert path.with_suffix(".average.pt").exists()
    batch = Sampler(bank, np.ones(2), seed=9).draw(100)
    own = again(batch.patches[batch.own][..., 8:56, 8:56].contiguous())
    rest = again(batch.patches[batch.kinds == Kind.VESSEL][..., 8:56, 8:56].contiguous())
    assert own.mean() > rest.mean()
