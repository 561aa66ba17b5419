"""Scans from which patches are cut at random for training: on disk, at 0.45 mm in plane, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from monai.utils import convert_to_tensor
from scipy import ndimage
from torch.nn.functional import interpolate
from tqdm import tqdm

from ..inferers.foci import find_foci
from ..io.content import item_digest, settings_digest
from ..io.files import atomic_folder
from ..lesions.labels import label_components
from ..planes import Turn
from ..transforms.slices.slice_context import THICK_MM, context_slices, fine_grid, to_fine

REACH = 36
"""Voxels by which the slices are extended at each side."""
SIZE = 64
CLEAR_MM = 4.0
"""Distance from a marked microbleed within which a dark focus is no negative."""
DARKEST = 0.25


@dataclass
class BankedScan:
    """One scan of the bank; points are (row, column, slice) of the fine grid.

    Args:
        name: of the file.
        slices: (D, H + 72, W + 72) float16, brain median 1, edges repeated.
        brain: the same grid, bool.
        spacing_mm: between slices.
        foci: dark foci that are no microbleed, (N, 3).
        inside: points in the brain, (M, 3).
        lesions: points of own microbleeds and the number of each, (L, 4).
    """

    name: str
    slices: np.ndarray
    brain: np.ndarray
    spacing_mm: float
    foci: np.ndarray
    inside: np.ndarray
    lesions: np.ndarray

    @property
    def thin(self) -> bool:
        """Whether the outer slices of a patch are means."""
        return self.spacing_mm < THICK_MM

    def cut(self, point: np.ndarray, stripped: bool) -> np.ndarray:
        """Return the patch (5, 64, 64) float16 around a point, 0 outside the brain when ``stripped``."""
        row, column, index = (int(value) for value in point)
        first = REACH - SIZE // 2
        window = np.s_[row + first : row + first + SIZE, column + first : column + first + SIZE]
        patch = np.empty((5, SIZE, SIZE), np.float16)
        for channel, chosen in enumerate(context_slices(index, len(self.slices), self.spacing_mm)):
            planes = [self.slices[(k, *window)] for k in chosen]
            if stripped:
                planes = [np.where(self.brain[(k, *window)], p, 0) for k, p in zip(chosen, planes, strict=True)]
            patch[channel] = planes[0] if len(planes) == 1 else np.mean(planes, axis=0, dtype=np.float32)
        return patch


def write_background(
    folder: Path,
    name: str,
    image: torch.Tensor,
    mask: torch.Tensor,
    spacing_mm: tuple[float, float, float],
    label: torch.Tensor | None,
    seed: int = 0,
    most: int = 1500,
    inside: int = 20000,
) -> None:
    """Write a scan into a bank.

    Args:
        folder: of the bank.
        name: of the scan.
        image: (H, W, D) float32, slices along the last axis, microbleeds dark.
        mask: brain, (H, W, D) bool.
        spacing_mm: of the voxels.
        label: own microbleeds, (H, W, D) integers, if there are any.
        seed: of the points in the brain.
        most: dark foci at most.
        inside: points in the brain that are kept.

    Raises:
        FileExistsError: the bank has a scan of this name. It is not replaced, because others may be reading it.
    """
    rng = np.random.default_rng(seed)
    image = image / image[mask].median()
    foci = find_foci(image, mask, spacing_mm, threshold=0.05, most=most).points
    lesions = np.zeros((0, 4), np.int32)
    clear = mask.numpy()
    if label is not None and label.any():
        away = ndimage.distance_transform_edt(label.numpy() == 0, sampling=spacing_mm)
        foci = foci[torch.from_numpy(away)[tuple(foci.T)] > CLEAR_MM]
        clear = clear & (away > CLEAR_MM + 1)
        lesions = _lesion_points(image.numpy(), label.numpy(), float(image[mask].median()))
    core = ndimage.binary_erosion(clear, iterations=max(1, int(2 / spacing_mm[0])))
    places = np.argwhere(core if core.sum() > 1000 else clear)
    places = places[rng.choice(len(places), inside)]
    fine = fine_grid(image, spacing_mm[:2]).permute(2, 0, 1).numpy()
    brain = interpolate(mask.permute(2, 0, 1)[None].float(), size=fine.shape[1:])[0].numpy() > 0.5
    sizes = (image.shape, fine.shape[1:])
    margin = ((0, 0), (REACH, REACH), (REACH, REACH))
    on_fine = [to_fine(torch.as_tensor(p[:, :3]), *sizes).numpy() for p in (foci, places, lesions)]
    size = np.array(fine.shape[1:])
    for points in on_fine:
        points[:, :2] = points[:, :2].clip(0, size - 1)
    kept = {"foci": on_fine[0], "inside": on_fine[1], "lesions": np.c_[on_fine[2], lesions[:, 3:]].astype(int)}
    with atomic_folder(folder / name) as target:
        np.save(target / "slices.npy", np.pad(np.clip(fine, 0, 8), margin, mode="edge").astype(np.float16))
        np.save(target / "brain.npy", np.pad(brain, margin))
        np.savez(target / "points.npz", **kept)
        (target / "scan.json").write_text(json.dumps({"spacing_mm": list(spacing_mm)}))


def _lesion_points(image: np.ndarray, label: np.ndarray, tissue: float) -> np.ndarray:
    """Return the middle of each microbleed in each slice where it is nearly as dark as in its darkest, (L, 4)."""
    parts, _ = label_components(label > 0)
    rows = []
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        voxels = np.argwhere(parts[box] == number) + [side.start for side in box]
        values = image[tuple(voxels.T)]
        for index in np.unique(voxels[:, 2]):
            here = voxels[:, 2] == index
            if values[here].min() <= values.min() + DARKEST * max(tissue - values.min(), 0):
                rows.append([*voxels[here][:, :2].mean(0).round(), index, number])
    return np.array(rows, np.int32).reshape(-1, 4)


def read_banked(folder: Path) -> BankedScan:
    """Return a scan of the bank, its slices mapped into memory."""
    points = np.load(folder / "points.npz")
    spacing = json.loads((folder / "scan.json").read_text())["spacing_mm"]
    slices, brain = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("slices", "brain"))
    return BankedScan(
        folder.name, slices, brain, float(spacing[2]), points["foci"], points["inside"], points["lesions"]
    )


def fill_bank(
    folder: str | os.PathLike[str], items: Sequence[Mapping[str, Any]], transform: Callable[[Any], Any]
) -> list[BankedScan]:
    """Write scans into a bank, those that are not in it already, and return them.

    Several processes may fill a bank together. Each begins at another scan and skips what the others have written.

    Args:
        folder: of the bank.
        items: of a data list.
        transform: gives ``image`` (C, H, W, D), whose first channel is relative to its tissue, ``mask`` and, where
            there is one, ``label`` (1, H, W, D).
    """
    settings = settings_digest([transform])
    folders = [Path(folder) / _name(item, settings) for item in items]
    first = len(items) * idist.get_rank() // idist.get_world_size()
    for n in tqdm(np.roll(range(len(items)), -first), "scans of the bank", disable=None):
        if not (folders[n] / "scan.json").exists():
            with suppress(FileExistsError):  # another process was faster
                _write(folders[n], transform(items[n]))
    return [read_banked(scan) for scan in folders]


def _name(item: Mapping[str, Any], settings: bytes) -> str:
    """Return the name in the bank of a scan that is prepared with these settings."""
    stem = Path(os.fspath(item["image"])).name.split(".")[0]
    content = {key: value for key, value in item.items() if key != "weight"}
    return f"{stem}-{hashlib.sha256(item_digest(content) + settings).hexdigest()[:12]}"


def _write(folder: Path, data: Mapping[str, torch.Tensor]) -> None:
    """Write a preprocessed scan, its slices along the last axis."""
    turn = Turn.of(data["image"])
    parts = {
        key: turn.there(convert_to_tensor(data[key], track_meta=False)[0])
        for key in ("image", "mask", "label")
        if key in data
    }
    write_background(
        folder.parent, folder.name, parts["image"].float(), parts["mask"] > 0, turn.spacing, parts.get("label")
    )
