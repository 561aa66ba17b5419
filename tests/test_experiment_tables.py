"""Tables of the experiments on stored counts: which training, threshold and counts stand in which row."""

import csv
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from csvd import experiments
from csvd.bundles import find_bundle
from csvd.experiments import Size
from csvd.experiments.candidates import CandidateTable
from csvd.experiments.leave_out import FAMILIES
from csvd.experiments.study import CASCADE, THRESHOLDS
from csvd.experiments.transfer import BOTH, PAIRS, SEVEN, STRATEGIES, THREE, TUNED
from csvd.io.splits import SECTIONS

SIZE = Size(training=6, validation=3, test=2, folds=3)
LOW, HIGH = 7, 15
"""Indices of the highest thresholds at which all lesions are found, and at which the F1 is best."""
NO_KD = ["train_detector", "train_student_no_kd"]
DETECTION = ("1.000", "40.000")
SAID = {
    name: torch.tensor(values * 2).logit(eps=1e-6).numpy()
    for name, values in {
        SEVEN: [0.9, 0.3, 0.3, 0.3],
        TUNED: [0.9, 0.0, 0.0, 0.3],
        THREE: [0.0, 0.3, 0.3, 0.3],
        BOTH: [0.9, 0.0, 0.0, 0.0],
    }.items()
}
"""Log-odds of a microbleed and three other candidates of each of two subjects."""
KINDS = (("swi", "dark", 1.0, 3.0, 0), ("qsm", "bright", 5.0, 7.0, 1))


