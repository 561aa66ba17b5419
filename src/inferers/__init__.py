"""From a scan and trained networks to candidates and probability maps."""

from .autocast import AutocastInferer
from .candidate_dataset import CandidateDataset, ReplaySampler
from .candidates import Candidates, find_candidates, relative_position
from .cascade import CascadeInferer, LabelDetector, infer_slabs
from .dot_candidates import DarkDots, find_dark_dots
from .dot_detector import Detections, DotDetector
from .dot_inferer import DotInferer
from .series import SeriesInferer, series_gradcam
from .slices import SliceInferer
from .subtype import SliceBag, SliceBagd, SubtypeInferer, gradcam

__all__ = [
    "AutocastInferer",
    "CandidateDataset",
    "Candidates",
    "CascadeInferer",
    "DarkDots",
    "Detections",
    "DotDetector",
    "DotInferer",
    "LabelDetector",
    "ReplaySampler",
    "SeriesInferer",
    "SliceBag",
    "SliceBagd",
    "SliceInferer",
    "SubtypeInferer",
    "find_candidates",
    "find_dark_dots",
    "gradcam",
    "infer_slabs",
    "relative_position",
    "series_gradcam",
]
