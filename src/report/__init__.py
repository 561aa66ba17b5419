"""Pages: a scan, a cohort, a subtype, each one self-contained HTML file."""

from .cohort_page import write_cohort_page
from .page import write_page
from .scene import Scene, make_scene

__all__ = ["Scene", "make_scene", "write_cohort_page", "write_page"]
