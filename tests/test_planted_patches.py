"""Batches of planted patches, and a network that learns from them in MONAI's trainer."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.engines import SupervisedTrainer
from planted import ball
from torch.utils.data import DataLoader

from csvd.engines import PlantedPatches, ReplayHardFoci, Resume, SeedSampler
from csvd.losses import PatchLoss
from csvd.networks import PatchEnsemble
from csvd.phantom import plant_scan
from csvd.transforms.intensity.dark_contrast import dark_contrast


def preprocessed(item):
    """A ball, with three microbleeds or with none."""
    image, mask, affine = ball(noise=0.08)
    scan = plant_scan(image, mask, affine, lesions=item["lesions"], seed=3, radius_mm=(1.5, 2), depth=(0.8, 0.9))
    image = MetaTensor(dark_contrast(scan.image, mask)[None], affine=affine)
    return {"image": image, "mask": mask[None].float(), "label": scan.label[None]}


@pytest.fixture(scope="module")
def bank_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("bank")


def patches(bank_dir, *lesions, weights=(1, 1), **options):
    items = [{"image": f"{n}.nii", "lesions": n, "weight": w} for n, w in zip(lesions, weights, strict=False)]
    return PlantedPatches(items, preprocessed, bank_dir, **options)


def test_a_batch_is_that_of_its_seed(bank_dir):
    dataset = patches(bank_dir, 0, 3, batch_size=64)
    batch = dataset[5]
    assert batch["image"].shape == (64, 5, 48, 48)
    assert batch["label"].shape == (64, 2)
    assert 15 < (batch["label"][:, 0] * batch["label"][:, 1]).sum() < 40
    again, other = patches(bank_dir, 0, 3, batch_size=64)[5], dataset[6]
    torch.testing.assert_close(batch["image"], again["image"])
    assert not torch.equal(batch["image"], other["image"])


def test_scans_are_drawn_by_their_weight(bank_dir):
    batch = patches(bank_dir, 0, 3, weights=(0, 1), batch_size=200)[0]
    dataset = patches(bank_dir, 0, 3)
    first = len(dataset.scans[0].foci)
    assert (batch["index"][batch["index"] >= 0] >= first).all()


def test_hard_foci_come_more_often(bank_dir):
    dataset = patches(bank_dir, 0, batch_size=300)
    index = torch.arange(len(dataset.scans[0].foci))
    for _ in range(8):
        dataset.update(torch.cat([index, torch.tensor([-1])]), torch.cat([(index == 5) * 0.9, torch.ones(1)]))
    assert dataset.hardness[5] == pytest.approx(0.9, abs=0.01)
    before = dataset[0]["index"]
    assert torch.equal(before, patches(bank_dir, 0, batch_size=300)[0]["index"])  # within an epoch all stays as it is
    dataset.start_epoch()
    drawn = dataset[0]["index"].tolist()
    assert drawn.count(5) > 2 * sum(n >= 0 for n in drawn) / len(index)


def test_state_is_kept_by_scan(bank_dir):
    full, empty = patches(bank_dir, 0, 3), patches(bank_dir, 3)
    full.scans  # noqa: B018
    full.hardness[:] = torch.linspace(0, 1, len(full.hardness))
    empty.load_state_dict(full.state_dict())
    torch.testing.assert_close(empty.hardness, full.hardness[-len(empty.hardness) :])


def test_processes_that_load_data_see_what_is_hard(bank_dir):
    dataset = patches(bank_dir, 0, batch_size=300)
    trainer = Engine(lambda engine, batch: batch)
    ReplayHardFoci(dataset).attach(trainer)
    trainer.remove_event_handler(trainer._event_handlers[Events.ITERATION_COMPLETED][0][0], Events.ITERATION_COMPLETED)
    loader = DataLoader(dataset, sampler=SeedSampler(1), batch_size=None, num_workers=1, persistent_workers=True)
    drawn = []

    @trainer.on(Events.ITERATION_COMPLETED)
    def note(engine):
        drawn.append(engine.state.output["index"].tolist().count(5))
        dataset.hardness[:] = 0
        dataset.hardness[5] = 1

    trainer.run(loader, max_epochs=2)
    assert drawn[1] > drawn[0] + 3


class Stop(Exception):
    pass


def trained(bank_dir, resume, killed=False):
    """Train for two epochs with a process that loads batches ahead; return the weights."""
    torch.manual_seed(0)
    dataset, network = patches(bank_dir, 0, 3, batch_size=16), PatchEnsemble(members=1, features=8)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    how = {"batch_size": None, "num_workers": 1, "prefetch_factor": 4, "persistent_workers": True}
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=DataLoader(dataset, sampler=SeedSampler(4), **how),
        network=network,
        optimizer=optimizer,
        loss_function=PatchLoss(),
        train_handlers=[
            ReplayHardFoci(dataset),
            Resume(str(resume), {"network": network, "optimizer": optimizer, "hard_foci": dataset}, seed=5),
        ],
        decollate=False,
    )
    if killed:
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=6), _stop)
        with pytest.raises(Stop):
            trainer.run()
    else:
        trainer.run()
    return network.state_dict()


def _stop(engine):
    raise Stop


def test_training_that_was_killed_ends_with_the_weights_of_one_that_was_not(bank_dir, tmp_path):
    expected = trained(bank_dir, tmp_path / "whole.pt")
    trained(bank_dir, tmp_path / "killed.pt", killed=True)
    found = trained(bank_dir, tmp_path / "killed.pt")
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_scan_without_foci_is_planted_into_and_none_is_an_error(tmp_path):
    flat = {"image": torch.ones(1, 60, 60, 8), "mask": torch.ones(1, 60, 60, 8)}
    batch = PlantedPatches([{"image": "flat.nii"}], lambda item: flat, tmp_path, batch_size=32)[0]
    assert (batch["index"] == -1).all()
    assert batch["label"][:, 0].any()
    with pytest.raises(ValueError, match="no scan to train on"):
        PlantedPatches([], lambda item: flat, tmp_path)[0]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"own": 2}, {"thinned": -1}])
def test_arguments_out_of_range(bank_dir, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        patches(bank_dir, 0, **options)
    with pytest.raises(ValueError, match="batches"):
        SeedSampler(0)


def test_loss_leaves_out_what_has_no_weight_and_is_lowest_at_the_label():
    loss = PatchLoss(smoothing=0)
    target = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    right = torch.tensor([[9.0, 9.0], [-9.0, -9.0], [9.0, 9.0]])
    assert loss(right, target) < 0.001
    assert loss(-right, target) == pytest.approx(9, abs=0.01)
    one_wrong = right * torch.tensor([1.0, -1.0])  # one of two members
    assert loss(one_wrong, target) == pytest.approx(4.5, abs=0.01)
    with pytest.raises(ValueError, match="smoothing"):
        PatchLoss(smoothing=0.7)


def test_members_differ_and_learn(bank_dir):
    torch.manual_seed(0)
    dataset = patches(bank_dir, 0, 3, batch_size=32)
    network = PatchEnsemble(members=2, features=8)
    losses = []
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(dataset, sampler=SeedSampler(30), batch_size=None),
        network=network,
        optimizer=torch.optim.AdamW(network.parameters(), lr=2e-3),
        loss_function=PatchLoss(),
        train_handlers=[ReplayHardFoci(dataset)],
        decollate=False,
    )
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: losses.append(trainer.state.output["loss"].item()))
    trainer.run()
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert not torch.equal(*(member.stem.weight for member in network.members))
    assert (dataset.hardness != 0.5).any()
