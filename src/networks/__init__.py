"""Networks, one per file."""

from .shallow_unet import ShallowUNet

__all__ = ["ShallowUNet"]
