"""Brain extraction by programs that pretend to be installed."""

import os
import stat
import sys

import pytest
import torch
from monai.data import MetaTensor

from csvd.transforms.brain.brain_mask import brain_mask

FAKE = """#!{python}
import sys
import nibabel as nib
words = sys.argv[1:]
scan, brain = (words[words.index(flag) + 1] for flag in ("-i", "-o")) if "-i" in words else words
image = nib.load(scan)
voxels = image.get_fdata()
voxels[:5] = 0
nib.Nifti1Image(voxels, image.affine).to_filename(brain)
"""
PROGRAMS = [("synthstrip", "mri_synthstrip"), ("hd-bet", "hd-bet"), ("bet", "bet"), ("bet", "bet2")]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a script on the PATH, which then holds nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(name, text):
        (tmp_path / name).write_text(text.format(python=sys.executable))
        os.chmod(tmp_path / name, stat.S_IRWXU)

    return write


@pytest.mark.parametrize(("method", "program"), PROGRAMS)
def test_installed_program_is_used_by_name(install, method, program):
    install(program, FAKE)
    image = torch.randn(1, 12, 10, 8)
    mask, used = brain_mask(MetaTensor(image.abs()), method)
    assert used == method
    assert torch.equal(mask[0].as_tensor(), (torch.arange(12) >= 5).byte()[:, None, None].expand(12, 10, 8))


@pytest.mark.parametrize("method", ["synthstrip", "hd-bet", "bet"])
def test_missing_program_is_named(install, method):
    with pytest.raises(ValueError, match=rf"method '{method}' needs the program .*, which is not on the PATH"):
        brain_mask(torch.rand(1, 12, 10, 8), method)


def test_failing_program_is_quoted(install):
    install("mri_synthstrip", "#!{python}\nraise SystemExit('no licence')\n")
    with pytest.raises(ValueError, match=r"mri_synthstrip ended with code 1 and no brain: no licence"):
        brain_mask(torch.rand(1, 12, 10, 8), "synthstrip")


def test_program_that_finds_nothing_is_named(install):
    install("bet", FAKE.replace("[:5]", "[:]"))
    with pytest.raises(ValueError, match="bet found no brain: give a mask"):
        brain_mask(torch.rand(1, 12, 10, 8), "bet")
