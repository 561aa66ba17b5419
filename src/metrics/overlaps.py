"""How well the outline of each lesion was found, as detectors of objects are judged."""

from dataclasses import dataclass

import torch
from monai.utils import convert_to_tensor

from ..checks import check_one_channel, check_same_shape


@dataclass(frozen=True)
class LesionOverlaps:
    """Of each true lesion, in the order of its number, with the detected object that shares most voxels with it.

    ``dice`` of the masks and ``box_iou`` of the enclosing boxes, (N,) float64 each, 0 where no object meets the lesion.
    """

    dice: torch.Tensor
    box_iou: torch.Tensor


def lesion_overlaps(detected: torch.Tensor, label: torch.Tensor) -> LesionOverlaps:
    """Compare instance maps lesion by lesion, after [1]_, who count a lesion as found where Dice is above 0.5.

    Args:
        detected: (1, H, W, D) whole numbers, 0 outside objects.
        label: the same of the true lesions.

    Raises:
        ValueError: one is not one channel of a volume, or their shapes differ.

    References:
        .. [1] Wang et al., BioMedical Engineering OnLine 2023. https://doi.org/10.1186/s12938-023-01164-1
    """
    for image in (detected, label):
        check_one_channel(image, "compare the lesions of")
    check_same_shape(detected, label, "compare the lesions of", name="label")
    objects, lesions = (convert_to_tensor(image, track_meta=False)[0].long() for image in (detected, label))
    shared = (objects > 0) & (lesions > 0)
    size = int(objects.max()) + 1
    pairs, voxels = (lesions[shared] * size + objects[shared]).unique(return_counts=True)
    numbers = lesions[lesions > 0].unique()
    dice, box_iou = (torch.zeros(len(numbers), dtype=torch.float64) for _ in range(2))
    for index, number in enumerate(numbers.tolist()):
        mine = pairs // size == number
        if not mine.any():
            continue
        best = int(voxels[mine].argmax())
        found, true = objects == pairs[mine][best] % size, lesions == number
        dice[index] = 2 * voxels[mine][best] / (found.sum() + true.sum())
        box_iou[index] = _box_iou(found, true)
    return LesionOverlaps(dice, box_iou)


def _box_iou(first: torch.Tensor, second: torch.Tensor) -> float:
    boxes = [(index.amin(dim=0), index.amax(dim=0) + 1) for index in (first.nonzero(), second.nonzero())]
    low = torch.maximum(boxes[0][0], boxes[1][0])
    high = torch.minimum(boxes[0][1], boxes[1][1])
    both = float((high - low).clamp(min=0).prod())
    return both / (sum(float((b - a).prod()) for a, b in boxes) - both)
