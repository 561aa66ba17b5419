"""A simulated susceptibility study in a real Orthanc: sent by storescu, searched by csvd, its results stored back.

Import the fixture ``served`` into a test file that is marked ``integration``.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_study import MR, common, save
from once import filled_once, simulated
from orthanc import Orthanc, running_orthanc, send, skip_without_orthanc

from csvd.io.web_cases import web_case_name
from csvd.phantom import PROTOCOLS, Subject

PRESET, SEED, PHENOTYPE = "ukbb", 2023, "CADASIL"  # of csvd demo
STUDY = "1.2.826.0.1.3680043.8.498.28"
CASE = web_case_name(STUDY)
LPS = np.diag([-1.0, -1, 1, 1])
PHASE_SLOPE, PHASE_INTERCEPT = 2, -4096
"""As Siemens stores phase: from 0 to 4095, which stands for -pi to pi."""


@dataclass(frozen=True)
class Served:
    """A server with the study, and what csvd made of it.

    Attributes:
        server: Orthanc, running.
        subject: the simulation: its truth.
        results: folder of the results, ``results / CASE``.
        row: what csvd returned.
    """

    server: Orthanc
    subject: Subject
    results: Path
    row: dict

    def fetched(self, modality: str) -> list[pydicom.Dataset]:
        """Return the instances of a modality, such as "SEG", as the server has them."""
        return [pydicom.dcmread(path) for path in self.files(modality)]

    def files(self, modality: str) -> list[Path]:
        """Return files of the instances of a modality, as the server has them."""
        paths = []
        for identifier in self.server.instances(STUDY, [modality]):
            paths.append(self.results.parent / f"fetched-{identifier}.dcm")
            paths[-1].write_bytes(self.server.get(f"/instances/{identifier}/file").content)
        return paths


@pytest.fixture(scope="session")
def served(shared, tmp_path_factory):
    """Orthanc with the simulated study and its results, see :class:`Served`; searched once for all test processes."""
    skip_without_orthanc()
    made = filled_once(shared / "served", _search)
    folder = tmp_path_factory.mktemp("served") / "copy"
    shutil.copytree(made, folder)  # two servers cannot share a storage
    with running_orthanc(folder / "orthanc") as server:
        row = json.loads((folder / "row.json").read_text())
        yield Served(server, simulated_subject(), folder / "results", row)


def simulated_subject() -> Subject:
    """Return the person whose study it is."""
    return simulated(PROTOCOLS[PRESET], seed=SEED, phenotype=PHENOTYPE)


def write_study(folder: Path, study: str = STUDY) -> None:
    """Write the study as DICOM: magnitude, phase and SWI, a series each, in subfolders."""
    subject = simulated_subject()
    protocol, images = subject.protocol, subject.images
    phase = (images["phase"] / np.pi * 4096 - PHASE_INTERCEPT) / PHASE_SLOPE
    types = {"mag": ("M", "ND"), "phase": ("P", "ND"), "swi": ("M", "SWI", "NORM")}
    for number, (kind, volume) in enumerate({**images, "phase": phase}.items(), start=1):
        if kind not in types:
            continue
        series = f"{study}.{number}"
        slices = volume.numpy().round().clip(0, 4095).astype(np.uint16)
        affine = LPS @ subject.affine.numpy()
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        for place in range(slices.shape[2]):
            header = common(study, series, number, f"t2_gre_{kind}", f"{study}.9")
            header.ImageType, header.InstanceNumber = ["ORIGINAL", "PRIMARY", *types[kind]], place + 1
            header.EchoTime, header.EchoNumbers, header.RepetitionTime = protocol.te_ms, 1, protocol.tr_ms
            header.FlipAngle, header.MagneticFieldStrength = protocol.flip_deg, protocol.b0_tesla
            header.MRAcquisitionType, header.EchoTrainLength = "3D", 1
            header.SliceThickness = header.SpacingBetweenSlices = float(spacing[2])
            header.PixelSpacing = [float(spacing[1]), float(spacing[0])]
            corner = affine @ (0, 0, place, 1)
            header.ImagePositionPatient = [f"{value:.8g}" for value in corner[:3]]
            axes = np.concatenate([affine[:3, axis] / spacing[axis] for axis in (0, 1)])
            header.ImageOrientationPatient = [f"{value:.8g}" for value in axes]
            header.Columns, header.Rows = slices.shape[:2]
            if kind == "phase":
                header.RescaleIntercept, header.RescaleSlope, header.RescaleType = PHASE_INTERCEPT, PHASE_SLOPE, "US"
            header.PixelData = np.ascontiguousarray(slices[:, :, place].T).tobytes()
            save(header, folder / kind / f"{place:04d}.dcm", MR)


def _search(folder: Path) -> None:
    """Send the study to a server, run the command that fetches, searches and stores back, and keep all in a folder."""
    write_study(folder / "study")
    with running_orthanc(folder / "orthanc") as server:
        send(server, folder / "study")
        words = ("--dicomweb", server.dicomweb, "--study", STUDY, "--store", "--out", folder / "results", "--json")
        command = [sys.executable, "-m", "csvd.cli", "detect", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    [row] = json.loads(done.stdout)
    (folder / "row.json").write_text(json.dumps(row))
