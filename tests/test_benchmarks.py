"""The commands that measure the detector on scans that no simulator made: what they count, on scans made by hand."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import small
import torch
from measured import load, rows_of, save, scan, write

from csvd.bundles import find_bundle
from csvd.phantom import PROTOCOLS

LESION = {"id": 1, "radius_mm": 1.0, "depth": 0.9, "cnr": 9.0, "location": "cortex", "region": "lobar", "side": "left"}


def test_valdo_pools_and_takes_medians_by_cohort(run, task2, bundle, tmp_path):
    rows = run("valdo", "--root", task2, "--out", tmp_path / "out", "--bundle", bundle)
    number, refused, lesions, tpr, fps, f1, median_f1, count, dice, _, *detected = rows["all"]
    assert (number, refused, lesions, tpr[:4], fps[:4], f1[:4]) == ("3", "0", "3", "0.67", "0.33", "0.67")
    assert (median_f1, count) == ("0.83", "1")  # of 1 and 2/3; of 0, 1, 1
    assert float(dice) > 0.7
    assert detected == ["3", "2", "2.7"]  # the small bundle is sure to 0.9
    assert rows["cohort 1, 3.00 x 3.00 x 3.00 mm"][:3] == ["2", "0", "3"]
    assert rows["without lesions"][4].startswith("1.00")
    assert rows["without lesions"][6] == ""


def test_refused_scan_of_valdo_misses_all(run, task2, bundle, tmp_path):
    image = task2 / "sub-101" / "sub-101_space-T2S_desc-masked_T2S.nii.gz"
    image.write_bytes(b"no scan" * 100)
    rows = run("valdo", "--root", task2, "--out", tmp_path / "out", "--bundle", bundle)
    assert rows["all"][:4] == ["3", "1", "3", rows["all"][3]]
    assert rows["all"][3].startswith("0.33")


def planted_result(folder, detections, lesions):
    """A planted scan and the results of a detector, by points in mm on a grid of 2 mm; return item and results."""
    affine, shape = np.diag([2.0, 2.0, 2.0, 1.0]), (30, 30, 10)
    item = {"subject": "sub-001", "background": "T2_one", "image": str(folder / "sub-001_mag.nii.gz")}
    item["label"] = str(folder / "sub-001_label.nii.gz")
    save(Path(item["image"]), np.full(shape, 100), affine, np.int16)
    mimics = np.zeros(shape)
    mimics[25, 25, 5] = 1
    save(folder / "sub-001_mimics.nii.gz", mimics, affine)
    rows = [
        LESION | {"id": n, **dict(zip(("x_mm", "y_mm", "z_mm"), at, strict=True)), **more} for n, at, more in lesions
    ]
    write(folder / "sub-001_lesions.tsv", rows)
    found = [
        {
            "id": n,
            **dict(zip("ijk", (int(v / 2) for v in at), strict=True)),
            "probability": said,
            "kept": int(said > 0.5),
        }
        | {f"{axis}_mm": value for axis, value in zip("xyz", at, strict=True)}
        for n, (at, said) in enumerate(detections, start=1)
    ]
    write(folder / "results" / "sub-001" / "sub-001_candidates.tsv", found)
    return item, folder / "results" / "sub-001"


@pytest.fixture
def planted_item(tmp_path):
    lesions = [
        (1, (10, 10, 10), {}),
        (2, (30, 30, 10), {"region": "deep", "radius_mm": 2.0}),
        (3, (10, 40, 10), {"cnr": 1}),
    ]
    detections = [((11, 10, 10), 0.9), ((10, 41, 10), 0.8), ((50, 50, 10), 0.7), ((30, 33, 10), 0.3)]
    return planted_result(tmp_path, detections, lesions)


def test_planted_scan_is_scored_by_centres_and_faint_lesions_do_not_count(planted_item):
    shared = load("planted_scans")
    scored = shared.score(*planted_item, least_cnr=4)
    assert scored.counts.tolist() == [2, 1, 2, 1]
    assert scored.found.tolist() == [True, False, True]
    assert scored.false.tolist() == [[25, 25, 5]]
    at = {round(value, 2): row.tolist() for value, row in zip(shared.THRESHOLDS, scored.curve, strict=True)}
    assert (at[0.25], at[0.85]) == ([2, 2, 3, 1], [2, 1, 1, 0])


def test_planted_tables_tell_size_place_and_mimics(planted_item, capsys):
    planted = load("planted")
    planted.print_tables([planted.score(*planted_item, least_cnr=4)], seed=3, least_cnr=4)
    text = capsys.readouterr().out
    rows = rows_of(text)
    assert "Seed 3" in text
    assert rows["all"][:2] == rows["T2"][:2] == ["1", "2"]
    assert rows["all"][-1] == "1.00"
    assert [rows[kind][:2] for kind in ("radius < 1.2 mm", "radius > 1.8 mm", "lobar", "deep", "infratentorial")] == [
        ["1", "1"],
        ["1", "0"],
        ["1", "1"],
        ["1", "0"],
        ["0", "0"],
    ]
    assert rows["vessel"] == ["1"]


def test_planted_runs_from_head_to_pictures(run, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("csvd.transforms.BrainMask.__call__", lambda self, image: (image > 0).float())
    scan(tmp_path / "T2_head.nii.gz")
    how = ("--each", 2, "--lesions", 3, "--mimics", 1, "--pictures", "--bundle", bundle)
    rows = run("planted", tmp_path / "T2_head.nii.gz", "--out", tmp_path / "out", *how)
    assert rows["all"][0] == "2"
    assert rows["`T2_head`"][0] == "2"
    # The microbleed of the head itself is false in both.
    assert len(list((tmp_path / "out" / "pictures").glob("*_false.png"))) == 2
    items = json.loads((tmp_path / "out" / "cohort" / "datalist.json").read_text())["test"]
    assert all("mask" not in item for item in items)


@pytest.mark.slow
def test_weights_are_compared_with_those_of_one_of_their_networks(run, tmp_path, monkeypatch):
    monkeypatch.setattr("csvd.transforms.BrainMask.__call__", lambda self, image: (image > 0).float())
    scan(tmp_path / "T2_head.nii.gz")
    both = find_bundle("cmb_detection") / "models" / "model.pt"
    state = torch.load(both, weights_only=True)
    start = "members.1."
    one = {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
    torch.save(one, tmp_path / "one.pt")
    how = ("--weights", both, tmp_path / "one.pt", "--each", 1, "--cnr", 0)
    rows = run("compare_weights", tmp_path / "T2_head.nii.gz", "--out", tmp_path / "out", *how)
    assert (rows["model.pt"][0], rows["one.pt"][0]) == ("2", "1")
    assert rows["model.pt"][-1].startswith("T2 ")
    copy = torch.load(next(tmp_path.glob("out/1_one/cmb_detection/models/model.pt")), weights_only=True)
    assert copy["bias"] == state["bias"]


def test_planting_again_with_the_seed_gives_the_same_scans(tmp_path, monkeypatch):
    monkeypatch.setattr("csvd.transforms.BrainMask.__call__", lambda self, image: (image > 0).float())
    scan(tmp_path / "T2_head.nii.gz")
    shared = load("planted_scans")
    volumes = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        shared.plant([tmp_path / "T2_head.nii.gz"], tmp_path / name, 1, seed, 3, 0)
        volumes.append(np.asarray(nib.load(tmp_path / name / "sub-001" / "sub-001_label.nii.gz").dataobj))
    assert (volumes[0] == volumes[1]).all()
    assert (volumes[0] != volumes[2]).any()


def test_real_scans_have_a_row_each_and_pictures_of_what_is_found(run, bundle, tmp_path):
    scans = tmp_path / "scans"
    for name in ("T2_a", "T1_b", "GRE_c", "PHASE_d"):
        scan(scans / f"{name}.nii.gz")
    image = nib.load(scans / "GRE_c.nii.gz")
    save(scans / "GRE_c.nii.gz", np.asarray(image.dataobj) * 3, image.affine, np.int16)  # the gate takes it for FLAIR
    write(tmp_path / "s.tsv", [{"name": "T2_a", "subject": "one"}, {"name": "GRE_c", "subject": "two"}])
    how = ("--sources", tmp_path / "s.tsv", "--held-out", "two", "--bundle", bundle, "--out", tmp_path / "out")
    rows = run("real_scans", scans, *how)
    assert rows["`T2_a.nii.gz`"] == ["T2", "3.00 x 3.00 x 3.00", "one", "yes", "", "1", "0.90"]
    assert rows["`GRE_c.nii.gz`"][2:6] == ["two", "no", "refused", "0"]
    assert not {"`T1_b.nii.gz`", "`PHASE_d.nii.gz`"} & set(rows)
    assert rows["all"][:3] == ["2", "1", "1"]
    assert [path.name for path in (tmp_path / "out" / "pictures").iterdir()] == ["T2_a.png"]


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("T2_open-ms-data_L01s1", "T2"),
        ("open-ms-raw-t1-t2-flair/patient01_study1_FLAIR.nii.gz", "FLAIR"),
        ("format-zoo-epi/mgh.mgz", "EPI"),
        ("x/8_gre_field_mapping series 8 'gre_field_mapping', TE 10 ms", "GRE"),
        ("megre-crop-magphase/Phase.nii", "phase"),
        ("scan.nii.gz", "other"),
    ],
)
def test_name_of_a_scan_tells_its_contrast(name, contrast):
    assert load("scored").contrast_of(name) == contrast


def test_picture_shows_the_slices_beside_a_detection(tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    scored, shown = load("scored"), []
    monkeypatch.setattr(plt.Axes, "imshow", lambda self, part, **how: shown.append(part))
    volume = np.arange(40 * 40 * 6).reshape(40, 40, 6)
    path = save(tmp_path / "a.nii.gz", volume, np.diag([1.0, 1.0, 4.0, 1.0]), np.int32)
    scored.draw_sheet(path, torch.tensor([[20, 12, 5]]), ["x"], tmp_path / "a.png")
    whole, *parts = shown
    assert (whole == volume[..., 5].T).all()
    assert [part.shape for part in parts] == [(21, 21)] * 3
    assert [part[10, 10] for part in parts] == [volume[20, 12, 4], volume[20, 12, 5], 0]
    assert (tmp_path / "a.png").exists()


def test_held_out_counts_by_centres_and_by_overlap(planted_item, tmp_path):
    held_out, scored = load("held_out"), load("scored")
    item, result = planted_item
    label, detected = np.zeros((2, 30, 30, 10), dtype=np.int16)
    label[5, 5, 5], label[15, 15, 5], label[5, 20, 5] = 1, 2, 3
    detected[5:7, 5, 5], detected[6, 21, 5], detected[25, 25, 5] = 1, 2, 3
    affine = nib.load(item["image"]).affine
    save(Path(item["label"]), label, affine, np.int16)
    save(result / f"{result.name}_cmb.nii.gz", detected, affine, np.int16)
    found = scored.read_found(result)
    counts, kinds, taken = held_out.score(item, result, found, {1, 2})
    assert counts["distance"].tolist() == [3, 2, 3, 1]
    assert counts["overlap"].tolist() == [3, 1, 3, 2]
    assert [kinds["region", "deep", what] for what in ("lesions", "found", "proposed")] == [1, 0, 1]
    assert [kinds["region", "lobar", what] for what in ("lesions", "found", "proposed")] == [2, 2, 1]
    assert sum(taken.values()) == 1


@pytest.mark.slow
def test_held_out_runs_from_cohort_to_tables(run, bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "patients", small.PROTOCOL)
    how = ("--presets", "patients", "--subjects", 1, "--bundle", bundle, "--out", tmp_path / "out")
    rows = run("held_out", *how, "--seed", 3)
    assert rows["healthy"][:3] == ["1", "0", "overlap"]
    assert rows["all"][:1] == ["3"]
    assert sum(int(rows[kind][2]) for kind in rows if kind.startswith("radius")) == int(rows["all"][1])
