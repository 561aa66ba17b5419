"""The location prior of the cascade is fitted."""

import pytest
import torch

from csvd.engines import LocationPrior, save_weights
from csvd.networks import CascadeNetwork, read_location_prior

PINEAL = torch.tensor([0.0, -0.16, -0.04])


class FirstVoxel(torch.nn.Module):
    """Discriminator that takes the first voxel for log-odds."""

    def classify(self, patches):
        odds = patches[:, 0, 0, 0, 0]
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


class Candidates(torch.utils.data.Dataset):
    """Candidates all over the brain that look alike, but are never microbleeds around the pineal gland."""

    def __init__(self, count=3000):
        generator = torch.Generator().manual_seed(0)
        self.position = torch.rand(count, 3, generator=generator) * 1.6 - 0.8
        self.position[::4] = PINEAL + 0.03 * torch.randn(len(self.position[::4]), 3, generator=generator)
        self.odds = torch.randn(count, generator=generator)
        self.labels = (torch.rand(count, generator=generator) < self.odds.sigmoid()).long()
        self.labels[::4] = 0

    def __len__(self):
        return len(self.odds)

    def __getitem__(self, index):
        return {
            "image": self.odds[index].reshape(1, 1, 1, 1),
            "detected": torch.tensor(0.7),
            "position": self.position[index],
        }


def fitted(folder, candidates, **arguments):
    network = CascadeNetwork(torch.nn.Identity(), FirstVoxel())
    network.places.fill_(5)  # of an earlier fit, which must not count
    save_weights(network, folder / "model.pt")
    LocationPrior(network, candidates, str(folder / "model.pt"), **arguments).run()
    return network, torch.load(folder / "model.pt", weights_only=True)["places"]


def test_what_lies_where_microbleeds_never_do_is_unlikely_and_nothing_changes_far_away(tmp_path):
    network, saved = fitted(tmp_path, Candidates())
    elsewhere = torch.tensor([[0.0, -0.16, 0.5], [0.0, 0.4, -0.04], [0.6, -0.16, -0.04]])
    there, *others = read_location_prior(network.places, torch.cat([PINEAL[None], elsewhere])).tolist()
    assert there < -4
    assert max(map(abs, others)) < 1.5
    assert torch.equal(saved, network.places)
    flat, _ = fitted(tmp_path, Candidates(), ridge=1e6)
    assert flat.places.abs().max() < 0.01


def test_both_kinds_of_candidates_are_needed(tmp_path):
    candidates = Candidates()
    candidates.labels[:] = 1
    with pytest.raises(ValueError, match=r"cannot fit a location prior on candidates of the classes \[1\]: needs both"):
        fitted(tmp_path, candidates)
    with pytest.raises(ValueError, match="`ridge` must be above 0, got 0"):
        fitted(tmp_path, candidates, ridge=0)
