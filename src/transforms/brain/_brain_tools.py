"""Brain extraction by programs that the user has installed: SynthStrip, HD-BET and FSL's BET."""

import os
import shutil
import subprocess

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage

from ...checks import InputError
from ...io.temporary import temporary_folder

TOOLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "synthstrip": (("mri_synthstrip",), ("-i", "{scan}", "-o", "{brain}")),
    "hd-bet": (("hd-bet",), ("-i", "{scan}", "-o", "{brain}")),
    "bet": (("bet", "bet2"), ("{scan}", "{brain}")),
}
"""By method: the programs to look for, and the arguments with which each writes the scan without what is not brain."""


def run_tool(method: str, volume: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the brain that an installed program finds, (H, W, D) Boolean.

    Args:
        method: a key of :data:`TOOLS`.
        volume: (H, W, D) float32.
        affine: (4, 4) voxel to RAS mm.

    Raises:
        InputError: the program is not installed, fails, or finds nothing.
    """
    names, arguments = TOOLS[method]
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        raise InputError(
            f"method {method!r} needs the program {' or '.join(names)}, which is not on the PATH: "
            "install it, or use the method 'builtin'."
        )
    with temporary_folder() as folder:
        scan, brain = folder / "scan.nii.gz", folder / "brain.nii.gz"
        # Above 0 everywhere, so that in the result 0 means outside the brain.
        nib.Nifti1Image(volume - volume.min() + 1, affine).to_filename(scan)
        command = [program, *(argument.format(scan=scan, brain=brain) for argument in arguments)]
        if method == "hd-bet" and not torch.cuda.is_available():
            command += ["-device", "cpu"]
        environment = {**os.environ, "FSLOUTPUTTYPE": "NIFTI_GZ"}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode != 0 or not brain.exists():
            last = (result.stderr or result.stdout).strip().splitlines()[-1:]
            raise InputError(f"{program} ended with code {result.returncode} and no brain: {''.join(last)}")
        found = nib.load(brain).get_fdata() != 0  # type: ignore[attr-defined]
        if not found.any():
            raise InputError(f"{program} found no brain: give a mask, or use another method.")
        return ndimage.binary_fill_holes(found)
