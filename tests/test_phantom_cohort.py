import csv
import json

import nibabel as nib
import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from small import PROTOCOL

from csvd.phantom import PROTOCOLS, write_cohort


@pytest.fixture(scope="module", autouse=True)
def tiny_preset():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, "tiny", PROTOCOL)
        yield


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """The folder of five subjects on a coarse grid."""
    return write_cohort(
        "tiny", 5, tmp_path_factory.mktemp("phantom") / "cohort", seed=3, jobs=1, split=(0.6, 0.2, 0.2)
    ).parent


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def table(path):
    return list(csv.DictReader(path.open(), delimiter="\t"))


def test_same_seed_gives_the_same_bytes(tmp_path):
    one, two = (write_cohort("tiny", 2, tmp_path / name, seed=3, jobs=1).parent for name in ("one", "two"))
    assert files(one) == files(two)


def test_a_subject_does_not_depend_on_the_size_of_the_cohort(cohort, tmp_path):
    small = write_cohort("tiny", 1, tmp_path / "small", seed=3, jobs=1).parent
    assert files(small / "sub-001") == files(cohort / "sub-001")


@pytest.mark.whole
def test_the_number_of_processes_changes_nothing(tmp_path):
    one, two = (write_cohort("tiny", 2, tmp_path / str(jobs), seed=3, jobs=jobs).parent for jobs in (1, 2))
    assert files(one) == files(two)


@pytest.mark.parametrize(("part", "subjects"), [("training", 3), ("validation", 1), ("test", 1)])
def test_monai_reads_the_data_list(cohort, part, subjects):
    items = load_decathlon_datalist(cohort / "datalist.json", data_list_key=part)
    assert len(items) == 3 * subjects  # `random` names SWI, magnitude and QSM
    for item in items:
        assert item["contrast"] == ("bright" if "qsm" in item["image"] else "dark")
        assert 0 <= item["fold"] < 5
        shapes = {nib.load(item[key]).shape for key in ("image", "label", "mask", "phase")}
        assert shapes == {(48, 56, 30)}


def test_parts_share_no_subject(cohort):
    lists = json.loads((cohort / "datalist.json").read_text())
    parts = [{item["subject"] for item in lists[part]} for part in ("training", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 5


def test_the_data_list_says_that_it_is_simulated(cohort):
    assert "simulated" in json.loads((cohort / "datalist.json").read_text())["description"]


def test_tables_count_the_labels(cohort):
    for row in table(cohort / "participants.tsv"):
        name = row["participant_id"]
        label = np.asarray(nib.load(cohort / name / f"{name}_label.nii.gz").dataobj)
        lesions = table(cohort / name / f"{name}_lesions.tsv")
        assert label.max() == len(lesions) == int(row["microbleeds"])
        assert label.dtype == np.int16


def test_stored_susceptibility_is_in_ppm(cohort):
    image = nib.load(cohort / "sub-001" / "sub-001_qsm.nii.gz").get_fdata()
    assert 0.01 < image[image != 0].std() < 0.2


def test_affine_and_voxel_size_are_stored(cohort):
    image = nib.load(cohort / "sub-001" / "sub-001_swi.nii.gz")
    assert image.header.get_zooms() == (4.0, 4.0, 6.0)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")


def test_a_folder_that_holds_something_is_refused(cohort):
    before = files(cohort)
    with pytest.raises(FileExistsError, match=r"cannot write a cohort to .*cohort': it is not an empty folder"):
        write_cohort("tiny", 1, cohort, seed=4)
    assert files(cohort) == before


def test_overwriting_replaces_subjects(tmp_path):
    before, after = (
        files(write_cohort("tiny", 1, tmp_path, seed=seed, jobs=1, overwrite=True).parent / "sub-001")
        for seed in (3, 4)
    )
    assert after.keys() == before.keys()
    assert after != before


def test_failure_leaves_nothing_half_written(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("csvd.phantom.cohort.write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        write_cohort("tiny", 1, tmp_path / "out", seed=1, jobs=1)
    assert list((tmp_path / "out").iterdir()) == []


def test_number_of_lesions_can_be_asked_for(tmp_path):
    few, many = (
        write_cohort("tiny", 1, tmp_path / str(lesions), seed=3, jobs=1, phenotype="CAA", lesions=lesions).parent
        for lesions in (1, 30)
    )
    assert len(table(few / "sub-001" / "sub-001_lesions.tsv")) < len(table(many / "sub-001" / "sub-001_lesions.tsv"))
    for name in ("lesions", "mimics"):
        with pytest.raises(ValueError, match=f"`{name}` must be above 0, got 0"):
            write_cohort("tiny", 1, tmp_path / "none", seed=3, **{name: 0})


@pytest.mark.parametrize(
    ("preset", "subjects", "split", "message"),
    [
        ("7t", 1, (1, 0, 0), "`preset` must be one of 'ukbb'"),
        ("tiny", 0, (1, 0, 0), "`subjects` must be above 0, got 0"),
        ("tiny", 1, (0.5, 0.1, 0.1), "`split` must be three shares that sum to 1"),
    ],
)
def test_impossible_cohorts_are_refused(tmp_path, preset, subjects, split, message):
    with pytest.raises(ValueError, match=message):
        write_cohort(preset, subjects, tmp_path / "out", seed=0, split=split)
    assert not (tmp_path / "out").exists()
