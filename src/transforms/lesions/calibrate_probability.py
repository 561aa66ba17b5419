"""Probability of a microbleed as it is calibrated for a kind of scan."""

from collections.abc import Hashable, Mapping

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import TransformBackends

from ...checks import check_positive


def calibrate_probability(probability: torch.Tensor, temperature: float, bias: float) -> torch.Tensor:
    """Return the sigmoid of ``odds / temperature + bias`` of the log-odds of probabilities of any shape; 0 and 1 stay.

    Args:
        probability: of microbleeds.
        temperature, bias: from :func:`csvd.metrics.kind_calibration`; 1 and 0 change nothing, not a bit.
    """
    return probability if (temperature, bias) == (1, 0) else (probability.logit() / temperature + bias).sigmoid()


class CalibrateProbabilityd(MapTransform):
    """Replace probabilities, of any shape, by those that the kind of scan has; 0 stays 0.

    Args:
        keys: of the maps.
        calibration: temperature and bias, see :func:`csvd.metrics.kind_calibration`.

    Raises:
        ValueError: the temperature is not positive.
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self, keys: KeysCollection, calibration: tuple[float, float], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        check_positive("temperature", calibration[0])
        self.calibration = calibration

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """Replace the map under each key."""
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = calibrate_probability(out[key], *self.calibration)
        return out
