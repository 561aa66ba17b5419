"""Finds cerebral microbleeds on MRI and tells small-vessel-disease subtypes apart. Research use only."""

__version__ = "0.1.0"
