"""Simulated susceptibility scans with known microbleeds."""

from .blobs import MIMICS
from .cohort import write_cohort
from .contrasts import Series, simulate_series
from .lesions import PHENOTYPES
from .on_the_fly import FreshSubjects, SimulatedSubjects, SimulationReader
from .protocols import PATIENTS, PROTOCOLS, Protocol
from .studies import write_studies
from .subject import Subject, simulate_subject

__all__ = [
    "MIMICS",
    "PATIENTS",
    "PHENOTYPES",
    "PROTOCOLS",
    "FreshSubjects",
    "Protocol",
    "Series",
    "SimulatedSubjects",
    "SimulationReader",
    "Subject",
    "simulate_series",
    "simulate_subject",
    "write_cohort",
    "write_studies",
]
