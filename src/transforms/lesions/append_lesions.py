"""The microbleed mask as one more channel of the scan."""

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from ...checks import check_same_shape


def append_lesions(image: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
    """Return (C + 1, H, W, D): the image, and 1 in microbleeds, 0 elsewhere, or NaN everywhere without a label.

    Args:
        image: (C, H, W, D).
        label: (1, H, W, D), non-zero in microbleeds.

    Raises:
        ValueError: the label has another shape.
    """
    values = convert_to_tensor(image, track_meta=False)
    if label is None:
        lesions = torch.full_like(values[:1], torch.nan)
    else:
        check_same_shape(image, label, "join the microbleeds to", name="label")
        lesions = (convert_to_tensor(label, track_meta=False) != 0).to(values)
    return convert_to_dst_type(torch.cat([values, lesions]), image)[0]


class AppendLesionsd(MapTransform):
    """Dictionary version of :func:`append_lesions`; the label is taken from its key, where an item has one.

    Args:
        keys: images.
        label_key: the microbleed mask.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, keys: KeysCollection, label_key: Hashable = "label", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_key = label_key

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Join the label to the image under each key."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = append_lesions(out[key], out.get(self.label_key))
        return out
