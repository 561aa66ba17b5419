"""DICOM segmentation (SEG) of the lesions: a binary segment each, on the pixels of the scan's own DICOM images."""

from collections.abc import Mapping, Sequence
from typing import Any

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from ...lesions.outlines import LARGEST_MM
from ..records import OWN_SERIES
from .source import SlicePlane

Row = Mapping[str, str]
ALGORITHM = "csvd cmb_detection"
NAME, LARGE = "suspected microbleed", f"lesion larger than {LARGEST_MM:g} mm"
"""What is found: the second is not a microbleed by definition."""


def make_segmentation(
    planes: Sequence[SlicePlane],
    instances: np.ndarray,
    affine: np.ndarray,
    rows: Sequence[Row],
    equipment: Mapping[str, Any],
    threshold: float,
) -> hd.seg.Segmentation:
    """Return the segmentation; segment number n is the n-th row.

    SNOMED CT codes of DICOM's own lists know no microbleed: the segments are "Hemorrhage", their labels say more.
    Geometry is that of the planes, because :class:`highdicom.Volume` refuses direction cosines of three decimals.

    Args:
        planes: of the volume that was worked on.
        instances: (X, Y, Z) instance map on the grid of the scan.
        affine: (4, 4) of it, voxel to RAS+ mm.
        rows: of the table of lesions, one at least.
        equipment: what made it, as highdicom names it.
        threshold: lowest probability.
    """
    numbers = np.zeros(int(instances.max()) + 1, dtype=np.uint16)
    for number, row in enumerate(rows, start=1):
        numbers[int(row["id"])] = number
    stack = np.stack([numbers[instances[plane.voxels(affine, instances.shape)]] for plane in planes])
    algorithm = hd.AlgorithmIdentificationSequence(
        name=ALGORITHM,
        family=codes.cid7162.ArtificialIntelligence,
        version=str(equipment["software_versions"]),
        parameters={"threshold": f"{threshold:g}"},
    )
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name_of(row),
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Hemorrhage,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=hd.UID(),
            tracking_id=name_of(row),
            anatomic_regions=[codes.SCT.Brain],
        )
        for number, row in enumerate(rows, start=1)
    ]
    first = planes[0]
    along_column, along_row = (first.to_mm[:3, axis] / np.linalg.norm(first.to_mm[:3, axis]) for axis in (0, 1))
    spacing = np.linalg.norm(first.to_mm[:3, :2], axis=0).tolist()
    slice_mm = float(np.linalg.norm(affine[:3, _slice_axis(first, affine)]))
    result = hd.seg.Segmentation(
        source_images=headers(planes),
        pixel_array=stack,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=9001,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        pixel_measures=hd.PixelMeasuresSequence(spacing, slice_mm, slice_mm),
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", [*along_row, *along_column]),
        plane_positions=[hd.PlanePositionSequence("PATIENT", plane.to_mm[:3, 3].tolist()) for plane in planes],
        content_label="MICROBLEEDS",
        content_description="Suspected microbleeds. Research use only.",
        series_description=OWN_SERIES["SEG"],
        **equipment,
    )
    _reference_planes(result, planes)
    return result


def is_large(row: Row) -> bool:
    """Return whether the table says that a lesion is too large for a microbleed."""
    return row.get("large") == "1"


def name_of(row: Row) -> str:
    """Return what a lesion is called."""
    return f"{LARGE if is_large(row) else NAME} {row['id']}"


def headers(planes: Sequence[SlicePlane]) -> list[Dataset]:
    """Return the instances of planes, each once."""
    return list({plane.header.SOPInstanceUID: plane.header for plane in planes}.values())


def _slice_axis(plane: SlicePlane, affine: np.ndarray) -> int:
    """Return the axis of the grid that is normal to the plane."""
    normal = np.cross(plane.to_mm[:3, 0], plane.to_mm[:3, 1]) * (-1, -1, 1)
    return int(np.abs(normal @ affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax())


def _reference_planes(result: Dataset, planes: Sequence[SlicePlane]) -> None:
    """Make each frame reference the image that its plane came from, frame by frame, and of a mosaic the whole."""
    origins = np.stack([plane.to_mm[:3, 3] for plane in planes])
    shared = result.SharedFunctionalGroupsSequence[0]
    for groups in result.PerFrameFunctionalGroupsSequence:
        position = (groups if "PlanePositionSequence" in groups else shared).PlanePositionSequence[0]
        distance = np.linalg.norm(origins - np.array(position.ImagePositionPatient, dtype=float), axis=1)
        plane = planes[int(distance.argmin())]
        image = Dataset()
        image.ReferencedSOPClassUID = plane.header.SOPClassUID
        image.ReferencedSOPInstanceUID = plane.header.SOPInstanceUID
        if plane.frame is not None:
            image.ReferencedFrameNumber = plane.frame
        image.SpatialLocationsPreserved = "YES" if plane.tile is None else "NO"
        image.PurposeOfReferenceCodeSequence = [_code(codes.DCM.SourceImageForImageProcessingOperation)]
        derivation = Dataset()
        derivation.DerivationCodeSequence = [_code(codes.DCM.Segmentation)]
        derivation.SourceImageSequence = [image]
        groups.DerivationImageSequence = [derivation]
        if "SegmentIdentificationSequence" in shared:  # of one segment alone; a report looks for it in each frame
            groups.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
    for name in ("DerivationImageSequence", "SegmentIdentificationSequence"):
        if name in shared:
            delattr(shared, name)


def _code(code: Any) -> Dataset:
    return hd.sr.CodedConcept(code.value, code.scheme_designator, code.meaning)
