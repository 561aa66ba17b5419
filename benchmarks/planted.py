"""What is found of dark balls that are planted into real scans, and how much in the scans as they are.

No simulator of ours made these images. A ball is drawn at a third of a voxel, blurred by half a voxel and multiplied
into the scan, which knows nothing of blooming: a check of whether round dark spots are found in real anatomy. What is
found in the scan as it is counts as a false positive, in healthy people.
"""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
from monai.transforms import LoadImage
from scipy import ndimage
from tqdm import tqdm

from csvd.bundles import find_bundle
from csvd.detection import detect
from csvd.transforms import BrainMask

RADII_MM = (1.0, 1.5, 2.0, 3.0)
EACH = 5  # balls of each radius in a scan
DEPTH_MM, APART_MM = 6.0, 14.0
FINE = 3


def places(mask: np.ndarray, affine: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``count`` voxels (count, 3), not whole, deep in the brain and apart from each other."""
    spacing = nib.affines.voxel_sizes(affine)
    deep = np.argwhere(ndimage.distance_transform_edt(mask, sampling=spacing) > DEPTH_MM)
    chosen: list[np.ndarray] = []
    for voxel in rng.permutation(deep):
        if all(np.linalg.norm((voxel - other) * spacing) > APART_MM for other in chosen):
            chosen.append(voxel + rng.uniform(-0.5, 0.5, 3))
        if len(chosen) == count:
            return np.array(chosen)
    raise SystemExit(f"a brain of {int(mask.sum())} voxels has no room for {count} balls: give a whole brain.")


def ball(shape: tuple[int, ...], centre: np.ndarray, radius_mm: float, spacing: np.ndarray) -> tuple:
    """Return a box around a ball, and the share (0 to 1) of each of its voxels that the ball fills, blurred."""
    reach = np.ceil((radius_mm + 2 * spacing) / spacing).astype(int) + 1
    low = np.maximum(np.rint(centre).astype(int) - reach, 0)
    high = np.minimum(np.rint(centre).astype(int) + reach + 1, shape)
    axes = [(np.arange(FINE * (b - a)) + 0.5) / FINE - 0.5 + a - c for a, b, c in zip(low, high, centre, strict=True)]
    x, y, z = np.meshgrid(*(axis * h for axis, h in zip(axes, spacing, strict=True)), indexing="ij")
    inside = (x**2 + y**2 + z**2 < radius_mm**2).astype(float)
    parts = [n for side in high - low for n in (side, FINE)]
    share = inside.reshape(parts).mean(axis=(1, 3, 5))
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), ndimage.gaussian_filter(share, 0.5)


def plant(image: nib.Nifti1Image, mask: np.ndarray, seed: int) -> tuple[nib.Nifti1Image, list]:
    """Return the scan with balls, each 50 to 95 % darker than what is around it; and radius, box and share of each."""
    rng = np.random.default_rng(seed)
    planted, balls = image.get_fdata().copy(), []
    radii = np.repeat(RADII_MM, EACH)
    for centre, radius in zip(places(mask, image.affine, len(radii), rng), radii, strict=True):
        box, share = ball(mask.shape, centre, radius, nib.affines.voxel_sizes(image.affine))
        planted[box] *= 1 - float(rng.uniform(0.5, 0.95)) * share
        balls.append((radius, box, share))
    return nib.Nifti1Image(planted.astype(np.float32), image.affine), balls


def judge(found: np.ndarray, balls: list) -> tuple[dict[float, int], int]:
    """Return how many balls of each radius were found, by at least a voxel that they fill by a third, and the rest."""
    hit, used = dict.fromkeys(RADII_MM, 0), set()
    for radius, box, share in balls:
        touched = set(np.unique(found[box][share > 1 / 3])) - {0}
        hit[radius] += bool(touched)
        used |= touched
    return hit, len(set(np.unique(found)) - {0} - used)


def brain(path: Path) -> np.ndarray:
    """Return the mask that the built-in brain extraction makes, on the scan's grid."""
    return np.asarray(BrainMask()(LoadImage(ensure_channel_first=True)(path))[0]) > 0


def main() -> None:
    """Print a row a scan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", type=Path, nargs="+", help="NIfTI files of heads whose microbleeds would be dark")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, help="folder; the one that came with csvd")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    bundle = arguments.bundle or find_bundle("cmb_detection")
    how = {"overwrite": True, "any_sequence": True, "settings": {"contrast": "dark"}}
    sizes = " | ".join(f"{radius} mm, of {EACH}" for radius in RADII_MM)
    print(f"| scan | found as it is | {sizes} | others |\n{'|---' * (len(RADII_MM) + 3)}|")
    for path in tqdm(arguments.scans):
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        [before] = detect(path, arguments.out / "as_it_is", bundle, **how)
        planted, balls = plant(nib.load(path), brain(path), arguments.seed)
        nib.save(planted, arguments.out / f"{name}_planted.nii.gz")
        detect(arguments.out / f"{name}_planted.nii.gz", arguments.out / "planted", bundle, **how)
        result = arguments.out / "planted" / f"{name}_planted" / f"{name}_planted_cmb.nii.gz"
        hit, others = judge(np.asarray(nib.load(result).dataobj), balls)
        found = " | ".join(str(hit[radius]) for radius in RADII_MM)
        print(f"| {name} | {before['counts']['total']} | {found} | {others} |")


if __name__ == "__main__":
    main()
