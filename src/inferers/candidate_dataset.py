"""Patches around the candidates of many scans, to train and to calibrate the discriminator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, Subset
from tqdm import tqdm

from ..checks import check_between, check_positive
from ..io import digest, item_digest
from ..io.files import atomic_path
from ..transforms import gather_patches
from .candidates import find_candidates, relative_position
from .cascade import infer_slabs

NONE = {"label": torch.zeros(0, dtype=torch.long), "detected": torch.zeros(0), "position": torch.zeros(0, 3)}
PATCHES = ("image", "lesions")


class CandidateDataset(Dataset):
    """The detector's candidates: items ``image``, ``lesions``, ``label``, ``detected``, ``position`` and ``index``.

    A patch (C, h, w, d); where microbleeds are in it, (1, h, w, d) uint8; 0 or 1; the detector's highest probability in
    the candidate, or at the centre of a microbleed that it missed; where in the scan, (3,), see
    :func:`relative_position`; its number. The label is about the candidate at the centre of the patch alone.

    A candidate is a microbleed when it shares a voxel with one. Candidates are found when the first item is asked for,
    not before: a config can name this dataset while the detector is still to be trained. Patches are kept in memory,
    in half precision.

    Args:
        scans: items with ``image`` (C, H, W, D), ``label`` and ``mask`` (1, H, W, D), as the detector's
            preprocessing makes them; read once.
        detector: logits (B, 2, H, W, D) of (B, C, H, W, D).
        threshold: detector probability from which voxels belong to a candidate.
        patch_size: voxels. Give more than the discriminator sees where random crops follow.
        transform: applied to each item.
        add_missed: also give a patch on each microbleed that the detector missed, as one to learn from.
        device: where the detector runs.
        max_voxels: of one pass of the detector, see :func:`infer_slabs`.
        num_workers: processes that read and preprocess the scans.
        cache_dir: folder that keeps what was found in each scan, so that a training that was stopped does not look
            again. What was found with another detector, setting or preprocessing is not taken, nor what was found when
            a file of the scan held something else.

    Raises:
        ValueError: ``threshold`` lies outside [0, 1].
    """

    def __init__(
        self,
        scans: Sequence[Mapping[str, torch.Tensor]],
        detector: torch.nn.Module,
        threshold: float,
        patch_size: Sequence[int],
        transform: Any = None,
        add_missed: bool = False,
        device: torch.device | str = "cpu",
        max_voxels: int = 16_000_000,
        num_workers: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        check_between("threshold", threshold, 0, 1)
        self.scans = scans
        self.detector = detector
        self.threshold = threshold
        self.patch_size = tuple(patch_size)
        self.transform = transform
        self.add_missed = add_missed
        self.device = torch.device(device)
        self.max_voxels = max_voxels
        self.num_workers = num_workers
        self.cache_dir = cache_dir
        self._found: dict[str, Any] | None = None

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one candidate."""
        item = {key: values[index] for key, values in self._find().items()}
        item |= {"image": item["image"].float(), "index": index}
        return item if self.transform is None else self.transform(item)

    @property
    def labels(self) -> torch.Tensor:
        """1 for a microbleed and 0 for another candidate, (N,) int64."""
        return self._find()["label"]

    def _find(self) -> dict[str, Any]:
        """Return a list of patches, and the rest of :meth:`_of_scan` of all scans together."""
        if self._found is None:
            training = self.detector.training
            self.detector.eval()
            with torch.inference_mode():
                found = list(tqdm(self._of_scans(), "candidates", len(self.scans), unit="scan", disable=None))
            self.detector.train(training)
            self._found = {key: torch.cat([nothing, *(scan[key] for scan in found)]) for key, nothing in NONE.items()}
            for key in PATCHES:
                self._found[key] = [patch.clone() for scan in found for patch in scan[key]]  # out of inference mode
        return self._found

    def _of_scans(self) -> Iterator[dict[str, torch.Tensor]]:
        """Return what :meth:`_of_scan` finds in each scan, or found there before."""
        numbers = range(len(self.scans))
        files = {} if self.cache_dir is None else dict(zip(numbers, self._files(Path(self.cache_dir)), strict=True))
        known = {n for n, file in files.items() if file.exists()}
        unknown = Subset(cast(Dataset, self.scans), [n for n in numbers if n not in known])
        own = torch.Generator()  # a search draws nothing of a training, which is the same with candidates from disk
        scans = iter(DataLoader(unknown, batch_size=None, num_workers=self.num_workers, generator=own))
        for n in numbers:
            if n in known:
                yield torch.load(files[n], weights_only=True)
                continue
            found = self._of_scan(next(scans))
            if n in files:
                with atomic_path(files[n]) as temporary:
                    torch.save(found, temporary)
            yield found

    def _files(self, folder: Path) -> Iterator[Path]:
        """Yield the file of what this detector, so trained, finds in each scan, so stored and so preprocessed."""
        folder.mkdir(parents=True, exist_ok=True)
        preprocessing = getattr(self.scans, "transform", None)
        settings = [self.threshold, self.patch_size, self.add_missed, [*NONE, *PATCHES], self.max_voxels]
        made_by = digest(settings, self.detector, getattr(preprocessing, "transforms", preprocessing))
        for item in getattr(self.scans, "data", self.scans):
            yield folder / f"{digest(made_by, item_digest(item))}.pt"

    def _of_scan(self, scan: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return an item's values for all N candidates of a scan, ``image`` as float16."""
        image = torch.as_tensor(scan["image"]).as_subclass(torch.Tensor).float().to(self.device)
        lesions, mask = (
            torch.as_tensor(scan[key]).as_subclass(torch.Tensor).to(self.device) for key in ("label", "mask")
        )
        probability = infer_slabs(image[None], self.detector, self.max_voxels)[0].float().softmax(dim=0)[1:]
        candidates = find_candidates(probability * (mask != 0), self.threshold)
        true = torch.zeros(len(candidates.centres) + 1, dtype=torch.long)
        true[candidates.instances[lesions != 0].unique().long().cpu()] = 1
        labels, centres, detected = true[1:], candidates.centres, candidates.probability
        if self.add_missed:
            everything = find_candidates((lesions != 0).float(), threshold=0.5)
            seen = everything.instances[candidates.instances > 0].unique().long()
            missed = torch.ones(len(everything.centres) + 1, dtype=torch.bool, device=self.device)
            missed[seen] = False
            more = everything.centres[missed[1:]]
            centres = torch.cat([centres, more])
            labels = torch.cat([labels, torch.ones(len(more), dtype=torch.long)])
            detected = torch.cat([detected, probability[0][tuple(more.round().long().T)]])
        found = {
            "image": gather_patches(image.half(), centres, self.patch_size),
            "lesions": gather_patches((lesions != 0).byte(), centres, self.patch_size),
            "label": labels,
            "detected": detected,
            "position": relative_position(centres, image.shape[1:]),
        }
        return {key: values.cpu() for key, values in found.items()}


class CandidateBatches:
    """Batches of all candidates in their order. It has no length.

    MONAI's engines ask data for their length when they are built, and candidates cannot be counted before the detector
    is trained.

    Args:
        dataset: candidates.
        batch_size: patches of a batch.
    """

    def __init__(self, dataset: CandidateDataset, batch_size: int = 64) -> None:
        check_positive("batch_size", batch_size)
        self.dataset = dataset
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the batches."""
        yield from DataLoader(self.dataset, batch_size=self.batch_size)


class ReplaySampler(Sampler[int]):
    """Draw microbleeds and other candidates in a fixed proportion, those that fooled the discriminator more often.

    Every candidate starts as hard. :meth:`update` gives the others, those that are no microbleeds, the probability
    that the discriminator last saw in them as weight, and never less than ``floor``.

    Args:
        dataset: has ``labels``; asked when the first epoch starts.
        num_samples: draws per epoch, with replacement.
        lesion_share: share of microbleeds among them. Defaults to 0.5.
        floor: lowest weight, in 0..1. Defaults to 0.1.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self, dataset: CandidateDataset, num_samples: int, lesion_share: float = 0.5, floor: float = 0.1
    ) -> None:
        check_positive("num_samples", num_samples)
        check_between("lesion_share", lesion_share, 0, 1)
        check_between("floor", floor, 0, 1)
        self.dataset = dataset
        self.num_samples = num_samples
        self.lesion_share = lesion_share
        self.floor = floor
        self._hardness: torch.Tensor | None = None

    @property
    def hardness(self) -> torch.Tensor:
        """How hard each candidate is, (N,) in ``floor``..1."""
        if self._hardness is None:
            self._hardness = torch.ones(len(self.dataset))
        return self._hardness

    def __len__(self) -> int:
        """Return the draws per epoch."""
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        """Draw an epoch.

        Raises:
            ValueError: there is no candidate.
        """
        if not len(self.dataset):
            raise ValueError(
                f"no candidate at a threshold of {self.dataset.threshold}: train the detector longer, or lower "
                "`candidate_threshold`."
            )
        is_lesion = self.dataset.labels == 1
        weight = torch.where(is_lesion, 1.0, self.hardness)
        for kind, share in ((is_lesion, self.lesion_share), (~is_lesion, 1 - self.lesion_share)):
            if kind.any():
                weight[kind] *= share / weight[kind].sum()
        yield from torch.multinomial(weight, self.num_samples, replacement=True).tolist()

    def update(self, index: torch.Tensor, probability: torch.Tensor) -> None:
        """Take the discriminator's probabilities (B,) of a microbleed in the candidates ``index`` (B,)."""
        self.hardness[index.cpu()] = probability.detach().float().cpu().clamp(min=self.floor)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return how hard each candidate is, for :class:`csvd.engines.Resume`."""
        return {"hardness": self.hardness}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take how hard each candidate was."""
        self._hardness = state["hardness"]
