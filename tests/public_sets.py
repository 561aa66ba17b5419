"""Tiny look-alikes of the public data sets, with their known traps."""

import nibabel as nib
import numpy as np
from openpyxl import Workbook
from scipy.io import savemat

SHAPE = (12, 10, 8)
LAS = np.diag([-0.5, 0.5, 2.0, 1.0])


def save(path, affine=LAS, values=None):
    """Write a scan of ones, or of the values, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.ones(SHAPE, dtype=np.float32) if values is None else values
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def save_valdo(root):
    """Two subjects of VALDO's Task 2; T1 is not a number."""
    for subject in ("sub-101", "sub-301"):
        for name in ("desc-masked_T1", "desc-masked_T2", "desc-masked_T2S", "CMB"):
            values = np.full(SHAPE, np.nan if name.endswith("T1") else 1, dtype=np.float32)
            save(root / subject / f"{subject}_space-T2S_{name}.nii.gz", values=values)


def save_dou(root, affine=LAS, **fields):
    """Return the one scan of Dou's set, whose points count from 1."""
    (root / "ground_truth").mkdir(parents=True)
    savemat(root / "ground_truth" / "07.mat", fields or {"cen": np.array([[1, 1, 1], [5, 6, 7]])})
    return save(root / "nii" / "07.nii", affine=affine)


def save_aibl(root):
    """Two people, one with real and synthetic microbleeds, one without; a voxel is given twice, a header is there."""
    for folder, name in (
        ("rCMB_DefiniteSubject", "12_5"),
        ("NoCMBSubject", "30_2"),
        ("sCMB_DefiniteSubject", "12_5_s1"),
    ):
        save(root / folder / f"{name}.nii.gz")
    for table, name, numbers in (
        ("rCMBInformationInfo", "12_5", [3, 4, 5, 3, 4, 5, 6, 6, 6]),
        ("sCMBInformationInfo", "12_5_s1", [2, 2, 2]),
    ):
        book = Workbook()
        book.active.append(["NIFTI File Name", "x_1", "y_1", "z_1"])
        book.active.append([f"{name}.nii.gz", *numbers])
        book.save(root / f"{table}.xlsx")
