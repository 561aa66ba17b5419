"""Sequence gate on real scans: nothing here was trained on; names by eye and by the notes beside the data."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from csvd.io import Case
from csvd.sequences import GROUPS
from csvd.workflows.gate import SequenceGate, check_sequence, sort_study

BUNDLE = Path(__file__).parents[1] / "bundles" / "cmb_detection"
DIFFUSION, NONE, SUSCEPTIBILITY = "diffusion", "none of these", "T2*/SWI"
WHOLE_BRAIN = {
    "dwi-b0-b1000-philips/dwi_b0": (DIFFUSION, "T2-like"),
    "dwi-b0-b1000-philips/dwi_b1000": (DIFFUSION,),
    "dwi-b0-b1000-philips/dicom_b0": (DIFFUSION, "T2-like"),
    "dwi-b0-b1000-philips/dicom_b1000": (DIFFUSION,),
    "flash-gre-t1-pd-mt/mtsat_PDw": (NONE,),
    "flash-gre-t1-pd-mt/mtsat_T1w": ("T1-like",),
    "open-ms-raw-t1-t2-flair/patient01_study1_FLAIR": ("FLAIR",),
    "open-ms-raw-t1-t2-flair/patient01_study1_T1W": ("T1-like",),
    "open-ms-raw-t1-t2-flair/patient01_study1_T2W": ("T2-like",),
    "siemens-gre-magphase-dicom/2_": (SUSCEPTIBILITY,),
    "siemens-gre-magphase-dicom/3_": ("phase",),
    "siemens-mefmri-t2star-dicom/": (SUSCEPTIBILITY,),
    "siemens-xa30-enhanced-dicom/5_": ("T1-like",),
    "siemens-xa30-enhanced-dicom/7_": (SUSCEPTIBILITY,),
    "siemens-xa30-enhanced-dicom/8_": (SUSCEPTIBILITY,),
    "siemens-xa30-enhanced-dicom/9_": ("phase",),
    "siemens-xa30-enhanced-dicom/10_": (DIFFUSION,),
    "siemens-xa30-enhanced-dicom/11_": (DIFFUSION, NONE),
    "siemens-xa30-enhanced-dicom/12_": (DIFFUSION,),
    "siemens-xa30-enhanced-dicom/13_": (DIFFUSION, NONE),
    "siemens-xa30-enhanced-dicom/16_": (DIFFUSION, "T2-like"),
    "siemens-xa30-enhanced-dicom/25_": (NONE, SUSCEPTIBILITY),
    "siemens-xa30-enhanced-dicom/28_": (NONE,),
}
"""What a series may be called, by how its name begins: a b = 0 image is T2-weighted, a map is no sequence."""
REFUSED = {"T1-like", "T2-like", "FLAIR", DIFFUSION}


@pytest.mark.slow
def test_real_series_are_named_and_wrong_ones_refused(real_scans):
    """At least 80 % of whole-brain series, and no T1, T2, FLAIR or DWI reaches the detector."""
    right = []
    for row in sort_study(real_scans, BUNDLE):
        allowed = next((groups for name, groups in WHOLE_BRAIN.items() if row.name.startswith(name)), None)
        if allowed is None or row.found is None:
            continue
        right.append(GROUPS.get(row.found.sequence) in allowed)
        if REFUSED & set(allowed):
            assert row.found.contrast is None, row
    assert len(right) == 28
    assert np.mean(right) >= 0.8


@pytest.mark.slow
def test_real_epi_reaches_the_detector(real_scans, tmp_path):
    """An EPI volume without tags, converted from MGH, which looks like diffusion to the gate."""
    image = nib.load(real_scans / "format-zoo-epi" / "mgh.mgz")
    scan = tmp_path / "epi.nii.gz"
    nib.save(nib.Nifti1Image(image.get_fdata(), image.affine), scan)
    case = Case("epi", scan)
    assert check_sequence(case, SequenceGate(BUNDLE)(case)).contrast == "dark"
