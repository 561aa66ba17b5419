"""DICOM series made from nothing, with dark spots at known places: classic images, an enhanced multi-frame object."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
ECHOES_MS = (7.5, 20.0)
SPACING_MM, STEP_MM = (1.1, 0.9), 3.0
SIZE = (40, 48, 12)  # rows, columns, slices
SPOTS = ((20, 31, 4), (9, 14, 8))
"""Row, column and slice of the middle of each dark spot, a cross of nine pixels in a slice and one above and below."""
SWI_TYPES = ("ORIGINAL", "PRIMARY", "M", "SWI", "ND")
PATIENT = {"PatientName": "Müller^Änne", "PatientID": "7", "PatientBirthDate": "19500101", "PatientSex": "F"}


@dataclass(frozen=True)
class Geometry:
    """An oblique stack of slices; all lengths in patient coordinates (LPS mm)."""

    along_row: np.ndarray
    along_column: np.ndarray
    corner_mm: np.ndarray

    @property
    def normal(self):
        return np.cross(self.along_row, self.along_column)

    def point(self, row, column, number):
        """Return where a pixel lies, by the formula of the standard (C.7.6.2.1.1)."""
        across = self.along_row * SPACING_MM[1] * column + self.along_column * SPACING_MM[0] * row
        return self.corner_mm + across + self.normal * STEP_MM * number


def oblique(degrees=17.0):
    """Return slices turned about the patient's left-right axis, then a little about the others."""
    angle = np.radians(degrees)
    along_row = np.array([np.cos(0.1), np.sin(0.1), 0.0])
    towards = np.array([0.0, np.cos(angle), -np.sin(angle)])
    along_column = towards - along_row * (towards @ along_row)
    return Geometry(along_row, along_column / np.linalg.norm(along_column), np.array([-31.0, -12.0, 41.0]))


def sagittal():
    """Return slices almost sagittal, from the left to the right."""
    along_row = np.array([0.05, 1.0, 0.02]) / np.linalg.norm([0.05, 1.0, 0.02])
    down = np.array([0.0, 0.0, -1.0])
    along_column = down - along_row * (down @ along_row)
    return Geometry(along_row, along_column / np.linalg.norm(along_column), np.array([40.0, -30.0, 35.0]))


