"""Training of the discriminator: the teacher's part, and what comes back."""

import copy

import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ROCAUC

from csvd.engines import DistillationTrainer, HardNegativeReplay, patch_odds, teacher_batch
from csvd.inferers import CandidateBatches, CandidateDataset, ReplaySampler
from csvd.losses import DistillationLoss, MultiTaskLoss
from csvd.networks import MultiTaskTeacher, StudentClassifier

SMALL = {"features": 2, "strides": ((2, 2, 1), (2, 2, 2)), "patch_size": (8, 8, 4)}


class Patches(torch.utils.data.Dataset):
    """Patches that are bright when they hold a microbleed."""

    labels = torch.tensor([0, 0, 0, 1, 1])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = torch.rand(2, 8, 8, 4, generator=torch.Generator().manual_seed(index)) + self.labels[index]
        lesions = torch.zeros(1, 8, 8, 4, dtype=torch.uint8)
        lesions[0, 4 * int(self.labels[index]), 4, 2] = 1  # a patch of label 0 has a microbleed at its edge
        return {"image": image, "lesions": lesions, "label": self.labels[index], "index": index}


def make_trainer(teacher, student, **arguments):
    sampler = ReplaySampler(Patches(), num_samples=16)
    trainer = DistillationTrainer(
        teacher=teacher,
        device=torch.device("cpu"),
        max_epochs=20,
        train_data_loader=DataLoader(Patches(), batch_size=8, sampler=sampler),
        network=student,
        optimizer=torch.optim.Adam(student.parameters(), lr=1e-3),
        **{"loss_function": DistillationLoss(), "train_handlers": [HardNegativeReplay(sampler)], **arguments},
    )
    return trainer, sampler


@pytest.fixture
def networks():
    torch.manual_seed(0)
    return MultiTaskTeacher(**SMALL), StudentClassifier(**SMALL)


def test_student_learns_and_the_teacher_does_not(networks):
    teacher, student = networks
    before = copy.deepcopy(teacher.state_dict())
    trainer, _ = make_trainer(teacher, student)
    trainer.run()
    logits = student.eval()(torch.stack([Patches()[k]["image"] for k in range(5)]))
    margin = logits[:, 1] - logits[:, 0]
    assert margin[3:].min() > margin[:3].max()
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_loss_is_given_the_label_and_the_teachers_logits(networks):
    seen = []

    def loss(logits, target):
        seen.append(target)
        return DistillationLoss()(logits, target)

    trainer, _ = make_trainer(*networks, loss_function=loss)
    trainer.run()
    label, teacher_logits = seen[0]
    assert (label.shape, teacher_logits.shape) == ((8,), (8, 2))
    assert not teacher_logits.requires_grad


def test_candidates_become_easy_when_they_are_recognised(networks):
    trainer, sampler = make_trainer(*networks)
    trainer.run()
    assert (sampler.hardness[:3] < 0.5).all()
    assert (sampler.hardness[3:] > 0.5).all()


def test_without_a_teacher_the_target_is_the_label(networks):
    seen = []

    def loss(logits, target):
        seen.append(target)
        return torch.nn.functional.cross_entropy(logits, target)

    trainer, _ = make_trainer(None, networks[1], loss_function=loss)
    trainer.run()
    assert seen[0].shape == (8,)


class BrightIsSuspect(torch.nn.Module):
    """Detector that takes the image for log-odds."""

    def forward(self, image):
        return torch.cat([torch.zeros_like(image), image], dim=1)


def test_teacher_and_student_are_asked_for_the_lesion_at_the_centre(networks):
    """Two candidates 3 voxels apart, of which the first is a microbleed: each is in the patch of the other."""
    image, lesions = torch.full((1, 24, 24, 8), -9.0), torch.zeros(1, 24, 24, 8)
    image[0, 12, 12, 4] = image[0, 15, 12, 4] = 9
    lesions[0, 12, 12, 4] = 1
    scan = {"image": image, "label": lesions, "mask": torch.ones_like(lesions)}
    candidates = CandidateDataset([scan], BrightIsSuspect(), threshold=0.5, patch_size=(8, 8, 4))
    batch = next(iter(DataLoader(candidates, batch_size=2)))
    _, (there, asked) = teacher_batch(batch, torch.device("cpu"), False)
    assert there.flatten(1).any(dim=1).tolist() == [True, True]
    assert there.nonzero().tolist() == [[0, 0, 4, 4, 2], [1, 0, 1, 4, 2]]
    assert asked.tolist() == [1, 0]
    student, _ = make_trainer(None, networks[1])
    assert student.prepare_batch(batch, torch.device("cpu"), False)[1].tolist() == asked.tolist()


def test_teacher_learns_the_centre_and_its_candidates_become_easy(networks):
    teacher, sampler = networks[0], ReplaySampler(Patches(), num_samples=16)
    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=20,
        train_data_loader=DataLoader(Patches(), batch_size=8, sampler=sampler),
        network=teacher,
        optimizer=torch.optim.Adam(teacher.parameters(), lr=1e-3),
        loss_function=MultiTaskLoss(dice_weight=0),
        prepare_batch=teacher_batch,
        train_handlers=[HardNegativeReplay(sampler)],
    ).run()
    assert (sampler.hardness[:3] < 0.5).all()
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=CandidateBatches(Patches(), batch_size=2),
        network=teacher,
        key_val_metric={"auc": ROCAUC(output_transform=patch_odds)},
    )
    for _ in range(2):
        evaluator.run()
        assert evaluator.state.metrics == {"auc": 1}
