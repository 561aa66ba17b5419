"""Candidates to train the discriminator on: which there are, what they are called, how often they are drawn."""

import os
from collections import Counter
from typing import ClassVar

import pytest
import torch
from monai.data import Dataset
from monai.transforms import Compose, Lambda, ScaleIntensityd

from csvd.inferers import CandidateBatches, CandidateDataset, ReplaySampler


class BrightIsSuspect(torch.nn.Module):
    """Detector that takes the image for log-odds."""

    def forward(self, image):
        return torch.cat([torch.zeros_like(image), image], dim=1)


def scan(suspects, lesions):
    """A scan of 16 x 16 x 8 with one-voxel candidates and microbleeds, and a brain without its first plane."""
    image, label, mask = torch.full((1, 16, 16, 8), -9.0), torch.zeros(1, 16, 16, 8), torch.ones(1, 16, 16, 8)
    for point in suspects:
        image[(0, *point)] = 9
    for point in lesions:
        label[(0, *point)] = 1
    mask[:, 0] = 0
    return {"image": image, "label": label, "mask": mask}


@pytest.fixture
def scans():
    """A microbleed that is found, one that is missed, a false candidate, one outside the brain; and an empty scan."""
    return [scan([(4, 4, 4), (10, 10, 4), (0, 8, 4)], [(4, 4, 4), (14, 4, 4)]), scan([], [])]


def test_candidates_are_named_by_the_lesions_they_touch(scans):
    dataset = CandidateDataset(scans, BrightIsSuspect(), threshold=0.5, patch_size=(4, 4, 2))
    assert dataset.labels.tolist() == [1, 0]
    item = dataset[1]
    assert item["image"].shape == (1, 4, 4, 2)
    assert item["image"][0, 2, 2, 1] == 9
    assert not item["lesions"].any()
    assert dataset[0]["lesions"].nonzero().tolist() == [[0, 2, 2, 1]]
    assert (item["label"], item["index"]) == (0, 1)
    assert item["detected"] == torch.tensor(9.0).sigmoid()
    torch.testing.assert_close(item["position"], torch.tensor([20 / 15, 20 / 15, 8 / 7]) - 1)


def test_missed_lesions_are_learned_from_too(scans):
    dataset = CandidateDataset(scans, BrightIsSuspect(), threshold=0.5, patch_size=(4, 4, 2), add_missed=True)
    assert dataset.labels.tolist() == [1, 0, 1]
    assert dataset[2]["image"].max() == -9
    assert dataset[2]["detected"] == torch.tensor(-9.0).sigmoid()


def test_nothing_is_looked_for_before_it_is_needed(scans):
    detector = BrightIsSuspect()
    dataset = CandidateDataset(scans, detector, threshold=0.5, patch_size=(4, 4, 2))
    sampler = ReplaySampler(dataset, num_samples=4)
    batches = CandidateBatches(dataset)
    detector.forward = lambda image: torch.cat([image * 0, image * 0 - 9], dim=1)  # trained meanwhile, and badly
    with pytest.raises(ValueError, match=r"no candidate at a threshold of 0.5"):
        next(iter(sampler))
    assert list(batches) == []


def test_a_scan_that_was_searched_is_not_searched_again(scans, tmp_path):
    class Reader(list):
        data = ("first.nii.gz", "second.nii.gz")
        read: ClassVar[list[int]] = []

        def __getitem__(self, n):
            self.read.append(n)
            if n == 1 and len(self.read) == 2:
                raise KeyboardInterrupt
            return super().__getitem__(n)

    def dataset(detector=None, threshold=0.5):
        return CandidateDataset(
            Reader(scans), detector or torch.nn.Conv3d(1, 2, 1), threshold, (4, 4, 2), cache_dir=str(tmp_path)
        )

    torch.manual_seed(0)
    detector = torch.nn.Conv3d(1, 2, 1)
    with pytest.raises(KeyboardInterrupt):
        len(dataset(detector))
    first = dataset(detector)
    assert Reader.read == [0, 1]
    found = [(item["image"], item["label"]) for item in (first[n] for n in range(len(first)))]
    assert Reader.read == [0, 1, 1]
    again = dataset(detector)
    assert all(
        torch.equal(again[n]["image"], image) and again[n]["label"] == label for n, (image, label) in enumerate(found)
    )
    assert Reader.read == [0, 1, 1]
    len(dataset())  # another detector
    len(dataset(detector, threshold=0.6))
    assert Reader.read == [0, 1, 1, 0, 1, 0, 1]


