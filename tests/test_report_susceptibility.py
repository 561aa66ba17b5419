"""Signs of susceptibility from the bundle's postprocessing to tables, page and record; diamagnetic lesions dropped."""

import csv
import json
import subprocess

import nibabel as nib
import numpy as np
import pytest
import torch
from balls import BALLS_MM, GRIDS, balls_and_veins
from geometry import planted_scan
from monai.data import MetaTensor
from warm import python_m

from csvd.bundles import find_bundle
from csvd.handlers import CaseWriter
from csvd.transforms import LesionBoxesd, SusceptibilitySignd
from csvd.workflows.detection import detect


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module", params=[False, True], ids=["told", "dropped"])
def written(request, tmp_path_factory):
    """Whether diamagnetic lesions are dropped, the folder of a case, and what the server would answer."""
    folder = tmp_path_factory.mktemp("case")
    phase, label, mask, affine = balls_and_veins(**GRIDS["isotropic"])
    scan, beside = folder / "a_swi.nii.gz", folder / "a_phase.nii.gz"
    nib.save(nib.Nifti1Image((600 * mask[0].float() + 5 * label[0]).numpy(), affine.numpy()), scan)
    nib.save(nib.Nifti1Image(-phase[0].numpy(), affine.numpy()), beside)
    maps = {"candidates": label, "pred": label.masked_fill(label == 3, 0), "prob": 0.9 * (label > 0), "mask": mask}
    item = {key: MetaTensor(part.clone(), affine, {"filename_or_obj": str(scan)}) for key, part in maps.items()}
    item = SusceptibilitySignd("candidates", filter_keys="pred", drop_diamagnetic=request.param)(
        {**item, "phase": str(beside)}
    )
    item = LesionBoxesd("pred", probability_key="prob")(item)
    CaseWriter(folder / "out", threshold=0.5).write(item)
    return request.param, folder / "out" / "a_swi", item["result"]


def test_tables_tell_the_sign_and_why_a_candidate_is_left_out(written):
    dropped, folder, _ = written
    candidates = rows_of(folder / "a_swi_candidates.tsv")
    assert [row["susceptibility"] for row in candidates] == ["paramagnetic", "diamagnetic", "unclear"]
    assert [row["kept"] for row in candidates] == (["1", "0", "0"] if dropped else ["1", "1", "0"])
    assert float(candidates[0]["susceptibility_contrast"]) > 2
    assert float(candidates[1]["susceptibility_contrast"]) < -2
    assert [row["id"] for row in rows_of(folder / "a_swi_lesions.tsv")] == (["1"] if dropped else ["1", "2"])


def test_map_counts_boxes_and_page_agree(written):
    dropped, folder, result = written
    ids = np.unique(np.asarray(nib.load(folder / "a_swi_cmb.nii.gz").dataobj)).tolist()
    assert ids == ([0, 1] if dropped else [0, 1, 2])
    record = json.loads((folder / "a_swi.json").read_text())
    assert record["counts"]["total"] == result["count"] == len(ids) - 1
    page = (folder / "a_swi.html").read_text()
    assert ">paramagnetic</td>" in page
    assert (">diamagnetic</td>" in page) is not dropped


def test_record_says_file_and_convention(written):
    record = json.loads((written[1] / "a_swi.json").read_text())["phase"]
    assert (record["file"], record["kind"]) == ("a_phase.nii.gz", "phase")
    assert record["convention"] == "falls with the field"
    assert record["evidence_sd"] < -3


@pytest.mark.slow
def test_command_and_bundle_drop_alike(tmp_path):
    grid = {"axcodes": "LPS", "voxel_mm": (1.0, 1.0, 1.0), "oblique_degrees": 10.0, "shape": (96, 112, 88)}
    planted = planted_scan(**grid, lesion_world_mm=tuple(np.add((4.0, -9.0, 13.0), BALLS_MM[2])), radius_mm=2.5)
    phase, _, _, affine = balls_and_veins(**grid)
    scan = tmp_path / "scans" / "a_swi.nii.gz"
    scan.parent.mkdir()
    nib.save(planted.image, scan)
    nib.save(nib.Nifti1Image(phase[0].numpy(), affine.numpy()), scan.with_name("a_phase.nii.gz"))
    tables = {}
    for drop in (False, True):
        folder = tmp_path / f"python{drop}"
        [row] = detect(
            scan, folder, find_bundle("cmb_detection"), any_sequence=True, settings={"drop_diamagnetic": drop}
        )
        assert row["phase"]["file"] == "a_phase.nii.gz"
        tables[drop] = rows_of(folder / "a_swi" / "a_swi_candidates.tsv")
    command = python_m("monai.bundle", "run", "inferring", "--config_file", "configs/inference.json")
    options = [
        "--dataset_dir",
        str(scan.parent),
        "--output_dir",
        str(tmp_path / "bundle"),
        "--drop_diamagnetic",
        "True",
        "--sequence",  # which csvd detect takes from the name
        "SWI",
    ]
    subprocess.run([*command, *options], cwd=find_bundle("cmb_detection"), check=True, capture_output=True)
    assert rows_of(tmp_path / "bundle" / "a_swi" / "a_swi_candidates.tsv") == tables[True]
    world = torch.tensor([[float(row[f"{axis}_mm"]) for axis in "xyz"] for row in tables[True]])
    nearest = int((world - torch.from_numpy(planted.lesion_world_mm)).norm(dim=1).argmin())
    assert {table[nearest]["susceptibility"] for table in tables.values()} == {"diamagnetic"}
    assert [tables[drop][nearest]["kept"] for drop in (False, True)] == ["1", "0"]
