"""How right the outlines, volumes and diameters of lesions are: in simulated subjects and planted into real scans.

Truth is what is seen: the voxels where the noise-free image differs from that without microbleeds by half of the most
that it differs in the lesion, and the same line between voxels for volume and diameter. In planted scans that image is
the share of the scan that was taken away. Beside it, the Dice of the outline with the label, which in simulated
subjects is drawn by the deposit and not by what is seen. Each lesion is outlined from its core moved by a voxel:
detection plays no part. Lesions of less contrast than three spreads of what lies around them are left out.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from monai.data import MetaTensor
from scipy import ndimage, stats
from tqdm import tqdm

import csvd.phantom.subject
from csvd.phantom import PROTOCOLS, simulate_subject
from csvd.phantom.backgrounds import find_backgrounds, read_volume
from csvd.phantom.planting_scan import plant_scan
from csvd.phantom.visible import ball, between_voxels, visible
from csvd.planes import slice_axis
from csvd.transforms import BrainMask, grow_lesions, outline_lesions

LEAST_CNR = 3.0
PRESETS = ("ukbb", "oxvasc", "tich2", "ccm3t", "ucsf3t", "ucsf7t", "random")


@dataclass
class Scan:
    """A scan, slices along the last axis: what is measured, and by how much microbleeds change it without noise."""

    name: str
    contrast: str
    field: str
    image: np.ndarray
    change: np.ndarray
    label: np.ndarray
    mask: np.ndarray
    spacing: np.ndarray
    tissue: bool  # the change is a share of the tissue around


def simulated(preset: str, index: int, seed: int) -> Iterator[Scan]:
    """Yield SWI, magnitude and QSM of a subject, simulated three times: as scanned, without noise, without lesions."""
    protocol = replace(PROTOCOLS[preset], lesions=15)
    noiseless = replace(protocol, vary=lambda one, rng: replace(protocol.vary(one, rng), snr=1e9))
    build = csvd.phantom.subject.build_head

    def without(protocol, grid, warp, veins, blobs, *rest, **more):
        return build(protocol, grid, warp, veins, [b for b in blobs if b.kind != "microbleed"], *rest, **more)

    scan = simulate_subject(protocol, seed, index, phenotype="CADASIL")
    clean = simulate_subject(noiseless, seed, index, phenotype="CADASIL")
    with mock.patch.object(csvd.phantom.subject, "build_head", without):
        empty = simulate_subject(noiseless, seed, index, phenotype="CADASIL")
    field = f"{scan.protocol.b0_tesla:.1f} T"
    for name, sign in (("swi", -1), ("mag", -1), ("qsm", 1)):
        change = sign * (clean.images[name] - empty.images[name])
        parts = scan.images[name], change, scan.label, scan.mask > 0
        yield turned(name, "bright" if sign > 0 else "dark", field, scan.affine, parts, tissue=False)


def planted(path: Path, mask_path: Path | None, index: int, seed: int) -> Scan:
    """Return a real scan with planted microbleeds and mimics."""
    image, affine = read_volume(path)
    mask = BrainMask()(MetaTensor(image[None], affine=affine))[0] if mask_path is None else read_volume(mask_path)[0]
    brain = torch.as_tensor(mask).as_subclass(torch.Tensor) > 0
    one, none = (plant_scan(image, brain, affine, lesions=n, seed=seed + index, mimics=6) for n in (20, 0))
    change = (1 - one.image / none.image.where(none.image > 0, 1)).where(none.image > 0, 0)
    return turned("planted", "dark", "real", affine, (one.image, change, one.label, brain), tissue=True)


def turned(name: str, contrast: str, field: str, affine: torch.Tensor, parts: tuple, tissue: bool) -> Scan:
    """Return a scan whose slices lie along the last axis."""
    spacing = affine[:3, :3].norm(dim=0).numpy()
    axis = slice_axis(spacing.tolist())
    order = [k for k in range(3) if k != axis] + [axis]
    image, change, label, mask = (np.ascontiguousarray(np.asarray(part).transpose(order)) for part in parts)
    return Scan(name, contrast, field, image.astype(np.float32), change, label, mask, spacing[order], tissue)


def targets(scan: Scan) -> Iterator[tuple]:
    """Yield, of each lesion that is seen: box, what is seen, label, core, contrast to noise, volume and longest."""
    spacing = scan.spacing
    wide_ring = np.ones([2 * max(2, int(3 / mm)) + 1 for mm in spacing[:2]] + [1])
    margin = np.ceil(8 / spacing).astype(int)
    for number, found in enumerate(ndimage.find_objects(scan.label), start=1):
        if found is None:
            continue
        box = tuple(slice(max(0, s.start - m), s.stop + m) for s, m in zip(found, margin, strict=True))
        change, label = scan.change[box].astype(float), scan.label[box]
        seen, core = visible(change, label, number)
        ring = ndimage.binary_dilation(seen, wide_ring) & ~ndimage.binary_dilation(seen, np.ones((3, 3, 1)))
        around = scan.image[box][ring & (label == 0) & scan.mask[box]]
        if change[core] <= 0 or len(around) < 8:
            continue
        spread = max(1.4826 * float(np.median(np.abs(around - np.median(around)))), 1e-9)
        cnr = change[core] * (float(np.median(around)) if scan.tissue else 1) / spread
        if cnr >= LEAST_CNR:
            place = np.add(core, [side.start for side in box])
            yield box, seen, label == number, place, cnr, *between_voxels(change, seen, change[core] / 2, spacing)


def compare(scan: Scan, rng: np.random.Generator) -> Iterator[dict]:
    """Yield a row for each lesion that is seen: truth, and what is found of it from its core."""
    spacing, truth = scan.spacing, list(targets(scan))
    if not truth:
        return
    image, mask = torch.from_numpy(scan.image), torch.from_numpy(scan.mask)
    steps = rng.integers(-1, 2, (len(truth), 3)) * (1, 1, spacing[2] < 1.5)
    points = np.clip(np.stack([row[3] for row in truth]) + steps, 0, np.array(scan.image.shape) - 1)
    where = torch.from_numpy(points)
    found = outline_lesions(image, where, spacing.tolist(), scan.contrast, mask)
    grown = grow_lesions(image[None], where, spacing=spacing.tolist(), contrast=scan.contrast)[0].numpy()
    sizes = torch.stack([found.volume_mm3, found.longest_mm], dim=1).tolist()
    measured = dict(zip(found.ids.tolist(), sizes, strict=True))
    for n, (box, seen, marked, _, cnr, volume, longest) in enumerate(truth, start=1):
        mine, other = found.labels.numpy()[box] == n, grown[box] == n
        got, voxels = measured.get(n, (0.0, 0.0)), other.sum() * spacing.prod()
        yield {
            "image": scan.name,
            "field": scan.field,
            "slice_mm": spacing[2],
            "cnr": cnr,
            "diameter": ball(volume),
            "longest": longest,
            "outline": (dice(mine, seen), got[0] / volume, ball(got[0]), got[1], dice(mine, marked)),
            "grow_lesions": (
                dice(other, seen),
                voxels / volume,
                ball(voxels),
                flat(other, spacing),
                dice(other, marked),
            ),
            "added": int(n == 1) * int((found.ids > len(truth)).sum()),
            "merged": int(n not in measured),
        }


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Dice coefficient of two masks."""
    return 2 * float((one & other).sum()) / max(float(one.sum() + other.sum()), 1)


