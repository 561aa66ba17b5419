"""Ignite handlers that write results while a bundle runs."""

from .case_writer import CaseWriter
from .series_table import SeriesPicture, SeriesTable
from .subtype_writer import SubtypeWriter

__all__ = ["CaseWriter", "SeriesPicture", "SeriesTable", "SubtypeWriter"]
