"""Training of the discriminator: the teacher's part, and what comes back."""

import copy

import pytest
import torch
from monai.data import DataLoader

from csvd.engines import DistillationTrainer, HardNegativeReplay
from csvd.inferers import ReplaySampler
from csvd.losses import DistillationLoss
from csvd.networks import MultiTaskTeacher, StudentClassifier

SMALL = {"features": 2, "strides": ((2, 2, 1), (2, 2, 2)), "patch_size": (8, 8, 4)}


class Patches(torch.utils.data.Dataset):
    """Patches that are bright when they hold a microbleed, or, if they ``look`` alike, lie in front."""

    labels = torch.tensor([0, 0, 0, 1, 1])

    def __init__(self, look=True):
        self.look = look

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = torch.rand(2, 8, 8, 4, generator=torch.Generator().manual_seed(index))
        label = self.labels[index]
        position = torch.tensor([0.0, 0.0 if self.look else 2 * label - 1, 0.0])
        return {"image": image + label * self.look, "label": label, "index": index, "position": position}


def make_trainer(teacher, student, patches=None, **arguments):
    patches = patches or Patches()
    sampler = ReplaySampler(patches, num_samples=16)
    trainer = DistillationTrainer(
        teacher=teacher,
        device=torch.device("cpu"),
        max_epochs=20,
        train_data_loader=DataLoader(patches, batch_size=8, sampler=sampler),
        network=student,
        **{
            "optimizer": torch.optim.Adam(student.parameters(), lr=1e-3),
            "loss_function": DistillationLoss(),
            "train_handlers": [HardNegativeReplay(sampler)],
            **arguments,
        },
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


def test_student_is_given_the_positions(networks):
    student, patches = StudentClassifier(see_position=True, **SMALL), Patches(look=False)
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    make_trainer(None, student, patches, loss_function=loss, optimizer=optimizer)[0].run()
    items = [patches[k] for k in range(5)]
    logits = student.eval()(*(torch.stack([item[key] for item in items]) for key in ("image", "position")))
    assert (logits.argmax(dim=1) == patches.labels).all()
