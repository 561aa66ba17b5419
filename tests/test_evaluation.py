"""``csvd evaluate detection``: what the small bundle finds in scans made by hand, against masks and points."""

import csv
import json

import numpy as np
import pytest
from measured import FIRST, SECOND, rows_of, save, scan, write
from small_bundle import SHAPE

from csvd.bundles import find_bundle
from csvd.experiments import as_json


@pytest.fixture
def cohort(tmp_path):
    """Function that writes a cohort of scans with one microbleed each, by what their items say, and returns it."""

    def write_cohort(*items, name="cohort"):
        folder, listed = tmp_path / name, []
        for number, item in enumerate(items):
            image = folder / f"{item.pop('name', number)}_swi.nii.gz"
            marked, affine = scan(image)
            if "label" in item:
                save(folder / f"{number}_label.nii.gz", item["label"](marked), affine)
                item["label"] = f"{number}_label.nii.gz"
            listed.append({"image": image.name, "case": f"scan{number}", "contrast": "dark", **item})
        (folder / "datalist.json").write_text(json.dumps({"test": listed}))
        return folder

    return write_cohort


@pytest.fixture
def evaluate(csvd, bundle, tmp_path):
    """Function that evaluates cohorts; returns the exit code, the JSON and the lines of errors."""

    def run(*cohorts, **how):
        options = [word for key, value in how.items() for word in (f"--{key}", value)]
        code, out, errors = csvd(
            "evaluate", "detection", *cohorts, "--bundle", bundle, "--out", tmp_path / "rates", *options, "--json"
        )
        return code, json.loads(out) if out else None, errors

    return run


def same(marked):
    return marked


def none(marked):
    return marked * 0


def test_first_middle_and_last_scan_are_scored_by_their_own_truth(cohort, evaluate, tmp_path):
    shifted = {"label": lambda marked: _box((2, 2, 2))}
    code, document, _ = evaluate(cohort({"label": same}, {"label": none}, shifted))
    [figures] = document["cohorts"]
    assert code == 0
    assert [(one["case"], one["lesions"], one["found_distance"]) for one in figures["each"]] == [
        ("scan0", 1, 1),
        ("scan1", 0, 0),
        ("scan2", 1, 0),
    ]
    assert [one["false_distance"] for one in figures["each"]] == [0, 1, 1]
    assert (figures["scans"], figures["failed"], figures["without_lesions"]) == (3, 0, 1)
    assert list(figures["rates"]) == ["distance", "strict", "overlap"]
    assert figures["rates"]["distance"]["tpr"]["value"] == 0.5
    assert figures["rates"]["distance"]["median_f1"]["value"] == 0.5
    assert (figures["valdo"]["f1"]["median"], figures["valdo"]["f1"]["scans"]) == (0.5, 2)
    assert (figures["valdo"]["count_difference"]["median"], figures["valdo"]["count_difference"]["scans"]) == (0, 3)
    assert figures["each"][1]["dice"] is None
    assert figures["agreement"]["count"]["bias"] == pytest.approx(1 / 3)
    assert json.loads((tmp_path / "rates" / "rates.json").read_text()) == document


def _box(size):
    """Mask of the small scans with a box in a corner."""
    mask = np.zeros(SHAPE)
    mask[tuple(slice(0, n) for n in size)] = 1
    return mask


def test_volumes_are_those_of_the_table_of_lesions(cohort, evaluate, tmp_path):
    _, document, _ = evaluate(cohort({"label": same}))
    [scanned] = document["cohorts"][0]["each"]
    table = tmp_path / "rates" / "results" / "cohort" / "scan0" / "scan0_lesions.tsv"
    with table.open() as file:
        volumes = [float(row["volume_mm3"]) for row in csv.DictReader(file, delimiter="\t")]
    assert scanned["reported_mm3"] == pytest.approx(sum(volumes))
    assert scanned["volume_mm3"] == pytest.approx(4 / 3 * 3.14159 * 5**3, rel=0.15)  # a ball of 5 mm, in voxels of 3 mm


