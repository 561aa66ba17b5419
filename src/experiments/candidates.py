"""Candidates of test subjects, and what discriminators say of them: rates of patches, not of whole scans."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..engines import load_weights, save_weights
from ..inferers import CandidateDataset
from ..networks import CascadeNetwork
from .study import Study, Variant

BATCH = 64


@dataclass(frozen=True)
class CandidateTable:
    """Candidates of the test subjects of a protocol.

    Attributes:
        patches: (N, C, h, w, d).
        position: in the scan, (N, 3), see :func:`csvd.inferers.relative_position`.
        labels: (N,), 1 for a microbleed.
        subjects: (N,), whose they are.
        seconds: that the search took per subject, without preprocessing.
    """

    patches: torch.Tensor
    position: torch.Tensor
    labels: np.ndarray
    subjects: np.ndarray
    seconds: float


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
    return CandidateTable(
        torch.stack([one[k]["image"] for one in found for k in range(len(one))]),
        torch.stack([one[k]["position"] for one in found for k in range(len(one))]),
        np.concatenate([one.labels.numpy() for one in found]),
        np.repeat(np.arange(len(found)), [len(one) for one in found]),
        seconds / len(found),
    )


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
