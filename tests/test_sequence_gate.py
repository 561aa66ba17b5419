"""Sequence gate: what a series is called, by its pixels, by its tags, and what may go to the detector."""

import csv
import json
from types import SimpleNamespace

import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from csvd.checks import InputError
from csvd.engines import series_output
from csvd.handlers import SeriesTable
from csvd.inferers import SeriesInferer, series_gradcam
from csvd.io import Case, ReadSequenced, read_sidecar, sequence_of_tags
from csvd.sequences import GROUPS, SEQUENCES, SUITABLE
from csvd.transforms import NameSequenced
from csvd.workflows.gate import SequenceGate, SortedSeries, check_sequence, find_series, resolve_sequence, sort_study

CLASSES = ("T1", "SWI", "QSM")
TAGS = {
    "SWI": {"ImageType": ["ORIGINAL", "PRIMARY", "M", "SWI"], "ScanningSequence": "GR", "EchoTime": 0.02},
    "phase": {"ImageType": ["ORIGINAL", "P"], "ScanningSequence": "GR", "EchoTime": 0.02},
    "QSM": {"SeriesDescription": "QSM_recon", "ScanningSequence": "GR"},
    "T2*-GRE": {"ScanningSequence": "GR", "EchoTime": 0.025, "MagneticFieldStrength": 1.5},
    "DWI": {"ImageType": ["DERIVED", "DIFFUSION", "ADC"], "ScanningSequence": "EP", "EchoTime": 0.07},
    "FLAIR": {"ScanningSequence": "SE\\IR", "EchoTime": 0.12, "InversionTime": 2.5},
    "T1": {"ScanningSequence": "GR\\IR", "EchoTime": 0.003, "InversionTime": 0.9},
    "T2": {"ScanningSequence": "SE", "EchoTime": 0.1, "RepetitionTime": 5},
    "other": {"ImageType": ["ORIGINAL", "ASL"], "ScanningSequence": "EP", "EchoTime": 0.011},
}


@pytest.mark.parametrize("sequence", TAGS)
def test_tags_name_the_sequence(sequence):
    assert sequence_of_tags(TAGS[sequence]) == sequence


@pytest.mark.parametrize(
    ("tags", "sequence"),
    [
        ({}, None),
        ({"ScanningSequence": "GR", "EchoTime": 0.004}, None),  # T1 or density
        ({"ScanningSequence": "GR", "EchoTime": 0.01, "MagneticFieldStrength": 1.5}, None),
        ({"ScanningSequence": "EP", "EchoTime": 0.03}, "T2*-GRE"),
        ({"ScanningSequence": "EP", "SequenceName": "epse2d1_72", "EchoTime": 0.07}, "DWI"),
        ({"ScanningSequence": "SE", "EchoTime": 0.015, "RepetitionTime": 0.5}, "T1"),
        ({"ScanningSequence": "SE", "EchoTime": 0.015, "RepetitionTime": 4}, None),  # density
        ({"ScanningSequence": "SE\\IR", "EchoTime": 0.01, "InversionTime": 2}, None),
        ({"Modality": "CT"}, "other"),
    ],
)
def test_tags_that_fit_several_do_not_decide(tags, sequence):
    assert sequence_of_tags(tags) == sequence


def test_tags_are_read_beside_the_image(tmp_path):
    image = tmp_path / "sub-1_T2star.nii.gz"
    assert sequence_of_tags(read_sidecar(image)[0]) is None
    sidecar = tmp_path / "sub-1_T2star.json"
    sidecar.write_text(json.dumps(TAGS["T2*-GRE"]))
    assert sequence_of_tags(read_sidecar(image)[0]) == "T2*-GRE"
    for broken in ("[1]", "{"):
        sidecar.write_text(broken)
        assert sequence_of_tags(read_sidecar(image)[0]) is None


def named(*slices):
    """Name a series by the probabilities of its slices."""
    return NameSequenced(CLASSES, wanted=("SWI", "QSM"))({"pred": torch.tensor(slices).T})


def test_most_slices_name_the_series():
    said = named([0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.1, 0.9, 0.0])
    assert (said["sequence"], said["votes"]) == ("unsure", 2)  # at 0.43
    said = named([0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.9, 0.0])
    assert (said["sequence"], said["votes"]) == ("T1", 2)
    assert said["probability"] == pytest.approx(0.6)
    assert said["suitable"] == pytest.approx(0.4)


def test_the_mean_decides_between_equal_votes():
    assert named([0.55, 0.45, 0.0], [0.0, 1.0, 0.0])["sequence"] == "SWI"