def test_large_lesions_are_in_no_count_and_touching_ones_are_two(cohort, csvd, bundle, tmp_path, monkeypatch):
    def detected(datalist, out, *_, **__):
        """Two lesions that touch, of which the table knows the volumes, and one that is no microbleed."""
        boxes = {1: (0, 2), 2: (2, 4), 5: (10, 20)}
        marked, rows = np.zeros(SHAPE), []
        for number, (start, stop) in boxes.items():
            marked[start:stop, :2, :2] = number
            place = dict.fromkeys(("x_mm", "y_mm", "z_mm"), 0)
            rows.append({"id": number, **place, "volume_mm3": 7.5, "probability": 0.9, "large": int(number == 5)})
        for name in ("cmb", "prob"):
            save(out / "scan0" / f"scan0_{name}.nii.gz", marked > 0 if name == "prob" else marked, np.eye(4))
        for name in ("lesions", "candidates"):
            write(out / "scan0" / f"scan0_{name}.tsv", rows)
        return [{"case": "scan0", "status": "ok", "contrast": "dark", "threshold": 0.5}]

    monkeypatch.setattr("csvd.experiments.evaluation.detect", detected)
    options = ("--bundle", bundle, "--out", tmp_path / "rates", "--json")
    _, out, _ = csvd("evaluate", "detection", cohort({"label": lambda marked: _box((2, 2, 2))}), *options)
    [one] = json.loads(out)["cohorts"][0]["each"]
    assert (one["lesions"], one["detections"], one["found_distance"], one["false_distance"]) == (1, 2, 1, 1)
    assert one["reported_mm3"] == 15


def test_points_are_matched_by_distance_and_the_rest_is_unknown(cohort, evaluate, tmp_path):
    near, far = (FIRST[0] + 4, *FIRST[1:]), SECOND
    code, document, _ = evaluate(cohort({"points": [near]}, {"points": [far]}, {"points": []}))
    [figures] = document["cohorts"]
    assert code == 0
    assert [one["found_distance"] for one in figures["each"]] == [1, 0, 0]
    assert [one["false_distance"] for one in figures["each"]] == [0, 1, 1]
    assert figures["rates"]["strict"] is figures["rates"]["overlap"] is None
    for one in figures["each"]:
        assert [one[key] for key in ("dice", "volume_mm3", "found_strict", "false_overlap")] == [None] * 4
    assert [figures["valdo"][key]["median"] for key in ("dice", "volume_difference_mm3")] == [None, None]
    assert figures["valdo"]["f1"]["median"] == 0.5
    assert {(one["lesions"], one["found"], one["sensitivity"]["value"]) for one in figures["sizes"]} == {(None,) * 3}
    assert figures["agreement"]["volume_mm3"] == {"bias": None, "low": None, "high": None, "scans": 0}
    text = (tmp_path / "rates" / "rates.md").read_text()
    assert "| cohort | strict | 0.5000 | 0 | n/a | n/a | n/a | n/a | n/a | n/a |" in text
    assert "| cohort | < 2 | n/a | n/a | n/a |" in text
    assert "nan" not in text
    with (tmp_path / "rates" / "scans.tsv").open() as file:
        assert {row["dice"] for row in csv.DictReader(file, delimiter="\t")} == {"n/a"}


def test_centres_of_boxes_are_points(cohort, evaluate):
    box = [-FIRST[0], -FIRST[1], FIRST[2], 10, 10, 10]  # LPS
    _, document, _ = evaluate(cohort({"box": [box], "label": same}))
    assert document["cohorts"][0]["each"][0]["found_distance"] == 1


def test_masks_and_points_in_one_cohort_count_by_the_rules_that_they_allow(cohort, evaluate):
    _, document, _ = evaluate(cohort({"label": same}, {"points": [FIRST]}))
    rates = document["cohorts"][0]["rates"]
    assert [rates[rule]["subjects"] for rule in ("distance", "strict", "overlap")] == [2, 1, 1]
    assert document["cohorts"][0]["valdo"]["dice"]["scans"] == 1


def test_failed_scan_counts_with_nothing_found_and_is_named(cohort, evaluate):
    code, document, errors = evaluate(cohort({"label": same}, {"label": same, "name": "failsnetwork"}))
    figures = document["cohorts"][0]
    assert code == 1
    assert [line for line in errors if line.startswith("scan1: failed: internal error, ZeroDivisionError")]
    assert figures["failed"] == 1
    assert (figures["each"][1]["lesions"], figures["each"][1]["detections"], figures["each"][1]["f1"]) == (1, 0, 0)
    assert figures["rates"]["distance"]["tpr"]["value"] == 0.5


def test_nothing_is_said_of_a_cohort_where_every_scan_fails(cohort, evaluate, tmp_path):
    code, document, errors = evaluate(cohort({"label": same, "name": "failsnetwork"}))
    assert (code, document, len(errors)) == (2, None, 1)
    assert not (tmp_path / "rates" / "rates.md").exists()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({}, "0_swi.nii.gz' must have a `label` or `points` to be evaluated"),
        ({"points": [[500.0, 0, 0]]}, "lies outside it, at [500.0, 0.0, 0.0] mm (RAS)"),
        ({"label": lambda marked: marked[1:]}, "0_label.nii.gz"),
    ],
)
def test_wrong_truth_is_said_before_any_scan_is_worked_on(cohort, evaluate, tmp_path, item, message):
    code, _, errors = evaluate(cohort(item))
    assert code == 2
    assert message in errors[0]
    assert not (tmp_path / "rates").exists()


