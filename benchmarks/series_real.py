"""Real and simulated series of known sequence, with their people, and what the sequence gate's network sees of them."""

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from csvd.checks import InputError
from csvd.engines.weights import load_weights
from csvd.io import load_datalist, read_sidecar, sequence_of_tags
from csvd.io.files import atomic_path, sha256
from csvd.io.splits import SECTIONS
from csvd.phantom.studies import GRADIENT_ECHO
from csvd.sequences import GROUPS, SEQUENCES
from csvd.workflows.gate import CONFIG, WEIGHTS, SortedSeries, find_series

TAKEN_APART = "|"


@dataclass(frozen=True)
class Known:
    """A series whose sequence is known.

    Attributes:
        name: as ``csvd sort`` shows it, behind the name of its folder.
        image: NIfTI file.
        kind: what it is, in more detail than the gate's classes: a row of the confusion matrix.
        classes: names that are right, of :data:`csvd.sequences.SEQUENCES`.
        person: whose it is.
        people: group of people who may be one person; no fold takes it apart.
        tags: what its tags say, one of the sequences, or None.
    """

    name: str
    image: str
    kind: str
    classes: tuple[str, ...]
    person: str
    people: str
    tags: str | None = None

    @property
    def groups(self) -> set[str]:
        """Groups of :data:`csvd.sequences.GROUPS` that are right."""
        return {GROUPS[name] for name in self.classes}


def read_people(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table with the columns ``series``, ``kind``, ``classes``, ``person`` and ``people``.

    Raises:
        InputError: a row names a class that the gate does not have.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        for name in row["classes"].split(TAKEN_APART):
            if name not in SEQUENCES:
                raise InputError(
                    f"table '{path}', series '{row['series']}': `classes` must be of {', '.join(SEQUENCES)}, it has "
                    f"'{name}'. Correct the row."
                )
    return rows


def real_series(folders: Sequence[Path], people: Path, out: Path) -> list[Known]:
    """Return the series in folders that a row of the table names by how their names begin; kept in ``out``.

    DICOM series are converted into ``out/converted``. Series without a row are left out.
    """
    kept = out / "series.json"
    if kept.exists():
        return [Known(**{**row, "classes": tuple(row["classes"])}) for row in json.loads(kept.read_text())]
    rows, found = read_people(people), []
    for folder in folders:
        workdir = out / "converted" / folder.name
        workdir.mkdir(parents=True, exist_ok=True)
        for case in find_series(folder, workdir):
            name = f"{folder.name}/{case.name}"
            row = next((row for row in rows if name.startswith(row["series"])), None)
            if row is None or isinstance(case, SortedSeries):
                print(f"left out: {name}, {'not in the table' if row is None else case.reason}")
                continue
            tags = sequence_of_tags(read_sidecar(case.image)[0])
            classes = tuple(row["classes"].split(TAKEN_APART))
            found.append(Known(name, str(case.image), row["kind"], classes, row["person"], row["people"], tags))
    with atomic_path(kept) as temporary:
        temporary.write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")
    return found


def simulated_series(folders: Sequence[Path]) -> list[Known]:
    """Return the series of all cohorts of ``csvd phantom``: of studies, or of the images and phases of scans."""
    found = {}
    for folder in folders:
        path = folder / "datalist.json"
        sections = [section for section in SECTIONS if json.loads(path.read_text(encoding="utf-8")).get(section)]
        for item in (item for section in sections for item in load_datalist(path, section)):
            person = f"{folder.name} {item['subject']}"
            named = {item["image"]: (item["sequence"], item["kind"])} if "sequence" in item else _of_scan(item)
            for image, (sequence, kind) in named.items():
                name = f"{folder.name}/{Path(image).name}"
                found[image] = Known(name, image, kind, (sequence,), person, person)
    return list(found.values())


def _of_scan(item: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return sequence and kind of the image and the phase of a simulated scan, whose names end with the kind."""
    images = [item["image"], *([item["phase"]] if "phase" in item else [])]
    kinds = [Path(image).name.split(".")[0].rpartition("_")[2] for image in images]
    return {image: (GRADIENT_ECHO[kind], kind) for image, kind in zip(images, kinds, strict=True)}


class Features:
    """What the network of a gate gives to its last layer, for the slices of a series; kept on disk.

    Args:
        bundle: folder of the detection bundle.
        folder: of what is kept, told apart by the content of series and weights.
    """

    def __init__(self, bundle: Path, folder: Path) -> None:
        parser = ConfigParser()
        parser.read_config(str(bundle / CONFIG))
        parser.update({"bundle_root": str(bundle), "device": "cpu"})
        self.preprocessing: Callable[[dict[str, Any]], dict[str, Any]] = parser.get_parsed_content("preprocessing")
        self.network: torch.nn.Module = parser.get_parsed_content("network").eval()
        load_weights(self.network, bundle / WEIGHTS)
        self.head = self.network.backbone.fc
        self.network.backbone.fc = torch.nn.Identity()
        self.weights, self.folder = sha256(bundle / WEIGHTS), folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, series: Known) -> torch.Tensor:
        """Return the features (N, F) of the slices of a series, float32."""
        name = hashlib.sha256(f"{sha256(Path(series.image))} {self.weights}".encode()).hexdigest()[:24]
        path = self.folder / f"{name}.pt"
        if not path.exists():
            with torch.inference_mode():
                slices = self.preprocessing({"image": series.image})["image"].as_tensor().movedim(-1, 0)
                seen = self.network(slices.float()).half()
            with atomic_path(path) as temporary:
                torch.save(seen.clone(), temporary)
        return torch.load(path, weights_only=True).float()
