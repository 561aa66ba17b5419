"""What the experiments on the paper's cascade share: cohorts, trainings and measurements, each done once, on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from ..io import load_datalist
from ..io.files import atomic_path
from ..metrics import MATCHES, FROCMetric
from ..phantom import write_cohort
from .tables import chosen_threshold

Item = dict[str, Any]
CASCADE = ("train_detector", "train_teacher", "train_student")
"""Run ids of the paper's whole training."""
THRESHOLDS = torch.linspace(-6, 5, 23).sigmoid().tolist()  # half a unit of log-odds apart


@dataclass(frozen=True)
class Variant:
    """What differs from the bundle's configs: overlays, by name in ``configs``, and values, by config id."""

    name: str
    overlays: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """Folder of an experiment and what all of its trainings share.

    Args:
        out: folder; what is there is not done again.
        bundle: folder of the detection bundle.
        settings: values for all configs, by config id, for example the number of epochs.
        say: told what is being done.
    """

    out: Path
    bundle: Path
    settings: Mapping[str, Any]
    say: Callable[[str], object] = print

    def __post_init__(self) -> None:
        for name in ("out", "bundle"):  # a config takes a path that begins with $ for code
            object.__setattr__(self, name, getattr(self, name).absolute())

    def cohort(self, preset: str, subjects: int, seed: int, **how: Any) -> list[Item]:
        """Simulate a cohort, unless it is there, and return its items with absolute paths.

        ``how`` goes to :func:`csvd.phantom.write_cohort`, for example a phenotype.
        """
        kind = [str(value) for value in how.values()]
        folder = self.out / "cohorts" / "_".join([preset, str(subjects), str(seed), *kind])
        if not (folder / "datalist.json").exists():
            self.say(f"simulating {subjects} subjects: {', '.join([preset, *kind])}")
            write_cohort(preset, subjects, folder, seed, split=(0, 0, 1), overwrite=True, **how)
        return load_datalist(folder / "datalist.json", "test")

    def data(self, name: str, **sections: Sequence[Item]) -> Path:
        """Write a data list of these sections and return its folder."""
        folder = self.out / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / "datalist.json") as path:
            path.write_text(json.dumps(sections, indent=1), encoding="utf-8")
        return folder

    def train(self, data: Path, stages: Sequence[str], variant: Variant, detector: Path | None = None) -> Path:
        """Run stages of ``train_paper.json``, those that have not been run, and return the folder of the weights.

        Args:
            data: folder of the data list.
            stages: run ids, for example ``["train_detector", "train_teacher"]``.
            variant: of the configs.
            detector: folder of another run, whose ``detector.pt`` the stages go on with.
        """
        weights = self.out / "weights" / data.name / variant.name
        if detector is not None:
            weights.mkdir(parents=True, exist_ok=True)
            shutil.copy(detector / "detector.pt", weights)
        for stage in stages:
            done = weights / f"{stage}.done"
            if done.exists():
                continue
            self.say(f"{stage}: {variant.name}, {data.name}")
            parser = self.parser(data, weights, variant)
            parser.get_parsed_content("initialize")
            parser.get_parsed_content(stage)
            done.touch()
        return weights

    def measure(
        self, data: Path, weights: Path, variant: Variant, section: str = "test", overlays: Sequence[str] = ()
    ) -> dict[str, torch.Tensor]:
        """Return the lesion counts (S, T, 4) at :data:`THRESHOLDS` by each matching rule.

        Args:
            data: folder of the data list.
            weights: what :meth:`train` returned.
            variant: of the configs.
            section: of the data list.
            overlays: configs over ``evaluate_paper.json``.
        """
        path = self.out / "counts" / data.name / f"{variant.name}_{section}.pt"
        if not path.exists():
            self.say(f"measuring: {variant.name}, {data.name}, {section}")
            parser = self.parser(data, weights, variant, ("evaluate_paper", *overlays))
            parser["validate#dataset#data#section"] = section
            for match in MATCHES:
                parser[match] = {"_target_": "csvd.metrics.FROCMetric", "match": match, "thresholds": THRESHOLDS}
            parser.get_parsed_content("validate#evaluator").run()
            metrics: dict[str, FROCMetric] = {match: parser.get_parsed_content(match) for match in MATCHES}
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                torch.save({match: metric.counts() for match, metric in metrics.items()}, temporary)
        return torch.load(path, weights_only=True)

    def chosen(
        self,
        data: Path,
        weights: Path,
        variant: Variant,
        match: str,
        point: str = "best_f1",
        overlays: Sequence[str] = (),
    ) -> tuple[int, torch.Tensor]:
        """Return the threshold, its place in :data:`THRESHOLDS`, chosen on validation subjects, and the test counts.

        Args:
            data, weights, variant, overlays: as for :meth:`measure`.
            match: "overlap" or "distance", the rule of the test counts. The threshold is chosen by distance, because
                by overlap one cluster over the whole brain is perfect.
            point: as for :func:`chosen_threshold`.
        """
        validation, test = (
            self.measure(data, weights, variant, section, overlays) for section in ("validation", "test")
        )
        return chosen_threshold(validation["distance"], THRESHOLDS, point), test[match]

    def parser(self, data: Path, weights: Path, variant: Variant, overlays: Sequence[str] = ()) -> ConfigParser:
        """Return the configs of a variant; preprocessed scans are kept on disk for the next that needs the same."""
        parser = ConfigParser()
        names = ("train", "train_paper", *overlays, *variant.overlays)
        parser.read_config([str(self.bundle / "configs" / f"{name}.json") for name in names])
        folders = {"dataset_dir": str(data), "ckpt_dir": str(weights), "output_dir": str(weights)}
        for name, value in {"bundle_root": str(self.bundle), **folders, **self.settings, **variant.settings}.items():
            parser[name] = value
        for dataset in ("train#dataset", "validate#dataset", "student#scans"):
            kept = {key: parser[f"{dataset}#{key}"] for key in ("data", "transform")}
            cache = str(self.out / "cache" / "scans")
            parser[dataset] = {"_target_": "csvd.io.DiskCacheDataset", "cache_dir": cache, **kept}
        for dataset in ("student#dataset", "calibration#step#candidates"):
            parser[f"{dataset}#cache_dir"] = str(self.out / "cache" / "candidates")
        return parser
