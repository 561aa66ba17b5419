"""The benchmark that teaches the sequence gate on real series: people, folds, the last layer, and what is counted."""

import json

import pytest
import torch
from measured import load

from csvd.checks import InputError
from csvd.sequences import SEQUENCES

HEADER = "series\tkind\tclasses\tperson\tpeople\n"
series_real, series_head, series_report, series_mix = (
    load(name) for name in ("series_real", "series_head", "series_report", "series_mix")
)


def known(name, classes, people="a", tags=None):
    return series_real.Known(name, f"{name}.nii", classes[0], tuple(classes), people, people, tags)


def seen(name, classes, people, value, real=True):
    """A series whose features are all ``value``, with a little of its own."""
    features = torch.eye(4)[value].repeat(3, 1) + 0.01 * torch.arange(3)[:, None]
    return series_head.Seen(known(name, classes, people), features, real)


@pytest.fixture
def head():
    """Layer for features of four values that finds all sequences equally likely."""
    layer = torch.nn.Linear(4, len(SEQUENCES))
    for value in layer.parameters():
        torch.nn.init.zeros_(value)
    return layer


def test_series_are_found_with_their_people_and_others_left_out(save_scan, tmp_path, capsys):
    for name in ("data/T1_one.nii.gz", "data/T2_two.nii.gz", "data/other.nii.gz"):
        save_scan(name)
    (tmp_path / "data" / "T2_two.json").write_text(json.dumps({"ScanningSequence": "SE", "EchoTime": 0.1}))
    table = tmp_path / "people.tsv"
    table.write_text(HEADER + "data/T1_\tT1\tT1|T1c\tone\tboth\ndata/T2_\tT2\tT2\ttwo\tboth\n")
    out = tmp_path / "out"
    found = series_real.real_series([tmp_path / "data"], table, out)
    assert [(one.name, one.classes, one.people, one.tags) for one in found] == [
        ("data/T1_one.nii.gz", ("T1", "T1c"), "both", None),
        ("data/T2_two.nii.gz", ("T2",), "both", "T2"),
    ]
    assert "left out: data/other.nii.gz" in capsys.readouterr().out
    assert series_real.real_series([], table, out) == found  # kept


def test_class_that_the_gate_lacks_is_refused(tmp_path):
    table = tmp_path / "people.tsv"
    table.write_text(HEADER + "a\tT1\tT1w\tone\tone\n")
    with pytest.raises(InputError, match=r"people.tsv', series 'a': `classes` must be of T1, .* it has 'T1w'"):
        series_real.read_people(table)


def test_every_class_of_the_table_of_public_series_is_known():
    rows = series_real.read_people(series_real.Path(series_real.__file__).with_name("series_people.tsv"))
    assert len(rows) == 68
    people = {row["person"]: row["people"] for row in rows}
    assert all(people[row["person"]] == row["people"] for row in rows)


def test_simulated_series_and_scans_name_their_sequence(save_scan, tmp_path):
    for name in ("study_T1c", "scan_swi", "scan_qsm", "scan_phase"):
        save_scan(f"sim/{name}.nii.gz")
    scan = {"phase": "scan_phase.nii.gz", "subject": "sub-2"}
    lists = {
        "training": [{"image": "study_T1c.nii.gz", "sequence": "T1c", "kind": "T1c", "subject": "sub-1"}],
        "validation": [],
        "test": [{"image": f"scan_{kind}.nii.gz", **scan} for kind in ("swi", "qsm")],
    }
    (tmp_path / "sim" / "datalist.json").write_text(json.dumps(lists))
    found = series_real.simulated_series([tmp_path / "sim"])
    assert [(one.kind, one.classes, one.people) for one in found] == [
        ("T1c", ("T1c",), "sim sub-1"),
        ("swi", ("SWI",), "sim sub-2"),
        ("phase", ("phase",), "sim sub-2"),
        ("qsm", ("QSM",), "sim sub-2"),
    ]


def test_no_people_are_in_two_folds():
    series = [seen(f"{k}", ["T1"], f"p{k % 7}", 0) for k in range(20)]
    series += [seen(f"s{k}", ["T2"], f"s{k}", 1, real=False) for k in range(5)]
    parts = series_head.folds_of(series, 3)
    assert sum(map(len, parts)) == len(set().union(*parts)) == 12
    for part in parts:
        inside, outside = series_head.apart(series, part)
        assert not {one.series.people for one in inside} & {one.series.people for one in outside}
        assert 6 <= sum(one.real for one in outside) <= 8


def test_groups_weigh_the_same():
    series = [seen("a", ["T1"], "a", 0), seen("b", ["T1"], "b", 0), seen("c", ["T2"], "c", 1)]
    assert series_head.series_weights(series).tolist() == [0.25, 0.25, 0.5]


def test_right_classes_are_right_together():
    mask = series_head.class_mask(known("a", ["T1", "T1c"]))[None]
    loss = series_head.loss_of(torch.zeros(1, len(SEQUENCES)), mask)
    assert float(loss.exp()) == pytest.approx(len(SEQUENCES) / 2)


def test_layer_learns_what_people_have_and_stays_near_to_its_start(head):
    series = [seen(f"{k}{p}", [name], p, k) for k, name in enumerate(("T1", "T2", "DWI", "phase")) for p in "abcd"]
    near, far = (series_head.fit_head(head, series, pull) for pull in (10.0, 0.001))
    assert float(near.weight.detach().abs().max()) < 0.1 < float(far.weight.detach().abs().max())
    assert float(head.weight.detach().abs().max()) == 0  # the start is not touched
    heads = series_mix.cross_validate(head, series, folds=2)
    named = series_mix.Named(series, [heads[one.series.people] for one in series])
    assert all(one.right for one in named.answers(tags=False))


def test_tags_go_before_pixels_and_wrong_ones_are_refused():
    slices = torch.zeros(len(SEQUENCES), 4)
    slices[SEQUENCES.index("DWI")] = 1
    epi = known("a", ["SWI", "T2*-GRE"], tags="T2*-GRE")
    pixels, tags = (series_report.answer(epi, slices, use) for use in (False, True))
    assert (pixels.group, pixels.right, pixels.refused) == ("diffusion", False, True)
    assert (tags.group, tags.right, tags.refused) == ("T2*/SWI", True, False)
    row = series_report.rates("both", [pixels, tags])
    assert row[1].startswith("1 of 2 (0.50 [")
    assert row[3:] == ["1 of 2", "1 of 2", "0 of 0"]
    assert "| SWI | 2 | 1 |" in series_report.confusion([pixels, tags])
    assert "SWI: DWI → DWI" in series_report.by_person([pixels], [tags])


def test_data_list_has_no_people_in_two_sections(tmp_path):
    series = [seen(f"{k}", ["T1"], f"p{k}", 0) for k in range(6)]
    series_mix.write_datalist(series, tmp_path, without=["p0"], folds=2)
    sections = json.loads((tmp_path / "datalist.json").read_text())
    assert [item["subject"] for item in sections["test"]] == ["p0"]
    people = [{item["subject"] for item in items} for items in sections.values()]
    assert sum(map(len, people)) == len(set().union(*people)) == 6
