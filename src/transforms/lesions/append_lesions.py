"""The microbleed mask as one more channel of the scan."""

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor

from ...checks import check_same_shape


def append_lesions(image: torch.Tensor, label: torch.Tensor | None, found: torch.Tensor | None = None) -> torch.Tensor:
    """Return (C + 1, H, W, D): the image, and 1 in microbleeds, 0 elsewhere.

    Without a label the last channel has the microbleeds that were found, as they are, or without these NaN everywhere.

    Args:
        image: (C, H, W, D).
        label: (1, H, W, D), non-zero in microbleeds.
        found: (1, H, W, D), the probability of microbleeds, 0 elsewhere.

    Raises:
        ValueError: the label has another shape.
    """
    values = convert_to_tensor(image, track_meta=False)
    given = found if label is None else label != 0
    if given is None:
        lesions = torch.full_like(values[:1], torch.nan)
    else:
        check_same_shape(image, given, "join the microbleeds to", name="label")
        lesions = convert_to_tensor(given, track_meta=False).to(values)
    return convert_to_dst_type(torch.cat([values, lesions]), image)[0]


class AppendLesionsd(MapTransform):
    """Dictionary version of :func:`append_lesions`; label and found microbleeds are those that an item has.

    Args:
        keys: images.
        label_key: the microbleed mask.
        found_key: microbleeds that were found, see :class:`csvd.inferers.DetectLesionsd`.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        label_key: Hashable = "label",
        found_key: Hashable = "found",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_key, self.found_key = label_key, found_key

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Join the label to the image under each key."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = append_lesions(out[key], out.get(self.label_key), out.get(self.found_key))
        return out
