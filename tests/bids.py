"""Tiny BIDS data sets, raw, for tests: noise with a head's header, and all that real ones have that is awkward."""

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np

AFFINE = np.array([[-0.9, 0.1, 0, 14], [0.1, 0.9, 0.05, -20], [0, -0.05, 2, -9], [0, 0, 0, 1]])
GRADIENT_ECHO = {"Modality": "MR", "ScanningSequence": "GR", "MagneticFieldStrength": 3, "FlipAngle": 15}


def save_noise(path, seed=0):
    """Write a head-like ball in noise, 32 x 32 x 32 int16, and return the path."""
    axes = np.indices((32, 32, 32)) - 15.5
    ball = (axes**2).sum(axis=0) < 14**2
    voxels = (ball * 800 + np.random.default_rng(seed).integers(1, 100, ball.shape)).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def save_json(path, content):
    """Write JSON and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2))
    return path


def make_bids(root: Path) -> Path:
    """Make a valid data set in ``root`` of what BIDS has: T2starw, MEGRE in parts and echoes, Chimap, T1w.

    sub-01 has two sessions, sub-02 two runs, sub-03 three echoes up to 60 ms whose times stand in sidecars further up.
    """
    save_json(
        root / "dataset_description.json",
        {"Name": "Tiny", "BIDSVersion": "1.10.0", "DatasetType": "raw", "License": "CC0", "Authors": ["Nobody"]},
    )
    (root / "README.md").write_text("# Tiny\nMade by a test of csvd; noise, no people.\n" + "It holds no data. " * 10)
    save_json(root / "T2starw.json", {**GRADIENT_ECHO, "EchoTime": 0.02, "RepetitionTime": 0.03})
    save_json(root / "Chimap.json", {})
    save_json(root / "T1w.json", {"Modality": "MR", "ScanningSequence": ["GR", "IR"], "EchoTime": 0.003})
    for number, milliseconds in enumerate((10, 35, 60), 1):
        timed = {**GRADIENT_ECHO, "EchoTime": milliseconds / 1000, "RepetitionTime": 0.07}
        save_json(root / f"echo-{number}_MEGRE.json", timed)
    for name in ("sub-01_ses-1_T1w", "sub-01_ses-1_T2starw", "sub-01_ses-2_T2starw", "sub-01_ses-2_Chimap"):
        save_noise(root / "sub-01" / name.split("_")[1] / "anat" / f"{name}.nii.gz")
    for name in ("sub-02_acq-x_run-1_T2starw", "sub-02_acq-x_run-2_T2starw"):
        save_noise(root / "sub-02" / "anat" / f"{name}.nii.gz")
    for echo in (1, 2, 3):
        for part in ("mag", "phase"):
            image = save_noise(root / "sub-03" / "anat" / f"sub-03_echo-{echo}_part-{part}_MEGRE.nii.gz")
            if part == "phase":
                save_json(image.with_name(image.name.replace(".nii.gz", ".json")), {"Units": "arbitrary"})
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\nsub-01\t71.5\tF\nsub-02\tn/a\tmale\nsub-03\tn/a\tn/a\n"
    )
    return root


def make_awkward(root: Path) -> Path:
    """Add to a data set what BIDS lacks or people leave: swi, BEP 4, broken files, links to nothing, derivatives."""
    save_noise(root / "sub-04" / "anat" / "sub-04_swi.nii.gz")
    save_noise(root / "sub-04" / "anat" / "sub-04_part-mag_T2starw.nii.gz")
    save_noise(root / "sub-04" / "anat" / "sub-04_part-phase_T2starw.nii.gz")
    save_noise(root / "sub-05" / "swi" / "sub-05_part-mag_GRE.nii.gz")
    save_noise(root / "sub-05" / "swi" / "sub-05_part-phase_GRE.nii.gz")
    broken = save_noise(root / "sub-06" / "anat" / "sub-06_swi.nii.gz")
    broken.write_bytes(gzip.compress(gzip.decompress(broken.read_bytes())[:1000]))
    (root / "sub-06" / "anat" / "sub-06_echo-1_MEGRE.nii.gz").write_bytes(b"")
    (root / "sub-06" / "anat" / "sub-06_echo-2_MEGRE.nii.gz").write_bytes(b"no image")
    (root / "sub-06" / "anat" / "sub-06_echo-2_MEGRE.json").write_text("{")
    (root / "sub-07" / "anat").mkdir(parents=True)
    (root / "sub-07" / "anat" / "sub-07_swi.nii.gz").symlink_to("../../.git/annex/objects/Xy/MD5E-s9--ab.nii.gz")
    for left_out in ("derivatives/qsm/sub-01", "sourcedata/sub-01", ".git/sub-01", "sub-01/.tmp", "sub-01/ses-1/.old"):
        save_noise(root / left_out / "anat" / "sub-01_swi.nii.gz")
    save_noise(root / "sub-01" / "anat" / ".sub-01_swi.nii.gz")
    return root
