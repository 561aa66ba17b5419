"""From a scan and trained networks to candidates and probability maps."""

from .autocast import AutocastInferer
from .candidate_dataset import CandidateDataset, ReplaySampler
from .candidates import Candidates, find_candidates
from .cascade import CascadeInferer, LabelDetector, infer_slabs

__all__ = [
    "AutocastInferer",
    "CandidateDataset",
    "Candidates",
    "CascadeInferer",
    "LabelDetector",
    "ReplaySampler",
    "find_candidates",
    "infer_slabs",
]
