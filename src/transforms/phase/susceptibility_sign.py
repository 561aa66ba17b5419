"""Sign of a lesion's susceptibility, from a phase image or QSM: blood is paramagnetic, calcification diamagnetic."""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from math import nan
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor, ensure_tuple
from torch.nn.functional import max_pool3d

from ...checks import InputError, check_one_channel, check_one_of, check_positive, check_same_shape
from ...lesions.susceptibility import Susceptibility
from ..grid.gather_patches import gather_patches
from ._phase_file import KINDS, load_phase
from .relative_susceptibility import phase_convention, relative_susceptibility

SIGNS = ("paramagnetic", "diamagnetic", "unclear")
REACH_MM = 6.0  # from a lesion's centre: some three times the radius of most
CORE_MM = 1.5  # from there: what the detector outlines is larger than the deposit
AT_ONCE = 256  # lesions whose patches are in memory


def lesion_contrast(
    instances: torch.Tensor, chi: torch.Tensor, mask: torch.Tensor, affine: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the numbers (N,) of the lesions and how far each differs from what lies around it, (N,).

    That is the mean of its voxels within 1.5 mm of its centre less the median of the brain within 6 mm along each
    axis, without lesions and the voxels that touch it, over the spread of the brain: 1.4826 times the median absolute
    deviation. NaN where there is no such voxel.

    Args:
        instances: (H, W, D) whole numbers, 0 outside lesions.
        chi: (H, W, D) susceptibility, in any unit.
        mask: (H, W, D) bool, the brain.
        affine: (4, 4), voxel to mm.
    """
    tissue = chi[mask & (instances == 0)]
    if not len(tissue):
        ids = instances[instances != 0].unique()
        return ids, torch.full((len(ids),), nan)
    spread = 1.4826 * (tissue - tissue.median()).abs().median().clamp(min=1e-12)
    index = instances.nonzero()
    ids, lesion, voxels = instances[tuple(index.T)].unique(return_inverse=True, return_counts=True)
    centres = torch.zeros(len(ids), 3).index_add(0, lesion, index.float()) / voxels[:, None]
    halves = (REACH_MM / affine[:3, :3].norm(dim=0)).ceil().int().tolist()
    offsets = torch.meshgrid(*(torch.arange(-half, half + 1) for half in halves), indexing="ij")
    in_core = (torch.stack(offsets, dim=-1).double() @ affine[:3, :3].T).norm(dim=-1) <= CORE_MM  # (h, w, d)
    volumes = torch.stack([instances.float(), chi, mask.float()])
    parts = []
    for some, here in zip(ids.split(AT_ONCE), centres.split(AT_ONCE), strict=True):
        label, value, brain = gather_patches(volumes, here, in_core.shape).unbind(dim=1)  # (N, h, w, d) each
        inside = label == some[:, None, None, None]
        beside = max_pool3d(inside.float()[:, None], kernel_size=3, stride=1, padding=1)[:, 0] > 0
        around = (brain > 0) & (label == 0) & ~beside
        background = value.masked_fill(~around, nan).flatten(1).nanmedian(dim=1).values
        core = inside & in_core
        mean = (value * core).flatten(1).sum(dim=1) / core.flatten(1).sum(dim=1)
        parts.append((mean - background) / spread)
    return ids, torch.cat(parts) if parts else torch.zeros(0)


class SusceptibilitySign(Transform):
    """Tell the sign of the susceptibility of each lesion.

    Phase becomes a map of :func:`relative_susceptibility`; a lesion's sign is that of its :func:`lesion_contrast`. No
    header says which way a scanner counts phases: :func:`phase_convention` finds out from veins and iron.

    Args:
        least_contrast: lesions of less are "unclear". Defaults to 2, from ``benchmarks/susceptibility_sign.py``.
        least_evidence: standard deviations; where there is less for a convention, all is "unclear". Defaults to 3.

    Raises:
        ValueError: an argument is not above 0.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, least_contrast: float = 2.0, least_evidence: float = 3.0) -> None:
        check_positive("least_contrast", least_contrast)
        check_positive("least_evidence", least_evidence)
        self.least_contrast = least_contrast
        self.least_evidence = least_evidence

    def __call__(  # type: ignore[override]
        self, instances: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, affine: torch.Tensor, kind: str
    ) -> Susceptibility:
        """Return the susceptibility sign of each lesion of an instance map.

        Args:
            instances: (1, H, W, D) whole numbers, 0 outside lesions.
            image: (1, H, W, D), phase in radians, or QSM in any unit.
            mask: (1, H, W, D), above 0.5 in the brain.
            affine: (4, 4), voxel to RAS mm. The field lies along the world's z axis.
            kind: ``"phase"`` or ``"qsm"``.

        Raises:
            ValueError: there is no such kind, ``instances`` is not one channel of a volume, or a shape differs.
        """
        check_one_of("kind", kind, KINDS)
        check_one_channel(instances, "tell the susceptibility of")
        check_same_shape(instances, image, "tell the susceptibility of", kind)
        check_same_shape(instances, mask, "tell the susceptibility of")
        labels, image, brain = (convert_to_tensor(part, track_meta=False)[0].cpu() for part in (instances, image, mask))
        affine, brain = torch.as_tensor(affine, dtype=torch.float64).cpu(), brain > 0.5
        if not labels.any():
            return Susceptibility({}, {}, kind, convention=int(kind == "qsm"), evidence=nan)
        box = _box(brain | (labels != 0))
        labels, chi, brain = labels[box], image[box].float(), brain[box]
        convention, evidence = 1, nan
        if kind == "phase":
            chi = relative_susceptibility(chi, brain, affine)
            evidence = phase_convention(chi, brain & (labels == 0), affine)
            convention = (1 if evidence > 0 else -1) if abs(evidence) >= self.least_evidence else 0
        ids, contrast = lesion_contrast(labels, chi, brain, affine)
        values = dict(zip(ids.tolist(), (contrast * (convention or nan)).tolist(), strict=True))
        return Susceptibility(
            {lesion: self._sign(c) for lesion, c in values.items()}, values, kind, convention, evidence
        )

    def _sign(self, contrast: float) -> str:
        if not abs(contrast) >= self.least_contrast:  # NaN too
            return SIGNS[2]
        return SIGNS[0] if contrast > 0 else SIGNS[1]


