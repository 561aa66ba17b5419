"""Writes the DICOM objects of a case beside its other results."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ... import __version__
from ...checks import InputError, shortened
from ..files import atomic_path
from ..records import DICOM_ENDS
from ..tables import read_table
from .measurements import make_report
from .segmentation import headers, make_segmentation
from .source import SlicePlane, Source

SEXES = ("M", "F", "O", "")
BLANK = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""What every object of a study has, if only empty; anonymising programs take it away."""
KEPT = {*BLANK, "IssuerOfPatientID"}
PRIVATE_GROUPS = (0x0010, 0x0032, 0x0038)
"""Patient, request and visit."""
PRIVATE_TAGS = (
    "StudyComments",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "InstitutionCodeSequence",
    "StationName",
    "DeviceSerialNumber",
)


def write_dicom(folder: Path, case: str, source: Source) -> list[Path]:
    """Write ``<case>_seg.dcm`` and ``<case>_sr.dcm`` into a folder of results; both appear, or none.

    Patient and study are those of the source. A scan without lesions gets the report alone: DICOM has no segmentation
    without a segment.

    Args:
        folder: with ``<case>_cmb.nii.gz``, ``<case>_lesions.tsv`` and ``<case>.json``.
        case: name.
        source: DICOM images of the scan, see :func:`find_source`.

    Returns:
        The files.

    Raises:
        InputError: the instance map is not on the grid of the scan, the table names a lesion that it lacks, or tags
            of the images cannot be taken over.
    """
    image: Any = nib.load(folder / f"{case}_cmb.nii.gz")
    instances = np.asarray(image.dataobj)
    affine, shape = source.grid
    if instances.shape != shape or not np.allclose(image.affine, affine, atol=1e-3):
        raise InputError(
            f"result '{folder / case}_cmb.nii.gz' is not on the grid of the scan in DICOM folder '{source.folder}': "
            "give its scan."
        )
    rows = read_table(folder / f"{case}_lesions.tsv")
    missing = {int(row["id"]) for row in rows} ^ ({*np.unique(instances).tolist()} - {0})
    if missing:
        raise InputError(f"result '{folder}' must have the same lesions in map and table, {sorted(missing)} differ.")
    record = json.loads((folder / f"{case}.json").read_text(encoding="utf-8"))
    volume = record["input"].get("volume", {}).get("index", 0)
    planes = _complete(source.volumes[volume])
    equipment = {
        "manufacturer": "csvd",
        "manufacturer_model_name": "cmb_detection",
        "software_versions": __version__,
        "device_serial_number": __version__,
    }
    try:
        seg = make_segmentation(planes, instances, affine, rows, equipment, record["threshold"]) if rows else None
        report = make_report(planes, seg, rows, equipment, record["warnings"])
    except Exception as error:  # highdicom and pydicom have one for each tag that breaks the standard
        raise InputError(
            f"results of DICOM folder '{source.folder}' cannot be written as DICOM, because a tag of its images breaks "
            f"the standard ({type(error).__name__}: {shortened(error)}). Correct it, or leave out --dicom."
        ) from error
    objects = zip(DICOM_ENDS, (seg, report), strict=True)
    paths = {folder / f"{case}_{end}.dcm": made for end, made in objects if made is not None}
    with ExitStack() as stack:  # the names change when both files are complete
        for path, made in paths.items():
            made.save_as(stack.enter_context(atomic_path(path)))
    return [*paths]


def _is_private(tag: Any) -> bool:
    """Return whether a tag tells more of people and places than the objects of a study need; highdicom takes all."""
    from pydicom.datadict import dictionary_VR, keyword_for_tag

    keyword = keyword_for_tag(tag)
    if keyword in KEPT:
        return False
    person = bool(keyword) and dictionary_VR(tag) == "PN"
    return person or tag.is_private or tag.group in PRIVATE_GROUPS or keyword in PRIVATE_TAGS


def _complete(planes: Sequence[SlicePlane]) -> Sequence[SlicePlane]:
    """Take from the headers what is private, give them what DICOM demands of a study, and what highdicom looks for."""
    for header in headers(planes):
        tags = [*header.keys()]  # a data set yields elements, which may not be readable
        for tag in filter(_is_private, tags):
            del header[tag]
        for name in BLANK:
            if name not in header:
                setattr(header, name, "")
        if header.PatientSex not in SEXES:
            header.PatientSex = ""
        if "PerFrameFunctionalGroupsSequence" in header:
            shared, first = header.SharedFunctionalGroupsSequence[0], header.PerFrameFunctionalGroupsSequence[0]
            for name in ("PixelMeasuresSequence", "PlaneOrientationSequence"):  # some scanners repeat them a frame
                setattr(shared, name, (shared if name in shared else first)[name].value)
    return planes
