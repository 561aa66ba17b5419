"""Make an archive of a bundle that runs where csvd is not installed."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from ..checks import InputError
from ..io.files import atomic_path

WEIGHTS = ("model.pt", "sequence.pt")
NEEDED = ("LICENSE", "configs/metadata.json", "configs/inference.json", "models/model.pt")


def pack_bundle(bundle_dir: str | Path, out_path: str | Path, overwrite: bool = False) -> Path:
    """Write a zip of a bundle, with this package at the bundle's root under its own name.

    Everything lies in one folder named like the bundle, as ``monai.bundle.download`` expects. Left out are logs
    (``eval/``, TensorBoard events), compiled Python, hidden files, and checkpoints other than those that inference
    reads, ``models/model.pt`` and ``models/sequence.pt``. The same files give the same bytes.

    Args:
        bundle_dir: folder of a complete bundle.
        out_path: the archive.
        overwrite: replace an archive that is there.

    Returns:
        ``out_path``.

    Raises:
        InputError: the bundle lacks a file, or a link in it leads out of it.
        FileExistsError: the archive exists and ``overwrite`` is false.
    """
    bundle, out = Path(bundle_dir).resolve(), Path(out_path)
    for needed in NEEDED:
        if not (bundle / needed).is_file():
            raise InputError(f"cannot pack bundle '{bundle_dir}': it has no {needed}.")
    if out.exists() and not overwrite:
        raise FileExistsError(
            f"archive '{out}' exists already: give --overwrite to replace it, or choose another --out."
        )
    package = Path(__file__).resolve().parents[1]
    files = {f"{bundle.name}/{path.relative_to(bundle)}": path for path in _bundle_files(bundle)}
    files |= {f"{bundle.name}/csvd/{path.relative_to(package)}": path for path in _package_files(package)}
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name)  # its date is 1980: that of the file would change the bytes
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return out


def _bundle_files(bundle: Path) -> Iterator[Path]:
    for path in _visible_files(bundle):
        relative = path.relative_to(bundle)
        is_log = relative.parts[0] == "eval" or "tfevents" in path.name
        is_other_checkpoint = path.suffix == ".pt" and relative.parts[0] == "models" and path.name not in WEIGHTS
        is_package = relative.parts[0] == "csvd"  # of an unpacked archive; this package replaces it
        if is_log or is_other_checkpoint or is_package:
            continue
        if bundle not in path.resolve().parents:
            raise InputError(
                f"cannot pack bundle '{bundle}': its {relative} is a link to a file elsewhere, perhaps none for "
                "others to have. Put the file itself there."
            )
        yield path


def _package_files(package: Path) -> Iterator[Path]:
    for path in _visible_files(package):
        if path.relative_to(package).parts[0] != "bundles":  # that an installed package has inside
            yield path


def _visible_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path
