"""Corrections made in 3D Slicer become items to train on, each microbleed in the right voxel of the right scan."""

import json
import shutil
import sys

import nibabel as nib
import numpy as np
import pytest
import torch
from geometry import STORED, planted_scan, sphere_fraction
from monai.data import MetaTensor

from csvd.checks import InputError
from csvd.cli import main
from csvd.handlers import CaseWriter
from csvd.io import NiftiReader, not_reviewed, read_layout
from csvd.transforms import LesionLabeld

LPS = np.array([-1.0, -1.0, 1.0])
TRUTH = (24.0, 8.0, 30.0)  # RAS+ mm


def fiducials(*positions, system="LPS", **more):
    points = [{"label": f"F-{n}", "position": [*map(float, at)], **more} for n, at in enumerate(positions, start=1)]
    return {"type": "Fiducial", "coordinateSystem": system, "controlPoints": points}


def roi(centre, size, **more):
    return {"type": "ROI", "name": "R", "coordinateSystem": "LPS", "center": [*centre], "size": [*size], **more}


def save_markups(path, *markups):
    """Write as 3D Slicer does: nothing but schema and markups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"@schema": "markups-schema-v1.0.3.json#", "markups": markups}))
    return path


def detect(path, out):
    """Write what csvd writes, with a lesion of 8 voxels in the corner of the scan."""
    scan = nib.load(path)
    pred = torch.zeros(1, *scan.shape[:3])
    pred[:, 2:4, 2:4, 2:4] = 1
    maps = {"pred": pred, "prob": 0.9 * pred}
    meta = {"filename_or_obj": str(path)}
    maps = {name: MetaTensor(x, affine=torch.from_numpy(scan.affine), meta=meta) for name, x in maps.items()}
    return CaseWriter(out, threshold=0.5, contrast="dark", viewer=False).write(maps)


@pytest.fixture
def results(save_scan, tmp_path):
    """Folder of the scans and folder of the results of two people, one scanned twice."""
    for name in ("sub-01_ses-1_swi", "sub-01_ses-2_swi", "sub-02_swi"):
        detect(save_scan(f"scans/{name[:6]}/{name}.nii.gz"), tmp_path / "results")
    return tmp_path / "scans", tmp_path / "results"


def correct(results, case, *markups):
    return save_markups(results / case / f"{case}_lesions.mrk.json", *markups)


def read(results, scans):
    return [item for subject in read_layout(results, "slicer", scans) for item in subject]


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("kind", ["LPS point", "RAS point", "box"])
def test_corrected_point_labels_the_planted_voxel(stored, kind, tmp_path):
    planted = planted_scan(**STORED[stored])
    nib.save(planted.image, tmp_path / "sub-01_swi.nii.gz")
    markup = {
        "LPS point": fiducials(TRUTH * LPS),
        "RAS point": fiducials(TRUTH, system="RAS"),
        "box": roi(TRUTH * LPS, (7, 7, 7)),
    }[kind]
    save_markups(tmp_path / "sub-01_swi_lesions.mrk.json", markup)
    (item,) = read(tmp_path, None)
    scan = nib.load(item["image"])
    voxels = np.asarray(scan.dataobj).reshape(*scan.shape[:3], -1)[..., 0]
    image = MetaTensor(torch.from_numpy(voxels[None].astype(np.float32)), affine=torch.from_numpy(scan.affine))
    label = LesionLabeld("label", reader=NiftiReader())({**item, "image": image})["label"][0].numpy()
    assert label[tuple(np.rint(planted.lesion_voxel).astype(int))]
    inside = sphere_fraction(scan.affine, scan.shape[:3], TRUTH, radius_mm=4.0) > 0
    assert not (label.astype(bool) & ~inside).any()


def test_what_csvd_wrote_is_read_back_as_it_was(results):
    scans, folder = results
    case = "sub-02_swi"
    written = json.loads((folder / case / f"{case}_lesions.mrk.json").read_text())
    correct(folder, case, *written["markups"])
    (item,) = read(folder, scans)
    affine = nib.load(item["image"]).affine
    np.testing.assert_allclose(item["points"], [nib.affines.apply_affine(affine, (2.5, 2.5, 2.5))], atol=1e-3)
    assert (item["subject"], item["contrast"]) == ("sub-02", "dark")
    assert item["image"].endswith("scans/sub-02/sub-02_swi.nii.gz")


def test_points_are_added_and_deleted_and_unplaced_ones_left_out(results):
    scans, folder = results
    correct(folder, "sub-02_swi", fiducials((-1, -2, 3), (-4, -5, 6)), fiducials((0, 0, 0), positionStatus="undefined"))
    correct(folder, "sub-01_ses-1_swi", fiducials())
    first, second = read(folder, scans)
    assert first["points"] == []
    assert second["points"] == [[1, 2, 3], [4, 5, 6]]


def test_results_nobody_changed_are_no_truth(results):
    scans, folder = results
    correct(folder, "sub-02_swi", fiducials((-1, -2, 3)))
    assert len(read(folder, scans)) == 1
    assert not_reviewed(folder) == ["sub-01_ses-1_swi", "sub-01_ses-2_swi"]


def test_command_line_names_what_was_not_corrected(results, monkeypatch, capsys):
    scans, folder = results
    correct(folder, "sub-02_swi", fiducials((-1, -2, 3)))
    out = folder.parent / "datalist.json"
    command = ["csvd", "datalist", folder, "--layout", "slicer", "--scans", scans, "--split", 1, 0, 0, "--out", out]
    monkeypatch.setattr(sys, "argv", [str(word) for word in command])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().out
    assert not ended.value.code
    assert said.startswith("1 scans of 1 subjects, 1 annotated")
    assert "left out, not corrected since csvd wrote them: sub-01_ses-1_swi, sub-01_ses-2_swi" in said
    assert json.loads(out.read_text())["training"][0]["points"] == [[1, 2, 3]]


def test_sessions_of_a_person_stay_together(results):
    scans, folder = results
    for case in ("sub-01_ses-1_swi", "sub-01_ses-2_swi"):
        correct(folder, case, fiducials((-1, -2, 3)))
    (person,) = read_layout(folder, "slicer", scans)
    assert [item["subject"] for item in person] == ["sub-01", "sub-01"]


def test_turned_box_is_enclosed(results):
    scans, folder = results
    turn = nib.eulerangles.euler2mat(z=np.pi / 4).ravel().tolist()
    correct(folder, "sub-02_swi", roi((-5, -5, 9), (2, 2, 4), orientation=turn))
    (item,) = read(folder, scans)
    np.testing.assert_allclose(item["box"], [[-5, -5, 9, 8**0.5, 8**0.5, 4]], atol=1e-3)
    assert item["label"] == [0]


def test_corrected_mask_is_the_label(results):
    scans, folder = results
    path = folder / "sub-02_swi" / "sub-02_swi_cmb.nii.gz"
    mask = nib.load(path)
    nib.save(nib.Nifti1Image(np.zeros(mask.shape, np.uint8), mask.affine), path)
    (item,) = read(folder, scans)
    assert item["label"] == str(path)
    assert "points" not in item


def test_corrections_may_lie_apart_from_the_results(results, tmp_path):
    scans, folder = results
    shutil.copytree(folder, tmp_path / "all" / "results")
    copy = tmp_path / "all" / "reviewed" / "sub-02_swi_lesions.mrk.json"
    copy.parent.mkdir()
    shutil.copy(folder / "sub-02_swi" / copy.name, copy)  # agreed with
    (item,) = read(tmp_path / "all", scans)
    assert (item["subject"], len(item["points"]), item["contrast"]) == ("sub-02", 1, "dark")


def test_data_list_tells_scans_of_one_name_apart(save_scan, tmp_path):
    images = [save_scan(f"{place}/swi.nii.gz") for place in ("here", "there")]
    listed = [{"image": str(image), "subject": image.parent.name, "contrast": "bright"} for image in images]
    (tmp_path / "list.json").write_text(json.dumps({"test": listed, "training": []}))
    save_markups(tmp_path / "reviewed" / "there.mrk.json", fiducials((-1, -2, 3)))
    (item,) = read(tmp_path / "reviewed", tmp_path / "list.json")
    assert (item["image"], item["contrast"]) == (str(images[1]), "bright")
    (tmp_path / "list.json").write_text("{")
    with pytest.raises(InputError, match=r"data list '.*list.json' is not JSON"):
        read(tmp_path / "reviewed", tmp_path / "list.json")


BAD_MARKUPS = {
    "coordinate system LPS or RAS, they have 'IJK'": fiducials((0, 0, 3), system="IJK"),
    "must be in mm, they are in 'um'": {**fiducials((0, 0, 3)), "coordinateUnits": "um"},
    "they hold 'Line'": {**fiducials((0, 0, 3)), "type": "Line"},
    r"position of 'F-1' must be 3 numbers, it is \[0.0, 0.0\]": fiducials((0, 0)),
    r"size of 'R' must be 3 numbers, it is \[1\]": roi((0, 0, 3), (1,)),
    r"'F-1' at \[5.0, 0.0, 3.0\] mm \(LPS\).*outside '.*sub-02_swi.nii.gz' of \[12, 13, 14\]": fiducials((5, 0, 3)),
}


@pytest.mark.parametrize("message", BAD_MARKUPS)
def test_bad_markups_are_named(results, message):
    scans, folder = results
    correct(folder, "sub-02_swi", BAD_MARKUPS[message])
    with pytest.raises(InputError, match=f"markups '.*sub-02_swi_lesions.mrk.json'.*{message}"):
        read(folder, scans)


def test_points_and_boxes_do_not_mix(results):
    scans, folder = results
    correct(folder, "sub-02_swi", fiducials((-1, -2, 3)), roi((-5, -5, 9), (2, 2, 4)))
    with pytest.raises(InputError, match="points or boxes, they hold both"):
        read(folder, scans)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not JSON"), ("[]", "list under 'markups'"), ('{"markups": []}', "list of points")]
)
def test_file_that_is_no_markups_is_named(results, text, message):
    scans, folder = results
    (folder / "sub-02_swi" / "sub-02_swi_lesions.mrk.json").write_text(text)
    with pytest.raises(InputError, match=f"sub-02_swi_lesions.mrk.json'.*{message}"):
        read(folder, scans)


def test_nothing_corrected_is_said(results):
    scans, folder = results
    with pytest.raises(InputError, match="holds no corrected file, the files of its 3 cases"):
        read(folder, scans)


def test_scan_must_be_there_once(results):
    scans, folder = results
    correct(folder, "sub-02_swi", fiducials((-1, -2, 3)))
    with pytest.raises(InputError, match=r"scan of case 'sub-02_swi'.*must be once in '.*results', it is nowhere"):
        read(folder, None)
    with pytest.raises(InputError, match=r"scans '.*elsewhere' do not exist"):
        read(folder, scans / "elsewhere")
    shutil.copytree(scans / "sub-02", scans / "copy")
    with pytest.raises(InputError, match=r"must be once in .*copy/sub-02_swi.nii.gz.*sub-02/sub-02_swi.nii.gz"):
        read(folder, scans)


def test_scan_of_another_shape_is_refused(results, save_scan):
    scans, folder = results
    correct(folder, "sub-02_swi", fiducials((-1, -2, 3)))
    save_scan("scans/sub-02/sub-02_swi.nii.gz", voxels=np.ones((12, 13, 15), np.int16))
    with pytest.raises(InputError, match=r"in a scan of shape \[12, 13, 14\], '.*' has \[12, 13, 15\]"):
        read(folder, scans)


def test_mask_must_lie_on_the_grid_of_the_scan(results):
    scans, folder = results
    path = folder / "sub-02_swi" / "sub-02_swi_cmb.nii.gz"
    mask = nib.load(path)
    moved = mask.affine.copy()
    moved[0, 3] += 0.5
    nib.save(nib.Nifti1Image(np.asarray(mask.dataobj), moved), path)
    with pytest.raises(
        InputError, match=r"mask '.*_cmb.nii.gz' must have the affine of its scan '.*swi.nii.gz'.*0.5 mm apart"
    ):
        read(folder, scans)


def test_one_correction_a_case(results, tmp_path):
    scans, folder = results
    correct(folder, "sub-02_swi", fiducials((-1, -2, 3)))
    other = save_markups(folder / "reviewed" / "sub-02_swi.mrk.json", fiducials((-1, -2, 3)))
    with pytest.raises(InputError, match="case 'sub-02_swi' must have one correction"):
        read(folder, scans)
    other.unlink()
    save_markups(folder / "sub-02_swi" / "added.mrk.json", fiducials((-1, -2, 3)))
    with pytest.raises(InputError, match=r"must have one markups file, .*added.mrk.json"):
        read(folder, scans)


def test_two_results_of_a_case_are_refused(results):
    scans, folder = results
    shutil.copytree(folder / "sub-02_swi", folder / "again" / "sub-02_swi")
    with pytest.raises(InputError, match="case 'sub-02_swi' has two results"):
        read(folder, scans)


@pytest.mark.parametrize("name", ["sub-02_cmb", "sub-02_cmb.nii.gz", "sub-02_desc-cmb_dseg"])
def test_broken_record_and_segmentation_of_a_scene_are_named(results, name):
    scans, folder = results
    (folder / "sub-02_swi" / "sub-02_swi.json").write_text("{")
    with pytest.raises(InputError, match=r"result '.*sub-02_swi.json' is not JSON"):
        read(folder, scans)
    shutil.rmtree(folder / "sub-02_swi")
    (folder / f"{name}.seg.nrrd").touch()
    with pytest.raises(InputError, match=f"{name}.seg.nrrd' is not NIfTI: export it"):
        read(folder, scans)


def test_results_of_the_classifier_are_no_correction(results):
    scans, folder = results
    record = folder / "sub-02_swi" / "sub-02_swi.json"
    content = json.loads(record.read_text())
    del content["sha256"]
    record.write_text(json.dumps(content))
    correct(folder, "sub-01_ses-1_swi", fiducials((-1, -2, 3)))
    assert [item["subject"] for item in read(folder, scans)] == ["sub-01"]


def test_dictionary_of_a_table_hides_no_correction(results):
    scans, folder = results
    cohort = folder.rename(folder.with_name("cohort"))
    (cohort / "cohort.json").write_text(json.dumps({"subject": {"LongName": "subject"}}))
    save_markups(cohort / "sub-02_swi_lesions.mrk.json", fiducials((-1, -2, 3)))
    assert [item["points"] for item in read(cohort, scans)] == [[[1, 2, 3]]]


def test_other_layouts_hold_their_own_scans(results):
    with pytest.raises(InputError, match="layout 'bids' holds its own scans"):
        read_layout(results[1], "bids", results[0])