def test_each_contrast_has_its_own_threshold(cohort, csvd, tmp_path, bundle):
    points = {"operating_points": {"best_f1": {"threshold": 0.3}}}
    points["contrasts"] = {"bright": {"operating_points": {"best_f1": {"threshold": 0.7}}}}
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "operating_points.json").write_text(json.dumps(points))
    (tmp_path / "weights" / "model.pt").write_bytes((bundle / "models" / "model.pt").read_bytes())
    own = {
        "_target_": "csvd.metrics.operating_threshold",
        "path": "@operating_points",
        "name": "best_f1",
        "contrast": "@contrast",
    }
    (tmp_path / "own.json").write_text(json.dumps({"threshold": own}))
    folder = cohort({"label": same}, {"label": same, "contrast": "bright"}, {"label": same})
    options = ("--ckpt-dir", tmp_path / "weights", "--overlay", tmp_path / "own.json", "--bundle", bundle)
    code, out, _ = csvd("evaluate", "detection", folder, *options, "--out", tmp_path / "rates")
    assert code == 0
    [figures] = json.loads((tmp_path / "rates" / "rates.json").read_text())["cohorts"]
    assert figures["thresholds"] == {"bright": [0.7], "dark": [0.3]}
    assert [one["threshold"] for one in figures["each"]] == [0.3, 0.7, 0.3]
    assert "| cohort | distance | bright 0.7000; dark 0.3000 | 3 |" in out


@pytest.mark.parametrize("name", ["model.pt", "operating_points.json"])
def test_weights_without_their_operating_points_are_refused_by_name(cohort, csvd, tmp_path, bundle, name):
    (tmp_path / "weights").mkdir()
    for other in {"model.pt", "operating_points.json"} - {name}:
        (tmp_path / "weights" / other).touch()
    options = ("--ckpt-dir", tmp_path / "weights", "--threshold", 0.3, "--bundle", bundle)
    code, _, errors = csvd("evaluate", "detection", cohort({"label": same}), *options, "--out", tmp_path / "rates")
    assert code == 2
    assert f"{name} is missing" in errors[0]


def test_tables_and_pictures_are_written_and_centres_come_first(cohort, csvd, bundle, tmp_path):
    cohorts = [cohort({"label": same}, {"label": none}, name=name) for name in ("one", "two")]
    code, out, _ = csvd("evaluate", "detection", *cohorts, "--bundle", bundle, "--out", tmp_path / "rates")
    assert code == 0
    assert [line.split(" | ")[1] for line in out.splitlines() if line.startswith("| one | ")][:3] == [
        "distance",
        "strict",
        "overlap",
    ]
    assert [line for line in out.splitlines() if line.startswith("# ")] == [
        "# Lesion-wise rates",
        "# VALDO Task 2",
        "# Sensitivity by size",
        "# Agreement",
    ]
    assert rows_of(out)["two"][0] == "volume of lesions, mm3"
    for name in ("froc.png", "bland_altman.png", "rates.tsv", "scans.tsv", "rates.json"):
        assert (tmp_path / "rates" / name).stat().st_size > 0


def test_overlays_of_training_are_refused(cohort, evaluate):
    overlay = find_bundle("cmb_detection") / "configs" / "evaluate_detector.json"
    code, _, errors = evaluate(cohort({"label": same}), overlay=overlay)
    assert code == 2
    assert "evaluate_detector.json' must be one over inference.json, it is one over" in errors[0]


def test_cohorts_of_one_name_are_refused(cohort, evaluate, tmp_path):
    code, _, errors = evaluate(cohort({"label": same}, name="a/x"), cohort({"label": same}, name="b/x"))
    assert code == 2
    assert errors == ["csvd: cohorts must have different names, they are x, x. Rename a folder."]


def test_threshold_that_is_given_goes_before_all_others(cohort, evaluate):
    _, document, _ = evaluate(cohort({"label": same}), threshold=0.95)  # the small bundle is sure to 0.9
    figures = document["cohorts"][0]
    assert figures["thresholds"] == {"dark": [0.95]}
    assert figures["each"][0]["detections"] == 0


def test_json_has_no_nan():
    assert json.loads(as_json([{"a": float("nan"), "b": [{"c": float("inf")}]}]))["cohorts"] == [
        {"a": None, "b": [{"c": None}]}
    ]