def test_sequences_that_look_alike_vote_together():
    slices = torch.tensor([[0.3, 0.3, 0.4], [0.3, 0.35, 0.35]]).T
    said = NameSequenced(("T1", "T1c", "FLAIR"), wanted=())({"pred": slices})
    assert (said["sequence"], said["votes"]) == ("T1c", 2)
    assert said["probability"] == pytest.approx(0.625)


def test_abstaining_needs_a_probability():
    with pytest.raises(ValueError, match="abstain"):
        NameSequenced(CLASSES, wanted=(), abstain=2)


def test_every_slice_is_looked_at():
    class Brightness(nn.Module):
        def forward(self, slices):
            mean = slices.mean(dim=(1, 2, 3))
            return torch.stack([mean, -mean], dim=1)

    series = torch.tensor([5.0, -5.0, 5.0]).expand(2, 1, 4, 4, 3)
    probability = SeriesInferer()(series, Brightness())
    assert probability.shape == (2, 2, 3)
    assert (probability[:, 0] > 0.99).tolist() == [[True, False, True]] * 2


def test_output_for_metrics_is_the_mean_over_slices():
    item = {"pred": torch.tensor([[0.2, 0.4], [0.8, 0.6]]), "label": 1}  # MONAI makes a number of a scalar
    log_probability, label = series_output([item])
    torch.testing.assert_close(log_probability.exp(), torch.tensor([[0.3, 0.7]]))
    assert label.tolist() == [1]


def test_labels_are_numbers_of_sequences():
    read = ReadSequenced(CLASSES)
    assert int(read({"image": "a.nii", "sequence": "QSM"})["label"]) == 2
    with pytest.raises(InputError, match=r"a.nii.*`sequence` must be one of T1, SWI, QSM, it is 'SW'"):
        read({"image": "a.nii", "sequence": "SW"})


def test_table_has_a_row_a_series(tmp_path):
    table = SeriesTable(tmp_path / "out" / "sequences.tsv")
    seen = {**named([0.1, 0.9, 0.0]), "image": MetaTensor(torch.zeros(1), meta={"filename_or_obj": "a.nii"})}
    table.collect(SimpleNamespace(state=SimpleNamespace(output=[seen])))
    table.write()
    with (tmp_path / "out" / "sequences.tsv").open() as file:
        assert list(csv.DictReader(file, delimiter="\t")) == [
            {"image": "a.nii", "sequence": "SWI", "probability": "0.9", "votes": "1", "suitable": "0.9"}
        ]


def test_heat_is_where_the_network_looked():
    class Brightness(nn.Module):
        """What is bright speaks for the second class."""

        def __init__(self):
            super().__init__()
            self.backbone = nn.Conv2d(1, 1, 1, bias=False)
            nn.init.ones_(self.backbone.weight)

        def forward(self, slices):
            bright = self.backbone(slices).sum(dim=(1, 2, 3))
            return torch.stack([torch.zeros_like(bright), bright], dim=1)

    series = torch.zeros(1, 16, 16, 2)
    series[0, 2:5, 9:12, 1] = 1
    heat = series_gradcam(series, Brightness().eval(), layer="backbone")
    torch.testing.assert_close(heat, series)


def test_groups_and_contrasts_are_of_known_sequences():
    assert set(GROUPS) == set(SEQUENCES)
    assert set(SUITABLE) < set(SEQUENCES)


def seen(sequence, suitable=0.0, probability=0.9):
    """Return what the evaluator gives of a series."""
    return {"sequence": sequence, "probability": probability, "votes": 12, "suitable": suitable}


@pytest.mark.parametrize(
    ("said", "tags", "sequence", "contrast", "warning"),
    [
        (seen("SWI", 0.95), None, "SWI", "dark", ""),
        (seen("QSM", 0.95), None, "QSM", "bright", ""),
        (seen("T1"), None, "T1", None, ""),
        (seen("unsure", 0.6, 0.4), None, "unsure", "dark", "do not show which sequence it is"),
        (seen("unsure", 0.3, 0.4), None, "unsure", None, "do not show which sequence it is"),
        (seen("T1"), "T2*-GRE", "T2*-GRE", "dark", "by its DICOM tags it is T2*-GRE, its pixels look like T1"),
        (seen("SWI", 0.95), "T2*-GRE", "T2*-GRE", "dark", ""),
        (seen("SWI", 0.95), "T2", "T2", None, "by its DICOM tags it is T2, its pixels look like SWI"),
    ],
)
def test_tags_go_before_pixels(said, tags, sequence, contrast, warning):
    one = resolve_sequence(said, tags)
    assert (one.sequence, one.contrast) == (sequence, contrast)
    assert warning in one.warning
    assert bool(warning) == bool(one.warning)


