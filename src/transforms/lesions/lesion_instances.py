"""Lesion instances: number the connected clusters of a probability map, the surest first."""

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type

from ...checks import check_between, check_one_channel
from ...lesions.labels import label_components


def lesion_instances(probability: torch.Tensor, threshold: float) -> torch.Tensor:
    """Number the 26-connected clusters of voxels whose probability is at least ``threshold``.

    Args:
        probability: (1, H, W, D), not modified. NaN counts as below the threshold.
        threshold: probability in 0..1.

    Returns:
        (1, H, W, D), int32, on the device and with the meta data of ``probability``. 0 is background, 1 the lesion
        whose highest probability is highest, and so on; of two equal ones the first in the volume's order comes first.

    Raises:
        ValueError: ``probability`` is not one channel of a volume.
    """
    check_one_channel(probability, "number the lesions of")
    # NumPy, because torch has no connected components.
    volume = probability[0].float().numpy(force=True)
    clusters, count = label_components(volume >= threshold)
    inside = clusters > 0
    peak = np.zeros(count + 1, dtype=np.float32)
    np.maximum.at(peak, clusters[inside], volume[inside])
    number = np.zeros(count + 1, dtype=np.int32)
    number[1 + np.argsort(-peak[1:], kind="stable")] = np.arange(1, count + 1)
    return convert_to_dst_type(number[clusters][None], probability, dtype=torch.int32)[0]


class LesionInstances(Transform):
    """Turn a probability map into numbered lesions.

    Args:
        threshold: lowest probability of a lesion's voxels. Defaults to 0.5, the paper's at the candidate step [1]_.

    Raises:
        ValueError: ``threshold`` lies outside [0, 1].

    References:
        .. [1] Sundaresan et al., Front. Neuroinform. 2023, figure 7. https://doi.org/10.3389/fninf.2023.1204186
    """

    backend = [TransformBackends.NUMPY]

    def __init__(self, threshold: float = 0.5) -> None:
        check_between("threshold", threshold, 0, 1)
        self.threshold = threshold

    def __call__(self, probability: torch.Tensor) -> torch.Tensor:
        """Map (1, H, W, D) to int32 of the same shape."""
        return lesion_instances(probability, self.threshold)


class LesionInstancesd(MapTransform):
    """Dictionary version of :class:`LesionInstances`: same argument, plus the keys to act on."""

    backend = LesionInstances.backend

    def __init__(self, keys: KeysCollection, threshold: float = 0.5, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.instances = LesionInstances(threshold)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Replace the probability map under each key."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.instances(out[key])
        return out
