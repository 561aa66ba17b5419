"""Files that are made to fill memory or time: what csvd says of each, in what time and memory.

Gzip files that decompress to a hundred gigabytes, headers that promise a million million voxels, and folders of a
hundred thousand files, DICOM or not. Each must end within LIMIT_S and LIMIT_BYTES of memory, with one clear line.

    python benchmarks/bombs.py              # the whole
    python benchmarks/bombs.py --less 100   # a hundredth of it
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # DICOM files made from nothing

from dicom_study import change, write_series

from csvd.checks import InputError, reason
from csvd.io import check_scan, find_cases
from csvd.io.nifti import load_nifti, read_once
from csvd.io.scan_checks import MIN_VOXELS

LIMIT_S, LIMIT_BYTES = 600.0, 2**30
MEMBER = 2**26
"""Bytes of zeros of each member of a gzip file; one is compressed, and written again and again."""
SMALL = (MIN_VOXELS,) * 3


def header_of(shape: tuple[int, ...], dtype: type = np.int16) -> bytes:
    """Return a header of NIfTI-2, whose shapes have no limit, with its extension bytes."""
    header = nib.Nifti2Header()
    header.set_data_dtype(dtype)
    header.set_sform(np.eye(4), 1)
    header["dim"][0], header["dim"][1 : 1 + len(shape)] = len(shape), shape
    header["pixdim"][1:4], header["vox_offset"] = 1, 544
    return header.binaryblock + bytes(4)


def write_bomb(path: Path, start: bytes, zeros: int) -> Path:
    """Write a gzip file of a start and of so many zeros, without ever holding them."""
    with path.open("wb") as file:
        for content, times in ((start, 1), (bytes(min(MEMBER, zeros)), -(-zeros // MEMBER))):
            packer = zlib.compressobj(9, zlib.DEFLATED, 31)
            packed = packer.compress(content) + packer.flush()
            for _ in range(times):
                file.write(packed)
    return path


def scan_bombs(folder: Path, less: int) -> dict[str, Callable[[], object]]:
    """Return what reads each damaged or malicious scan, by its name."""
    zeros = 100 * 2**30 // less
    noise = np.random.default_rng(0).integers(1, 900, SMALL).astype(np.int16).tobytes()
    honest = write_bomb(
        folder / "honest.nii.gz", header_of((1000, 1000, max(16, zeros // 8_000_000)), np.float64), zeros
    )
    behind = write_bomb(folder / "behind.nii.gz", header_of(SMALL) + noise, zeros)
    label = write_bomb(folder / "label.nii.gz", header_of((1000, 1000, 1000), np.uint8), zeros)
    (folder / "promise.nii").write_bytes(header_of((10_000, 10_000, 10_000)) + noise)
    (folder / "many.nii").write_bytes(header_of((*SMALL, 10**12)) + noise)
    (folder / "good.nii").write_bytes(header_of(SMALL) + noise)
    return {
        "its volumes are zeros": lambda: check_scan(honest),
        "zeros follow its voxels": lambda: check_scan(behind),
        "mask of zeros": lambda: check_scan(folder / "good.nii", label),
        "header of 10^12 voxels": lambda: check_scan(folder / "promise.nii"),
        "header of 10^12 volumes": lambda: check_scan(folder / "many.nii"),
        "label of 10^12 voxels": lambda: load_nifti(folder / "promise.nii"),
    }


def folder_bombs(folder: Path, less: int) -> dict[str, Callable[[], object]]:
    """Return what reads each folder of very many files, by its name."""
    many = 100_000 // less
    for name in ("texts", "dicom"):
        (folder / name).mkdir()
    series = write_series(folder / "series")
    change(series, PixelData=None)
    content = series[0].read_bytes()
    for number in range(many):
        (folder / "texts" / f"{number}.txt").write_bytes(b"no image")
        (folder / "dicom" / f"{number}.dcm").write_bytes(content)

    def convert(path: Path) -> object:
        [case] = find_cases(path)
        return case.converted(folder)

    return {
        f"folder of {many} texts": lambda: find_cases(folder / "texts"),
        f"folder of {many} DICOM files without pixels": lambda: convert(folder / "dicom"),
    }


def end_of(read: Callable[[], object]) -> tuple[str, float, int]:
    """Return how reading ended, its seconds, and by how many bytes the memory of a process of its own grew."""

    def work() -> None:
        with os.fdopen(os.dup(2), "w") as errors, read_once():
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the progress of reading
            before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
            try:
                read()
                said = "read"
            except InputError as error:
                said = reason(error)
            except Exception as error:
                said = f"failed: {error!r}"
            grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
            other.send((said, time.perf_counter() - started, grown))
            errors.flush()

    connection, other = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    process.start()
    other.close()
    try:
        ending = connection.recv() if connection.poll(LIMIT_S) else ("failed: no end", LIMIT_S, 0)
    except EOFError:
        ending = ("failed: the process died", 0.0, 0)
    process.kill()
    process.join()
    return ending


def main() -> None:
    """Print a line for each, and the row for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--less", type=int, default=1, help="divide sizes and numbers by this")
    less = parser.parse_args().less
    failed, total, started = 0, 0, time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bombs-") as root:
        for name, read in {**scan_bombs(Path(root), less), **folder_bombs(Path(root), less)}.items():
            said, seconds, grown = end_of(read)
            total += 1
            failed += said.startswith("failed") or grown > LIMIT_BYTES
            print(f"{name}: {seconds:.1f} s, {grown / 2**20:.0f} MB: {said.replace(root, '')}", flush=True)
    command = "`python benchmarks/bombs.py`" if less == 1 else f"`python benchmarks/bombs.py --less {less}`"
    print(f"| bombs and very many files | {total} | {failed} | {time.perf_counter() - started:.0f} | {command} |")
    sys.exit(int(failed > 0))


if __name__ == "__main__":
    main()
