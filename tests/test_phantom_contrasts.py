"""Simulated series: the tissues have the order of brightness that their sequence gives them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from csvd.phantom import Series, simulate_series, studies, write_studies
from csvd.phantom.contrasts import RECIPES
from csvd.phantom.fields import coil_shading
from csvd.phantom.heads import PROPERTIES, TISSUES
from csvd.phantom.protocols import PROTOCOLS
from csvd.sequences import SEQUENCES

TISSUE = torch.tensor(list(PROPERTIES.values())).T.float()


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        ("T1", ("csf", "grey", "white", "fat")),
        ("T2", ("white", "grey", "csf")),
        ("FLAIR", ("csf", "white", "grey", "lesion")),
        ("ADC", ("white", "grey", "lesion", "csf")),
        ("FA", ("csf", "grey", "white")),
        ("CBF", ("csf", "white", "grey")),
        ("CT", ("csf", "white", "grey", "bone")),
    ],
)
@pytest.mark.parametrize("seed", range(8))
def test_tissues_have_the_brightness_of_the_sequence(kind, order, seed):
    weight, _ = RECIPES[kind].weigh(TISSUE, np.random.default_rng(seed))
    bright = [float(weight[TISSUES.index(name)]) for name in order]
    if kind in ("FA", "CBF", "CT"):
        bright = [round(value, ndigits=1) for value in bright]  # they vary by a twentieth
    assert bright == sorted(bright)


def test_strong_diffusion_weighting_darkens_fluid():
    rng = np.random.default_rng(0)
    weights = [RECIPES["DWI"].weigh(TISSUE, rng)[0] for _ in range(20)]
    darker = [weight[TISSUES.index("csf")] < weight[TISSUES.index("grey")] for weight in weights]
    assert 0.5 < np.mean(darker) < 1  # the rest is b = 0


def test_series_are_reproducible_and_of_known_sequences():
    one, again = (simulate_series("EPI", seed=3) for _ in range(2))
    torch.testing.assert_close(one.image, again.image, rtol=0, atol=0)
    assert one.sequence == "T2*-GRE"
    assert {recipe.sequence for recipe in RECIPES.values()} <= set(SEQUENCES)


def test_phase_wraps_within_a_turn():
    image = simulate_series("raw phase", seed=1).image
    assert image.abs().max() <= torch.pi + 1e-5
    assert image.min() < -2 < 2 < image.max()


@pytest.mark.parametrize("seed", range(5))
def test_coils_brighten_the_rim(seed):
    shape = (20, 22, 18)
    shading = coil_shading(np.random.default_rng(seed), torch.Size(shape))
    darkest = np.unravel_index(int(shading.argmin()), shape)
    assert all(0.25 < k / n < 0.75 for k, n in zip(darkest, shape, strict=True))
    assert 1 <= float(shading.min()) < 1.01
    assert float(shading[0].mean()) > float(shading[10].mean()) < float(shading[-1].mean())


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="kind"):
        simulate_series("T3", seed=0)


@pytest.fixture
def tiny_scans(monkeypatch):
    """Susceptibility scans of studies, of voxels of 3 mm."""
    tiny = replace(PROTOCOLS["ukbb"], voxel_mm=(3.0, 3.0, 4.0), matrix=(64, 76, 42), fine_mm=3.0)
    monkeypatch.setattr(studies, "PROTOCOLS", {"tiny": tiny})
    monkeypatch.setattr(studies, "PRESETS", ("tiny",))


def test_studies_hold_every_sequence(tiny_scans, tmp_path, monkeypatch):
    def stripes(kind, seed, index):
        return Series(RECIPES[kind].sequence, kind, torch.arange(24.0).view(2, 3, 4), torch.eye(4))

    monkeypatch.setattr(studies, "simulate_series", stripes)
    items = json.loads(write_studies(1, tmp_path, 0, jobs=1, split=(1, 0, 0)).read_text())["training"]
    assert {item["sequence"] for item in items} == set(SEQUENCES)
    assert all((tmp_path / item["image"]).exists() for item in items)
    with pytest.raises(FileExistsError, match="not an empty folder"):
        write_studies(1, tmp_path, 0)


def test_susceptibility_scans_come_with_and_without_head(tiny_scans, monkeypatch):
    """A gate that learned from scans with heads alone took the ring of the skull for their mark."""
    monkeypatch.setattr(studies, "RECIPES", {})
    scans = [series.image for index in range(3) for series in studies.simulate_study(2, index)[:3]]
    filled = [float((scan != 0).float().mean()) for scan in scans]
    assert min(filled) < 0.5 < 0.9 < max(filled)
