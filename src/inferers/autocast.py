"""Forward passes of a training in mixed precision on CPUs."""

from collections.abc import Callable
from typing import Any

import torch
from ignite.utils import apply_to_tensor
from monai.inferers import Inferer, SimpleInferer


class AutocastInferer(Inferer):
    """An inferer in bfloat16 where that is safe and fast, with its result in single precision.

    For trainings on a CPU: the trainers of MONAI know mixed precision on CUDA only (``amp``). On processors without
    bfloat16 instructions, where such a training step takes far longer, all of it is in single precision.

    Args:
        inferer: one pass of the network when not given.
    """

    def __init__(self, inferer: Inferer | None = None) -> None:
        super().__init__()
        self.inferer = inferer or SimpleInferer()

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what the inferer makes of ``inputs``, with all of its tensors in float32."""
        fast = inputs.device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=fast):
            result = self.inferer(inputs, network, *args, **kwargs)
        return apply_to_tensor(result, torch.Tensor.float)
