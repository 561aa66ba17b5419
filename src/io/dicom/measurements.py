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
from ...lesions.outlines import LARGEST_MM
from ...lesions.table import UNKNOWN
from ..records import OWN_SERIES
from .segmentation import ALGORITHM, LARGE, NAME, Row, headers, is_large
from .source import LPS, SlicePlane

SCHEME = "99CSVD"
SUSPECTED = sr.CodedConcept("suspected-cmb", SCHEME, "Suspected cerebral microbleed")
"""What is found: SNOMED CT would say haemorrhage, which reads as a diagnosis."""
LARGER = sr.CodedConcept("large", SCHEME, f"Lesion larger than {LARGEST_MM:g} mm: macrobleed or cavernoma?")
"""What is not a microbleed by definition, and is not counted as one."""
DIAMETER_METHOD = sr.CodedConcept("sphere", SCHEME, "Sphere of equal volume")
VOLUME_METHOD = sr.CodedConcept("half", SCHEME, "Area at half contrast, finer than voxels, times slice distance")
MEASURED = {
    "longest_mm": (codes.SCT.LongAxis, codes.UCUM.Millimeter),
    "slices": (sr.CodedConcept("slices", SCHEME, "Number of slices"), codes.UCUM.NoUnits),
    "contrast_percent": (sr.CodedConcept("contrast", SCHEME, "Contrast to local background"), codes.UCUM.Percent),
    "difference": (sr.CodedConcept("difference", SCHEME, "Difference to local background"), codes.UCUM.NoUnits),
    "cnr": (sr.CodedConcept("cnr", SCHEME, "Contrast to noise"), codes.UCUM.NoUnits),
}
"""Columns of the outlines, where the table has them; a difference is in the unit of the image."""
WORDS = {
    "region": "Region, approximate",
    "mars": "Region of the Microbleed Anatomical Rating Scale, approximate",
    "susceptibility": "Sign of magnetic susceptibility",
}
"""Columns of the table whose words are told, where it has them, and what they are called."""
SITES = {
    "frontal": codes.SCT.FrontalLobe,
    "parietal": codes.SCT.ParietalLobe,
    "temporal": codes.SCT.TemporalLobe,
    "occipital": codes.SCT.OccipitalLobe,
    "insula": codes.SCT.Insula,
    "basal ganglia": codes.SCT.CorpusStriatum,
    "thalamus": codes.SCT.Thalamus,
    "internal capsule": codes.SCT.InternalCapsule,
    "external capsule": codes.SCT.ExternalCapsule,
    "corpus callosum": codes.SCT.CorpusCallosum,
    "deep white matter": codes.SCT.CerebralWhiteMatter,
    "brainstem": codes.SCT.BrainStem,
    "cerebellum": codes.SCT.Cerebellum,
}
"""Codes of the regions of MARS, as far as DICOM's own lists have them: the basal ganglia stand as corpus striatum."""
SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}
DISCLAIMER = "Research use only: not a medical device. Suspected microbleeds, found by software, not reviewed."


def make_report(
    planes: Sequence[SlicePlane],
    segmentation: Dataset | None,
    rows: Sequence[Row],
    equipment: Mapping[str, Any],
    warnings: Sequence[str] = (),
) -> sr.Comprehensive3DSR:
    """Return the report: the numbers of microbleeds and of larger lesions, and what the table says of each.

    Args:
        planes: of the volume that was worked on.
        segmentation: see :func:`make_segmentation`; None where there is no lesion.
        rows: of the table of lesions.
        equipment: what made it, as highdicom names it.
        warnings: what the record of the case warns of.
    """
    large = sum(map(is_large, rows))
    frame = planes[0].header.FrameOfReferenceUID
    groups = [_lesion(row, number, segmentation, frame) for number, row in enumerate(rows, start=1)]
    # Behind the lesions: OHIF opens a report at its first measurement, and a number has no point.
    groups.append(_count(planes, len(rows) - large, SUSPECTED, f"all {NAME}s"))
    if large:
        groups.append(_count(planes, large, LARGER, f"each {LARGE}"))
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
        series_description=OWN_SERIES["SR"],
        coding_schemes=[_scheme()],
        **equipment,
    )


def _lesion(row: Row, number: int, segmentation: Any, frame_of_reference: str) -> Any:
    """Return the measurement group of one lesion (TID 1411)."""
    description = segmentation.SegmentSequence[number - 1]
    site = SITES.get(row.get("mars", UNKNOWN), codes.SCT.Brain)
    words = {column: row[column] for column in WORDS if row.get(column, UNKNOWN) != UNKNOWN}
    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(description.TrackingUID, description.TrackingID),
        referenced_segment=sr.ReferencedSegment.from_segmentation(segmentation, number),
        finding_type=LARGER if is_large(row) else SUSPECTED,
        finding_sites=[sr.FindingSite(site, laterality=SIDES.get(row["side"]))],
        algorithm_id=sr.AlgorithmIdentification(ALGORITHM, __version__),
        measurements=_measurements(row),
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


def _measurements(row: Row) -> list[Any]:
    """Return what is measured of a lesion."""
    measured = {name: code for name, code in MEASURED.items() if row.get(name, UNKNOWN) != UNKNOWN}
    volume = sr.Measurement(
        codes.SCT.Volume,
        float(row["volume_mm3"]),
        codes.UCUM.CubicMillimeter,
        method=VOLUME_METHOD if measured else None,
    )
    diameter = sr.Measurement(
        codes.SCT.Diameter, float(row["diameter_mm"]), codes.UCUM.Millimeter, method=DIAMETER_METHOD
    )
    return [
        volume,
        diameter,
        *(sr.Measurement(code, float(row[name]), unit) for name, (code, unit) in measured.items()),
        sr.Measurement(codes.DCM.Probability, float(row["probability"]), codes.UCUM.NoUnits),
    ]


def _count(planes: Sequence[SlicePlane], lesions: int, finding: Any, identifier: str) -> Any:
    """Return the measurement group of the scan (TID 1501): a number of lesions, and the images it was seen in."""
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
        tracking_identifier=sr.TrackingIdentifier(hd.UID(), identifier),
        finding_type=finding,
        finding_sites=[sr.FindingSite(codes.SCT.Brain)],
        algorithm_id=sr.AlgorithmIdentification(ALGORITHM, __version__),
        measurements=[sr.Measurement(codes.SCT.NumberOfLesions, float(lesions), codes.UCUM.NoUnits)],
        source_images=images,
    )


def _scheme() -> Any:
    return CodingSchemeIdentificationItem(
        designator=SCHEME, name="csvd: terms without a code of their own", responsible_organization="csvd"
    )
