"""What comes out: lesion table, pictures, page, folder of a case, table of a cohort."""

from .bids import check_derivative, derivative_path, source_of, write_dataset, write_derivative
from .burden import burden
from .case_writer import CaseWriter
from .cohort import PARTICIPANT_COLUMNS, read_rows, write_participants
from .cohort_page import write_cohort_page
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
    "check_derivative",
    "count_lesions",
    "count_mars",
    "derivative_path",
    "lesion_table",
    "make_scene",
    "read_rows",
    "source_of",
    "write_candidates",
    "write_cohort_page",
    "write_dataset",
    "write_derivative",
    "write_lesions",
    "write_page",
    "write_participants",
    "write_subtypes",
]
