"""What comes out: lesion table, pictures, page, folder of a case, table of a cohort."""

from .burden import burden
from .case_writer import CaseWriter
from .cohort import PARTICIPANT_COLUMNS, write_participants
from .lesion_table import COLUMNS, Lesion, count_lesions, count_mars, lesion_table, write_candidates, write_lesions
from .page import write_page
from .scene import Scene, make_scene
from .series_table import SeriesPicture, SeriesTable
from .subtype_table import write_subtypes
from .subtype_writer import SubtypeWriter

__all__ = [
    "COLUMNS",
    "PARTICIPANT_COLUMNS",
    "CaseWriter",
    "Lesion",
    "Scene",
    "SeriesPicture",
    "SeriesTable",
    "SubtypeWriter",
    "burden",
    "count_lesions",
    "count_mars",
    "lesion_table",
    "make_scene",
    "write_candidates",
    "write_lesions",
    "write_page",
    "write_participants",
    "write_subtypes",
]
