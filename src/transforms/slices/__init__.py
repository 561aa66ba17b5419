"""Slices and what lies beside them."""
