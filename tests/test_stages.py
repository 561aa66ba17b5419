"""Chains of trainings: order, weights that are given, and the calibration at their end."""

import json

import pytest
import torch
from ignite.engine import Engine
from monai.engines import SupervisedTrainer

from csvd.engines import HalfPrecision, Resume, Stage, Stages, load_weights
from csvd.metrics import OPERATING_POINTS, operating_threshold

BATCHES = [{"image": torch.full((2, 1), value), "label": torch.full((2, 1), 2 * value)} for value in (1.0, 2.0)]


class Validation:
    """Handler of a validation that saved, or did not."""

    def __init__(self, validated):
        self.validated = validated


def make_stage(folder, name, save_best=None, weights=None):
    network = torch.nn.Linear(1, 1)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=BATCHES,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=torch.nn.functional.mse_loss,
    )
    Resume(str(folder / f"resume_{name}.pt"), {"network": network}).attach(trainer)
    return Stage(network, trainer, str(folder / f"{name}.pt"), weights, save_best)


def saved(path):
    return torch.load(path, weights_only=True)["weight"].item()


def test_last_weights_are_kept_when_nothing_was_validated(tmp_path):
    stage = make_stage(tmp_path, "detector", Validation(False))
    stage.run()
    assert saved(tmp_path / "detector.pt") == stage.network.weight.item()


def test_best_weights_of_the_validation_are_taken(tmp_path):
    stage = make_stage(tmp_path, "detector", Validation(True))
    torch.save({"weight": torch.tensor([[7.0]]), "bias": torch.zeros(1)}, tmp_path / "detector.pt")
    stage.run()
    assert stage.network.weight.item() == 7


def test_training_stops_when_its_loss_is_no_number(tmp_path):
    stage = make_stage(tmp_path, "detector")
    stage.network.weight.data.fill_(torch.nan)
    with pytest.raises(RuntimeError, match="the loss is nan in iteration 1, epoch 1"):
        stage.run()
    assert not list(tmp_path.iterdir())


def test_given_weights_are_taken_and_nothing_is_trained(tmp_path):
    torch.save({"weight": torch.tensor([[7.0]]), "bias": torch.zeros(1)}, tmp_path / "given.pt")
    stage = make_stage(tmp_path, "detector", weights=str(tmp_path / "given.pt"))
    stage.run()
    assert stage.trainer.state.epoch == 0
    assert saved(tmp_path / "detector.pt") == stage.network.weight.item() == 7


@pytest.mark.parametrize("given", [True, False])
def test_what_a_stage_builds_on_is_loaded_first(tmp_path, given):
    earlier = torch.nn.Linear(1, 1)
    torch.save({"weight": torch.tensor([[7.0]]), "bias": torch.zeros(1)}, tmp_path / "detector.pt")
    stage = make_stage(tmp_path, "student", weights=str(tmp_path / "detector.pt") if given else None)
    stage.builds_on = [(earlier, str(tmp_path / "detector.pt"))]
    stage.run()
    assert earlier.weight.item() == 7


def test_given_weights_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        make_stage(tmp_path, "detector", weights=str(tmp_path / "nowhere.pt")).run()
    with pytest.raises(FileNotFoundError):
        load_weights(torch.nn.Linear(1, 1), tmp_path / "nowhere.pt")


def test_half_of_a_file_is_halved(tmp_path):
    state = {"head.weight": torch.tensor([0.5]), "head.count": torch.tensor(3), "body.weight": torch.tensor([0.1])}
    torch.save(state, tmp_path / "model.pt")
    HalfPrecision(str(tmp_path / "model.pt"), prefix="head.").run()
    halved = torch.load(tmp_path / "model.pt", weights_only=True)
    assert [value.dtype for value in halved.values()] == [torch.float16, torch.int64, torch.float32]
    assert halved["body.weight"] == state["body.weight"]


def test_chain_ends_with_nothing_to_resume(tmp_path):
    stages = [make_stage(tmp_path, name) for name in ("detector", "teacher")]
    files = [str(tmp_path / f"resume_{name}.pt") for name in ("detector", "teacher")]
    Stages(stages[:1], []).run()
    assert (tmp_path / "resume_detector.pt").exists()
    Stages(stages, files).run()
    assert {path.name for path in tmp_path.iterdir()} == {"detector.pt", "teacher.pt"}


def test_each_epoch_draws_the_same_in_a_resumed_training(tmp_path):
    def orders(epochs, engine_orders):
        loader = torch.utils.data.DataLoader(range(8), shuffle=True)
        engine = Engine(lambda engine, batch: engine_orders.setdefault(engine.state.epoch, []).append(int(batch)))
        Resume(str(tmp_path / "resume.pt"), {}).attach(engine)
        torch.manual_seed(len(engine_orders))
        engine.run(loader, max_epochs=epochs)

    whole, broken = {}, {}
    orders(3, whole)
    (tmp_path / "resume.pt").unlink()
    orders(1, broken)
    orders(3, broken)
    assert whole == broken
    assert len({tuple(order) for order in whole.values()}) == 3


def test_threshold_of_an_operating_point_is_read(tmp_path):
    points = {name: {"threshold": 0.1 * number} for number, name in enumerate(OPERATING_POINTS, start=1)}
    (tmp_path / "points.json").write_text(json.dumps({"operating_points": points}))
    assert operating_threshold(tmp_path / "points.json", "sensitivity_90") == pytest.approx(0.2)
    with pytest.raises(ValueError, match="`operating_point` must be one of 'best_f1'"):
        operating_threshold(tmp_path / "points.json", "best")
