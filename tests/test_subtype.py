"""The classifier of a scan: its slices, what it takes for microbleeds, what it says and why."""

import csv
from types import SimpleNamespace

import pytest
import torch

from csvd.engines import CascadeWeights, CovariateStatistics, PredictionWriter, prepare_subjects
from csvd.inferers import CascadeInferer, SliceBag, SliceBagd, SubtypeInferer, gradcam
from csvd.networks import AttentionMIL, SubtypeNetwork

CLASSES = ("aSVD", "CAA", "CADASIL")


class Cascade(torch.nn.Module):
    """Finds a candidate, with a probability of 0.8, wherever the scan is brighter than 1."""

    def __init__(self):
        super().__init__()
        self.anything = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image):
        return torch.cat([torch.zeros_like(image[:, :1]), 10 * image[:, :1] - 10], dim=1)

    def discriminate(self, patches, detected, position):
        return torch.full_like(detected, 0.8)


def slice_bag(threshold=0.5, **size):
    return SliceBag(CascadeInferer(0.5, patch_size=(4, 4, 4)), threshold, **{"size": (32, 40), "max_slices": 6, **size})


@pytest.fixture
def scan():
    """Scan, radial symmetry and microbleeds, (3, 64, 80, 12); one microbleed of 2 voxels a side."""
    image = torch.rand(3, 64, 80, 12, generator=torch.Generator().manual_seed(0))
    image[0, 20:22, 30:32, 5:7] = 3
    image[2] = (image[0] > 1).float()
    return image


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SubtypeNetwork(AttentionMIL(backbone="resnet18", stages=2, features=8), Cascade()).eval()


def test_slices_have_one_size_and_lose_no_microbleed(scan):
    bag = slice_bag()
    slices = bag(scan, scan[2:])
    assert slices.shape == (2, 32, 40, 6)
    assert slices[1, 10, 15].amax() == 1
    torch.testing.assert_close(bag(scan, 0.3 * scan[2:]), slices)  # whatever their probability
    torch.testing.assert_close(slices[0].mean(), scan[0].mean())


def test_few_slices_stay_as_they_are(scan):
    assert slice_bag(max_slices=32)(scan, scan[2:]).shape == (2, 32, 40, 12)
    assert slice_bag()(scan[..., :1], scan[2:, ..., :1]).shape == (2, 32, 40, 1)


def test_given_microbleeds_are_taken_and_others_are_found(scan, network):
    given = scan.clone()
    given[2] = 0
    assert not slice_bag().lesions(given, network.cascade).any()
    asked = scan.clone()
    asked[2] = torch.nan
    torch.testing.assert_close(slice_bag().lesions(asked, network.cascade), 0.8 * scan[2:])  # their probability
    assert not slice_bag(threshold=0.9).lesions(asked, network.cascade).any()


def test_dictionary_version_evaluates_and_gives_the_mode_back(scan, network):
    network.train()
    out = SliceBagd("image", slice_bag(), network.cascade)({"image": scan})
    assert network.cascade.training
    network.eval()
    torch.testing.assert_close(out["image"], slice_bag()(scan, scan[2:]))


def test_found_microbleeds_stand_beside_the_true_ones_when_asked_for(scan, network):
    given = scan.clone()
    given[2] = 0
    given[2, 40, 40, 2] = 1
    out = SliceBagd("image", slice_bag(), network.cascade, found=True)({"image": given})
    torch.testing.assert_close(out["image"], slice_bag()(given, given[2:]))
    torch.testing.assert_close(out["found"], slice_bag()(scan, scan[2:])[1:])
    assert (out["chance"].item(), out["found_chance"].item()) == pytest.approx((1, 0.8))
    assert "found" not in SliceBagd("image", slice_bag(), network.cascade)({"image": given})


def test_found_microbleeds_that_an_item_has_are_taken(scan, network):
    known = torch.zeros_like(scan[:1])
    known[0, 20, 20, 1] = 0.4
    out = SliceBagd("image", slice_bag(), network.cascade, found=True)({"image": scan, "found": known})
    torch.testing.assert_close(out["found"], slice_bag()(scan, known)[1:])
    assert out["found_chance"].item() == pytest.approx(0.4)


def test_what_it_says_of_a_scan_is_on_its_grid(scan, network):
    out = SubtypeInferer(slice_bag())(scan[None], network)
    assert out["logits"].shape == (1, 3)
    for name in ("attention", "gradcam", "lesions"):
        assert out[name].shape == (1, 1, 64, 80, 12)
    assert torch.equal(out["lesions"][0], scan[2:])
    assert 0 <= out["gradcam"].min() <= out["gradcam"].max() <= 1


def test_attention_is_that_of_the_slices(scan, network):
    scan = scan[..., :6]
    bag = slice_bag()
    out = SubtypeInferer(bag)(scan[None], network)
    logits, weight = network.classifier.attend(bag(scan, scan[2:])[None])
    torch.testing.assert_close(out["attention"][0, 0, 5, 5], weight[0])
    torch.testing.assert_close(out["logits"], logits)


def test_age_and_sex_come_with_the_call_or_with_the_inferer(scan, network):
    covariates = torch.tensor([[80.0, 1.0]])
    with_call = SubtypeInferer(slice_bag())(scan[None], network, covariates)["logits"]
    with_inferer = SubtypeInferer(slice_bag(), age=80, sex="M")(scan[None], network)["logits"]
    unknown = SubtypeInferer(slice_bag(), age=0, sex=["unknown", "F", "M"])(scan[None], network)["logits"]
    torch.testing.assert_close(with_call, with_inferer)
    assert not torch.allclose(with_call, unknown)