def flat(mask: np.ndarray, spacing: np.ndarray) -> float:
    """Return the longest diameter of a mask in a slice, from edge to edge of its voxels."""
    points = [np.argwhere(mask[..., k]) * spacing[:2] for k in np.flatnonzero(mask.any(axis=(0, 1)))]
    return max((np.sqrt(np.square(p[:, None] - p).sum(axis=2)).max() + spacing[0] for p in points), default=0.0)


GROUPS = {
    "all": lambda row: ["lesions"],
    "image": lambda row: [row["image"]],
    "diameter": lambda row: [bin_of(row["diameter"], (2, 3, 4, 6), "mm")],
    "contrast to noise": lambda row: [bin_of(row["cnr"], (5, 8, 15), "")],
    "slices": lambda row: [bin_of(row["slice_mm"], (1.5, 2.5, 3.5), "mm")],
    "field": lambda row: [row["field"] if row["field"] in ("1.5 T", "3.0 T", "7.0 T", "real") else "other field"],
}


def bin_of(value: float, edges: tuple[float, ...], unit: str) -> str:
    """Return the name of the bin in which a value lies."""
    place = int(np.searchsorted(edges, value))
    return f"{(0, *edges)[place]} to {(*edges, 'more')[place]} {unit}".strip()


def print_table(rows: list[dict], method: str) -> None:
    """Print a row a group: medians, and the slope of found against true diameter (Theil-Sen)."""
    print(f"\n{method}, {len(rows)} lesions\n")
    print(
        "| group | lesions | Dice | volume ratio | diameter error, mm | longest error, mm | slope | Dice with label |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for group, key in GROUPS.items():
        names = sorted({name for row in rows for name in key(row)})
        for name in names:
            mine = [row for row in rows if name in key(row)]
            overlap, ratio, size, longest, label = np.array([row[method] for row in mine]).T
            true, long = (np.array([row[column] for row in mine]) for column in ("diameter", "longest"))
            slope = f"{stats.theilslopes(size, true)[0]:.2f}" if len(mine) > 9 and group != "diameter" else ""
            low, high = np.percentile(ratio, (10, 90))
            print(
                f"| {group}: {name} | {len(mine)} | {np.median(overlap):.2f} | "
                f"{np.median(ratio):.2f} [{low:.2f}, {high:.2f}] | {np.median(np.abs(size - true)):.2f} | "
                f"{np.median(np.abs(longest - long)):.2f} | {slope} | {np.median(label):.2f} |"
            )


def main() -> None:
    """Print a table for the outlines and one for regions grown from the same points."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="*", choices=PROTOCOLS, default=PRESETS)
    parser.add_argument("--subjects", type=int, default=1, help="of each preset")
    parser.add_argument("--backgrounds", type=Path, help="folder of real scans to plant into")
    parser.add_argument("--seed", type=int, default=31)
    arguments = parser.parse_args()
    rng, rows = np.random.default_rng(arguments.seed), []
    work = [(preset, index) for preset in arguments.presets for index in range(arguments.subjects)]
    for preset, index in tqdm(work, desc="simulated", disable=None):
        for scan in simulated(preset, index, arguments.seed):
            rows += compare(scan, rng)
    found = find_backgrounds(arguments.backgrounds) if arguments.backgrounds else []
    for index, background in enumerate(tqdm(found, desc="planted", disable=None)):
        rows += compare(planted(background.image, background.mask, index, arguments.seed), rng)
    for method in ("outline", "grow_lesions"):
        print_table(rows, method)
    merged, added = (sum(row[name] for row in rows) for name in ("merged", "added"))
    print(f"\n{merged} lesions were merged with another, {added} more were found behind saddles.")


if __name__ == "__main__":
    main()
