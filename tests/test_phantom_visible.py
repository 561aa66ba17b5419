"""What is seen of simulated microbleeds: the line of half of the change, between voxels."""

from dataclasses import replace

import numpy as np
import pytest
import small

from csvd.phantom import simulate_subject, visible_diameters
from csvd.phantom.visible import ball, between_voxels, visible


def blob(radius_mm, spacing):
    """Return a change that is half of its most at that distance from the middle."""
    axes = np.meshgrid(*(np.arange(-n, n + 1) * mm for n, mm in zip((20, 20, 12), spacing, strict=True)), indexing="ij")
    return np.exp(-np.log(2) * sum(axis**2 for axis in axes) / radius_mm**2)


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (0.6, 0.9, 0.6)])
def test_volume_and_length_are_those_of_the_half(spacing):
    change = blob(2.2, spacing)
    seen, core = visible(change, np.zeros(change.shape, dtype=int), 0)
    assert core == (20, 20, 12)
    volume, longest = between_voxels(change, seen, 0.5, np.array(spacing))
    assert ball(volume) == pytest.approx(4.4, abs=0.1)
    assert longest == pytest.approx(4.4, abs=0.2)


def test_what_belongs_to_another_lesion_is_not_seen_of_this_one():
    change = blob(2.2, (0.5, 0.5, 0.5))
    label = np.ones(change.shape, dtype=int)
    label[21:] = 2
    seen, _ = visible(change, label, 1)
    assert not seen[21:].any()


def test_microbleeds_are_seen_and_bloom_with_the_echo_time():
    protocol = replace(small.PROTOCOL, lesions=4)
    label = simulate_subject(protocol, seed=3, phenotype="CADASIL").label
    short, long = (
        visible_diameters(replace(protocol, te_ms=te, tr_ms=60), seed=3, phenotype="CADASIL", image="mag")
        for te in (10, 40)
    )
    assert set(long) == set(label.unique().tolist()) - {0}
    both = short.keys() & long.keys()
    assert np.median([long[number] - short[number] for number in both]) > 0.3
