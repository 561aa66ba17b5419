"""Simulated susceptibility scans with known microbleeds."""

from ..planting.patches import plant_patches
from .backgrounds import find_backgrounds, write_planted_cohort
from .blobs import MIMICS
from .cohort import write_cohort
from .contrasts import Series, simulate_series
from .lesions import PHENOTYPES, phenotype_log_likelihood
from .on_the_fly import FreshSubjects, SimulatedSubjects, SimulationReader
from .planting_scan import PlantedScan, plant_scan
from .protocols import PROTOCOLS, Protocol
from .studies import write_studies
from .subject import Subject, simulate_subject
from .visible import visible_diameters

__all__ = [
    "MIMICS",
    "PHENOTYPES",
    "PROTOCOLS",
    "FreshSubjects",
    "PlantedScan",
    "Protocol",
    "Series",
    "SimulatedSubjects",
    "SimulationReader",
    "Subject",
    "find_backgrounds",
    "phenotype_log_likelihood",
    "plant_patches",
    "plant_scan",
    "simulate_series",
    "simulate_subject",
    "visible_diameters",
    "write_cohort",
    "write_planted_cohort",
    "write_studies",
]
