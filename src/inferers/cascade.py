"""Inference of the cascade: the detector on the whole scan, the discriminator on each of its candidates."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type, convert_to_tensor

from ..checks import check_between, check_positive
from ..networks import CascadeNetwork
from ..transforms import gather_patches
from .candidates import Candidates, find_candidates, relative_position

LOWEST = 1e-6
"""Probability that the discriminator gives a candidate at least, so that a map of them tells it from no candidate."""


def infer_slabs(image: torch.Tensor, network: torch.nn.Module, max_voxels: int, halo: int = 32) -> torch.Tensor:
    """Return ``network(image)``, computed in slabs along the longest axis where the image is too large for one pass.

    Each slab is given ``halo`` voxels more on both sides, which are cut off again. MONAI's sliding windows blend what
    they see at their borders, and so differ from the whole volume; these do not, as long as the halo is at least the
    reach of the network (32 is enough for :class:`csvd.networks.ShallowUNet`) and a multiple of its strides.

    Args:
        image: (B, C, H, W, D).
        network: returns (B, N, H, W, D).
        max_voxels: of a pass, without the halo.
        halo: voxels.
    """
    voxels = image[0, 0].numel()
    if voxels <= max_voxels:
        return network(image)
    axis = max(range(2, image.ndim), key=lambda k: image.shape[k])
    length = image.shape[axis]
    step = max(halo, max_voxels * length // voxels // halo * halo)
    slabs = []
    for start in range(0, length, step):
        first, last = max(0, start - halo), min(length, start + step + halo)
        result = network(image.narrow(axis, first, last - first))
        slabs.append(result.narrow(axis, start - first, min(step, length - start)))
    return torch.cat(slabs, dim=axis)


class CascadeInferer(Inferer):
    """Probability maps of both steps of the cascade [1]_, as MONAI's evaluator calls it.

    Args:
        threshold: detector probability from which voxels belong to a candidate.
        patch_size: voxels of the discriminator's patches. Defaults to 24 x 24 x 24, as in the paper.
        batch_size: patches at a time. Defaults to 64.
        max_voxels: of one pass of the detector; a larger scan is taken in slabs, see :func:`infer_slabs`. Defaults to
            16 million, about 4 GiB for eight features on a CPU.

    Raises:
        ValueError: ``threshold`` lies outside [0, 1], or a size is not positive.

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 17:1204186, 2023, section 2.3.
    """

    def __init__(
        self,
        threshold: float,
        patch_size: Sequence[int] = (24, 24, 24),
        batch_size: int = 64,
        max_voxels: int = 16_000_000,
    ) -> None:
        super().__init__()
        check_between("threshold", threshold, 0, 1)
        for name, value in {"patch_size": min(patch_size), "batch_size": batch_size, "max_voxels": max_voxels}.items():
            check_positive(name, value)
        self.threshold = threshold
        self.patch_size = tuple(patch_size)
        self.batch_size = batch_size
        self.max_voxels = max_voxels

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return (B, 2, H, W, D) of scans (B, C, H, W, D): the probability of the detector, and of the discriminator.

        The second is one value per candidate, in all of its voxels, at least :data:`LOWEST`, and 0 outside candidates.
        """
        network = cast(CascadeNetwork, network)
        images = convert_to_tensor(inputs, track_meta=False)
        detected = infer_slabs(images, network, self.max_voxels).float().softmax(dim=1)[:, 1:]
        maps = torch.stack([self._discriminate(*pair, network) for pair in zip(images, detected, strict=True)])
        return convert_to_dst_type(maps, inputs, dtype=torch.float32)[0]

    def _discriminate(self, image: torch.Tensor, detected: torch.Tensor, network: CascadeNetwork) -> torch.Tensor:
        candidates = find_candidates(detected, self.threshold)
        probability = self.classify(image, candidates, network)
        value = torch.cat([probability.new_zeros(1), probability.clamp(min=LOWEST)])
        return torch.cat([detected, value[candidates.instances.long()]])

    def classify(self, image: torch.Tensor, candidates: Candidates, network: CascadeNetwork) -> torch.Tensor:
        """Return the discriminator's probability (N,) of the candidates of (C, H, W, D)."""
        if not len(candidates.centres):
            return candidates.probability
        position = relative_position(candidates.centres, image.shape[1:])
        parts = (candidates.centres, candidates.probability, position)
        batches = zip(*(part.split(self.batch_size) for part in parts), strict=True)
        results = [
            network.discriminate(gather_patches(image, centres, self.patch_size), detected, where)
            for centres, detected, where in batches
        ]
        return torch.cat(results)


class LabelDetector:
    """The cascade as MONAI Label calls the ``detector`` of a bundle: a map, of which ``postprocessing`` makes boxes.

    Args:
        network: the cascade; MONAI Label loads its weights.
        inferer: gives the probability maps.
    """

    def __init__(self, network: CascadeNetwork, inferer: CascadeInferer) -> None:
        self.network = network
        self.inferer = inferer

    def eval(self) -> None:
        """Put the network in evaluation mode."""
        self.network.eval()

    def __call__(self, inputs: torch.Tensor, use_inferer: bool = True) -> list[dict[str, torch.Tensor]]:
        """Return ``{"pred": (2, H, W, D)}`` of each scan of (B, C, H, W, D)."""
        return [{"pred": maps} for maps in self.inferer(inputs, self.network)]
