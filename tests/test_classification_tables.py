"""Tables of a classifier of subjects: what they count, what they compare, what they refuse."""

import csv

import numpy as np
import pytest
from scipy.stats import binom

from csvd.checks import InputError
from csvd.experiments.classification import classification_rows, error_by_chance, evaluate_classification, reader_rows
from csvd.experiments.predictions import read_predictions
from csvd.experiments.subject_groups import cohort_rows

CLASSES = ("aSVD", "CAA", "CADASIL")
SURE = {name: [0.9 if k == j else 0.05 for k in range(3)] for j, name in enumerate(CLASSES)}


def write(path, rows):
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        table.writeheader()
        table.writerows(rows)
    return path


NONE = None
"""What a classifier says of a subject to whom no class applies."""


def predictions(folder, said=CLASSES * 10):
    """Thirty subjects, ten of each class in turn, of whom the classifier is sure of what it ``said``."""
    rows = [
        {
            "subject": f"s{k}",
            "csvd": CLASSES[k % 3],
            **dict(zip(CLASSES, SURE.get(name, ["n/a"] * 3), strict=True)),
            "reason": "n/a" if name else "no microbleed",
            "imputed": "age",
        }
        for k, name in enumerate(said)
    ]
    return write(folder / "predictions.tsv", rows)


def by_measure(rows, column="value"):
    return {row["measure"]: row[column] for row in rows}


def test_a_classifier_that_is_always_right(tmp_path):
    rows = by_measure(classification_rows(read_predictions(predictions(tmp_path))))
    # exact: 10 pairs of a subject with and one without the class, 30 subjects
    assert rows["AUC, CAA against the rest"] == rows["weighted AUC"] == rows["macro AUC"] == "1.000 [0.692, 1.000]"
    assert rows["accuracy"] == rows["macro F1"] == "1.000 [0.884, 1.000]"
    assert rows["expected calibration error"].startswith("0.100")


def test_the_calibration_error_that_chance_alone_gives_so_few_subjects():
    value = error_by_chance(np.tile([0.9, 0.05, 0.05], (30, 1)))  # all in one bin
    right = np.arange(31)
    exact = (binom.pmf(right, 30, 0.9) * abs(right / 30 - 0.9)).sum()
    assert value.value == pytest.approx(exact, abs=0.003)
    assert value.low == pytest.approx(0, abs=1e-6)  # 27 of 30
    assert 0.099 < value.high < 4 / 30 + 1e-6  # 30 or 23 of 30
    assert np.isnan(error_by_chance(np.empty((0, 3))).value)


def test_a_classifier_that_errs_once_has_an_interval(tmp_path):
    rows = by_measure(classification_rows(read_predictions(predictions(tmp_path, ["CAA", *(CLASSES * 10)[1:]]))))
    assert rows["accuracy"].startswith("0.967 [0.9")
    assert rows["weighted recall"].startswith("0.967")


def test_without_an_answer_subjects_are_counted_and_rates_are_given_with_and_without_them(tmp_path):
    said = [NONE if k in (0, 4, 8) else name for k, name in enumerate(CLASSES * 10)]
    rows = classification_rows(read_predictions(predictions(tmp_path, said)))
    answered, everyone = by_measure(rows), by_measure(rows, "of all")
    assert (answered["subjects"], everyone["subjects"]) == ("27", "30")
    assert (answered["not applicable"], everyone["not applicable"]) == ("0", "3")
    assert answered["accuracy"].startswith("1.000")
    assert everyone["accuracy"].startswith("0.900")  # three are wrong
    assert everyone["macro recall"].startswith("0.900")  # one of ten of each class
    assert everyone["macro precision"].startswith("1.000")  # of those that were named, all are right
    assert answered["weighted AUC"].startswith("1.000")
    assert everyone["weighted AUC"].startswith("0.995")  # the three tie: 1 of 10 with 2 of 20, which count half
    assert answered["expected calibration error"][:5] == everyone["expected calibration error"][:5] == "0.100"


def test_subjects_without_an_answer_have_a_column_of_the_confusion_matrix(tmp_path):
    said = [NONE if k == 1 else name for k, name in enumerate(CLASSES * 10)]
    rates, confusion = evaluate_classification(predictions(tmp_path, said), tmp_path / "out")
    assert "| true | aSVD | CAA | CADASIL | not applicable |" in confusion.read_text()
    assert "| CAA | 0 | 9 | 0 | 1 |" in confusion.read_text()
    assert "| not applicable | 0 | 1 |" in rates.read_text()


def test_answers_for_one_class_alone_are_refused(tmp_path):
    said = [name if name == "CAA" else NONE for name in CLASSES * 10]
    with pytest.raises(InputError, match=r"answers for subjects of two classes or more, .* its 10 are all 'CAA'"):
        read_predictions(predictions(tmp_path, said))


def test_classifier_without_an_answer_is_wrong_beside_readers(tmp_path):
    subjects = read_predictions(predictions(tmp_path, [NONE] * 3 + [*(CLASSES * 10)[3:]]))
    rows = [{"subject": f"s{k}", "A": CLASSES[k % 3]} for k in range(30)]
    classifier, reader = reader_rows(subjects, write(tmp_path / "readers.tsv", rows))
    assert classifier["accuracy"].startswith("0.900")
    assert (reader["accuracy"][:5], reader["McNemar p"]) == ("1.000", "0.250")  # three pairs, all one way


