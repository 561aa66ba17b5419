"""Groups of handlers: what one item of a config's list attaches."""

import logging

import pytest
import torch
from ignite.engine import Engine

from csvd.engines import TrainerHandlers, loss_of


def handlers(folder, **settings):
    """Return the handlers of a training of one weight."""
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    lr_scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    return TrainerHandlers(network, optimizer, lr_scheduler, str(folder / "resume.pt"), **settings)


def trained(group, epochs=2):
    """Run a trainer of ten iterations an epoch, whose loss is 1."""
    optimizer = group.handlers[0].lr_scheduler.optimizer
    trainer = Engine(lambda engine, batch: {"loss": optimizer.step() or 1.0})
    group.attach(trainer)
    trainer.run(list(range(10)), max_epochs=epochs)
    return optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(("log_every", "lines"), [(1, 20), (5, 4)])
def test_log_has_a_line_every_so_many_iterations(tmp_path, monkeypatch, log_every, lines):
    logged = []
    monkeypatch.setattr(logging.getLogger("monai.handlers.StatsHandler"), "info", logged.append)
    trained(handlers(tmp_path, log_every=log_every))
    assert sum("Iter: " in text for text in logged) == lines


@pytest.mark.parametrize(("epoch_level", "rate"), [(True, 0.5**2), (False, 0.5**20)])
def test_schedule_moves_with_epochs_or_with_iterations(tmp_path, epoch_level, rate):
    assert trained(handlers(tmp_path, epoch_level=epoch_level)) == rate


def test_training_that_is_started_again_goes_on_where_it_was(tmp_path):
    trained(handlers(tmp_path), epochs=2)
    assert trained(handlers(tmp_path), epochs=3) == 0.5**3


def test_patience_needs_a_validation_and_logs_a_positive_interval(tmp_path):
    with pytest.raises(ValueError, match="`patience` counts from the best validation: give an `evaluator` too, got 3"):
        handlers(tmp_path, patience=3)
    with pytest.raises(ValueError, match="`log_every` must be above 0, got 0"):
        handlers(tmp_path, log_every=0)


@pytest.mark.parametrize(
    "output", [{"loss": torch.tensor(2.0)}, [{"loss": 2.0}, {"loss": 2.0}]], ids=["one", "decollated"]
)
def test_loss_is_logged_whether_outputs_are_decollated_or_not(output):
    assert loss_of(output) == 2
