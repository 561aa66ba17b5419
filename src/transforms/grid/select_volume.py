"""Choice of one volume of a 4-D file, so that the rest of the pipeline sees a single scan."""

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends

from ...checks import InputError, describe


class SelectVolume(Transform):
    """Keep one volume of a file whose volumes are the channels, as after ``LoadImage`` and ``EnsureChannelFirst``.

    The choice is written to ``meta["volume"]``: ``index`` from 0, ``of`` how many, and ``rule``, "last" or "chosen".

    Args:
        volume: "last", or a number from 0. The default suits both kinds of file: the last echo is the one most
            weighted by susceptibility, the last volume of a time series the one nearest to the steady state.

    Raises:
        ValueError: ``volume`` is neither "last" nor a whole number of 0 or more.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, volume: int | str = "last") -> None:
        if volume != "last" and not (type(volume) is int and volume >= 0):
            raise ValueError(f"`volume` must be 'last' or a whole number of 0 or more, got {volume!r}.")
        self.volume = volume

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Map (C, H, W, D) to (1, H, W, D).

        Raises:
            InputError: the file has no volume of that number.
        """
        count = len(image)
        index = count - 1 if self.volume == "last" else int(self.volume)
        if index >= count:
            raise InputError(
                f"cannot select volume {index} of {describe(image)}: it has {count} volume{'s' * (count > 1)}, "
                f"numbered from 0 to {count - 1}."
            )
        result = image[index : index + 1].clone()
        if isinstance(result, MetaTensor):
            rule = "last" if self.volume == "last" else "chosen"
            result.meta["volume"] = {"index": index, "of": count, "rule": rule}
        return result


class SelectVolumed(MapTransform):
    """Dictionary version of :class:`SelectVolume`: same argument, plus the keys to act on."""

    backend = SelectVolume.backend

    def __init__(self, keys: KeysCollection, volume: int | str = "last", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.select = SelectVolume(volume)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Return ``data`` with one volume left of each key."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.select(out[key])
        return out
