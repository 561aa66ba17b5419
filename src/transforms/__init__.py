"""Transforms, one per file: the function, the class and its dictionary version."""

from ._outline_sizes import LARGEST_MM, Outlines
from .adjacent_slices import AdjacentSlices, AdjacentSlicesd, adjacent_slices
from .append_lesions import AppendLesionsd, append_lesions
from .brain_mask import BrainMask, BrainMaskd
from .close_mask import CloseMaskd, close_mask
from .dark_contrast import DarkContrast, DarkContrastd, dark_contrast
from .fold_disagreement import FoldDisagreementd
from .frst import FastRadialSymmetry, FastRadialSymmetryd
from .gather_patches import gather_patches
from .grow_lesions import grow_lesions
from .inpaint_mask import InpaintMask, InpaintMaskd
from .invert_intensity import InvertIntensity, InvertIntensityd
from .lesion_boxes import LesionBoxesd
from .lesion_filter import LesionFilter, LesionFilterd
from .lesion_instances import LesionInstances, LesionInstancesd, lesion_instances
from .lesion_label import LesionLabeld
from .lesion_outline import LesionOutlined, outline_lesions
from .lesion_probability import LesionProbability, LesionProbabilityd
from .lesion_target import LesionTargetd
from .limit_spacing import LimitSpacingd
from .load_mask import LoadMaskd
from .n4_bias_correction import N4BiasCorrection, N4BiasCorrectiond
from .name_sequence import NameSequenced
from .percentile_normalize import PercentileNormalize, PercentileNormalized
from .rand_drop_inputs import RandDropInputsd
from .relative_susceptibility import phase_convention, relative_susceptibility
from .select_volume import SelectVolume, SelectVolumed
from .series_slices import SeriesSlices, SeriesSlicesd, series_slices
from .slice_context import context_patches, context_slices, fine_grid, to_fine
from .slice_target import SliceTargetd, slice_target
from .subtype_probability import SubtypeProbabilityd
from .susceptibility_sign import Susceptibility, SusceptibilitySign, SusceptibilitySignd, lesion_contrast
from .vessel_mask import VesselMask, VesselMaskd

__all__ = [
    "LARGEST_MM",
    "AdjacentSlices",
    "AdjacentSlicesd",
    "AppendLesionsd",
    "BrainMask",
    "BrainMaskd",
    "CloseMaskd",
    "DarkContrast",
    "DarkContrastd",
    "FastRadialSymmetry",
    "FastRadialSymmetryd",
    "FoldDisagreementd",
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
    "LesionOutlined",
    "LesionProbability",
    "LesionProbabilityd",
    "LesionTargetd",
    "LimitSpacingd",
    "LoadMaskd",
    "N4BiasCorrection",
    "N4BiasCorrectiond",
    "NameSequenced",
    "Outlines",
    "PercentileNormalize",
    "PercentileNormalized",
    "RandDropInputsd",
    "SelectVolume",
    "SelectVolumed",
    "SeriesSlices",
    "SeriesSlicesd",
    "SliceTargetd",
    "SubtypeProbabilityd",
    "Susceptibility",
    "SusceptibilitySign",
    "SusceptibilitySignd",
    "VesselMask",
    "VesselMaskd",
    "adjacent_slices",
    "append_lesions",
    "close_mask",
    "context_patches",
    "context_slices",
    "dark_contrast",
    "fine_grid",
    "gather_patches",
    "grow_lesions",
    "lesion_contrast",
    "lesion_instances",
    "outline_lesions",
    "phase_convention",
    "relative_susceptibility",
    "series_slices",
    "slice_target",
    "to_fine",
]
