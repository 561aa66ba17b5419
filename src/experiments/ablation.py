"""Table 1 and figure 7 of Sundaresan et al. 2023: what each step of the cascade brings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..inferers import CandidateDataset
from ..io.files import atomic_path
from ..io.splits import SECTIONS
from ..metrics import froc
from .sizes import Size
from .study import CASCADE, THRESHOLDS, Study, Variant
from .tables import NOTE, plot_froc, rates_row, write_results

NO_CLEAN_UP = {"clean_up#min_volume_mm3": None, "clean_up#max_ellipticity": None, "clean_up#min_edge_mm": None}
MIN_EMBEDDED = 8
PAPER = {  # TPR / FPs per subject (precision)
    "detection without FRST": "0.86 / 129.3",
    "detection": "0.975 / 85.3",
    "teacher": "0.85 / 19.6",
    "student without KD": "0.75 / 12.8",
    "student": "0.90 / 14.7",
    "student, cleaned up": "0.83 / 0.5 (0.74)",
}


def ablation(study: Study, size: Size, match: str = "overlap") -> Path:
    """Train and measure the six rows on simulated UK Biobank-like SWI; return the folder of table and pictures.

    The threshold of each row is chosen on the validation subjects: for detection the highest with a TPR of 0.95, for
    the rest that of the best F1.
    """
    sections = {name: study.cohort("ukbb", getattr(size, name), seed) for seed, name in enumerate(SECTIONS, start=1)}
    data = study.data("ablation", **sections)
    plain = study.train(data, ["train_detector"], Variant("detection without FRST", ("no_frst",)))
    whole = study.train(data, CASCADE, Variant("student"))
    without_kd = Variant("student without KD", ("train_student_no_kd",))
    alone = study.train(data, ["train_student_no_kd"], without_kd, detector=whole)
    steps = {
        "detection without FRST": (plain, ("evaluate_detector", "no_frst"), {}),
        "detection": (whole, ("evaluate_detector",), {}),
        "teacher": (whole, ("evaluate_teacher",), NO_CLEAN_UP),
        "student without KD": (alone, (), NO_CLEAN_UP),
        "student": (whole, (), NO_CLEAN_UP),
        "student, cleaned up": (whole, (), {}),
    }
    rows, curves = [], {}
    for name, (weights, overlays, settings) in steps.items():
        variant = Variant(name, settings=settings)
        point = "tpr_95" if name.startswith("detection") else "best_f1"
        index, test = study.chosen(data, weights, variant, match, point, overlays)
        found = rates_row(test[:, index], match)
        rows.append({"step": name, "threshold": round(THRESHOLDS[index], 4), **found, "paper": PAPER[name]})
        curves[name] = froc(test, THRESHOLDS, match)
    notes = [f"{size.training} training, {size.validation} validation and {size.test} test subjects, simulated."]
    notes += [NOTE.format(match=match, seeds=0)]
    write_results(rows, study.out / "ablation", "Ablation: what each step brings", notes)
    detection = {name: curve for name, curve in curves.items() if name.startswith("detection")}
    rest = {name: curve for name, curve in curves.items() if name not in detection}
    plot_froc({"A: detection": detection, "B: discrimination": rest}, study.out / "froc.png")
    plot_features({"without KD": (alone, Variant("a")), "with KD": (whole, Variant("b"))}, study, data)
    return study.out


def plot_features(students: dict[str, tuple[Path, Variant]], study: Study, data: Path) -> None:
    """Draw the features before the last layer of the test candidates in two dimensions, t-SNE, a panel a student.

    With fewer than :data:`MIN_EMBEDDED` candidates there is nothing to see, and the panel stays empty.
    """
    import matplotlib.pyplot as plt
    from sklearn.manifold import TSNE

    figure, row = plt.subplots(1, len(students), figsize=(9, 4.2), layout="constrained")
    for axes, (title, (weights, variant)) in zip(row, students.items(), strict=True):
        features, labels = embed(study, data, weights, variant)
        axes.set(title=f"{title}: {len(labels)} candidates", xticks=[], yticks=[])
        if len(labels) < MIN_EMBEDDED:
            continue
        points = TSNE(perplexity=min(30, len(labels) / 4), random_state=0).fit_transform(features)
        for value, name, colour in ((0, "other candidate", "tab:gray"), (1, "microbleed", "tab:red")):
            axes.scatter(*points[labels == value].T, s=8, c=colour, label=name)
        axes.legend(fontsize="small")
    with atomic_path(study.out / "tsne.png") as path:
        figure.savefig(path, dpi=120)
    plt.close(figure)


def embed(study: Study, data: Path, weights: Path, variant: Variant) -> tuple[np.ndarray, np.ndarray]:
    """Return the features (N, 32) and the labels (N,) of the candidates of the test subjects."""
    parser = study.parser(data, weights, variant, ("evaluate_paper",))
    network = parser.get_parsed_content("network")
    network.load_state_dict(torch.load(weights / "model.pt", map_location="cpu", weights_only=True))
    threshold, size = (parser.get_parsed_content(name) for name in ("candidate_threshold", "patch_size"))
    scans = parser.get_parsed_content("validate#dataset")
    device = parser.get_parsed_content("device")
    candidates = CandidateDataset(scans, network.detector, threshold, size, device=device)
    network.eval()
    with torch.inference_mode():
        features = [
            network.discriminator.embed(candidates[k]["image"][None].to(device)) for k in range(len(candidates))
        ]
    return np.array([row[0].cpu().numpy() for row in features]), candidates.labels.numpy()
