"""DICOM structured report (TID 1500) of the lesions: what the table says of each, tied to its segment."""

from collections.abc import Mapping, Sequence
from typing import Any

import highdicom as hd
import numpy as np
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from ... import __version__
from ..lesion_table import UNKNOWN
from .segmentation import ALGORITHM, NAME, Row, headers
from .source import LPS, Plane

SCHEME = "99CSVD"
SUSPECTED = sr.CodedConcept("suspected-cmb", SCHEME, "Suspected cerebral microbleed")
"""What is found: SNOMED CT would say haemorrhage, which reads as a diagnosis."""
DIAMETER_METHOD = sr.CodedConcept("sphere", SCHEME, "Sphere of equal volume")
WORDS = {
    "region": "Region, approximate",
    "mars": "Region of the Microbleed Anatomical Rating Scale, approximate",
    "susceptibility": "Sign of magnetic susceptibility",
}
"""Columns of the table whose words are told, where it has them, and what they are called."""
SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}
DISCLAIMER = "Research use only: not a medical device. Suspected microbleeds, found by software, not reviewed."


def make_report(
    planes: Sequence[Plane],
    segmentation: Dataset | None,
    rows: Sequence[Row],
    equipment: Mapping[str, Any],
    warnings: Sequence[str] = (),
) -> sr.Comprehensive3DSR:
    """Return the report: the number of lesions, and of each its volume, diameter, probability, centre and region.

    Args:
        planes: of the volume that was worked on.
        segmentation: see :func:`make_segmentation`; None where there is no lesion.
        rows: of the table of lesions.
        equipment: what made it, as highdicom names it.
        warnings: what the record of the case warns of.
    """
    groups = [_count(planes, len(rows))]
    for number, row in enumerate(rows, start=1):
        groups.append(_lesion(row, number, segmentation, planes[0].header.FrameOfReferenceUID))
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(),
        name=ALGORITHM,
        manufacturer_name=equipment["manufacturer"],
        model_name=equipment["manufacturer_model_name"],
    )
    observer = sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.LN.BrainMRI,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    for text in (DISCLAIMER, *warnings):
        item = sr.TextContentItem(codes.DCM.Comment, text, sr.RelationshipTypeValues.CONTAINS)
        content[0].ContentSequence.append(item)
    return sr.Comprehensive3DSR(
        evidence=[*headers(planes), *([] if segmentation is None else [segmentation])],
        content=content[0],
        series_instance_uid=hd.UID(),
        series_number=9002,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        is_complete=True,
        series_description="csvd: microbleed report. Research use only.",
        coding_schemes=[_scheme()],
        **equipment,
    )


def _lesion(row: Row, number: int, segmentation: Any, frame_of_reference: str) -> Any:
    """Return the measurement group of one lesion (TID 1411)."""
    description = segmentation.SegmentSequence[number - 1]
    sites = [sr.FindingSite(codes.SCT.Brain, laterality=SIDES.get(row["side"]))]
    words = {column: row[column] for column in WORDS if row.get(column, UNKNOWN) != UNKNOWN}
    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(description.TrackingUID, description.TrackingID),
        referenced_segment=sr.ReferencedSegment.from_segmentation(segmentation, number),
        finding_type=SUSPECTED,
        finding_sites=sites,
        algorithm_id=sr.AlgorithmIdentification(ALGORITHM, __version__),
        measurements=[
            sr.Measurement(codes.SCT.Volume, float(row["volume_mm3"]), codes.UCUM.CubicMillimeter),
            sr.Measurement(
                codes.SCT.Diameter, float(row["diameter_mm"]), codes.UCUM.Millimeter, method=DIAMETER_METHOD
            ),
            sr.Measurement(codes.DCM.Probability, float(row["probability"]), codes.UCUM.NoUnits),
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(
                sr.CodedConcept(column, SCHEME, WORDS[column]), sr.CodedConcept(word, SCHEME, word.capitalize())
            )
            for column, word in words.items()
        ],
    )
    centre = LPS[:3, :3] @ [float(row[axis]) for axis in ("x_mm", "y_mm", "z_mm")]
    point = sr.Scoord3DContentItem(
        codes.DCM.Center,
        sr.GraphicTypeValues3D.POINT,
        np.reshape(centre, (1, 3)),
        frame_of_reference,
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )
    group[0].ContentSequence.append(point)
    return group


def _count(planes: Sequence[Plane], lesions: int) -> Any:
    """Return the measurement group of the scan (TID 1501): the number of lesions, and the images it was seen in."""
    frames = {
        header.SOPInstanceUID: [plane.frame for plane in planes if plane.header is header and plane.frame is not None]
        for header in headers(planes)
    }
    images = [
        sr.SourceImageForMeasurementGroup(
            header.SOPClassUID, header.SOPInstanceUID, sorted(frames[header.SOPInstanceUID]) or None
        )
        for header in headers(planes)
    ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(hd.UID(), f"all {NAME}s"),
        finding_type=SUSPECTED,
        finding_sites=[sr.FindingSite(codes.SCT.Brain)],
        algorithm_id=sr.AlgorithmIdentification(ALGORITHM, __version__),
        measurements=[sr.Measurement(codes.SCT.NumberOfLesions, float(lesions), codes.UCUM.NoUnits)],
        source_images=images,
    )


def _scheme() -> Any:
    return CodingSchemeIdentificationItem(
        designator=SCHEME, name="csvd: terms without a code of their own", responsible_organization="csvd"
    )