class SusceptibilitySignd(MapTransform):
    """Tell the sign of each candidate of a scan that has a phase image or QSM, and drop diamagnetic ones when asked.

    The item names the file under ``phase_key``; without it, a scan whose lesions are bright is QSM itself; without
    either nothing is done. Adds ``susceptibility``, a :class:`Susceptibility`. A file that cannot be used is a warning,
    because the lesions are found without it.

    Args:
        keys: instance map of the candidates, (1, H, W, D) meta tensor on the grid of the scan's file.
        filter_keys: instance maps whose numbers are those of the candidates, from which diamagnetic ones are dropped.
        phase_key: path of the file, on the grid of the scan. ``_qsm`` or ``_Chimap`` at the end of its name says QSM.
        mask_key: brain mask, (1, H, W, D), on the same grid.
        contrast: "dark" or "bright" lesions, unless the item's ``contrast`` says which.
        drop_diamagnetic: whether to drop.
        kwargs: arguments of :class:`SusceptibilitySign`.

    Raises:
        InputError: the file cannot be used, and diamagnetic lesions are to be dropped.
    """

    backend = SusceptibilitySign.backend

    def __init__(
        self,
        keys: KeysCollection,
        filter_keys: KeysCollection = (),
        phase_key: Hashable = "phase",
        mask_key: Hashable = "mask",
        contrast: str = "dark",
        drop_diamagnetic: bool = False,
        allow_missing_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.filter_keys = ensure_tuple(filter_keys)
        self.phase_key = phase_key
        self.mask_key = mask_key
        self.contrast = contrast
        self.drop_diamagnetic = drop_diamagnetic
        self.measure = SusceptibilitySign(**kwargs)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Measure the lesions, and filter."""
        out = dict(data)
        for key in self.key_iterator(out):
            instances = out[key]
            path = out.get(self.phase_key)
            if path is None and out.get("contrast", self.contrast) != "bright":
                continue
            try:
                image, kind, name = load_phase(path, instances)
            except InputError as error:
                if self.drop_diamagnetic:
                    raise
                message = f"{error} Signs of susceptibility are not given."
                instances.meta["warnings"] = [*(instances.meta.get("warnings") or []), message]
                continue
            mask = out.get(self.mask_key, torch.ones_like(image))
            found = replace(self.measure(instances, image, mask, instances.affine, kind), file=name)
            out["susceptibility"] = found
            if self.drop_diamagnetic:
                wrong = torch.tensor([lesion for lesion, sign in found.sign.items() if sign == SIGNS[1]])
                for other in self.filter_keys:
                    labels = convert_to_tensor(out[other], track_meta=False)
                    removed = torch.isin(labels, wrong.to(labels))
                    out[other] = convert_to_dst_type(labels.masked_fill(removed, 0), out[other])[0]
        return out


def _box(inside: torch.Tensor) -> tuple[slice, ...]:
    """Return the slices of the smallest box around what is true in (H, W, D)."""
    ranges = (inside.any(dim=tuple(a for a in range(3) if a != axis)).nonzero() for axis in range(3))
    return tuple(slice(int(along.min()), int(along.max()) + 1) for along in ranges)
