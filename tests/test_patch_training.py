"""Training on stored candidates: what is drawn, when it stops, what it keeps."""

import numpy as np
import pytest
import torch

from csvd.bundles import find_bundle
from csvd.engines import load_weights
from csvd.experiments import Study
from csvd.experiments.candidates import CandidateTable, bundle_detector, joined, stored_candidates
from csvd.experiments.patch_training import PatchBatches, candidate_odds, middles, train_on_candidates
from csvd.experiments.study import Variant
from csvd.experiments.transfer import RESIDUAL
from csvd.io import load_datalist
from csvd.metrics.classification import auc_interval

SETTINGS = {
    "patch_size": [8, 8, 4],
    "network_def#discriminator#features": 2,
    "student#optimizer#lr": 0.01,
    "student#sampler#num_samples": 128,
    "patience": 3,
    "epochs": 40,
}


def table(candidates, lesion=1.0, seed=0):
    """Candidates of noise, every fourth a microbleed with a dark middle of 3 x 3 x 3."""
    rng = torch.Generator().manual_seed(seed)
    patches = 0.2 * torch.randn(candidates, 2, 12, 12, 6, generator=rng)
    labels = np.arange(candidates) % 4 == 0
    patches[torch.from_numpy(labels), :, 5:8, 5:8, 2:5] -= lesion
    return CandidateTable(patches.half(), torch.zeros(candidates, 3), labels.astype(int), np.arange(candidates) // 8)


@pytest.fixture
def parser(tmp_path):
    """Function that returns the configs of a small residual network."""

    def make(**settings):
        study = Study(tmp_path, find_bundle("cmb_detection"), {**SETTINGS, **settings})
        return study.parser(tmp_path, tmp_path, Variant("residual", RESIDUAL))

    return make


def test_a_quarter_of_a_batch_are_microbleeds_and_a_seed_draws_it_again():
    batches = PatchBatches(table(40), (8, 8, 4), batch_size=16)
    batch, again, another = batches[3], batches[3], batches[4]
    assert batch["image"].shape == (16, 2, 8, 8, 4)
    assert batch["label"].sum() == 4
    assert torch.equal(batch["image"], again["image"])
    assert not torch.equal(batch["image"], another["image"])


def test_another_share_of_a_batch_may_be_microbleeds():
    batch = PatchBatches(table(40), (8, 8, 4), batch_size=16, lesion_share=0.5)[3]
    assert batch["label"].sum() == 8
    with pytest.raises(ValueError, match="`lesion_share` must be between 0 and 1, got 2"):
        PatchBatches(table(40), (8, 8, 4), lesion_share=2)


def test_patches_are_shifted_and_turned_but_hold_all_of_the_microbleed():
    ramp = torch.arange(12.0).view(12, 1, 1).expand(12, 12, 6)
    one = CandidateTable(ramp.expand(2, 1, 12, 12, 6), torch.zeros(2, 3), np.array([0, 1]), np.zeros(2, int))
    image = torch.cat([PatchBatches(one, (8, 8, 4), 8)[seed]["image"] for seed in range(20)])[:, 0]
    along = [image.diff(dim=axis).flatten(1).mean(dim=1) for axis in (1, 2)]
    for steps in along:  # either axis has the ramp, in either direction
        assert {float(step.sign()) for step in steps} == {-1, 0, 1}
    slopes = along[0].abs() + along[1].abs()
    assert 0.7 <= slopes.min() < 0.9 < 1.1 < slopes.max() <= 1.3  # intensities are scaled
    firsts = (image.amin(dim=(1, 2, 3)) / slopes).round()
    assert set(firsts.tolist()) == {0, 1, 2, 3, 4}


def test_middles_are_those_of_the_patches():
    parts = middles(table(200), (8, 8, 4))
    assert [len(part["label"]) for part in parts] == [128, 72]
    torch.testing.assert_close(parts[1]["image"], table(200).patches[128:, :, 2:10, 2:10, 1:5].float())


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_one_kind_of_candidates_is_not_enough(labels):
    one = CandidateTable(torch.zeros(2, 2, 8, 8, 4), torch.zeros(2, 3), np.array(labels), np.zeros(2, int))
    with pytest.raises(ValueError, match=r"needs 0 and 1"):
        PatchBatches(one, (8, 8, 4))


def test_patches_larger_than_those_that_are_stored_are_refused():
    with pytest.raises(ValueError, match="`size` must be between 1 and 6, got 8"):
        PatchBatches(table(8), (8, 8, 8))


def test_training_stops_when_the_auc_stops_rising_and_keeps_the_best_weights(parser, tmp_path):
    validation = table(80, lesion=0.6, seed=1)
    found = train_on_candidates(parser(), table(80), validation, tmp_path / "residual.pt")
    assert found["converged"]
    assert found["epochs"] == found["best epoch"] + SETTINGS["patience"] < SETTINGS["epochs"]
    odds = candidate_odds(parser(), validation, tmp_path / "residual.pt")
    area = auc_interval(validation.labels == 1, odds)
    assert area.value == pytest.approx(found["AUC"], abs=1e-6)
    assert area.low > 0.8


def test_a_training_that_reaches_its_last_epoch_has_not_converged(parser, tmp_path):
    found = train_on_candidates(parser(epochs=2), table(40), table(40, seed=1), tmp_path / "residual.pt")
    assert (found["epochs"], found["converged"]) == (2, False)


def test_training_begins_with_the_weights_that_it_is_given(parser, tmp_path):
    start = tmp_path / "start.pt"
    first = parser().get_parsed_content("student#network")
    torch.save(first.state_dict(), start)
    settings = {"epochs": 1, "student#optimizer#lr": 0.0}
    train_on_candidates(parser(**settings, seed=5), table(40), table(40), tmp_path / "tuned.pt", start)
    tuned = parser(seed=7).get_parsed_content("student#network")
    load_weights(tuned, tmp_path / "tuned.pt")
    for name, weights in tuned.named_parameters():
        assert torch.equal(weights, first.get_parameter(name))


def test_tables_are_parted_and_joined_by_subject():
    whole = table(24)
    parts = [whole.of(whole.subjects == number) for number in (2, 0)]
    assert [part.subjects.tolist() for part in parts] == [[2] * 8, [0] * 8]
    both = joined(parts)
    assert both.subjects.tolist() == [2] * 8 + [3] * 8
    assert torch.equal(both.patches, whole.patches[[*range(16, 24), *range(8)]])


def test_a_scan_is_searched_once_for_candidates(tmp_path, monkeypatch, small_cohort):
    said = []
    settings = {"candidate_threshold": 0.1, "student#dataset#patch_size": [12, 12, 6]}
    study = Study(tmp_path, find_bundle("cmb_detection"), settings, said.append)
    sections = [load_datalist(small_cohort / "datalist.json", section) for section in ("validation", "test")]
    data = study.data("small", test=[item for items in sections for item in items])
    search = (study, data, bundle_detector(study), Variant("search"))
    found = stored_candidates(*search)
    assert found.patches.dtype == torch.half
    assert found.patches.shape == (len(found.labels), 2, 12, 12, 6)
    assert set(found.subjects.tolist()) == {0, 1}
    assert [text.split(":")[0] for text in said] == ["small, scan 1 of 2", "small, scan 2 of 2"]
    # Not after a stop before the last scan either.
    (tmp_path / "candidates" / "small.pt").unlink()
    monkeypatch.setattr("csvd.inferers.candidate_dataset.infer_slabs", lambda *_: pytest.fail("searched again"))
    for _ in range(2):
        again = stored_candidates(*search)
        assert torch.equal(again.patches, found.patches)
        assert again.labels.tolist() == found.labels.tolist()
    assert len(said) == 4
