"""The cohort of ``load.py``: small simulated scans, some of them broken in one of twelve ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from geometry import planted_scan
from small_bundle import SHAPE, VOXEL_MM

REASONS = {
    "text": "gzip",
    "empty": "gzip|empty",
    "cut": "truncated",
    "checksum": "damaged|gzip|CRC",
    "pointer": "git-annex",
    "constant": "must not be constant",
    "not-finite": "must be finite",
    "mask": "not a mask",
    "flat": "at least 3 slices",
    "colours": "colour",
    "sizes": "of 0.01 to 50 mm",
    "flair": "it looks like FLAIR",
}
"""Ways in which a scan may be broken, and what its reason then has, as a regular expression."""


def name_of(number: int, way: str | None) -> str:
    """Return the name of a scan, which tells how it is broken."""
    return f"sub-{number:04d}{way or ''}_swi".replace("-finite", "")


def ways_of(scans: int, every: int) -> dict[int, str]:
    """Return how scans are broken, by number: the first, the last, and every so many between them."""
    numbers = [*range(0, scans - 1, every), scans - 1]
    return {number: [*REASONS][place % len(REASONS)] for place, number in enumerate(numbers)}


def write_scans(folder: Path, scans: int, every: int) -> None:
    """Write the scans, each with noise of its own and a microbleed in one of four places."""
    folder.mkdir()
    ways = ways_of(scans, every)
    for number in range(scans):
        turn = number % 4
        where = (6.0 + 6 * turn, 8.0, 30.0 - 3 * turn)
        scan = planted_scan(shape=SHAPE, voxel_mm=VOXEL_MM, lesion_world_mm=where, radius_mm=5, seed=number).image
        path = folder / f"{name_of(number, ways.get(number))}.nii.gz"
        nib.save(scan, path)
        if number in ways:
            _break(path, ways[number])


def _break(path: Path, way: str) -> None:
    content, image = path.read_bytes(), nib.load(path)
    voxels, affine = np.asanyarray(image.dataobj), image.affine  # type: ignore[attr-defined]
    if way in BYTES:
        path.write_bytes(BYTES[way](content))
    else:
        path.unlink()
        nib.save(nib.Nifti1Image(VOXELS[way](voxels), affine * (100 if way == "sizes" else 1)), path)


BYTES: dict[str, Callable[[bytes], bytes]] = {
    "text": lambda content: b"no scan at all" * 100,
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "checksum": lambda content: content[:-8] + bytes(8),
    "pointer": lambda content: b"/annex/objects/SHA256E-s1--0.nii.gz\n",
}
VOXELS: dict[str, Callable[[np.ndarray], Any]] = {
    "constant": lambda voxels: np.full_like(voxels, 300),
    "not-finite": lambda voxels: np.where(voxels == voxels.max(), np.nan, voxels.astype(np.float32)),
    "mask": lambda voxels: (voxels > 0).astype(np.uint8),
    "flat": lambda voxels: voxels[:, :, :2],
    "colours": lambda voxels: np.zeros(voxels.shape, [(name, "u1") for name in "RGB"]),
    "sizes": lambda voxels: voxels,
    "flair": lambda voxels: voxels * 4,
}
