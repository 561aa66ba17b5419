"""Sidecars as people and programs leave them: no scan is lost for its sidecar, and what is wrong is said by name."""

import json
import re

import pytest
from bids import save_json, save_noise

from csvd.io import sequence_of_tags
from csvd.io.bids.sidecars import echo_ms, read_sidecar

GOOD = {"EchoTime": 0.02, "ScanningSequence": "GR", "MagneticFieldStrength": 3}


@pytest.fixture
def beside(tmp_path):
    """Return a function that writes a sidecar, text or bytes, and returns its image."""

    def write(content):
        path = tmp_path / "a_swi.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / "a_swi.nii.gz"

    return write


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ('{"EchoTime": 0.02,', "must be JSON, it is not: Expecting"),
        ("", "must be JSON, it is empty, and was not used; repair it, or take it away"),
        (" \n", "must be JSON, it is empty"),
        ("null", "must hold tags by name, it holds None"),
        ("[1, 2]", "must hold tags by name, it holds [1, 2]"),
        ("20", "must hold tags by name, it holds 20"),
        ('"text"', "must hold tags by name, it holds 'text'"),
        (b"\x00\x01\xff\xfe", "must be JSON, it is not"),
        ("[" * 100_000, "must be JSON, it is not"),
        ('{"EchoTime": ' + "9" * 5000 + "}", "must be JSON, it is not"),
        ("/annex/objects/MD5E-s9--ab.json\n", "must be JSON, it is not"),
    ],
)
def test_file_that_is_no_json_object_is_left_out_and_named(beside, content, rule):
    image = beside(content)
    tags, [said] = read_sidecar(image)
    assert tags == {}
    assert said.startswith(f"sidecar '{image.parent / 'a_swi.json'}' {rule}")
    assert "\n" not in said
    assert sequence_of_tags(read_sidecar(image)[0]) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_unicode_encoding_is_read_without_a_word(beside, encoding):
    assert read_sidecar(beside(json.dumps(GOOD).encode(encoding))) == (GOOD, [])


def test_bytes_that_are_no_text_spoil_their_own_tag_only(beside):
    tags, warnings = read_sidecar(beside(b'{"EchoTime": 0.02, "PatientName": "M\xfcller"}'))
    assert (echo_ms(tags), warnings) == (20, [])


def test_link_to_nothing_and_folder_are_named(tmp_path):
    (tmp_path / "a_swi.json").symlink_to("../.git/annex/objects/none.json")
    tags, [said] = read_sidecar(tmp_path / "a_swi.nii.gz")
    assert tags == {}
    assert "a_swi.json' is a link to content that is not here, and was not used; `datalad get` gets it" in said
    (tmp_path / "b_swi.json").mkdir()
    tags, [said] = read_sidecar(tmp_path / "b_swi.nii")
    assert "b_swi.json'" in said
    assert read_sidecar(tmp_path / "c_swi.nii") == ({}, [])