@pytest.mark.parametrize("sequence", ["T1", "T1c", "FLAIR", "DWI", "phase", "other"])
def test_other_sequences_are_refused_when_pixels_are_almost_sure(tmp_path, sequence):
    case = Case("a", tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"a.nii.*it looks like .* \(probability 0.96, 12 slices\).*--any-sequence"):
        check_sequence(case, resolve_sequence(seen(sequence, probability=0.96), None))
    searched = check_sequence(case, resolve_sequence(seen(sequence, probability=0.94), None))
    assert searched.contrast == "dark"
    assert f"it looks like {sequence} (probability 0.94, 12 slices): check that it is the right" in searched.warnings[0]


def test_tags_of_other_sequences_refuse_unless_any_is_asked_for(tmp_path):
    case, named = Case("a", tmp_path / "a.nii"), resolve_sequence(seen("SWI", 0.9), "DWI")
    with pytest.raises(InputError, match=r"it looks like DWI \(DICOM tags\)"):
        check_sequence(case, named)
    assert check_sequence(case, named, any_sequence=True).contrast == "dark"
    assert check_sequence(case, resolve_sequence(seen("QSM", 0.9), None), any_sequence=True).contrast == "bright"


def test_bright_fluid_refuses_no_scan(tmp_path):
    """T2*-weighted gradient echo of patients looks like T2-weighted spin echo."""
    case = check_sequence(Case("a", tmp_path / "a.nii"), resolve_sequence(seen("T2", probability=0.99), None))
    assert (case.contrast, len(case.warnings)) == ("dark", 1)


def test_contrast_is_the_users_before_the_sequences(tmp_path):
    case, named = Case("a", tmp_path / "a.nii"), resolve_sequence(seen("QSM", 0.9), None)
    assert check_sequence(case, named).contrast == "bright"
    assert check_sequence(case, named, contrast="dark").contrast == "dark"
    assert check_sequence(Case("a", tmp_path / "a.nii", contrast="dark"), named).contrast == "dark"
    assert check_sequence(case, named).notes == ["sequence: QSM (probability 0.90, 12 slices)"]


@pytest.mark.parametrize(
    ("name", "tags", "listed", "swi"),
    [
        ("a_swi.nii", "T2*-GRE", None, True),  # SWI is made from a gradient echo
        ("a.nii", "T2*-GRE", None, False),
        ("a.nii", "SWI", None, True),
        ("a_swi.nii", None, None, True),
        ("a_swi.nii", "SWI", "T2*-GRE", False),
    ],
)
def test_a_scan_is_swi_by_data_list_or_tags_or_name(name, tags, listed, swi, tmp_path):
    case = Case("a", tmp_path / name, sequence=listed)
    assert check_sequence(case, resolve_sequence(seen("T2*-GRE", 0.9), tags)).is_swi == swi


@pytest.mark.parametrize("suitable", [0.6, 0.3])
def test_unsure_series_pass_with_one_warning(tmp_path, suitable):
    case = check_sequence(Case("a", tmp_path / "a.nii"), resolve_sequence(seen("unsure", suitable, 0.4), None))
    assert case.contrast == "dark"
    assert case.warnings == [
        "its pixels do not show which sequence it is (highest probability 0.40): check that it is SWI, T2*-weighted or "
        "QSM"
    ]


def test_series_are_found_in_subfolders(save_scan, tmp_path):
    save_scan("study/T1/a.nii.gz")
    save_scan("study/b.nii")
    save_scan("study/.hidden/c.nii")
    broken = tmp_path / "study" / "dicom"
    broken.mkdir()
    (broken / "one.dcm").write_bytes(b"\0" * 128 + b"DICM")
    found = list(find_series(tmp_path / "study", tmp_path))
    assert [one.name for one in found] == ["b.nii", "T1/a.nii.gz", "dicom"]
    assert isinstance(found[2], SortedSeries)
    assert "must hold images, none of them can be read" in found[2].reason


def test_folders_without_series_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        sort_study(tmp_path / "none", tmp_path)


def test_bundles_without_a_gate_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no configs/sequence_inference\.json"):
        SequenceGate(tmp_path)


def test_data_of_the_shipped_config_fit(tmp_path):
    from small import DETECTION

    config = json.loads((DETECTION / "configs" / "sequence_inference.json").read_text())
    assert tuple(config["sequences"]) == SEQUENCES
    assert set(config["wanted"]) == set(SUITABLE)