class Files(Dataset):
    """Scans that torch reads from files; counts how often."""

    def __init__(self, items, transform):
        super().__init__(items, Compose([Lambda(self.load), transform]))
        self.read = 0

    def __getitem__(self, n):
        self.read += 1
        return super().__getitem__(n)

    @staticmethod
    def load(item):
        return {key: torch.load(path, weights_only=True) for key, path in item.items()}


def test_candidates_know_what_they_were_made_of(scans, tmp_path):
    items = [{key: str(tmp_path / f"{n}_{key}.pt") for key in values} for n, values in enumerate(scans)]
    for item, values in zip(items, scans, strict=True):
        for key, path in item.items():
            torch.save(values[key], path)

    def labels_and_reads(items, factor=1.0):
        files = Files(items, ScaleIntensityd("image", minv=None, maxv=None, factor=factor - 1))
        found = CandidateDataset(files, BrightIsSuspect(), 0.5, (4, 4, 2), cache_dir=str(tmp_path / "kept"))
        return found.labels.tolist(), files.read

    assert labels_and_reads(items) == ([1, 0], 2)
    assert labels_and_reads(items) == ([1, 0], 0)
    assert labels_and_reads([items[1], items[0]]) == ([1, 0], 0)
    assert labels_and_reads(items, factor=-1)[1] == 2  # another preprocessing
    before = os.stat(items[0]["label"])
    torch.save(
        scans[0]["label"].roll((6, 6), dims=(1, 2)), items[0]["label"]
    )  # the other candidate is the microbleed now
    os.utime(items[0]["label"], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(items[0]["label"]).st_size == before.st_size
    assert labels_and_reads(items) == ([0, 1], 1)


def test_kinds_are_drawn_by_their_share(scans):
    dataset = CandidateDataset([*scans * 5, scan([(4, 4, 4)], [])], BrightIsSuspect(), 0.5, (4, 4, 2))
    torch.manual_seed(0)
    drawn = list(ReplaySampler(dataset, num_samples=4000, lesion_share=0.25))
    assert len(drawn) == 4000
    assert dataset.labels[drawn].float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_what_fooled_the_discriminator_is_drawn_again(scans):
    dataset = CandidateDataset(
        [scan([(4, 4, 4), (8, 8, 4), (12, 12, 4)], [(12, 12, 4)])], BrightIsSuspect(), 0.5, (4, 4, 2)
    )
    sampler = ReplaySampler(dataset, num_samples=6000, floor=0.1)
    sampler.update(torch.tensor([0, 1]), torch.tensor([0.8, 0.01]))
    torch.manual_seed(0)
    drawn = Counter(sampler)
    assert drawn[0] / drawn[1] == pytest.approx(8, rel=0.15)
    assert drawn[2] / 6000 == pytest.approx(0.5, abs=0.03)


def test_search_draws_no_random_number_of_a_training(scans):
    torch.manual_seed(0)
    len(CandidateDataset(scans, BrightIsSuspect(), 0.5, (4, 4, 2)))
    after_search = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after_search, torch.rand(1))


def test_transform_is_applied(scans):
    dataset = CandidateDataset(scans, BrightIsSuspect(), 0.5, (4, 4, 2), transform=lambda item: item["label"])
    assert [int(dataset[k]) for k in range(len(dataset))] == [1, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CandidateDataset([], BrightIsSuspect(), 2, (4, 4, 2)), "`threshold` must be between 0 and 1, got 2"),
        (lambda: ReplaySampler(None, 0), "`num_samples` must be above 0, got 0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
