"""Simulated susceptibility scans with known microbleeds."""

from .blobs import MIMICS
from .cohort import write_cohort
from .lesions import PHENOTYPES
from .protocols import PROTOCOLS, Protocol
from .subject import Subject, simulate_subject

__all__ = ["MIMICS", "PHENOTYPES", "PROTOCOLS", "Protocol", "Subject", "simulate_subject", "write_cohort"]