def test_gradcam_leaves_the_network_as_it_was(scan, network):
    slices = slice_bag()(scan, scan[2:])[None]
    before = network.classifier(slices)
    with torch.no_grad():
        heat = gradcam(slices, network.classifier)
    assert heat.shape == (1, 1, 32, 40, 6)
    assert heat.max() == pytest.approx(1)
    torch.testing.assert_close(network.classifier(slices), before)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_slices_outside_the_brain_have_no_heat(scan, network):
    slices = slice_bag()(scan, scan[2:])[None]
    slices[..., [0, 5]] = 0
    heat = gradcam(slices, network.classifier)
    assert not heat[..., [0, 5]].any()
    torch.testing.assert_close(heat[..., 1:5], gradcam(slices[..., 1:5], network.classifier))


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"threshold": 2}, "threshold"), ({"size": (0, 4)}, "size"), ({"max_slices": 0}, "max_slices")],
)
def test_arguments_out_of_range_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        slice_bag(**settings)


def test_batch_carries_the_covariates_to_the_network():
    batch = {"image": torch.ones(1, 2), "subtype": torch.tensor([2]), "covariates": torch.ones(1, 2)}
    image, subtype, (covariates,), _ = prepare_subjects(batch, device="cpu")
    assert image is not None
    assert subtype.tolist() == [2]
    assert covariates.tolist() == [[1, 1]]
    assert prepare_subjects({key: batch[key] for key in ("image", "covariates")}, device="cpu")[1] is None


def test_mean_of_the_training_stands_in_for_what_is_not_known(network):
    people = [{"age": 60, "sex": "F"}, {"age": 80, "sex": "M"}, {"age": 70}, {"sex": "M"}]
    CovariateStatistics([network.classifier], [{"image": "a.nii", **who} for who in people], CLASSES)(None)
    assert network.classifier.age_mean == 70
    assert network.classifier.age_std == 10
    assert network.classifier.sex_mean == pytest.approx(2 / 3)


def test_nobody_known_changes_no_statistics(network):
    before = network.classifier.age_mean.clone()
    CovariateStatistics([network.classifier], [{"image": "a.nii"}], CLASSES)(None)
    assert network.classifier.age_mean == before


def test_cascade_is_loaded_from_its_own_weights_or_from_a_whole(network, tmp_path):
    torch.save({"anything": torch.tensor([5.0])}, tmp_path / "own.pt")
    torch.save({"cascade.anything": torch.tensor([6.0]), "classifier.x": torch.zeros(1)}, tmp_path / "whole.pt")
    CascadeWeights(network.cascade, tmp_path / "own.pt")(None)
    assert network.cascade.anything == 5
    CascadeWeights(network.cascade, tmp_path / "whole.pt")(None)
    assert network.cascade.anything == 6


def test_predictions_say_what_was_not_known(tmp_path):
    writer = PredictionWriter(tmp_path / "predictions.tsv", CLASSES)
    [row] = predicted(writer, 1.0, tmp_path)
    said = {"aSVD": "0.1", "CAA": "0.7", "CADASIL": "0.2"}
    assert row == {"subject": "sub-1", "csvd": "CAA", **said, "reason": "", "imputed": "age"}


def predicted(writer, chance, folder):
    """Write the predictions of a subject who has a microbleed with this probability, and return their rows."""
    item = {"subject": "sub-1", "subtype": torch.tensor(1), "covariates": torch.tensor([torch.nan, 1])}
    item["chance"] = torch.tensor([chance])
    state = SimpleNamespace(batch=[item], output=[{"pred": torch.tensor([0.1, 0.7, 0.2])}])
    writer.collect(SimpleNamespace(state=state))
    writer.write()
    with (folder / "predictions.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize("chance", [0.0, 0.49])
@pytest.mark.parametrize(("always", "said"), [(False, "n/a"), (True, "0.7")])
def test_subject_without_a_likely_microbleed_is_predicted_only_when_asked(tmp_path, chance, always, said):
    writer = PredictionWriter(tmp_path / "predictions.tsv", CLASSES, always=always)
    [row] = predicted(writer, chance, tmp_path)
    assert row["CAA"] == said
    assert bool(row["reason"]) is not always


@pytest.mark.slow
def test_heat_and_attention_rise_where_the_lesions_are():
    torch.manual_seed(0)
    classifier = AttentionMIL(num_classes=2, backbone="resnet18", stages=1, features=16)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=3e-3)

    def scans(ill):
        slices = torch.rand(8, 2, 32, 40, 6)
        slices[:, 1] = 0
        at = [(int(torch.randint(4, 24, ())), int(torch.randint(4, 32, ())), int(torch.randint(6, ()))) for _ in ill]
        for scan, (i, j, k), has in zip(slices, at, ill, strict=True):
            if has:
                scan[:, i : i + 4, j : j + 4, k] = 2
        return slices, at

    for _ in range(40):
        ill = torch.rand(8) < 0.5
        loss = torch.nn.functional.cross_entropy(classifier(scans(ill)[0]), ill.long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    classifier.eval()
    slices, at = scans(torch.ones(8))
    logits, attention = classifier.attend(slices)
    assert (logits.argmax(dim=1) == 1).all()
    for scan, share, (i, j, k) in zip(slices, attention, at, strict=True):
        heat = gradcam(scan[None], classifier)[0, 0]
        assert heat[i : i + 4, j : j + 4, k].mean() > 3 * heat.mean()
        assert share[k] == share.max()
