"""Phase of what is planted: the dipole field of a sphere."""

from __future__ import annotations

import math

import torch


def dipole_phase(
    points_mm: torch.Tensor, centre_mm: torch.Tensor, radius_mm: float, radians: float, b0_direction: torch.Tensor
) -> torch.Tensor:
    """Return the phase, (...), that a sphere adds: ``radians`` at its poles, half of it and negative at its equator.

    Outside of a sphere of other susceptibility the field falls with the third power of the distance; inside it is 0.
    Iron in a microbleed gives a positive value at the poles, calcium a negative one, where phase grows with the field.

    Args:
        points_mm: (..., 3).
        centre_mm: (3,).
        radius_mm: of the sphere.
        radians: at the poles.
        b0_direction: unit vector, in the axes of the points, (3,).
    """
    offset = points_mm - centre_mm
    distance = offset.norm(dim=-1).clamp(min=1e-6)
    cosine = offset @ b0_direction / distance
    field = (3 * cosine.square() - 1) / 2 * (radius_mm / distance).pow(3)
    return torch.where(distance < radius_mm, torch.zeros_like(field), radians * field)


def wrapped(phase: torch.Tensor) -> torch.Tensor:
    """Return a phase in radians between -pi and pi."""
    return (phase + math.pi).remainder(2 * math.pi) - math.pi
