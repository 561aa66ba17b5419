"""Handlers: resuming, keeping the best, stopping early."""

import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import IgniteMetricHandler, from_engine

from csvd.engines import EarlyStop, Resume, SaveBest
from csvd.metrics import FROCMetric

BATCHES = [{"image": torch.full((2, 1), value), "label": torch.full((2, 1), 2 * value)} for value in (1.0, 2.0)]


def train(folder, epochs, die_after=None):
    """Fit y = 2x with momentum; return the weight. ``die_after`` raises when that epoch has been saved."""
    torch.manual_seed(0)
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    state = {"network": network, "optimizer": optimizer, "lr_scheduler": schedule}
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=BATCHES,
        network=network,
        optimizer=optimizer,
        loss_function=torch.nn.functional.mse_loss,
    )
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: schedule.step())
    Resume(str(folder / "resume.pt"), state).attach(trainer)
    if die_after:

        def die(engine):
            raise KeyboardInterrupt

        trainer.add_event_handler(Events.EPOCH_COMPLETED(once=die_after), die)
        with pytest.raises(KeyboardInterrupt):
            trainer.run()
    else:
        trainer.run()
    return network.weight.item(), trainer.state


def test_resumed_training_ends_where_an_unbroken_one_does(tmp_path):
    unbroken, _ = train(tmp_path / "a", 6)
    train(tmp_path / "b", 6, die_after=3)
    resumed, state = train(tmp_path / "b", 6)
    assert resumed == pytest.approx(unbroken, abs=1e-7)
    assert (state.epoch, state.iteration) == (6, 12)


def test_finished_training_is_not_repeated(tmp_path):
    first, _ = train(tmp_path, 2)
    again, state = train(tmp_path, 2)
    assert (again, state.epoch) == (first, 2)


def evaluator(values):
    """Evaluator whose key metric takes ``values`` in turn."""
    values = iter(values)

    class Metric:
        def attach(self, engine, name):
            engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e: e.state.metrics.update({name: next(values)}))

    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=BATCHES,
        network=torch.nn.Linear(1, 1),
        key_val_metric={"f1": Metric()},
    )


def test_only_better_weights_are_saved(tmp_path):
    network = torch.nn.Linear(1, 1)
    engine = evaluator([0.5, 0.4, 0.6])
    SaveBest(network, str(tmp_path / "model.pt")).attach(engine)
    saved = []
    for epoch, value in enumerate((1.0, 2.0, 3.0), start=1):
        torch.nn.init.constant_(network.weight, value)
        engine.run(epoch)
        saved.append(torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item())
    assert saved == [1, 1, 3]


def test_a_metric_that_is_no_number_is_not_the_best(tmp_path, caplog):
    caplog.set_level("WARNING")
    engine = evaluator([float("nan"), 0.1])
    best = SaveBest(torch.nn.Linear(1, 1), str(tmp_path / "model.pt"))
    best.attach(engine)
    engine.run(1)
    assert not best.validated
    assert "f1 is no number" in caplog.text
    engine.run(2)
    assert best.validated


def test_weights_are_chosen_on_scans_without_lesions(tmp_path):
    """The network marks as many voxels as its weight says: 3, 1 and 2 false positives; then patience ends."""
    network = torch.nn.Linear(1, 1)

    class Marks(torch.nn.Module):
        def forward(self, image):
            out = torch.zeros(1, 1, 9, 3, 3)
            out[0, 0, : 2 * int(network.weight) : 2, 1, 1] = 0.9
            return out

    scan = {"image": torch.zeros(1, 9, 3, 3), "label": torch.zeros(1, 9, 3, 3)}
    metric = IgniteMetricHandler(metric_fn=FROCMetric([0.5]), output_transform=from_engine(["pred", "label"]))
    validation = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader([scan], batch_size=1),
        network=Marks(),
        key_val_metric={"froc": metric},
    )
    best = SaveBest(network, str(tmp_path / "model.pt"))
    best.attach(validation)
    trainer = Engine(lambda engine, batch: None)

    def validate(engine):
        torch.nn.init.constant_(network.weight, [3, 1, 2, 2, 2][engine.state.epoch - 1])
        validation.run(engine.state.epoch)

    trainer.add_event_handler(Events.EPOCH_COMPLETED, validate)
    EarlyStop(validation, patience=2).attach(trainer)
    assert trainer.run(BATCHES, max_epochs=5).epoch == 4
    assert best.state_dict() == {"metric": -1, "epoch": 2}
    assert torch.load(tmp_path / "model.pt", weights_only=True)["weight"].item() == 1


def test_best_value_outlives_a_restart(tmp_path):
    engine, again = evaluator([0.5]), evaluator([0.4])
    first = SaveBest(torch.nn.Linear(1, 1), str(tmp_path / "model.pt"))
    second = SaveBest(torch.nn.Linear(1, 1), str(tmp_path / "other.pt"))
    first.attach(engine)
    second.attach(again)
    engine.run(1)
    second.load_state_dict(first.state_dict())
    again.run(2)
    assert not (tmp_path / "other.pt").exists()


def test_training_stops_when_patience_ends():
    validation = evaluator([0.9, 0.1, 0.1, 0.1, 0.1, 0.1])
    trainer = Engine(lambda engine, batch: None)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: validation.run(engine.state.epoch))
    EarlyStop(validation, patience=3).attach(trainer)
    assert trainer.run(BATCHES, max_epochs=6).epoch == 4


def test_patience_must_be_positive():
    with pytest.raises(ValueError, match="`patience` must be above 0"):
        EarlyStop(evaluator([]), patience=0)
