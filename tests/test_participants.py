"""Ages and sexes of the participants of a BIDS folder, as spreadsheets save them."""

import pytest
from bids import save_noise

from csvd.io.bids.folders import bids_scans

PEOPLE = "participant_id\tage\tsex\nsub-1\t71.5\tF\n"
HEAD = "participant_id\tage\tsex\n"


@pytest.mark.parametrize(
    ("table", "known", "said"),
    [
        (PEOPLE, {"age": 71.5, "sex": "F"}, None),
        (PEOPLE.encode("utf-16"), {"age": 71.5, "sex": "F"}, None),
        (PEOPLE.encode("utf-8-sig"), {"age": 71.5, "sex": "F"}, None),
        (PEOPLE.replace("\t", ","), {"age": 71.5, "sex": "F"}, None),
        (PEOPLE.replace("\t", ";").replace(".", ","), {"age": 71.5, "sex": "F"}, None),
        ("Participant_ID\tSex \tAge\n1\tfemale\t89+\n", {"age": 89.0, "sex": "F"}, None),
        (HEAD + "sub-1\t7150\tn/a\n", {}, None),
        (HEAD + "sub-1\n", {}, None),
        (HEAD + "sub-1\t70\tF\nsub-1\t72\tF\n", {"sex": "F"}, "says age 70.0 and 72.0 of 'sub-1', which was not used"),
        ("subject\tage\nsub-1\t70\n", {}, "must have a column participant_id, it has ['subject', 'age']"),
        ("", {}, "must have a column participant_id, it has []"),
        (b"\x00\xff\xfe\n", {}, "must have a column participant_id"),
    ],
)
def test_participants_are_read_as_spreadsheets_save_them(tmp_path, table, known, said):
    save_noise(tmp_path / "sub-1" / "anat" / "sub-1_swi.nii.gz")
    (tmp_path / "participants.tsv").write_bytes(table if isinstance(table, bytes) else table.encode())
    [scan] = bids_scans(tmp_path)
    assert scan.person == known
    assert len(scan.warnings) == (said is not None)
    assert all(f"table '{tmp_path / 'participants.tsv'}' {said}" in warning for warning in scan.warnings)


def test_participants_that_are_a_folder_or_a_link_to_nothing_are_named(tmp_path):
    save_noise(tmp_path / "sub-1" / "anat" / "sub-1_swi.nii.gz")
    (tmp_path / "participants.tsv").mkdir()
    [scan] = bids_scans(tmp_path)
    assert "participants.tsv' cannot be read" in scan.warnings[0]
    (tmp_path / "participants.tsv").rmdir()
    (tmp_path / "participants.tsv").symlink_to("nowhere")
    [scan] = bids_scans(tmp_path)
    assert "participants.tsv' is a link to content that is not here" in scan.warnings[0]
