"""Intensity inversion and the check of the contrast, on phantoms and on real scans."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd
from once import simulated

from csvd.phantom import PROTOCOLS
from csvd.transforms.brain.brain_mask import BrainMaskd
from csvd.transforms.grid.select_volume import SelectVolumed
from csvd.transforms.intensity.contrast import contrast_warning
from csvd.transforms.intensity.invert_intensity import InvertIntensity, InvertIntensityd
from csvd.transforms.intensity.n4_bias_correction import N4BiasCorrectiond

REAL = Path(__file__).parents[2] / "shared/data"


def named(tensor):
    return MetaTensor(tensor, meta={"filename_or_obj": "sub-01_swi.nii.gz"})


@pytest.fixture
def scan():
    """Brain of about 100 in a cube with a border of 40 that the mask leaves out; one dark voxel."""
    image = 100 + 5 * torch.randn(1, 20, 20, 20, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros_like(image)
    mask[:, 2:-2, 2:-2, 2:-2] = 1
    image[mask == 0] = 40
    image[0, 10, 10, 10] = 5
    return image, mask


def test_dark_becomes_bright_and_the_maximum_0(scan):
    image, mask = scan
    result = InvertIntensity("dark")(image, mask)
    assert result[0, 10, 10, 10] == result.max()
    torch.testing.assert_close(result[mask > 0], 1 - image[mask > 0] / image[mask > 0].max())


def test_bright_is_left_alone(scan):
    image, mask = scan
    qsm = image - 100
    torch.testing.assert_close(InvertIntensity("bright")(qsm, mask), qsm * mask)


@pytest.mark.parametrize("contrast", ["dark", "bright"])
def test_outside_becomes_0(scan, contrast):
    image, mask = scan
    image = image - 100 * (contrast == "bright")
    assert not InvertIntensity(contrast)(image, mask)[mask == 0].any()


def test_without_a_mask_the_nonzero_voxels_are_the_brain(scan):
    image, mask = scan
    torch.testing.assert_close(InvertIntensity()(image * mask), InvertIntensity()(image, mask))


def test_each_channel_has_its_own_maximum(scan):
    image, mask = scan
    result = InvertIntensity()(torch.cat([image, 7 * image]), mask)
    torch.testing.assert_close(result[0], result[1])


def test_contrast_of_the_item_wins(scan):
    image, mask = scan
    qsm = image - 100
    out = InvertIntensityd("image", contrast="dark")({"image": qsm, "mask": mask, "contrast": "bright"})
    torch.testing.assert_close(out["image"], qsm * mask)


def test_meta_data_survive(scan):
    assert InvertIntensity()(named(scan[0]), scan[1]).meta["filename_or_obj"] == "sub-01_swi.nii.gz"


@pytest.mark.parametrize("value", [0.0, -1.0, torch.nan])
def test_image_without_a_positive_maximum_is_named(value):
    image = torch.full((1, 8, 8, 8), value)
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*maximum in the brain must be a number above 0"):
        InvertIntensity()(named(image), torch.ones_like(image))


def test_mask_of_other_shape_is_named(scan):
    image, mask = scan
    with pytest.raises(ValueError, match=r"cannot invert image 'sub-01_swi.nii.gz'.*\(20, 20, 20\).*\(20, 20, 19\)"):
        InvertIntensity()(named(image), mask[..., 1:])


@pytest.mark.parametrize("transform", [lambda: InvertIntensity("light"), lambda: InvertIntensityd("image", "light")])
def test_unknown_contrast_is_refused(transform):
    with pytest.raises(ValueError, match="`contrast` must be one of 'dark', 'bright', got 'light'"):
        transform()


def draw_brain(csf):
    """Ball of folded grey and white matter, 80 and 100, with ventricles of ``csf`` in 6 % of it, and its mask."""
    x, y, z = torch.meshgrid(*[torch.linspace(-1, 1, 64)] * 3, indexing="ij")
    mask = x**2 + y**2 + z**2 < 0.9
    folds = torch.sin(25 * x) * torch.sin(25 * y) * torch.sin(25 * z)
    image = 90 + 10 * folds.sign() + 3 * torch.randn(mask.shape, generator=torch.Generator().manual_seed(0))
    image[((x.abs() - 0.25) / 0.15) ** 2 + (y / 0.5) ** 2 + (z / 0.75) ** 2 < 1] = csf
    return (image * mask)[None], mask[None]


@pytest.mark.parametrize(("csf", "expected"), [(20, "dark, as CSF is on T1"), (250, None), (95, None)])
def test_csf_tells_other_sequences(csf, expected):
    message = contrast_warning(*draw_brain(csf), "dark")
    assert (message is None) if expected is None else (expected in message)


@pytest.mark.parametrize("scale", [1e-4, 30])
def test_the_check_ignores_scale_and_smooth_bias(scale):
    bias = torch.linspace(-0.3, 0.3, 64).exp()[:, None, None]
    normal, other = draw_brain(csf=95), draw_brain(csf=20)
    assert contrast_warning(normal[0] * bias * scale, normal[1], "dark") is None
    assert contrast_warning(other[0] * bias * scale, other[1], "dark") is not None


def test_a_haemorrhage_is_no_csf():
    image, mask = draw_brain(csf=95)
    image[:, 5:30, 10:50, 25:45] *= 0.2
    assert contrast_warning(image, mask, "dark") is None


def test_signed_image_is_no_magnitude_and_magnitude_no_qsm():
    image, mask = draw_brain(csf=95)
    assert "43% of its brain is below 0, as on QSM" in contrast_warning((image - 90) * mask, mask, "dark")
    assert contrast_warning((image - 90) * mask, mask, "bright") is None
    assert "only 0% of its brain is below 0, on QSM about half is" in contrast_warning(image, mask, "bright")


def test_unknown_contrast_is_not_checked():
    with pytest.raises(ValueError, match="`contrast` must be one of"):
        contrast_warning(*draw_brain(csf=95), "light")


def test_warning_names_the_file_and_joins_the_list():
    image, mask = draw_brain(csf=20)
    before = MetaTensor(image, meta={"filename_or_obj": "sub-01_T1w.nii.gz", "warnings": ["first"]})
    with pytest.warns(UserWarning, match="sub-01_T1w.nii.gz.*does not look like SWI"):
        after = InvertIntensity()(before, mask)
    assert after.meta["warnings"][0] == "first"
    assert "sub-01_T1w.nii.gz" in after.meta["warnings"][1]
    assert before.meta["warnings"] == ["first"]


def warnings_of_pipeline(item):
    steps = [BrainMaskd("image"), N4BiasCorrectiond("image"), InvertIntensityd("image")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Compose(steps)(item)["image"].meta.get("warnings", [])


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="needs the shared scans")
@pytest.mark.parametrize(
    ("name", "volume", "warns"),
    [
        ("siemens-mefmri-t2star-dicom/me_fMRI_4_e1.nii", "last", False),
        ("siemens-mefmri-t2star-dicom/me_fMRI_4_e2.nii", "last", False),
        ("megre-crop-magphase/Mag.nii", 0, False),
        ("megre-crop-magphase/Mag.nii", 1, False),
        ("megre-crop-magphase/Mag.nii", 2, False),
        ("open-ms-raw-t1-t2-flair/patient01_study1_T1W.nii.gz", "last", True),
        ("open-ms-raw-t1-t2-flair/patient01_study1_T2W.nii.gz", "last", False),
        ("open-ms-raw-t1-t2-flair/patient01_study1_FLAIR.nii.gz", "last", True),
        ("flash-gre-t1-pd-mt/mtsat_T1w.nii.gz", "last", True),
        ("dwi-b0-b1000-philips/dwi_b0.nii.gz", "last", False),
        ("dwi-b0-b1000-philips/dwi_b1000_geomean32.nii.gz", "last", True),
    ],
)
def test_real_scans_of_other_sequences_are_told(name, volume, warns):
    load = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            SelectVolumed("image", volume),
            Orientationd("image", axcodes="RAS", labels=None),
        ]
    )
    assert bool(warnings_of_pipeline(load({"image": str(REAL / name)}))) == warns


MANY = {"lesions": 25}
"""As of the subjects that the tests of vessel masks simulate."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "name", "changes", "how"),
    [
        ("ukbb", "swi", MANY, {"seed": 77, "index": 0, "phenotype": "CADASIL"}),
        ("oxvasc", "mag", MANY, {"seed": 77, "index": 0, "phenotype": "CADASIL"}),
        ("tich2", "swi", {}, {"seed": 21}),
        ("random", "mag", {}, {"seed": 77, "index": 0}),
        *(
            pytest.param(preset, name, {}, {"seed": seed}, marks=pytest.mark.whole)
            for preset, name in (("ukbb", "swi"), ("oxvasc", "mag"), ("tich2", "swi"), ("random", "mag"))
            for seed in (21, 22)
        ),
    ],
)
def test_simulated_scans_pass(preset, name, changes, how):
    subject = simulated(replace(PROTOCOLS[preset], **changes), **how)
    item = {"image": MetaTensor(subject.images[name][None], affine=subject.affine), "mask": subject.mask[None]}
    assert warnings_of_pipeline(item) == []
    qsm = {"image": MetaTensor(subject.images["qsm"][None], affine=subject.affine), "contrast": "bright"}
    assert warnings_of_pipeline(qsm) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_cpu():
    image, mask = draw_brain(csf=20)
    with pytest.warns(UserWarning, match="does not look like SWI"):
        on_cuda = InvertIntensity()(image.cuda(), mask.cuda())
    with pytest.warns(UserWarning, match="does not look like SWI"):
        torch.testing.assert_close(on_cuda.cpu(), InvertIntensity()(image, mask), rtol=1e-6, atol=1e-6)
