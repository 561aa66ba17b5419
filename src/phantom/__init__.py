"""Simulated susceptibility scans with known microbleeds."""

from .cohort import write_cohort
from .lesions import MIMICS, PHENOTYPES
from .protocols import PROTOCOLS, Protocol
from .subject import Subject, simulate_subject

__all__ = ["MIMICS", "PHENOTYPES", "PROTOCOLS", "Protocol", "Subject", "simulate_subject", "write_cohort"]
