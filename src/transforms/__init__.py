"""Transforms, one per file: the function, the class and its dictionary version."""

from ..lesions import LARGEST_MM, Outlines, Susceptibility
from .brain.brain_mask import BrainMask, BrainMaskd
from .brain.close_mask import CloseMaskd, close_mask
from .brain.load_mask import LoadMaskd
from .features.frst import FastRadialSymmetry, FastRadialSymmetryd
from .features.inpaint_mask import InpaintMask, InpaintMaskd
from .features.vessel_mask import VesselMask, VesselMaskd
from .grid.gather_patches import gather_patches
from .grid.limit_spacing import LimitSpacingd
from .grid.select_volume import SelectVolume, SelectVolumed
from .intensity.dark_contrast import DarkContrast, DarkContrastd, dark_contrast
from .intensity.invert_intensity import InvertIntensity, InvertIntensityd
from .intensity.n4_bias_correction import N4BiasCorrection, N4BiasCorrectiond
from .intensity.percentile_normalize import PercentileNormalize, PercentileNormalized
from .lesions.append_lesions import AppendLesionsd, append_lesions
from .lesions.calibrate_probability import CalibrateProbabilityd, calibrate_probability
from .lesions.grow_lesions import grow_lesions
from .lesions.lesion_boxes import LesionBoxesd
from .lesions.lesion_filter import LesionFilter, LesionFilterd
from .lesions.lesion_instances import LesionInstances, LesionInstancesd, lesion_instances
from .lesions.lesion_label import LesionLabeld
from .lesions.lesion_outline import LesionOutlined, outline_lesions
from .lesions.lesion_probability import LesionProbability, LesionProbabilityd
from .lesions.lesion_target import LesionTargetd
from .phase.relative_susceptibility import phase_convention, relative_susceptibility
from .phase.susceptibility_sign import SusceptibilitySign, SusceptibilitySignd, lesion_contrast
from .slices.adjacent_slices import AdjacentSlices, AdjacentSlicesd, adjacent_slices
from .slices.name_sequence import NameSequenced
from .slices.series_slices import SeriesSlices, SeriesSlicesd, series_slices
from .slices.slice_context import context_patches, context_slices, fine_grid, to_fine
from .slices.slice_target import SliceTargetd, slice_target
from .subtype.fold_disagreement import FoldDisagreementd
from .subtype.not_applicable import NotApplicabled, lesion_chance, no_subtype
from .subtype.rand_drop_inputs import RandDropInputsd
from .subtype.rand_found_lesions import RandFoundLesionsd
from .subtype.subtype_probability import SubtypeProbabilityd

__all__ = [
    "LARGEST_MM",
    "AdjacentSlices",
    "AdjacentSlicesd",
    "AppendLesionsd",
    "BrainMask",
    "BrainMaskd",
    "CalibrateProbabilityd",
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
    "NotApplicabled",
    "Outlines",
    "PercentileNormalize",
    "PercentileNormalized",
    "RandDropInputsd",
    "RandFoundLesionsd",
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
    "calibrate_probability",
    "close_mask",
    "context_patches",
    "context_slices",
    "dark_contrast",
    "fine_grid",
    "gather_patches",
    "grow_lesions",
    "lesion_chance",
    "lesion_contrast",
    "lesion_instances",
    "no_subtype",
    "outline_lesions",
    "phase_convention",
    "relative_susceptibility",
    "series_slices",
    "slice_target",
    "to_fine",
]