def test_readers_stand_beside_the_classifier(tmp_path):
    subjects = read_predictions(predictions(tmp_path))
    good, bad = CLASSES * 10, ["CAA"] * 30
    rows = [{"subject": f"s{k}", "A": good[k], "B": bad[k], "C": good[k]} for k in range(30)]
    table = reader_rows(subjects, write(tmp_path / "readers.tsv", rows))
    assert [row["reader"] for row in table[:4]] == ["classifier", "A", "B", "C"]
    assert table[1]["accuracy"] == "1.000 [0.884, 1.000]"
    assert table[2]["accuracy"].startswith("0.333")
    assert (table[1]["McNemar p"], table[2]["McNemar p"]) == ("1.000", "0.000")
    assert table[4]["reader"].startswith("Fleiss' kappa of 3 readers: 0.")


@pytest.mark.parametrize(
    ("rows", "named"), [([{"subject": "s0", "A": "MS"}], "'MS'"), ([{"subject": "x", "A": "CAA"}], "no row")]
)
def test_readers_of_other_subjects_or_classes_are_refused(tmp_path, rows, named):
    with pytest.raises(InputError, match=f"must name one of aSVD, CAA, CADASIL for subject 's0', there is .*{named}"):
        reader_rows(read_predictions(predictions(tmp_path)), write(tmp_path / "readers.tsv", rows))


@pytest.mark.parametrize("place", [0, 15, 29])
def test_readers_with_two_rows_of_a_subject_are_refused(tmp_path, place):
    rows = [{"subject": f"s{k}", "A": "CAA"} for k in range(30)] + [{"subject": f"s{place}", "A": "aSVD"}]
    with pytest.raises(InputError, match=f"subject 's{place}' has more than one row"):
        reader_rows(read_predictions(predictions(tmp_path)), write(tmp_path / "readers.tsv", rows))


def test_table_without_a_reader_is_refused(tmp_path):
    rows = [{"subject": f"s{k}"} for k in range(30)]
    with pytest.raises(InputError, match="there is no reader"):
        reader_rows(read_predictions(predictions(tmp_path)), write(tmp_path / "readers.tsv", rows))


def test_cohort_is_compared_class_by_class(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "participant_id": f"s{k}",
            "csvd": CLASSES[k % 3],
            "age": round(60 + 10 * (k % 3) + rng.normal(), 1),
            "sex": "FM"[k % 2],
        }
        for k in range(60)
    ]
    subjects, age, women, men = cohort_rows(write(tmp_path / "participants.tsv", rows))
    assert subjects == {"": "subjects", "aSVD": "20", "CAA": "20", "CADASIL": "20"}
    assert age["aSVD"].startswith(("59.", "60."))
    assert float(age["p"].split()[0]) < 1e-10
    assert women == {"": "sex: F", "aSVD": "10 (50%)", "CAA": "10 (50%)", "CADASIL": "10 (50%)", "p": "1 (chi-square)"}
    assert men["CAA"] == "10 (50%)"


def test_everything_is_written(tmp_path):
    readers = write(tmp_path / "readers.tsv", [{"subject": f"s{k}", "A": CLASSES[k % 3]} for k in range(30)])
    cohort = write(tmp_path / "participants.tsv", [{"csvd": CLASSES[k % 3], "age": 50 + k} for k in range(30)])
    written = evaluate_classification(predictions(tmp_path), tmp_path / "out", readers, cohort)
    assert [path.name for path in written] == ["rates.md", "confusion.md", "readers.md", "cohort.md"]
    assert "| CAA | 0 | 10 | 0 | 0 |" in written[1].read_text()
    assert all("Research use only" in path.read_text() for path in written)
    assert (tmp_path / "out" / "classification.png").stat().st_size > 10_000


def test_table_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.tsv' does not exist"):
        read_predictions(tmp_path / "nothing.tsv")


def test_table_without_a_column_is_named(tmp_path):
    with pytest.raises(InputError, match=r"column 'csvd', separated by tabs, its columns are \['subject', 'CAA'\]"):
        read_predictions(write(tmp_path / "p.tsv", [{"subject": "s", "CAA": 1}]))


def test_subjects_of_one_class_are_refused(tmp_path):
    rows = [{"subject": name, "csvd": "CAA", "CAA": 1, "aSVD": 0} for name in "ab"]
    with pytest.raises(InputError, match=r"two classes or more, to tell apart, its 2 are all 'CAA'"):
        read_predictions(write(tmp_path / "p.tsv", rows))


def test_subject_without_a_diagnosis_is_named(tmp_path):
    rows = [{"subject": "s", "csvd": "", "CAA": 1, "aSVD": 0}]
    with pytest.raises(InputError, match="`csvd` of subject 's' must be one of CAA, aSVD, it is ''"):
        read_predictions(write(tmp_path / "p.tsv", rows))
