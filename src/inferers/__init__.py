"""From a scan and trained networks to candidates and probability maps."""

from .autocast import AutocastInferer
from .candidate_dataset import CandidateBatches, CandidateDataset, ReplaySampler
from .candidates import Candidates, find_candidates, relative_position
from .cascade import CascadeInferer, LabelDetector, infer_slabs
from .detect_lesions import DetectLesionsd
from .patch_detector import Detections, PatchDetector
from .patch_inferer import PatchInferer
from .series import SeriesInferer, series_gradcam
from .slices import SliceInferer
from .subtype import SliceBag, SliceBagd, SubtypeInferer, gradcam, leave_out

__all__ = [
    "AutocastInferer",
    "CandidateBatches",
    "CandidateDataset",
    "Candidates",
    "CascadeInferer",
    "DetectLesionsd",
    "Detections",
    "LabelDetector",
    "PatchDetector",
    "PatchInferer",
    "ReplaySampler",
    "SeriesInferer",
    "SliceBag",
    "SliceBagd",
    "SliceInferer",
    "SubtypeInferer",
    "find_candidates",
    "gradcam",
    "infer_slabs",
    "leave_out",
    "relative_position",
    "series_gradcam",
]
