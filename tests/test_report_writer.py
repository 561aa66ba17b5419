"""The folder of a case: written from an evaluator's output, on the input's own grid, complete or not at all."""

import csv
import hashlib
import json
import os

import nibabel as nib
import numpy as np
import pytest
import torch
from geometry import STORED, planted_scan
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from monai.transforms import Compose, CopyItemsd, EnsureChannelFirstd, Invertd, LoadImaged, Orientationd

from csvd.anatomy.regions import mni_tissue
from csvd.handlers import CaseWriter, case_writer
from csvd.transforms import LesionInstancesd, SelectVolumed


class Writer(CaseWriter):
    """Returns the folder that it wrote."""

    def write(self, item):
        return self.output_dir / super().write(item)["case"]


class DarkInBright(torch.nn.Module):
    """Probability 0.9 where the planted lesion is, in place of a trained network."""

    def forward(self, image):
        return 0.9 * ((image > 0) & (image < 400)).float()


class Warn:
    """Transform that leaves a warning, as the package's own do."""

    def __call__(self, data):
        data["image"].meta["warnings"] = ["looks odd", "looks odd", "very odd"]
        return data


def detect(path, out, mask=None, **writer):
    """Run an evaluator with the bundle's kind of pre- and postprocessing on one file."""
    keys = ["image", "mask"]
    preprocessing = Compose(
        [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            SelectVolumed("image"),
            Orientationd(keys, axcodes="RAS", labels=None),
            Warn(),
        ]
    )
    item = {"image": str(path), "mask": str(mask or path), "notes": "a note"}
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([item], preprocessing), batch_size=1),
        network=DarkInBright(),
        inferer=SimpleInferer(),
        postprocessing=Compose(
            [
                Invertd(["pred", "mask"], preprocessing, orig_keys=["image", "mask"], nearest_interp=False),
                CopyItemsd("pred", names="prob"),
                LesionInstancesd("pred", threshold=0.5),
            ]
        ),
        val_handlers=[Writer(out, threshold=0.5, **writer)],
    ).run()


def save(scan, folder, name="sub-01_swi.nii.gz"):
    """Save a planted scan and its brain mask."""
    nib.save(scan.image, folder / name)
    voxels = np.asarray(scan.image.dataobj).reshape(*scan.image.shape[:3], -1)[..., 0]
    nib.save(nib.Nifti1Image((voxels > 0).astype(np.uint8), scan.image.affine), folder / "mask.nii.gz")
    return folder / name, folder / "mask.nii.gz"


@pytest.fixture(scope="module", params=STORED)
def written(request, tmp_path_factory):
    """A planted scan, its file, and the folder of its results, for each way of storing it."""
    folder = tmp_path_factory.mktemp(request.param)
    scan = planted_scan(**STORED[request.param])
    path, mask = save(scan, folder)
    detect(path, folder / "out", mask)
    return scan, path, folder / "out" / "sub-01_swi"


