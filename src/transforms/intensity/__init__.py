"""Intensities of a scan: bias, normalisation, contrast."""