def pixels(echo_ms, seed=3):
    """Return (rows, columns, slices) uint16: noise about a level that tells the echo, and the spots."""
    values = np.random.default_rng(seed + int(echo_ms)).normal(1000 - 10 * echo_ms, 30, SIZE)
    for spot in SPOTS:
        for step in np.array([(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]):
            values[tuple(np.add(spot, step))] = 20
    return values.astype(np.uint16)


def common(study, series, number, description, frame_of_reference):
    """Return what all instances of a series have."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    for name, value in PATIENT.items():
        setattr(header, name, value)
    header.StudyInstanceUID, header.SeriesInstanceUID = study, series
    header.FrameOfReferenceUID, header.PositionReferenceIndicator = frame_of_reference, ""
    header.StudyDate, header.StudyTime, header.StudyID, header.AccessionNumber = "20200102", "101112", "1", "A7"
    header.ReferringPhysicianName = "House^G"
    header.Modality, header.SeriesNumber, header.SeriesDescription = "MR", number, description
    header.Manufacturer, header.PatientPosition, header.MagneticFieldStrength = "Test", "HFS", 3
    header.ScanningSequence, header.SequenceVariant, header.ScanOptions = "GR", "SP", ""
    header.MRAcquisitionType, header.RepetitionTime, header.AcquisitionNumber = "2D", 700, 1
    header.SliceThickness, header.SpacingBetweenSlices = STEP_MM, STEP_MM
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.Rows, header.Columns = SIZE[:2]
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    return header


def save(header, path, sop_class):
    """Write an instance, and return its identifier."""
    header.SOPClassUID, header.SOPInstanceUID = sop_class, generate_uid()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)
    return header.SOPInstanceUID


def write_classic(folder, geometry, *, number=5, description="t2star", kind="M", study="1.2.3", echoes=ECHOES_MS):
    """Write one file a slice and echo, names without order, and return ``{(echo, slice): SOP instance UID}``."""
    series, written = generate_uid(), {}
    for echo, echo_ms in enumerate(echoes, start=1):
        volume = pixels(echo_ms)
        for place in range(SIZE[2]):
            header = common(study, series, number, description, study + ".9")
            header.ImageType = ["ORIGINAL", "PRIMARY", kind, "ND"]
            header.EchoTime, header.EchoNumbers = echo_ms, echo
            header.InstanceNumber = place * len(echoes) + echo
            header.ImagePositionPatient = [f"{value:.8g}" for value in geometry.point(0, 0, place)]
            header.ImageOrientationPatient = [f"{v:.8g}" for v in (*geometry.along_row, *geometry.along_column)]
            header.PixelSpacing, header.SliceLocation = list(SPACING_MM), place * STEP_MM
            header.PixelData = np.ascontiguousarray(volume[:, :, place]).tobytes()
            name = f"IM{(place * 7 + echo * 5) % 97:03d}_{number}_{echo}"
            written[echo_ms, place] = save(header, folder / name, MR)
    return written


def write_series(folder, volume=None, *, number=1, description="SWI", types=SWI_TYPES, keep=None, prefix="s", **tags):
    """Write one file a slice of one echo of 20 ms, and return the paths; further tags may be functions of the slice.

    Args:
        volume: (rows, columns, slices), uint16; ``pixels(20.0)`` by default.
        keep: slices to write; all by default.
        prefix: begins the names of the files.
    """
    volume, geometry, uid = pixels(20.0) if volume is None else volume, oblique(), generate_uid()
    paths = []
    for place in range(volume.shape[2]) if keep is None else keep:
        header = common("1.2.3", uid, number, description, "1.2.3.9")
        header.ImageType, header.InstanceNumber = [*types], place + 1
        header.EchoTime, header.EchoNumbers, header.MRAcquisitionType = 20.0, 1, "3D"
        header.ImagePositionPatient = [f"{value:.8g}" for value in geometry.point(0, 0, place)]
        header.ImageOrientationPatient = [f"{v:.8g}" for v in (*geometry.along_row, *geometry.along_column)]
        header.PixelSpacing = list(SPACING_MM)
        header.PixelData = np.ascontiguousarray(volume[:, :, place]).tobytes()
        paths.append(Path(folder) / f"{prefix}{place:03d}")
        header.SOPClassUID, header.SOPInstanceUID = MR, generate_uid()
        header.file_meta = FileMetaDataset()
        header.file_meta.MediaStorageSOPClassUID = MR
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for name, value in tags.items():
            setattr(header, name, value(place) if callable(value) else value)
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        header.preamble = bytes(128)
        header.save_as(paths[-1])
    return paths


def change(paths, **tags):
    """Set tags of files, or delete those that are None."""
    for path in paths:
        header = pydicom.dcmread(path)
        for name, value in tags.items():
            if value is None:
                delattr(header, name)
            else:
                setattr(header, name, value)
        header.save_as(path)


def take_start(path, how):
    """Take away what stands before the data set, as old exports do; three words say how the data set is encoded."""
    whole = path.read_bytes()
    if how in ("group 2", "mark"):
        path.write_bytes(whole[132 if how == "group 2" else 128 :])
        return
    header, out = pydicom.dcmread(path), BytesIO()
    header.preamble, header.file_meta = None, FileMetaDataset()
    if how == "big":
        header.PixelData = np.frombuffer(header.PixelData, dtype="<u2").astype(">u2").tobytes()
    encoding = {"implicit_vr": how == "implicit", "little_endian": how != "big"}
    pydicom.dcmwrite(out, header, **encoding, enforce_file_format=False)
    path.write_bytes(out.getvalue())


def seen(image, size=SIZE):
    """Return the values of a NIfTI file where the pixels of the series lie, (rows, columns, slices)."""
    converted, geometry, index = nib.load(image), oblique(), np.indices(size).reshape(3, -1)
    axes = [geometry.point(*step) - geometry.corner_mm for step in np.eye(3)]
    points = (geometry.corner_mm + index.T @ axes) * (-1, -1, 1)
    voxels = nib.affines.apply_affine(np.linalg.inv(converted.affine), points)
    assert np.abs(voxels - voxels.round()).max() < 0.01
    assert sorted(converted.shape) == sorted(size)
    return np.asarray(converted.dataobj)[tuple(voxels.round().astype(int).T)].reshape(size)


def write_enhanced(path, geometry, *, study="1.2.3", echoes=ECHOES_MS):
    """Write one multi-frame object, last slice first, and return its UID and ``{(echo, slice): frame}``."""
    header = common(study, generate_uid(), 6, "t2star enhanced", study + ".9")
    header.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    header.InstanceNumber, header.AcquisitionDateTime = 1, "20200102101112"
    shared = item(
        PixelMeasuresSequence=[item(PixelSpacing=list(SPACING_MM), SliceThickness=STEP_MM)],
        PlaneOrientationSequence=[
            item(ImageOrientationPatient=[f"{v:.8g}" for v in (*geometry.along_row, *geometry.along_column)])
        ],
        MRTimingAndRelatedParametersSequence=[item(RepetitionTime=700.0, FlipAngle=15.0)],
    )
    header.SharedFunctionalGroupsSequence = [shared]
    frames, stored, numbers = [], [], {}
    for place in reversed(range(SIZE[2])):
        for echo, echo_ms in enumerate(echoes, start=1):
            content = item(StackID="1", InStackPositionNumber=place + 1, DimensionIndexValues=[1, place + 1, echo])
            position = item(ImagePositionPatient=[f"{value:.8g}" for value in geometry.point(0, 0, place)])
            kind = item(FrameType=["ORIGINAL", "PRIMARY", "M", "NONE"])
            groups = {"FrameContentSequence": [content], "PlanePositionSequence": [position]}
            groups |= {"MREchoSequence": [item(EffectiveEchoTime=echo_ms)], "MRImageFrameTypeSequence": [kind]}
            frames.append(item(**groups))
            stored.append(pixels(echo_ms)[:, :, place])
            numbers[echo_ms, place] = len(frames)
    header.PerFrameFunctionalGroupsSequence, header.NumberOfFrames = frames, len(frames)
    tags = (0x00209056, 0x00209057, 0x00189082)  # stack, position in it, echo time
    groups = (0x00209111, 0x00209111, 0x00189114)
    organization = generate_uid()
    header.DimensionOrganizationSequence = [item(DimensionOrganizationUID=organization)]
    header.DimensionIndexSequence = [
        item(DimensionOrganizationUID=organization, DimensionIndexPointer=tag, FunctionalGroupPointer=group)
        for tag, group in zip(tags, groups, strict=True)
    ]
    header.PixelData = np.stack(stored).tobytes()
    return save(header, Path(path), ENHANCED_MR), numbers


def item(**values):
    """Return a data set of attributes."""
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made
