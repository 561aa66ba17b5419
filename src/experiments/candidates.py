"""Candidates of test subjects, and what discriminators say of them: rates of patches, not of whole scans."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from monai.data import Dataset

from ..engines import load_weights, save_weights
from ..inferers import CandidateDataset
from ..io.files import atomic_path
from ..networks import CascadeNetwork
from .study import Study, Variant

BATCH = 64


@dataclass(frozen=True)
class CandidateTable:
    """Candidates of the test subjects of a protocol.

    Attributes:
        patches: (N, C, h, w, d), of :func:`stored_candidates` in half precision.
        position: in the scan, (N, 3), see :func:`csvd.inferers.relative_position`.
        labels: (N,), 1 for a microbleed.
        subjects: (N,), whose they are.
        seconds: that the search took per subject, without preprocessing; 0 where it was not measured.
    """

    patches: torch.Tensor
    position: torch.Tensor
    labels: np.ndarray
    subjects: np.ndarray
    seconds: float = 0.0

    def of(self, chosen: np.ndarray) -> CandidateTable:
        """Return those candidates alone of which ``chosen`` (N,) is true."""
        index = torch.from_numpy(chosen)
        return replace(
            self,
            patches=self.patches[index],
            position=self.position[index],
            labels=self.labels[chosen],
            subjects=self.subjects[chosen],
        )


def joined(tables: Sequence[CandidateTable]) -> CandidateTable:
    """Return the candidates of several tables as one; those of another table are another table's subjects."""
    first = np.cumsum([0, *(int(one.subjects.max(initial=-1)) + 1 for one in tables)])
    return CandidateTable(
        torch.cat([one.patches for one in tables]),
        torch.cat([one.position for one in tables]),
        np.concatenate([one.labels for one in tables]),
        np.concatenate([one.subjects + start for one, start in zip(tables, first, strict=False)]),
    )


def bundle_detector(study: Study) -> Path:
    """Return a folder with the weights of the detector of the bundle's cascade."""
    folder = study.out / "detector"
    network = study.parser(folder, folder, Variant("detector")).get_parsed_content("detector")
    load_weights(network, study.bundle / "models" / "paper" / "model.pt", prefix="detector.")
    save_weights(network, folder / "detector.pt")
    return folder


def search(study: Study, data: Path, detector: Path, variant: Variant) -> CandidateTable:
    """Return the candidates of the subjects under "test" of a data list.

    Args:
        study: of the configs.
        data: folder of the data list.
        detector: folder of ``detector.pt``.
        variant: of the configs.
    """
    parser = study.parser(data, detector, variant, ("evaluate_paper",))
    network = parser.get_parsed_content("network")
    load_weights(network.detector, detector / "detector.pt")
    threshold, size, device = (
        parser.get_parsed_content(name) for name in ("candidate_threshold", "patch_size", "device")
    )
    scans = parser.get_parsed_content("validate#dataset")
    found, seconds = [], 0.0
    for scan in scans:
        started = time.perf_counter()
        found.append(CandidateDataset([scan], network.detector, threshold, size, device=device))
        found[-1].labels  # noqa: B018, the search itself
        seconds += time.perf_counter() - started
    return _table(_columns(found), seconds / len(found))


def stored_candidates(study: Study, data: Path, detector: Path, variant: Variant) -> CandidateTable:
    """Return the candidates of the subjects under "test" of a data list, searched unless that is done.

    The patches are as large as those that a training gets, with room for shifts. A search that was stopped goes on
    after the last whole scan.

    Args:
        study, data, detector, variant: as for :func:`search`.
    """
    path = study.out / "candidates" / f"{data.name}.pt"
    if not path.exists():
        parser = study.parser(data, detector, variant, ("evaluate_paper",))
        value = parser.get_parsed_content
        network, items, transform = (
            value(name) for name in ("network", "validate#dataset#data", "validate#preprocessing")
        )
        load_weights(network.detector, detector / "detector.pt")
        how = {"device": value("device"), "cache_dir": str(study.out / "cache" / "candidates")}
        found = []
        for number, item in enumerate(items, start=1):
            scan = cast(Sequence, Dataset([item], transform))
            size = value("student#dataset#patch_size")
            found.append(CandidateDataset(scan, network.detector, value("candidate_threshold"), size, **how))
            study.say(f"{data.name}, scan {number} of {len(items)}: {len(found[-1])} candidates")
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            columns = _columns(found)
            torch.save({**columns, "patches": columns["patches"].half()}, temporary)
    return _table(torch.load(path, weights_only=True))


def _columns(found: Sequence[CandidateDataset]) -> dict[str, torch.Tensor]:
    """Return the columns of the table of candidates of scans, one data set a scan."""
    items = [one[k] for one in found for k in range(len(one))]
    return {
        "patches": torch.stack([item["image"] for item in items]),
        "position": torch.stack([item["position"] for item in items]),
        "labels": torch.cat([one.labels for one in found]),
        "subjects": torch.arange(len(found)).repeat_interleave(torch.tensor([len(one) for one in found])),
    }


def _table(columns: Mapping[str, torch.Tensor], seconds: float = 0.0) -> CandidateTable:
    """Return a table of columns: patches and positions as tensors, the rest as arrays."""
    patches, position, labels, subjects = columns.values()
    return CandidateTable(patches, position, labels.numpy(), subjects.numpy(), seconds)


def likelihood(network: CascadeNetwork, candidates: CandidateTable) -> np.ndarray:
    """Return the probability (N,) that each candidate is a microbleed, as the discriminator says, not calibrated."""
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        batches = zip(candidates.patches.split(BATCH), candidates.position.split(BATCH), strict=True)
        parts = [
            network.candidate_logits(patches.to(device), position.to(device)).cpu() for patches, position in batches
        ]
    return torch.cat(parts).softmax(dim=1)[:, 1].numpy()
