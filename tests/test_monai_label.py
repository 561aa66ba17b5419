"""MONAI Label: OHIF with its plug-in in a browser, a correction, trainings, and answers of the new weights.

``CSVD_SCREENSHOTS=docs python -m pytest tests/test_monai_label.py`` also writes the picture of ``docs/monai_label.md``.
"""

import json

import nibabel as nib
import numpy as np
import pytest
import requests
from geometry import planted_scan
from monai_label import documented, infer, install, serving_models, submit, train
from ohif import Viewer, browsing, save_screenshot
from orthanc import running_orthanc, send, skip_without_orthanc
from scipy import ndimage
from served_study import LPS, STUDY, simulated_subject, write_study

pytestmark = [pytest.mark.whole, pytest.mark.slow]

SERIES = f"{STUDY}.1"
MODEL = "cmb_segmentation"
BATCHES = 4
"""Of an epoch of 200, for the test."""
PEOPLE = {"aSVD": (70, "F"), "CAA": (75, "M"), "CADASIL": (50, "F")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder of the documented installation, and the variables of its environment."""
    folder = tmp_path_factory.mktemp("label")
    environment = install(folder)
    config = folder / "apps" / "monaibundle" / "model" / MODEL / "configs" / "train.json"
    content = json.loads(config.read_text())
    content["train"]["sampler"]["batches"] = BATCHES
    config.write_text(json.dumps(content))
    return folder, environment


@pytest.mark.integration
def test_ohif_shows_the_lesions_and_a_correction_trains_the_model(installed, tmp_path):
    skip_without_orthanc()
    folder, environment = installed
    write_study(tmp_path / "study")
    commands = documented(1)
    with running_orthanc(tmp_path / "orthanc") as pacs:
        send(pacs, tmp_path / "study")
        assert "http://127.0.0.1:8042/dicom-web" in commands
        commands = commands.replace("http://127.0.0.1:8042/dicom-web", pacs.dicomweb)
        with serving_models(folder, environment, commands) as address:
            mask, to_lps = click_through(address)
            check_mask(mask, to_lps)
            corrected, number = ndimage.label(mask)
            corrected = ((corrected > 0) & (corrected != number)).astype(np.uint8)  # one is none, says the reader
            before = infer(address, MODEL, SERIES).json()["scores"]
            submit(address, SERIES, "label.bin", corrected.tobytes(order="F"), label_info=[{"name": "microbleed"}])
            assert len(pacs.instances(STUDY, ["SEG"])) == 1
            assert stored_label(address).sum() == corrected.sum() < mask.sum()
            train(address, MODEL, max_epochs=1, val_split=0, multi_gpu=False)
            assert infer(address, MODEL, SERIES).json()["scores"] != before


def test_subtypes_are_trained_with_submitted_diagnoses_and_answer_with_the_new_weights(installed):
    folder, environment = installed
    (folder / "SCANS").mkdir()
    for number in range(3):
        scan = planted_scan(shape=(64, 74, 58), voxel_mm=(1.5, 1.5, 1.5), radius_mm=3.0, seed=number).image
        nib.save(scan, folder / "SCANS" / f"sub-{number}_mag.nii.gz")
    _, start, options = documented(0).partition("monailabel start_server")
    with serving_models(folder, environment, start + options) as address:
        before = infer(address, "csvd_classification", "sub-0_mag").json()["prediction"]
        for number, (subtype, (age, sex)) in enumerate(PEOPLE.items()):
            content = json.dumps({"label": subtype, "age": age, "sex": sex})
            submit(address, f"sub-{number}_mag", f"sub-{number}_mag.json", content)
        train(address, "csvd_classification", max_epochs=1, val_split=0, multi_gpu=False)
        after = infer(address, "csvd_classification", "sub-0_mag").json()["prediction"]
    assert [one["label"] for one in after][: len(PEOPLE)] == [name.lower() for name in PEOPLE]
    assert sum(one["score"] for one in after) == pytest.approx(1, abs=1e-3)
    assert [one["score"] for one in after] != [one["score"] for one in before]


def click_through(address):
    """Open the study in OHIF, choose the model and run it; return the mask (I, J, K) and its affine to LPS mm."""
    with browsing() as page:
        viewer = Viewer(page)
        viewer.open(f"{address}/ohif/monai-label?StudyInstanceUIDs={STUDY}", greetings=["Confirm and hide"])
        page.locator("#monailabelServerURL").fill(f"{address}/")
        page.locator(".settingsTable button").click()
        page.wait_for_function("() => services.segmentationService.getLabelmapVolume('1')")  # else the mask is lost
        page.wait_for_timeout(3000)
        page.locator(".modelSelector select").first.select_option(MODEL)
        with page.expect_response(lambda answer: "/infer/" in answer.url) as infers:
            page.locator(".modelSelector button", has_text="Run").first.click()
        assert infers.value.status == 200
        page.wait_for_function(
            """() => services.segmentationService.getLabelmapVolume("1")
            .voxelManager.getCompleteScalarDataArray().some(value => value)""",
            polling=2000,
        )
        shown = page.evaluate(
            """() => { const { dimensions, spacing, origin, direction, voxelManager } =
              services.segmentationService.getLabelmapVolume("1");
            return { dimensions, spacing: [...spacing], origin: [...origin], direction: [...direction],
              voxels: [...voxelManager.getCompleteScalarDataArray()] } }"""
        )
        save_lesion(viewer)
    axes = np.reshape(shown["direction"], (3, 3)).T * shown["spacing"]
    mask = np.array(shown["voxels"], dtype=np.uint8).reshape(shown["dimensions"], order="F")
    return mask > 0, nib.affines.from_matvec(axes, shown["origin"])


def check_mask(mask, to_lps):
    """Most of what OHIF shows lies on simulated lesions, and most of these are shown."""
    true = np.array([[one[f"{axis}_mm"] for axis in "xyz"] for one in simulated_subject().lesions]) @ LPS[:3, :3]
    regions, count = ndimage.label(mask)
    shown = nib.affines.apply_affine(to_lps, ndimage.center_of_mass(mask, regions, range(1, count + 1)))
    apart = np.linalg.norm(shown[:, None] - true, axis=2)
    assert (apart.min(axis=1) < 2).mean() > 0.7
    assert (apart.min(axis=0) < 2).mean() > 0.7


def stored_label(address):
    """The label that the server trains with, (I, J, K)."""
    (item,) = requests.get(f"{address}/datastore/", params={"output": "train"}, timeout=60).json()
    return nib.load(item["label"]).get_fdata() > 0


def save_lesion(viewer):
    """Go to a lesion in all planes, and take the picture."""
    lesion = max(simulated_subject().lesions, key=lambda one: one["radius_mm"])
    point = [float(value) for value in LPS[:3, :3] @ [lesion[f"{axis}_mm"] for axis in "xyz"]]
    viewer.page.evaluate(
        """point => { for (const { viewport } of cornerstone.getEnabledElements()) {
          const { focalPoint, position, viewPlaneNormal } = viewport.getCamera();
          const steps = viewPlaneNormal.reduce((sum, one, axis) => sum + one * (point[axis] - focalPoint[axis]), 0);
          const moved = from => from.map((one, axis) => one + steps * viewPlaneNormal[axis]);
          viewport.setCamera({ focalPoint: moved(focalPoint), position: moved(position) });
          viewport.render(); } }""",
        point,
    )
    viewer.page.wait_for_timeout(5000)
    save_screenshot(viewer.page, "monai_label")
