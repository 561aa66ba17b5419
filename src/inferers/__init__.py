"""From a scan and trained networks to probability maps."""

from .candidates import Candidates, find_candidates, gather_patches
from .cascade import CascadeInferer, infer_slabs

__all__ = ["Candidates", "CascadeInferer", "find_candidates", "gather_patches", "infer_slabs"]