def rows(folder):
    with (folder / f"{folder.name}_lesions.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def read_json(folder):
    return json.loads((folder / f"{folder.name}.json").read_text())


def test_folder_holds_seven_files(written):
    _, _, folder = written
    suffixes = ("_candidates.tsv", "_cmb.nii.gz", "_lesions.mrk.json", "_lesions.tsv", "_prob.nii.gz", ".html", ".json")
    assert sorted(path.name for path in folder.iterdir()) == sorted(folder.name + suffix for suffix in suffixes)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_maps_lie_on_the_grid_of_the_file(written):
    _, path, folder = written
    scan = nib.load(path)
    for name, dtype in (("cmb", np.int16), ("prob", np.float32)):
        result = nib.load(folder / f"{folder.name}_{name}.nii.gz")
        assert result.shape == scan.shape[:3]
        assert result.get_data_dtype() == dtype
        assert np.array_equal(result.affine, scan.affine)
        for code in ("sform_code", "qform_code"):
            assert result.header[code] == scan.header[code]


def test_planted_lesion_is_found_where_it_is(written):
    scan, path, folder = written
    (row,) = rows(folder)
    affine = nib.load(path).affine
    found = np.linalg.inv(affine) @ [float(row["x_mm"]), float(row["y_mm"]), float(row["z_mm"]), 1]
    assert np.abs(found[:3] - scan.lesion_voxel).max() < 0.5 + 0.01  # the table is rounded to 0.01 mm
    labels = np.asarray(nib.load(folder / f"{folder.name}_cmb.nii.gz").dataobj)
    assert labels[int(row["i"]), int(row["j"]), int(row["k"])] == int(row["id"]) == 1


def test_json_tells_how_it_was_made(written):
    scan, path, folder = written
    record = read_json(folder)
    assert record["research_use_only"] is True
    assert record["counts"]["total"] == len(rows(folder)) == 1
    assert record["warnings"][:2] == ["looks odd", "very odd"]
    assert "not a whole" not in record["warnings"][1]
    assert record["notes"] == ["a note"]
    assert record["input"]["file"] == path.name
    assert record["input"]["shape"] == list(scan.image.shape)
    assert "seconds" not in record  # the same scan gives the same record each time
    assert set(record["versions"]) == {"csvd", "monai", "torch", "numpy", "nibabel", "python"}
    volume = {"index": 1, "of": 2, "rule": "last"} if len(scan.image.shape) == 4 else None
    assert record["input"].get("volume") == volume


def test_small_brain_mask_is_a_warning(written):
    _, _, folder = written
    record = read_json(folder)
    assert record["quality"]["mask_volume_ml"] == pytest.approx(4 / 3 * np.pi * 42 * 50 * 38 / 1000, rel=0.02)
    assert record["warnings"][-2].startswith("the brain mask has 33")


def test_half_a_brain_has_no_region_and_says_so(written):
    _, _, folder = written
    record = read_json(folder)
    assert record["regions"] == {"method": "none", "overlap": None}
    assert record["burden"] == {"count_range": "1", "aria_h_range": "1 to 4", "pattern": "n/a"}
    assert record["warnings"][-1].startswith("the brain mask is not that of a whole brain")


def test_page_counts_what_the_table_holds(written):
    _, _, folder = written
    html = (folder / f"{folder.name}.html").read_text()
    assert html.count('<tr id="row-') == len(rows(folder))
    assert "1 suspected microbleed of 1 candidate, at threshold 0.5" in html


def item(path, **more):
    """What an evaluator would give for a file without lesions."""
    scan = nib.load(path)
    zeros = torch.zeros(1, *scan.shape[:3])
    maps = {
        name: MetaTensor(zeros.clone(), affine=torch.from_numpy(scan.affine), meta={"filename_or_obj": str(path)})
        for name in ("pred", "prob")
    }
    return {**maps, **more}


def test_empty_result_is_a_table_with_its_header_and_a_page_that_says_so(tmp_path, save_scan):
    folder = Writer(tmp_path / "out", threshold=0.5).write(item(save_scan(), case="sub-07"))
    assert folder == tmp_path / "out" / "sub-07"
    assert rows(folder) == []
    assert "No suspected microbleeds of 0 candidates" in (folder / "sub-07.html").read_text()
    assert read_json(folder)["quality"] == {"mask_volume_ml": None, "median_intensity": None}


def test_scan_is_in_the_page_unless_it_shall_not(tmp_path, save_scan):
    for viewer in (True, False):
        folder = Writer(tmp_path / f"{viewer}", threshold=0.5, viewer=viewer).write(item(save_scan()))
        assert ('id="viewer"' in (folder / f"{folder.name}.html").read_text()) == viewer


def test_record_knows_the_files_that_people_correct(tmp_path, save_scan):
    folder = Writer(tmp_path / "out", threshold=0.5).write(item(save_scan()))
    digests = read_json(folder)["sha256"]
    assert set(digests) == {f"{folder.name}_cmb.nii.gz", f"{folder.name}_lesions.mrk.json"}
    for name, digest in digests.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_empty_mask_is_a_warning(tmp_path, save_scan):
    mask = torch.zeros(1, 12, 13, 14)
    folder = Writer(tmp_path / "out", threshold=0.5).write(item(save_scan(), mask=mask))
    assert read_json(folder)["warnings"][0].startswith("the brain mask has 0 ml")


def test_warnings_lost_in_batching_are_none(tmp_path, save_scan):
    quiet = item(save_scan())
    quiet["pred"].meta["warnings"] = None
    assert read_json(Writer(tmp_path / "out", threshold=0.5).write(quiet))["warnings"] == []


def test_item_overrules_contrast_and_settings_are_recorded(tmp_path, save_scan):
    writer = Writer(tmp_path / "out", threshold=0.3, contrast="dark", settings={"weights": "model.pt"})
    folder = writer.write(item(save_scan(), contrast="bright"))
    record = read_json(folder)
    assert (record["contrast"], record["threshold"], record["settings"]) == ("bright", 0.3, {"weights": "model.pt"})
    assert "Maximum intensity" in (folder / f"{folder.name}.html").read_text()


def test_maps_do_not_carry_texts_of_the_file(tmp_path, save_scan):
    path = save_scan()
    scan = nib.load(path)
    scan.header["descrip"] = scan.header["db_name"] = b"DOE^JANE"
    scan.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE^JANE"))
    nib.save(scan, tmp_path / "named.nii")
    folder = Writer(tmp_path / "out", threshold=0.5).write(item(tmp_path / "named.nii"))
    result = nib.load(folder / "named_cmb.nii.gz")
    assert b"DOE" not in result.header.binaryblock
    assert list(result.header.extensions) == []


def test_existing_result_is_refused_and_kept(tmp_path, save_scan):
    writer = Writer(tmp_path / "out", threshold=0.5)
    folder = writer.write(item(save_scan()))
    before = (folder / f"{folder.name}.json").stat().st_mtime_ns
    with pytest.raises(FileExistsError, match="sub-01_swi' exists already"):
        writer.write(item(save_scan()))
    assert (folder / f"{folder.name}.json").stat().st_mtime_ns == before


def test_overwrite_replaces_the_results_and_nothing_else(tmp_path, save_scan):
    folder = Writer(tmp_path / "out", threshold=0.5).write(item(save_scan()))
    Writer(tmp_path / "out", threshold=0.2, overwrite=True).write(item(save_scan()))
    assert read_json(folder)["threshold"] == 0.2
    (folder / "sub-01_T1w.nii.gz").touch()
    with pytest.raises(FileExistsError, match=r"holds 'sub-01_T1w.nii.gz', which is none of the results"):
        Writer(tmp_path / "out", threshold=0.3, overwrite=True).write(item(save_scan()))
    assert read_json(folder)["threshold"] == 0.2
    assert os.listdir(tmp_path / "out") == ["sub-01_swi"]


def test_correction_is_not_overwritten(tmp_path, save_scan):
    folder = Writer(tmp_path / "out", threshold=0.5).write(item(save_scan()))
    (folder / "sub-01_swi_lesions.mrk.json").write_text("corrected")
    with pytest.raises(FileExistsError, match=r"sub-01_swi_lesions.mrk.json' was corrected since csvd wrote it"):
        Writer(tmp_path / "out", threshold=0.2, overwrite=True).write(item(save_scan()))
    assert (folder / "sub-01_swi_lesions.mrk.json").read_text() == "corrected"


def test_empty_folder_is_no_result(tmp_path, save_scan):
    (tmp_path / "out" / "sub-01_swi").mkdir(parents=True)
    assert len(os.listdir(Writer(tmp_path / "out", threshold=0.5).write(item(save_scan())))) == 7


@pytest.mark.parametrize("overwrite", [False, True])
def test_failure_midway_leaves_things_as_they_were(tmp_path, save_scan, monkeypatch, overwrite):
    if overwrite:
        old = Writer(tmp_path / "out", threshold=0.5).write(item(save_scan()))

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(case_writer, "write_page", fail)
    with pytest.raises(OSError, match="disk full"):
        Writer(tmp_path / "out", threshold=0.2, overwrite=overwrite).write(item(save_scan()))
    assert os.listdir(tmp_path / "out") == (["sub-01_swi"] if overwrite else [])
    if overwrite:
        assert read_json(old)["threshold"] == 0.5


def test_map_on_another_grid_is_refused(tmp_path, save_scan):
    moved = item(save_scan())
    moved["pred"].affine[0, 3] += 0.01
    with pytest.raises(RuntimeError, match=r"case 'sub-01_swi'.*affine that differs by 0.01"):
        Writer(tmp_path / "out", threshold=0.5).write(moved)
    cropped = item(save_scan())
    cropped["pred"] = cropped["pred"][:, 1:]
    with pytest.raises(RuntimeError, match=r"shape \(12, 13, 14\), it has shape \(11, 13, 14\)"):
        Writer(tmp_path / "out", threshold=0.5).write(cropped)
    assert not (tmp_path / "out").exists()


def test_whole_brain_is_registered_and_its_lesion_has_a_place(tmp_path):
    brain, grey, white, affine = mni_tissue()
    moved = affine + np.array([[0, 0, 0, 9.0], [0, 0, 0, -20], [0, 0, 0, 15], [0, 0, 0, 0]])
    fluid = brain * (1 - grey - white)
    path = tmp_path / "sub-01_swi.nii.gz"
    nib.save(nib.Nifti1Image((brain * (700 * grey + 600 * white + 900 * fluid)).astype(np.float32), moved), path)
    found = item(path, mask=torch.from_numpy(brain)[None])
    voxel = np.linalg.inv(affine) @ (26, 2, 0, 1)  # in the right putamen
    for name in ("pred", "prob"):
        found[name][(0, *voxel.round().astype(int)[:3])] = 1
    writer = Writer(tmp_path / "out", threshold=0.5)
    folder = writer.write(found)
    (row,) = rows(folder)
    assert (row["region"], row["side"], row["mars"]) == ("deep", "right", "basal ganglia")
    record = read_json(folder)
    assert record["regions"]["method"] == "registration"
    assert record["regions"]["overlap"] > 0.98
    assert (record["mars"]["basal ganglia"], record["burden"]["pattern"]) == (1, "strictly deep or infratentorial")
    assert writer.seconds["regions"] > 0
