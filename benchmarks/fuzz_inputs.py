"""Good inputs of every format that csvd reads, and what damages one of them, the same for the same random numbers."""

import gzip
import json
import shutil
import zlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from dicom_study import write_series
from small_bundle import SHAPE, write_bundle, write_classifier, write_scan

Draw = np.random.Generator

NUMBERS = (0, 1, -1, 2, 3, 7, 8, 16, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31), 10**12)
FLOATS = (*map(float, NUMBERS), float("nan"), float("inf"), float("-inf"), 1e38, -1e38, 1e-38, 1e-9, 0.5)
TEXTS = (
    *("", " ", ".", "..", "../../x", "/", "~", "/etc/passwd", "/dev/zero", "a\0b", "new\nline", "tab\tx", "x" * 70_000),
    *("\x1b]0;title\x07", "\x1b[2J", "<script>alert(1)</script>", "\"'><img src=x>", "=1+1", "$1/0", "@x", "%x"),
    *("\ud800", "\u202e", "e\u0301", "nan", "1e999", "n/a", "0x10", "sub-01", "image", "dark", "{{ 7 * 7 }}"),
)
DEEP = 100_000
"""So many brackets, one in the other, are JSON that no parser takes without care."""


def make_templates(folder: Path) -> None:
    """Write a good input of every kind: scan, phase, mask, label, DICOM series, BIDS folder, bundles."""
    write_scan(folder / "scan.nii", 1)
    scan = nib.Nifti1Image.from_filename(folder / "scan.nii")
    voxels = np.asarray(scan.dataobj)
    maps = {"scan": voxels, "mask": (voxels > 0).astype(np.uint8), "label": (voxels % 97 == 1).astype(np.uint8)}
    maps["scan_ph"] = (voxels % 63 - 31).astype(np.int16)
    for name, values in maps.items():
        nib.save(nib.Nifti1Image(values, scan.affine), folder / f"{name}.nii.gz")
    write_series(folder / "dicom")
    anat = folder / "bids" / "sub-01" / "anat"
    anat.mkdir(parents=True)
    shutil.copy(folder / "scan.nii.gz", anat / "sub-01_T2starw.nii.gz")
    tags = {"EchoTime": 0.02, "RepetitionTime": 0.7, "MagneticFieldStrength": 3, "ImageType": ["ORIGINAL", "PRIMARY"]}
    tags |= {"ScanningSequence": "GR", "SeriesDescription": "t2star", "Modality": "MR"}
    (anat / "sub-01_T2starw.json").write_text(json.dumps(tags))
    (folder / "bids" / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    (folder / "bids" / "participants.tsv").write_text("participant_id\tage\tsex\nsub-01\t71\tF\n")
    keep_grid(write_bundle(folder / "bundle"))
    write_classifier(folder / "classifier")


def keep_grid(bundle: Path) -> None:
    """Have a small bundle read scans as the one that came with csvd, and leave them on their grid, in the gate too."""
    for name, steps in (("inference", "image_transforms"), ("sequence_inference", "series_transforms")):
        path = bundle / "configs" / f"{name}.json"
        config = json.loads(path.read_text())
        config[steps][0]["reader"] = "csvd.io.NiftiReader"
        if name == "inference":
            config[steps] = [step for step in config[steps] if step["_target_"] != "Orientationd"]
        path.write_text(json.dumps(config))


def damaged_bytes(content: bytes, draw: Draw, end: int | None = None) -> bytes:
    """Return bytes of which a few before ``end`` were changed, taken away, repeated or put in."""
    data = bytearray(content)
    for _ in range(draw.integers(1, 4)):
        where = int(draw.integers(0, max(1, min(len(data), end or len(data)))))
        length = int(2 ** draw.integers(0, 9))
        match draw.integers(0, 7):
            case 0:
                data[where : where + 1] = bytes([data[where] ^ 1 << int(draw.integers(0, 8))] if data else [])
            case 1:
                data[where : where + 1] = bytes([int(draw.choice([0, 1, 127, 128, 255]))])
            case 2:
                kind = str(draw.choice(["<i2", "<i4", "<f4", ">i2", "<i8"]))
                with np.errstate(all="ignore"):
                    value = np.array(draw.choice(FLOATS)).astype(kind).tobytes()
                data[where : where + len(value)] = value
            case 3:
                del data[where : where + length]
            case 4:
                data[where:where] = data[where : where + length]
            case 5:
                data[where:where] = draw.bytes(length)
            case 6:
                del data[where:]
    return bytes(data)


def damaged_header(content: bytes, draw: Draw) -> bytes:
    """Return a NIfTI-1 file with an odd value in a field or two of its header, or with damaged bytes in it."""
    if draw.random() < 0.3:
        return damaged_bytes(content, draw, end=352)
    header = np.frombuffer(content[:348], nib.Nifti1Header.template_dtype).copy()
    for _ in range(draw.integers(1, 3)):
        name = str(draw.choice([*header.dtype.names]))
        field = header[0][name]
        with np.errstate(all="ignore"):
            if np.ndim(field):
                field[int(draw.integers(0, len(field)))] = np.array(draw.choice(FLOATS)).astype(field.dtype)
            elif field.dtype.kind in "iuf":
                header[name] = np.array(draw.choice(FLOATS)).astype(field.dtype)
            else:
                header[name] = draw.bytes(field.dtype.itemsize)
    return header.tobytes() + content[348:]


def damaged_json(content: str, draw: Draw) -> bytes:
    """Return JSON with other values, names or brackets, or text that is no JSON."""
    value = json.loads(content)
    for _ in range(draw.integers(1, 4)):
        value = _changed(value, draw)
    text = json.dumps(value)
    match draw.integers(0, 20):
        case 0:
            text = "[" * DEEP + "]" * DEEP
        case 1:
            text = text.replace("1", "9" * 5000, 1)
        case 2:
            return text.encode("utf-16")
        case 3 | 4:
            return damaged_bytes(text.encode(), draw)
    return text.encode("utf-8", "surrogatepass")


def _changed(value: Any, draw: Draw) -> Any:
    """Return JSON data with one of its parts changed, somewhere."""
    if isinstance(value, dict | list) and value and draw.random() < 0.8:
        value = deepcopy(value)
        keys = list(value) if isinstance(value, dict) else [*range(len(value))]
        key = keys[int(draw.integers(0, len(keys)))]
        action = draw.random()
        if action < 0.1:
            del value[key]
        elif action < 0.15 and isinstance(value, dict):
            value[str(draw.choice(TEXTS))] = value.pop(key)
        elif action < 0.2 and isinstance(value, list):
            value.append(deepcopy(value[key]))
        else:
            value[key] = _changed(value[key], draw)
        return value
    odd = [None, True, [], {}, [value], {"x": value}, [[1, 2], [3]], 10**400, *NUMBERS, *FLOATS, *TEXTS, *TEXTS]
    return odd[int(draw.integers(0, len(odd)))]


def damaged_dicom(path: Path, draw: Draw, pixels: bool) -> None:
    """Change a tag or two of a DICOM file, in place: those of its pixels or others; or bytes of it."""
    if draw.random() < 0.4:
        content = path.read_bytes()
        path.write_bytes(damaged_bytes(content, draw, end=None if pixels else len(content) - 4000))
        return
    header = pydicom.dcmread(path)
    for _ in range(draw.integers(1, 4)):
        of_pixels = [tag for tag in header if (tag.tag.group == 0x28 or tag.keyword == "PixelData") == pixels]
        element = of_pixels[int(draw.integers(0, len(of_pixels)))]
        if draw.random() < 0.15:
            del header[element.tag]
        elif element.VR in ("OW", "OB"):
            element.value = element.value[: int(draw.integers(0, len(element.value)))] + bytes(int(draw.integers(0, 9)))
        elif element.VR in ("US", "SS", "UL"):
            element.value = int(abs(draw.choice(NUMBERS[:13])))
        else:
            element.VR = "LO" if element.VR != "UI" else "UI"  # an odd text, whatever belongs there
            texts = [text[:60] for text in TEXTS if "\ud800" not in text]
            text = str(draw.choice([*map(str, FLOATS), *texts]))
            element.value = text.encode("latin-1", "replace").decode("latin-1") if element.VR == "UI" else text
    header.save_as(path, enforce_file_format=False)
    if not pixels and draw.random() < 0.2:  # another encoding than the file has
        other = str(draw.choice(["2", "5", "9"])).encode()
        _edit(path, lambda content: content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2." + other + b"\0"))


def _edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def damage(kind: str, good: Path, folder: Path, draw: Draw) -> list[str]:
    """Write a damaged input of a kind into ``folder``, and return the words of a command that reads it.

    Args:
        kind: key of :data:`KINDS`.
        good: folder of :func:`make_templates`.
        folder: the new folder of the input.
        draw: random numbers.
    """
    folder.mkdir()
    return KINDS[kind](good, folder, draw)


def _detect(source: Path, good: Path, *more: object) -> list[str]:
    return [str(word) for word in ("detect", source, "--bundle", good / "bundle", "--json", *more)]


def _nifti_header(good: Path, folder: Path, draw: Draw) -> list[str]:
    packed = draw.random() < 0.5
    scan = folder / ("scan.nii.gz" if packed else "scan.nii")
    content = damaged_header((good / "scan.nii").read_bytes(), draw)
    scan.write_bytes(gzip.compress(content, 1) if packed else content)
    return _detect(scan, good)


def _gzip_stream(good: Path, folder: Path, draw: Draw) -> list[str]:
    scan = folder / "scan.nii.gz"
    content = damaged_bytes((good / "scan.nii.gz").read_bytes(), draw)
    if draw.random() < 0.1:
        content = zlib.compress((good / "scan.nii").read_bytes(), wbits=-15)
    scan.write_bytes(content)
    return _detect(scan, good)


def _dicom(good: Path, folder: Path, draw: Draw, pixels: bool) -> list[str]:
    shutil.copytree(good / "dicom", folder / "study")
    files = sorted((folder / "study").iterdir())
    count = 1 if draw.random() < 0.5 else len(files)  # the same damage in each, or one that is not like the others
    state = draw.bit_generator.state
    for path in files[:count]:
        draw.bit_generator.state = state
        damaged_dicom(path, draw, pixels)
    return _detect(folder / "study", good, *(["--dicom"] if draw.random() < 0.3 else []))


def _dicom_tags(good: Path, folder: Path, draw: Draw) -> list[str]:
    return _dicom(good, folder, draw, pixels=False)


def _dicom_pixels(good: Path, folder: Path, draw: Draw) -> list[str]:
    return _dicom(good, folder, draw, pixels=True)


def _sidecars(good: Path, folder: Path, draw: Draw) -> list[str]:
    shutil.copytree(good / "bids", folder / "bids")
    anat = folder / "bids" / "sub-01" / "anat"
    if draw.random() < 0.2:
        _edit(folder / "bids" / "participants.tsv", lambda content: damaged_bytes(content, draw))
    elif draw.random() < 0.1:
        _edit(folder / "bids" / "dataset_description.json", lambda content: damaged_json(content.decode(), draw))
    else:
        _edit(anat / "sub-01_T2starw.json", lambda content: damaged_json(content.decode(), draw))
    return _detect(folder / "bids", good, *(["--bids"] if draw.random() < 0.3 else []))


def _data_lists(good: Path, folder: Path, draw: Draw) -> list[str]:
    known = {"subject": "p1", "age": 71, "sex": "F", "contrast": "dark", "sequence": "SWI", "mask": "mask.nii.gz"}
    items = [{"image": "scan.nii.gz", "case": "a", **known}, {"image": "scan.nii.gz", "phase": "scan_ph.nii.gz"}]
    for name in ("scan", "mask", "scan_ph", "label"):
        shutil.copy(good / f"{name}.nii.gz", folder)
    classify = draw.random() < 0.4
    if classify:
        items[0]["label"] = "label.nii.gz"
    (folder / "list.json").write_bytes(damaged_json(json.dumps({"test": items}), draw))
    if classify:
        return ["classify", str(folder / "list.json"), "--bundle", str(good / "classifier"), "--any-sequence", "--json"]
    return _detect(folder / "list.json", good)


def _markups(good: Path, folder: Path, draw: Draw) -> list[str]:
    shutil.copytree(good / "results" / "scan", folder / "scan")
    shutil.copy(good / "scan.nii.gz", folder)
    name = "scan_lesions.mrk.json" if draw.random() < 0.8 else "scan.json"
    _edit(folder / "scan" / name, lambda content: damaged_json(content.decode(), draw))
    return ["datalist", str(folder), "--layout", "slicer"]


def _label_maps(good: Path, folder: Path, draw: Draw) -> list[str]:
    shutil.copy(good / "scan.nii.gz", folder)
    use = draw.integers(0, 3)
    name = ("mask.nii.gz", "label.nii.gz", "scan_cmb.nii.gz")[use]
    whole = gzip.decompress((good / ("mask.nii.gz" if use == 0 else "label.nii.gz")).read_bytes())
    if draw.random() < 0.2:  # values of a map: of any number, none at all, or not finite
        values = draw.choice(np.float32(FLOATS), SHAPE).ravel("F") if draw.random() < 0.5 else np.zeros(SHAPE, "f4")
        header = np.frombuffer(whole[:348], nib.Nifti1Header.template_dtype).copy()
        header["datatype"], header["bitpix"] = 16, 32
        whole = header.tobytes() + bytes(4) + values.astype("<f4").tobytes()
    else:
        whole = damaged_header(whole, draw)
    packed = gzip.compress(whole, 1)
    (folder / name).write_bytes(damaged_bytes(packed, draw) if draw.random() < 0.2 else packed)
    if use == 0:
        return _detect(folder / "scan.nii.gz", good, "--mask", folder / name)
    if use == 1:
        words = ["classify", folder / "scan.nii.gz", "--lesions", folder / name, "--bundle", good / "classifier"]
        return [*map(str, words), "--any-sequence", "--json"]
    return ["datalist", str(folder), "--layout", "slicer"]


def _bundles(good: Path, folder: Path, draw: Draw) -> list[str]:
    bundle = folder / "bundle"
    shutil.copytree(good / "bundle", bundle)
    shutil.copy(good / "scan.nii.gz", folder)
    name = str(draw.choice(["inference", "inference", "inference", "sequence_inference"]))
    if draw.random() < 0.2:
        weights = bundle / "models" / ("sequence.pt" if name == "sequence_inference" else "model.pt")
        _edit(weights, lambda content: damaged_bytes(content, draw))
    else:
        _edit(bundle / "configs" / f"{name}.json", lambda content: damaged_json(content.decode(), draw))
    return ["detect", str(folder / "scan.nii.gz"), "--bundle", str(bundle), "--json"]


KINDS: dict[str, Callable[[Path, Path, Draw], list[str]]] = {
    "nifti-header": _nifti_header,
    "gzip-stream": _gzip_stream,
    "dicom-tags": _dicom_tags,
    "dicom-pixels": _dicom_pixels,
    "sidecars": _sidecars,
    "data-lists": _data_lists,
    "markups": _markups,
    "label-maps": _label_maps,
    "bundles": _bundles,
}
"""What is damaged."""
