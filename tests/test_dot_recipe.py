import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from planted import ball

from csvd.engines.dot_recipe import DotTraining, fill_bank
from csvd.networks.patch_ensemble import PatchEnsemble
from csvd.transforms.dark_contrast import DarkContrastd


def load(item):
    scan = nib.load(item["image"])
    image = MetaTensor(torch.from_numpy(scan.get_fdata(dtype=np.float32))[None], affine=torch.from_numpy(scan.affine))
    return DarkContrastd("image")({"image": image, "mask": (image > 0).to(torch.uint8)})


@pytest.fixture
def items(tmp_path):
    """Two scans, the second with its slices along the first axis."""
    image, _, affine = ball(noise=0.08)
    nib.save(nib.Nifti1Image(image.numpy(), affine.numpy()), tmp_path / "one.nii")
    turned = affine[:, [2, 0, 1, 3]]
    nib.save(nib.Nifti1Image(image.permute(2, 0, 1).contiguous().numpy(), turned.numpy()), tmp_path / "two.nii")
    return [{"image": tmp_path / "one.nii"}, {"image": tmp_path / "two.nii"}]


def test_the_bank_holds_scans_with_their_slices_first(items, tmp_path):
    one, two = fill_bank(tmp_path / "bank", items, load)
    assert one.slices.shape == two.slices.shape
    np.testing.assert_array_equal(one.slices, two.slices)
    assert one.spacing_mm == two.spacing_mm == 4


def test_scans_that_are_in_the_bank_are_not_read_again(items, tmp_path):
    fill_bank(tmp_path / "bank", items, load)
    again = fill_bank(tmp_path / "bank", items, preprocessing=None)
    assert len(again) == 2


def test_training_saves_an_ensemble_of_members_that_differ(items, tmp_path):
    ensemble, path = PatchEnsemble(members=2, features=8), tmp_path / "models" / "model.pt"
    training = DotTraining(
        ensemble, {"real": items}, {"real": 1}, load, tmp_path / "bank", path, updates=3, batch_size=8
    )
    training.run()
    saved = PatchEnsemble(members=2, features=8)
    saved.load_state_dict(torch.load(path, weights_only=True))
    first, second = (member.stem.weight for member in saved.members)
    assert not torch.equal(first, second)
    torch.testing.assert_close(first, ensemble.members[0].stem.weight)


def test_a_source_without_a_share_is_named(items, tmp_path):
    with pytest.raises(ValueError, match=r"shares.*real"):
        DotTraining(PatchEnsemble(), {"real": items}, {}, load, tmp_path, tmp_path / "model.pt")


def test_updates_must_be_positive(items, tmp_path):
    with pytest.raises(ValueError, match="updates"):
        DotTraining(PatchEnsemble(), {"real": items}, {"real": 1}, load, tmp_path, tmp_path / "model.pt", updates=0)
