"""The benchmark of the wide five-block network, on candidates of noise with dark middles."""

import numpy as np
import pytest
import torch
from measured import load

from csvd.experiments.candidates import CandidateTable
from csvd.experiments.transfer import Transfer


def candidates(seed):
    """Candidates of ten subjects, every fourth a microbleed with a dark middle."""
    rng = torch.Generator().manual_seed(seed)
    labels = np.arange(40) % 4 == 0
    patches = 0.2 * torch.randn(40, 2, 24, 24, 8, generator=rng)
    patches[torch.from_numpy(labels), :, 10:14, 10:14, 3:5] -= 3
    return CandidateTable(patches.half(), torch.zeros(40, 3), labels.astype(int), np.arange(40) // 4)


def test_patches_grow_around_their_middle():
    found = candidates(0)
    grown = load("wide_five_block").grown(found)
    assert grown.patches.shape == (40, 2, 32, 32, 8)
    assert torch.equal(grown.patches[:, :, 4:28, 4:28], found.patches)
    assert torch.equal(grown.patches[:, :, 0, 0], found.patches[:, :, 0, 0])


def test_it_trains_on_two_protocols_and_has_a_row_of_each_test(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Transfer, "candidates", lambda self, preset, subjects, seed: candidates(seed))
    benchmark = load("wide_five_block")
    monkeypatch.setitem(benchmark.SETTINGS, "network_def#discriminator#features", 8)
    monkeypatch.setattr("measured.load", lambda name: benchmark)
    places = ("--transfer", tmp_path / "transfer", "--out", tmp_path / "wide")
    rows = run("wide_five_block", *places, "--quick", "--epochs", 2)
    for test in ("7T", "3T", "3T, CCM"):
        assert rows[test][:2] == ["10", "30"]
        assert float(rows[test][-1].split()[0]) == pytest.approx(1, abs=0.5)
    assert (tmp_path / "wide" / "wide_five_block.pt").exists()