@pytest.mark.parametrize(
    ("tags", "kept", "said"),
    [
        ({"EchoTime": "n/a"}, {}, "says EchoTime 'n/a', which must be a number, and was not used"),
        ({"EchoTime": None}, {}, "says EchoTime None, which must be a number, and was not used"),
        ({"EchoTime": ""}, {}, "says EchoTime '', which must be a number"),
        ({"EchoTime": []}, {}, "says EchoTime [], which must be a number"),
        ({"EchoTime": True}, {}, "says EchoTime True, which must be a number"),
        ({"EchoTime": {"value": 0.02}}, {}, "which must be a number"),
        ({"EchoTime": -0.02}, {}, "says EchoTime -0.02, which must be a number"),
        ({"EchoTime": float("nan")}, {}, "says EchoTime nan, which must be a number"),
        ({"EchoTime": float("inf")}, {}, "says EchoTime inf, which must be a number"),
        ({"EchoTime": 10**400}, {}, "which must be a number"),
        (
            {"EchoTime": "0.02"},
            {"EchoTime": 0.02},
            "says EchoTime '0.02', which must be a number, and was read as 0.02",
        ),
        ({"EchoTime": 20}, {"EchoTime": 0.02}, "says EchoTime 20, which is implausible in seconds, .* read as 20 ms"),
        ({"EchoTime": "8.0 "}, {"EchoTime": 0.008}, "read as 8 ms"),
        ({"EchoTime": 20000}, {}, "implausible in seconds and in milliseconds, and was not used"),
        ({"RepetitionTime": 2000}, {"RepetitionTime": 2.0}, "says RepetitionTime 2000, .* read as 2000 ms"),
        ({"InversionTime": None}, {}, "says InversionTime None, which must be a number"),
        ({"InversionTime": "n/a"}, {}, "says InversionTime 'n/a'"),
        ({"MagneticFieldStrength": None}, {}, "says MagneticFieldStrength None, which must be a number"),
        ({"MagneticFieldStrength": "3T"}, {"MagneticFieldStrength": 3.0}, "was read as 3"),
        ({"MagneticFieldStrength": "high"}, {}, "says MagneticFieldStrength 'high', which must be a number"),
        ({"MagneticFieldStrength": 30000}, {}, "is no field in tesla, and was not used"),
        ({"ImageType": None}, {}, "says ImageType None, which must be a list of texts, and was not used"),
        ({"ImageType": 3}, {}, "must be a list of texts"),
        ({"ImageType": ["M", None]}, {}, "must be a list of texts"),
        ({"ImageType": "SWI"}, {"ImageType": ["SWI"]}, "must be a list of texts, and was read as one"),
        ({"ImageType": "ORIGINAL\\P"}, {"ImageType": ["ORIGINAL", "P"]}, "was read as one"),
        ({"ScanningSequence": None}, {}, "says ScanningSequence None, which must be text, and was not used"),
        ({"SeriesDescription": 7}, {}, "must be text"),
    ],
)
def test_wrong_values_are_read_or_left_out_and_named(beside, tags, kept, said):
    image = beside(json.dumps({**tags, "Modality": "MR", "Note": None}))
    found, warnings = read_sidecar(image)
    assert found == {**kept, "Modality": "MR", "Note": None}
    assert len(warnings) == 1
    assert warnings[0].startswith(f"sidecar '{image.parent / 'a_swi.json'}' says ")
    assert re.search(said if ".*" in said else re.escape(said), warnings[0])


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ({"EchoTime": [0.01, 0.02]}, {}),
        ({"EchoTime": [0.02]}, {"EchoTime": 0.02}),
        ({"ScanningSequence": ["GR", "IR"]}, {"ScanningSequence": "GR\\IR"}),
        ({"Modality": "n/a"}, {}),
        ({"InversionTime": 0}, {"InversionTime": 0}),
    ],
)
def test_what_bids_allows_is_read_without_a_word(beside, tags, kept):
    assert read_sidecar(beside(json.dumps(tags))) == (kept, [])


def test_faults_of_one_file_are_one_sentence_and_of_two_files_two(tmp_path):
    image = save_noise(tmp_path / "sub-1" / "anat" / "sub-1_T2starw.nii.gz")
    save_json(tmp_path / "T2starw.json", {**GOOD, "InversionTime": None, "ImageType": None})
    (image.parent / "sub-1_T2starw.json").write_text("")
    tags, warnings = read_sidecar(image)
    assert tags == GOOD
    assert [said.count("sidecar '") for said in warnings] == [1, 1]
    assert "InversionTime None" in warnings[0]
    assert "ImageType None" in warnings[0]


def test_wrong_values_do_not_change_what_the_others_say(beside):
    for wrong in ({"InversionTime": None}, {"ImageType": None}, {"SequenceName": 3}, {"Modality": ""}):
        assert sequence_of_tags(read_sidecar(beside(json.dumps({**GOOD, **wrong})))[0]) == "T2*-GRE"
    assert sequence_of_tags(read_sidecar(beside(json.dumps({**GOOD, "EchoTime": 20})))[0]) == "T2*-GRE"
    assert sequence_of_tags(read_sidecar(beside(json.dumps({**GOOD, "EchoTime": 4})))[0]) is None
    assert sequence_of_tags({**GOOD, "MagneticFieldStrength": "1.5 T", "EchoTime": "0.02"}) == "T2*-GRE"
    assert sequence_of_tags({"ImageType": None, "EchoTime": None, "RepetitionTime": []}) is None
