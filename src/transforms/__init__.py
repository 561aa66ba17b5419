"""Transforms, one per file: the function, the class and its dictionary version."""

from .brain_mask import BrainMask, BrainMaskd
from .frst import FastRadialSymmetry, FastRadialSymmetryd
from .gather_patches import gather_patches
from .grow_lesions import grow_lesions
from .inpaint_mask import InpaintMask, InpaintMaskd
from .invert_intensity import InvertIntensity, InvertIntensityd
from .lesion_boxes import LesionBoxesd
from .lesion_filter import LesionFilter, LesionFilterd
from .lesion_instances import LesionInstances, LesionInstancesd
from .lesion_label import LesionLabeld
from .lesion_probability import LesionProbability, LesionProbabilityd
from .lesion_target import LesionTargetd
from .limit_spacing import LimitSpacingd
from .load_mask import LoadMaskd
from .n4_bias_correction import N4BiasCorrection, N4BiasCorrectiond
from .percentile_normalize import PercentileNormalize, PercentileNormalized
from .select_volume import SelectVolume, SelectVolumed
from .vessel_mask import VesselMask, VesselMaskd

__all__ = [
    "BrainMask",
    "BrainMaskd",
    "FastRadialSymmetry",
    "FastRadialSymmetryd",
    "InpaintMask",
    "InpaintMaskd",
    "InvertIntensity",
    "InvertIntensityd",
    "LesionBoxesd",
    "LesionFilter",
    "LesionFilterd",
    "LesionInstances",
    "LesionInstancesd",
    "LesionLabeld",
    "LesionProbability",
    "LesionProbabilityd",
    "LesionTargetd",
    "LimitSpacingd",
    "LoadMaskd",
    "N4BiasCorrection",
    "N4BiasCorrectiond",
    "PercentileNormalize",
    "PercentileNormalized",
    "SelectVolume",
    "SelectVolumed",
    "VesselMask",
    "VesselMaskd",
    "gather_patches",
    "grow_lesions",
]
