"""Microbleeds of a scan as the default detector of ``cmb_detection`` finds them, for bundles that need them too."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import Compose, ConcatItemsd, CopyItemsd, MapTransform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from ..io import names_swi
from ..metrics import kind_calibration, operating_threshold
from ..networks import PatchEnsemble
from ..transforms import BrainMaskd, CloseMaskd, DarkContrastd, LesionOutlined, calibrate_probability, lesion_instances
from ..transforms.intensity.contrast import item_contrast
from .patch_inferer import PatchInferer

LOWEST = 1e-6
"""Probability from which a candidate is outlined."""


class DetectLesionsd(MapTransform):
    """Add, as ``found``, the microbleeds of a scan: probability (1, H, W, D) within their outlines, 0 elsewhere.

    A scan whose microbleeds are bright, or which has a mask of them, ``label``, stays as it is. A brain mask, ``mask``,
    on the grid of the scan is used; where there is none, one is made, and not kept. Steps and result are those of
    ``inference.json`` of ``cmb_detection``, on the grid of the scan. The threshold is that of the sequence: the item's
    ``sequence``, or SWI where the name of the file ends in it.

    Args:
        keys: the scan, (1, H, W, D) meta tensor, in any unit.
        network: the detector.
        operating_points: file with its thresholds and the calibration of each kind of scan.
        operating_point: which of them, see :func:`csvd.metrics.operating_threshold`. Defaults to "best_f1".
        contrast: of the scan, unless the item's ``contrast`` says which.
        always: also where there is a mask of the microbleeds, for trainings.

    Raises:
        FileNotFoundError: there is no such file of operating points.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        network: PatchEnsemble,
        operating_points: str | os.PathLike[str],
        operating_point: str = "best_f1",
        contrast: str = "dark",
        always: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.network, self.contrast, self.always = network, contrast, always
        self.operating_points, self.operating_point = operating_points, operating_point
        self.calibrated = Path(operating_points).read_text(encoding="utf-8")  # for caches: another file, other results
        self.inferer = PatchInferer()
        self.before = Compose(
            [
                CopyItemsd("image", names="scan"),
                BrainMaskd("image"),
                CloseMaskd("mask"),
                DarkContrastd("image"),
                ConcatItemsd(["image", "mask"], name="image"),
            ]
        )
        self.outline = LesionOutlined("candidates", follow_keys="lesions", value_keys="probability")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item with the microbleeds of each scan."""
        out = dict(data)
        for key in self.key_iterator(out):
            image = out[key]
            contrast = item_contrast(out, image, "contrast", self.contrast)
            if contrast == "dark" and (self.always or out.get("label") is None):
                file = image.meta["filename_or_obj"]
                sequence = out.get("sequence") or ("SWI" if names_swi(file) else None)
                threshold = operating_threshold(self.operating_points, self.operating_point, contrast, sequence)
                calibration = kind_calibration(self.operating_points, contrast, sequence)
                out["found"] = self._found(image, out.get("mask"), threshold, calibration)
        return out

    @torch.no_grad()
    def _found(
        self, image: torch.Tensor, mask: torch.Tensor | None, threshold: float, calibration: tuple[float, float]
    ) -> torch.Tensor:
        item: Any = self.before({"image": image} if mask is None else {"image": image, "mask": mask})
        _, maps = self.inferer(item["image"][None], self.network.eval())[0].split(1)
        maps = calibrate_probability(maps, *calibration) * (item["mask"] > 0)
        probability = convert_to_dst_type(maps, image)[0]
        found: dict[Hashable, Any] = {"probability": probability, "candidates": lesion_instances(probability, LOWEST)}
        item = self.outline({**item, **found, "lesions": lesion_instances(probability, threshold)})
        lesions, probability = (convert_to_tensor(item[key], track_meta=False) for key in ("lesions", "probability"))
        return convert_to_dst_type(probability * (lesions > 0), image, dtype=torch.float32)[0]
