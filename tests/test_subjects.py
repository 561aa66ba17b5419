"""Age, sex and subtype of a subject: what is understood, what is not known, what is refused."""

import json
import math
from collections import Counter

import pytest
import torch

from csvd.checks import InputError
from csvd.io import ReadSubjectd, balanced_sampler, load_subjects, read_age, read_sex, read_subtype

CLASSES = ("aSVD", "CAA", "CADASIL")


@pytest.mark.parametrize("word", ["F", "f", "female", " Female "])
def test_women_are_0(word):
    assert read_sex(word, "subject 's'") == 0


@pytest.mark.parametrize("word", ["M", "male"])
def test_men_are_1(word):
    assert read_sex(word, "subject 's'") == 1


@pytest.mark.parametrize("value", [None, "", "unknown", "n/a", math.nan])
def test_what_is_not_known_is_nan(value):
    assert math.isnan(read_sex(value, "subject 's'"))
    assert math.isnan(read_age(value, "subject 's'"))


def test_fields_that_a_reader_left_as_they_were_are_not_known():
    assert math.isnan(read_age(0.0, "subject 's'"))
    assert math.isnan(read_sex(["unknown", "F", "M"], "subject 's'"))


def test_sex_that_is_no_word_we_know_is_refused():
    with pytest.raises(InputError, match="subject 's': sex must be F, M or unknown, it is 'X'"):
        read_sex("X", "subject 's'")


@pytest.mark.parametrize("age", [17.9, 111, -3])
def test_age_outside_adults_is_refused(age):
    with pytest.raises(InputError, match=f"subject 's': age must be between 18 and 110 years, it is {age}"):
        read_age(age, "subject 's'")


def test_age_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="subject 's': age must be in years, it is 'old'"):
        read_age("old", "subject 's'")


@pytest.mark.parametrize("value", ["CAA", 1, "1"])
def test_class_is_given_by_name_or_number(value):
    assert read_subtype({"image": "a.nii", "csvd": value}, CLASSES) == 1


def test_unknown_class_is_refused():
    with pytest.raises(InputError, match=r"image 'a\.nii': `csvd` must be one of aSVD, CAA, CADASIL, it is 'MS'"):
        read_subtype({"image": "a.nii", "csvd": "MS"}, CLASSES)


def test_subject_becomes_numbers():
    item = ReadSubjectd(CLASSES)({"image": "a.nii", "label": "mask.nii", "age": 70, "sex": "M", "csvd": "CADASIL"})
    assert item["covariates"].tolist() == [70, 1]
    assert item["subtype"] == 2
    assert item["label"] == "mask.nii"


def test_subject_without_a_class_has_no_subtype():
    assert "subtype" not in ReadSubjectd(CLASSES)({"image": "a.nii"})


def test_answers_of_monai_label_are_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"label": 1, "age": 80, "sex": "F"}))
    item = ReadSubjectd(CLASSES)({"image": "a.nii", "label": str(path)})
    assert item["covariates"].tolist() == [80, 0]
    assert item["subtype"] == 1
    assert "label" not in item


def write_list(folder, *classes):
    items = [{"image": f"{k}.nii", "csvd": name} for k, name in enumerate(classes)]
    (folder / "datalist.json").write_text(json.dumps({"training": items}))
    return folder / "datalist.json"


def test_healthy_people_are_left_out(tmp_path, caplog):
    caplog.set_level("INFO")
    items = load_subjects(write_list(tmp_path, "CAA", "healthy", "aSVD"), "training", CLASSES)
    assert [item["csvd"] for item in items] == ["CAA", "aSVD"]
    assert "left out 1 of 3 items" in caplog.text


def test_list_without_diagnoses_is_refused(tmp_path):
    with pytest.raises(InputError, match="nobody under 'training' has `csvd` aSVD, CAA, CADASIL, there are healthy"):
        load_subjects(write_list(tmp_path, "healthy"), "training", CLASSES)


def test_each_class_is_drawn_equally_often():
    torch.manual_seed(0)
    items = [{"image": "a.nii", "csvd": name} for name in ["aSVD"] * 900 + ["CAA"] * 90 + ["CADASIL"] * 10]
    drawn = Counter(items[index]["csvd"] for index in balanced_sampler(items, CLASSES))
    assert drawn.total() == 1000
    assert max(drawn.values()) < 1.3 * min(drawn.values())