def stored_counts(false):
    """Counts (2, T, 4) of two subjects with ten lesions each: 10, 9 and 4 found, with 40, ``false`` and 0 others."""
    steps = [(10, 40)] * (LOW + 1) + [(9, false)] * (HIGH - LOW) + [(4, 0)] * (len(THRESHOLDS) - HIGH - 1)
    return torch.tensor([[(10, found, found + others, others) for found, others in steps]] * 2)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Study that trains nothing: each measurement has one more false positive than the one before, of 1 to 9.

    ``study.trained`` has the runs of each training. Networks of all configs are built.
    """
    trained, measured = {}, {}

    def train(self, data, stages, variant, detector=None):
        weights = self.out / "weights" / data.name / variant.name
        parser = self.parser(data, weights, variant)
        parser.get_parsed_content("network_def")
        assert all(parser[stage] for stage in stages)
        trained[data.name, variant.name] = (list(stages), detector)
        return weights

    def measure(self, data, weights, variant, section="test", overlays=()):
        self.parser(data, weights, variant, ("evaluate_paper", *overlays)).get_parsed_content("network_def")
        number = measured.setdefault((data.name, variant.name, weights, overlays), len(measured))
        return dict.fromkeys(("overlap", "distance"), stored_counts(1 + number % 9))

    def cohort(self, preset, subjects, seed, **how):
        name, contrast, slice_mm, tesla, haemorrhage = KINDS[seed % 2]
        more = {"contrast": contrast, "slice_mm": slice_mm, "b0_tesla": tesla, "haemorrhage": haemorrhage}
        return [{"image": f"/{preset}_{seed}_{k}_{name}.nii.gz", "subject": k, **more} for k in range(subjects)]

    for function in (train, measure, cohort):
        monkeypatch.setattr(experiments.Study, function.__name__, function)
    study = experiments.Study(tmp_path, find_bundle("cmb_detection"), {})
    object.__setattr__(study, "trained", trained)
    return study


def rows_of(folder, name):
    with (folder / f"{name}.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def rates(row):
    """The values of TPR and false positives, without their intervals."""
    return row["TPR"].split()[0], row["FPs per subject"].split()[0]


def found(false):
    return "0.900", f"{false:.3f}"


def assert_pictures(folder, *names):
    assert all((folder / f"{name}.png").stat().st_size > 1000 for name in names)


def test_ablation(study, monkeypatch):
    embedded = []

    def embed(study, data, weights, variant):
        embedded.append(weights.name)
        return np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 2

    monkeypatch.setattr(sys.modules["csvd.experiments.ablation"], "embed", embed)
    folder = experiments.ablation(study, SIZE)
    rows = rows_of(folder, "ablation")
    assert {row["step"]: rates(row) for row in rows} == {
        "detection without FRST": DETECTION,
        "detection": DETECTION,
        "teacher": found(3),
        "student without KD": found(4),
        "student": found(5),
        "student, cleaned up": found(6),
    }
    thresholds = [round(THRESHOLDS[index], 4) for index in (LOW, LOW, HIGH, HIGH, HIGH, HIGH)]
    assert [float(row["threshold"]) for row in rows] == thresholds
    whole = study.out / "weights" / "ablation" / "student"
    assert study.trained == {
        ("ablation", "detection without FRST"): (["train_detector"], None),
        ("ablation", "student"): (list(CASCADE), None),
        ("ablation", "student without KD"): (["train_student_no_kd"], whole),
    }
    assert embedded == ["student without KD", "student"]
    assert_pictures(folder, "froc", "tsne")
    assert "6 training, 3 validation and 2 test subjects, simulated" in (folder / "ablation.md").read_text()


def test_crossval_pools_the_folds(study):
    folder = experiments.crossval(study, SIZE)
    expected = [("detection", DETECTION), ("discrimination", found(5)), ("clean-up", found(8))]
    assert [(row["data"], row["step"], rates(row)) for row in rows_of(folder, "crossval")] == [
        (data, *row) for data in ("UKBB", "OXVASC") for row in expected
    ]
    assert {row["subjects"] for row in rows_of(folder, "crossval")} == {"6"}
    assert [stages for stages, _ in study.trained.values()] == [list(CASCADE)] * 6
    assert_pictures(folder, "froc")


def test_generalize_trains_once_and_chooses_one_threshold(study):
    folder = experiments.generalize(study, SIZE)
    names = ("UKBB SWI", "UKBB QSM", "TICH2 SWI", "SHK SWI", "OXVASC GRE")
    rows = rows_of(folder, "generalize")
    assert [(row["test data"], rates(row)) for row in rows] == [(name, found(k)) for k, name in enumerate(names, 1)]
    assert list(study.trained) == [("ukbb", "cascade")]
    assert f"threshold {THRESHOLDS[HIGH]:.3g} chosen on 3 more" in (folder / "generalize.md").read_text()
    assert_pictures(folder, "froc")


def test_components_change_one_part_at_a_time(study):
    folder = experiments.components(study, SIZE)
    changed = ["nothing", "without FRST", "without N4", "with vessel inpainting", "isotropic pooling", "with KD"]
    changed += ["no clean-up", "clean-up: ellipticity at most 0.2", "clean-up: 5 mm from the edge"]
    rows = rows_of(folder, "components")
    assert [(row["changed"], rates(row)) for row in rows] == [(name, found(k)) for k, name in enumerate(changed, 1)]
    default = study.out / "weights" / "mixed" / "default"
    assert study.trained.pop(("mixed", "kd")) == (list(CASCADE[1:]), default)
    names = ["default", "no_frst", "no_n4", "inpaint", "isotropic"]
    assert study.trained == {("mixed", name): (NO_KD, None) for name in names}
    assert_pictures(folder, "froc")


def test_seeds_have_a_mean_and_a_standard_deviation(study):
    folder = experiments.seeds(study, SIZE)
    *rows, mean = rows_of(folder, "seeds")
    assert [(row["seed"], rates(row)) for row in rows] == [("0", found(1)), ("1", found(2)), ("2", found(3))]
    assert (mean["TPR"], mean["FPs per subject"]) == ("0.900 (0.000)", "2.000 (1.000)")
    assert_pictures(folder, "froc")


def test_leave_out_compares_each_family_with_and_without(study):
    """Training and test subjects are QSM at 7 T with bleeding, in thick slices; those for validation are not."""
    folder = experiments.leave_out(study, SIZE)
    pairs = [("QSM", 2, 3), ("slices of 4 mm or more", 4, 5), ("5 T or more", 6, 7), ("haemorrhage", 8, 9)]
    rows = {(row["test scans"], row["trained on"]): rates(row) for row in rows_of(folder, "leave-out") if row["TPR"]}
    assert rows == {("all", "all"): found(1)} | {
        (name, trained_on): found(false)
        for name, without, whole in pairs
        for trained_on, false in (("all others", without), ("all", whole))
    }
    assert [row["test scans"] for row in rows_of(folder, "leave-out") if not row["TPR"]] == ["magnitude"]
    assert len(study.trained) == len(FAMILIES)  # all, and without each family but magnitude
    assert_pictures(folder, "froc")


@pytest.fixture
def candidates():
    """Candidates of two subjects, of each one microbleed and three others."""
    patches = torch.rand(8, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    labels, subjects = np.array([1, 0, 0, 0] * 2), np.repeat([0, 1], 4)
    return CandidateTable(patches, torch.zeros(8, 3), labels, subjects, seconds=1.0)


@pytest.fixture
def work(study, candidates, monkeypatch):
    """Transfer whose networks say of a microbleed and of three other candidates what ``SAID`` has."""
    work = sys.modules["csvd.experiments.transfer"].Transfer
    monkeypatch.setattr(work, "candidates", lambda self, *_: candidates)
    monkeypatch.setattr(work, "odds", lambda self, name, fold, found: SAID[name][: len(found.labels)])
    return work


def test_transfer_compares_four_strategies_on_three_scanners(study, work, monkeypatch):
    monkeypatch.setattr(work, "calibration", lambda *_: (1.0, 0.0))
    monkeypatch.setattr(
        work,
        "train",
        lambda self, name, fold, tables: {"AUC": 1, "best epoch": 4 + fold, "epochs": 9, "converged": fold > 0},
    )
    folder = experiments.transfer(study, SIZE)
    expected = {
        SEVEN: ("1.000", "1.000", "0.250", "3.000"),
        TUNED: ("1.000", "1.000", "0.500", "1.000"),
        THREE: ("0.000", "0.000", "0.000", "3.000"),
        BOTH: ("1.000", "1.000", "1.000", "0.000"),
    }
    columns = ("AUC", "sensitivity", "precision", "FPs per scan")
    rows = rows_of(folder, "transfer")
    assert [(row["test"], row["strategy"], tuple(row[name].split()[0] for name in columns)) for row in rows] == [
        (test, name, expected[name]) for test in ("7T", "3T", "3T, CCM") for name in STRATEGIES
    ]
    assert {(row["microbleeds"], row["other candidates"]) for row in rows} == {("2", "6")}
    assert {(row["best epochs"], row["converged"]) for row in rows} == {("4 to 6", "2 of 3")}
    assert len(rows_of(folder, "candidates_ccm3t")) == 8
    assert len(rows_of(folder, "trainings")) == len(STRATEGIES) * SIZE.folds
    assert_pictures(folder, "roc", "removed")


def test_transfer_tests_the_differences_between_strategies(study, work, monkeypatch):
    monkeypatch.setattr(work, "calibration", lambda *_: (1.0, 0.0))
    monkeypatch.setattr(work, "train", lambda *_: {"AUC": 1, "best epoch": 1, "epochs": 9, "converged": True})
    rows = rows_of(experiments.transfer(study, SIZE), "differences")[: len(PAIRS)]
    assert {(row["AUC of"], row["minus AUC of"]): (row["difference"], row["p"]) for row in rows} == {
        (TUNED, SEVEN): ("0.000 [0.000, 0.000]", "1"),
        (THREE, SEVEN): ("-1.000 [-1.000, -1.000]".replace("-", "\N{MINUS SIGN}"), "0"),
        (BOTH, SEVEN): ("0.000 [0.000, 0.000]", "1"),
        (TUNED, THREE): ("1.000 [1.000, 1.000]", "0"),
        (BOTH, TUNED): ("0.000 [0.000, 0.000]", "1"),
    }


def test_transfer_leaves_a_fold_out_and_calibrates_on_it(study, work, candidates, monkeypatch):
    """Two subjects a protocol in two folds. Log-odds are true with those of the wrong scale and shift."""
    work = work(study, replace(SIZE, folds=2))
    tables = {"ucsf7t": candidates, "ucsf3t": candidates}
    held_out, kept = (work.part(BOTH, 1, tables, held_out) for held_out in (True, False))
    assert (held_out.subjects.tolist(), kept.subjects.tolist()) == ([1] * 4 + [3] * 4, [0] * 4 + [1] * 4)
    assert len(work.part(TUNED, 1, tables, held_out=True).labels) == 4
    rng = np.random.default_rng(0)
    truth = rng.normal(-1, 2, 4000)
    many = CandidateTable(
        torch.zeros(4000, 1, 1, 1, 1),
        torch.zeros(4000, 3),
        (rng.random(4000) < 1 / (1 + np.exp(-truth))).astype(int),
        np.arange(4000),
    )
    monkeypatch.setattr(type(work), "odds", lambda self, name, fold, found: 3 * truth[found.subjects] + 4)
    temperature, bias = work.calibration(SEVEN, {"ucsf7t": many})
    assert (temperature, bias) == pytest.approx((3, -4 / 3), abs=0.3)


def test_transfer_fine_tunes_what_learned_at_7_tesla(study, work, candidates, monkeypatch):
    module = sys.modules["csvd.experiments.transfer"]
    calls = []

    def train(parser, training, validation, path, start):
        path.parent.mkdir(parents=True)
        calls.append((parser.get_parsed_content("seed"), len(training.labels), len(validation.labels), path, start))
        return {"epochs": 3}

    monkeypatch.setattr(module, "train_on_candidates", train)
    tables = {"ucsf7t": candidates, "ucsf3t": candidates}
    work = work(study, replace(SIZE, folds=2))
    for _ in range(2):  # the second finds what the first did
        assert work.train(TUNED, 1, tables) == {"epochs": 3}
    folder = study.out / "weights"
    start = folder / "trained_on_7T" / "fold_1" / "residual.pt"
    assert calls == [(1, 4, 4, folder / "7T_fine-tuned_on_3T" / "fold_1" / "residual.pt", start)]


@pytest.fixture
def logged(study, monkeypatch):
    """Trainings of a study write a log of three epochs, of which the second has the highest AUC."""
    train = experiments.Study.train

    def train_and_log(self, data, stages, variant, detector=None):
        weights = train(self, data, stages, variant, detector)
        with SummaryWriter(weights) as log:
            for epoch, area in enumerate((0.7, 0.9, 0.8), start=1):
                log.add_scalar("auc", area, epoch)
                log.add_scalar("teacher_auc", area, epoch)
                log.add_scalar("accuracy", area / 2, epoch)
        return weights

    monkeypatch.setattr(experiments.Study, "train", train_and_log)


def sections_of(study):
    """Two subjects a section."""
    return {name: study.cohort("ukbb", 2, seed) for seed, name in enumerate(SECTIONS)}


def test_discriminators_stand_in_one_table(study, candidates, logged, monkeypatch):
    module = sys.modules["csvd.experiments.discriminators"]
    monkeypatch.setattr(module, "search", lambda *_: candidates)
    monkeypatch.setattr(module, "load_weights", lambda *_: None)
    monkeypatch.setattr(module, "likelihood", lambda *_: np.array([0.9, 0.6, 0.1, 0.1] * 2))
    monkeypatch.setattr(module, "_calibrated", lambda study, data, weights, variant: weights.parent / "teacher")
    asked = {}

    def more(name, settings):
        asked[name] = settings
        return {"real": name}

    folder = experiments.discriminators(
        study, sections_of(study), [{"discriminator": "another", "parameters": 1}], more=more
    )
    *rows, another = rows_of(folder, "discriminators")
    names = ["student", "student with KD", "teacher", "residual", "five-block"]
    assert [(row["discriminator"], rates(row)) for row in rows] == [(name, found(k)) for k, name in enumerate(names, 1)]
    patches = {tuple(row[f"patch {name}"] for name in ("accuracy", "precision")) for row in rows}
    assert patches == {("0.75", "0.5")}
    columns = ("patch recall", "balanced accuracy", "balanced precision", "patch AUC")
    assert {tuple(row[name].split()[0] for name in columns) for row in rows} == {("1.000", "0.833", "0.750", "1.000")}
    assert {row["best epoch"] for row in rows} == {"2 of 3"}
    assert [row["training accuracy"] for row in rows] == ["0.450", "0.450", "", "0.450", "0.450"]
    assert [row["real"] for row in rows] == names
    assert (another["discriminator"], another["parameters"], another["TPR"], another["real"]) == (
        "another",
        "1",
        "",
        "",
    )
    assert int(rows[3]["parameters"]) == 898274
    assert [variant for _, variant in study.trained] == ["student_0", "student_with_KD_0", "residual", "five-block"]
    assert_pictures(folder, "froc", "confusion", "accuracy")
    networks = [asked[name]["network_def#discriminator"]["_target_"].rsplit(".", 1)[1] for name in names]
    kinds = ["StudentClassifier", "StudentClassifier", "MultiTaskTeacher", "ResidualPatchClassifier", "FiveBlockCNN"]
    assert networks == kinds
    assert asked["student"]["threshold"] == THRESHOLDS[HIGH]


def test_students_with_and_without_a_teacher_differ_by_their_false_positives_alone(
    study, candidates, logged, monkeypatch
):
    """The student with a teacher has a false positive more in each subject, and finds one microbleed less surely."""
    module = sys.modules["csvd.experiments.distillation"]
    alone, taught = (np.array([sure, 0.6, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1]) for sure in (0.9, 0.5))
    monkeypatch.setattr(module, "search", lambda *_: candidates)
    monkeypatch.setattr(
        module, "probability_of", lambda study, data, weights, *_: taught if "KD" in weights.name else alone
    )
    folder = experiments.compare_students(study, sections_of(study))
    rows = rows_of(folder, "distillation")
    assert [(row["student"], row["seed"]) for row in rows[:-3]] == [
        (name, str(seed)) for seed in range(3) for name in ("student", "student with KD", "its teacher")
    ]
    assert [rates(row)[1] for row in rows[:-3] if row["TPR"]] == [f"{k}.000" for k in range(1, 7)]
    assert {(row["best epoch"], row["minutes"]) for row in rows[:-3]} == {("2 of 3", "0.0")}
    without, with_teacher, difference = rows[-3:]
    assert (without["FPs per subject"], with_teacher["FPs per subject"]) == ("3.000 (2.000)", "4.000 (2.000)")
    assert (without["patch AUC"], with_teacher["patch AUC"]) == ("1.000 (0.000)", "0.917 (0.000)")
    assert difference["FPs per subject"] == "1.000 (0.000) [1.000, 1.000]"
    assert difference["TPR"] == "0.000 (0.000) [0.000, 0.000]"
    # 11 of 12 pairs in order; of two draws of the first subject 2 of 3 pairs, of two of the second all
    assert difference["patch AUC"] == "\N{MINUS SIGN}0.083 (0.000) [\N{MINUS SIGN}0.333, 0.000]"
    stages = {"student": ["train_student_no_kd"], "student_with_KD": list(CASCADE[1:])}
    detector = study.out / "detector"
    assert study.trained == {
        ("given", f"{name}_{seed}"): (run, detector) for seed in range(3) for name, run in stages.items()
    }
    text = (folder / "distillation.md").read_text()
    assert "2 training, 2 validation, 2 test subjects, simulated. 15000 updates of a batch of 32 candidates" in text
    assert_pictures(folder, "froc_distillation")


def test_students_of_an_experiment_are_trained_on_many_lesions_and_tested_on_few(study, monkeypatch):
    asked, compared = [], []
    module = sys.modules["csvd.experiments.distillation"]
    monkeypatch.setattr(
        experiments.Study,
        "cohort",
        lambda self, preset, subjects, seed, **how: asked.append((preset, subjects, how)) or [preset] * subjects,
    )
    monkeypatch.setattr(module, "compare_students", lambda study, sections, match: compared.append(sections))
    experiments.distillation(study, Size(training=4, validation=2, test=2, folds=0))
    assert compared == [
        {"training": ["ukbb", "ukbb", "oxvasc", "oxvasc"], "validation": ["ukbb", "oxvasc"], "test": ["ukbb", "oxvasc"]}
    ]
    assert [how for _, _, how in asked] == [{"lesions": 25}] * 2 + [{}] * 4
