"""Lesions of a scan as data: labels, properties, table, burden, record. No file is read or written here."""

from .burden import burden
from .cohort import COHORT_COLUMNS, cohort_table
from .dictionary import data_dictionary
from .labels import label_components
from .outlines import LARGEST_MM, Outlines
from .properties import LesionShapes, lesion_shapes
from .quality import quality_flags
from .record import case_record
from .susceptibility import Susceptibility
from .table import LESION_COLUMNS, Lesion, as_text, count_lesions, count_mars, lesion_table

__all__ = [
    "COHORT_COLUMNS",
    "LARGEST_MM",
    "LESION_COLUMNS",
    "Lesion",
    "LesionShapes",
    "Outlines",
    "Susceptibility",
    "as_text",
    "burden",
    "case_record",
    "cohort_table",
    "count_lesions",
    "count_mars",
    "data_dictionary",
    "label_components",
    "lesion_shapes",
    "lesion_table",
    "quality_flags",
]
