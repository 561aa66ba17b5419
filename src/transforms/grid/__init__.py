"""Volumes and voxels: which volume, which grid, patches."""
