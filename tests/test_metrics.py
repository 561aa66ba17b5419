"""Rates, curves and metrics of small pictures and cohorts whose counts are known."""

import json
import math

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from monai.engines import SupervisedEvaluator
from scipy.stats import bootstrap

from csvd.metrics import (
    FROCMetric,
    LesionMetric,
    bootstrap_ci,
    froc,
    pooled_rates,
    subject_medians,
    summarize_cohort,
    tpr_at_fps,
)

BLANK = (1, 24, 5, 5)


def line(*stretches, value=1.0):
    """Volume (1, 24, 5, 5) with clusters along the middle of the first axis: ``(start, stop)`` each."""
    volume = torch.zeros(BLANK)
    for start, stop in stretches:
        volume[0, start:stop, 2, 2] = value
    return volume


COHORT = torch.tensor([[4, 2, 3, 1], [0, 0, 2, 2], [1, 1, 1, 0], [1, 0, 0, 0]])


def test_pooled_rates_are_those_of_all_lesions_together():
    rates = {name: rate.item() for name, rate in pooled_rates(COHORT).items()}
    assert rates == pytest.approx({"tpr": 3 / 6, "fps_per_subject": 3 / 4, "precision": 3 / 6, "f1": 0.5})


def test_median_leaves_out_subjects_without_lesions_but_counts_their_false_positives():
    rates = {name: rate.item() for name, rate in subject_medians(COHORT).items()}
    # tpr 1/2, 1, 0; false positives 1, 2, 0, 0; precision 2/3, 1; F1 4/7, 1, 0
    assert rates == pytest.approx({"tpr": 0.5, "fps_per_subject": 0.5, "precision": 5 / 6, "f1": 4 / 7})


@pytest.mark.parametrize("reduction", ["pooled", "subject_median"])
def test_cohort_without_lesions_has_false_positives_but_no_tpr(reduction):
    summary = summarize_cohort(COHORT[1:2], match="overlap", reduction=reduction)
    assert math.isnan(summary["tpr"]["value"])
    assert math.isnan(summary["tpr"]["high"])
    assert summary["fps_per_subject"]["value"] == 2


def test_summary_names_its_rules_and_is_json():
    summary = json.loads(json.dumps(summarize_cohort(COHORT, match="distance", reduction="subject_median")))
    assert (summary["match"], summary["reduction"], summary["level"]) == ("distance", "subject_median", 0.95)
    assert (summary["subjects"], summary["lesions"]) == (4, 6)
    assert summary["tpr"]["low"] <= summary["tpr"]["value"] <= summary["tpr"]["high"]


def test_summary_refuses_an_unknown_reduction():
    with pytest.raises(ValueError, match="`reduction` must be one of 'pooled', 'subject_median', got 'mean'"):
        summarize_cohort(COHORT, match="overlap", reduction="mean")


def test_interval_of_a_mean_is_that_of_the_normal_law():
    rows = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = bootstrap_ci(rows, lambda cohorts: cohorts.mean(dim=1))
    half_width = 1.96 * rows.std().item() / 20
    assert low.item() == pytest.approx(rows.mean().item() - half_width, abs=0.01)
    assert high.item() == pytest.approx(rows.mean().item() + half_width, abs=0.01)


def test_bootstrap_is_that_of_scipy():
    draws = torch.Generator().manual_seed(0)
    lesions, false = torch.randint(1, 6, (60,), generator=draws), torch.randint(0, 4, (60,), generator=draws)
    found = (lesions * torch.rand(60, generator=draws)).round().long()
    counts = torch.stack([lesions, found, found + false, false], dim=1)
    summary = summarize_cohort(counts, match="distance")
    theirs = bootstrap(
        (lesions.numpy(), found.numpy()),
        lambda lesions, found, axis: found.sum(axis) / lesions.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        random_state=0,
    ).confidence_interval
    assert (summary["tpr"]["low"], summary["tpr"]["high"]) == pytest.approx(theirs, abs=0.01)


def table(lesions, found, false=0, scans=4):
    """Counts (scans, 4) of lesions one to one, shared out among scans."""
    shares = [[part // scans + (k < part % scans) for k in range(scans)] for part in (lesions, found, false)]
    return torch.tensor([(n, hit, hit + wrong, wrong) for n, hit, wrong in zip(*shares, strict=True)])


@pytest.mark.parametrize(
    ("lesions", "found", "low", "high"),
    [(10, 10, 0.6915, 1), (0, 0, math.nan, math.nan), (5, 0, 0, 0.5218), (30, 30, 0.8843, 1), (19, 9, 0.2445, 0.7114)],
)  # R: binom.test
def test_rates_of_0_or_1_and_of_few_lesions_have_the_interval_of_clopper_and_pearson(lesions, found, low, high):
    tpr = summarize_cohort(table(lesions, found), match="distance")["tpr"]
    assert (tpr["low"], tpr["high"]) == pytest.approx((low, high), abs=1e-4, nan_ok=True)


def test_rates_of_twenty_lesions_have_a_bootstrap_interval():
    counts = table(20, 9, false=40)
    summary = summarize_cohort(counts, match="distance")
    low, high = bootstrap_ci(counts, lambda cohorts: pooled_rates(cohorts)["tpr"])
    assert (summary["tpr"]["low"], summary["tpr"]["high"]) == (float(low), float(high))
    fps = bootstrap_ci(counts, lambda cohorts: pooled_rates(cohorts)["fps_per_subject"])
    assert (summary["fps_per_subject"]["low"], summary["fps_per_subject"]["high"]) == tuple(map(float, fps))


def test_no_false_positive_in_ten_scans_may_be_one_in_three():
    fps = summarize_cohort(table(10, 10, scans=10), match="distance")["fps_per_subject"]
    assert fps == pytest.approx({"value": 0, "low": 0, "high": 0.3689}, abs=1e-4)  # R: poisson.test(0, 10)


def test_one_scan_says_nothing_about_scans_but_something_about_lesions():
    tpr = summarize_cohort(table(40, 20, scans=1), match="distance")["tpr"]
    assert tpr == pytest.approx({"value": 0.5, "low": 0.3380, "high": 0.6620}, abs=1e-4)  # R: binom.test(20, 40)


def test_f1_of_detections_that_find_several_lesions_lies_in_its_interval():
    f1 = summarize_cohort(torch.tensor([[5, 4, 3, 1], [1, 1, 1, 0]]), match="overlap")["f1"]
    assert f1["value"] == pytest.approx(2 * (5 / 6) * (3 / 4) / (5 / 6 + 3 / 4))
    assert 0.3 < f1["low"] < f1["value"] < f1["high"] < 1


def test_same_seed_gives_the_same_interval():
    assert summarize_cohort(COHORT, match="overlap", seed=3) == summarize_cohort(COHORT, match="overlap", seed=3)


def test_interval_needs_a_subject():
    with pytest.raises(ValueError, match="cannot draw from 0 subjects"):
        bootstrap_ci(COHORT[:0], lambda cohorts: cohorts.sum(dim=(1, 2)))


def test_tpr_at_fps_is_the_best_point_within_the_limit():
    # at thresholds 0.2, 0.5, 0.8: 2 subjects of 5 lesions with 3, 1 and 0 false positives each
    rows = torch.tensor([[5, 5, 8, 3], [5, 4, 5, 1], [5, 2, 2, 0]]).expand(2, 3, 4)
    curve = froc(rows, (0.2, 0.5, 0.8), match="overlap")
    assert curve.fps.tolist() == [3, 1, 0]
    assert [tpr_at_fps(curve, max_fps) for max_fps in (0, 1.5, 100)] == [0.4, 0.8, 1.0]
    assert tpr_at_fps(froc(rows[:, :1], (0.2,), match="overlap"), max_fps=1) == 0


def test_froc_metric_is_the_mean_tpr():
    metric = FROCMetric(thresholds=(0.3, 0.6), max_fps=(0, 1))
    prediction = line((2, 4), value=0.9) + line((8, 10), value=0.4) + line((18, 20), value=0.5)
    metric(prediction[None], line((2, 4), (8, 10))[None])
    # 0.6: one of two lesions, no false positive; 0.3: both, one false positive
    assert metric.aggregate().item() == pytest.approx((0.5 + 1) / 2)
    assert metric.curve().match == "distance"


def healthy(metric, *predictions):
    """Value of a metric on scans without lesions."""
    metric(torch.stack(predictions), torch.zeros(len(predictions), *BLANK))
    return metric.aggregate().item()


def test_froc_metric_without_lesions_is_minus_the_mean_of_false_positives(caplog):
    metric = FROCMetric(thresholds=(0.3, 0.6))
    # of two scans: at 0.3 two and one false positives, at 0.6 one and none
    scans = (line((2, 4), value=0.9) + line((8, 10), value=0.4), line((18, 20), value=0.5))
    assert healthy(metric, *scans) == pytest.approx(-(1.5 + 0.5) / 2)
    assert "no lesions in these 2 scans: FROCMetric is minus the false positives per scan, 1" in caplog.text


@pytest.mark.parametrize("metric", ["tpr", "precision", "f1"])
@pytest.mark.parametrize(("reduction", "value"), [("pooled", -4 / 3), ("subject_median", -1)])
def test_rates_without_lesions_are_minus_the_false_positives(metric, reduction, value):
    scans = (line((2, 4), (8, 10), (14, 15)), line((2, 4)), line())
    assert healthy(LesionMetric(metric, reduction=reduction), *scans) == pytest.approx(value)
    assert healthy(LesionMetric(metric, reduction=reduction), line(), line()) == 0


def test_false_positives_without_lesions_are_what_they_are():
    assert healthy(LesionMetric("fps_per_subject"), line((2, 4), (8, 10)), line()) == 1


@pytest.mark.parametrize("make", [FROCMetric, LesionMetric], ids=["froc", "f1"])
def test_without_lesions_fewer_false_positives_are_better(make):
    scans = [line(*((k, k + 1) for k in range(0, 2 * count, 2)), value=0.9) for count in range(4)]
    values = [healthy(make(), scan) for scan in scans]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 4
    assert values[0] == 0


@pytest.mark.parametrize("reduction", ["pooled", "subject_median"])
def test_precision_of_no_detection_is_nothing(reduction):
    metric = LesionMetric("precision", reduction=reduction)
    metric(line()[None], line((2, 4))[None])
    assert metric.aggregate() == 0


def test_scans_without_lesions_among_others_count_by_their_false_positives():
    metric = FROCMetric(thresholds=(0.3, 0.6), max_fps=(0, 1))
    metric(torch.stack([line((2, 4), value=0.9), line((8, 10), value=0.4)]), torch.stack([line((2, 4)), line()]))
    # 0.6: the lesion, and no false positive; 0.3: one in two scans
    assert metric.aggregate() == 1
    assert metric.curve().fps.tolist() == [0.5, 0]


def test_froc_metric_does_not_reward_marking_everything():
    labels = line((2, 4), (12, 14), (21, 23))[None]
    everything, right = FROCMetric(), FROCMetric()
    everything(torch.full_like(labels, 0.9), labels)
    right(labels * 0.9, labels)
    assert everything.aggregate() < 0.5
    assert right.aggregate() == 1


def test_metric_sums_over_batches_and_lists():
    scans = [(line((2, 4)), line((2, 4))), (line(), line((5, 6)))]
    items = [{"pred": prediction, "label": MetaTensor(label, affine=torch.eye(4))} for prediction, label in scans]
    batch = next(iter(DataLoader(Dataset(items), batch_size=2)))
    as_batch, as_list = LesionMetric(metric="tpr", match="distance"), LesionMetric(metric="tpr", match="distance")
    as_batch(batch["pred"], batch["label"])
    items = decollate_batch(batch)
    as_list([item["pred"] for item in items], [item["label"] for item in items])
    assert as_batch.aggregate() == as_list.aggregate() == 0.5


def test_batch_keeps_each_subject_s_voxel_size():
    labels = [MetaTensor(line((2, 3)), affine=torch.diag(torch.tensor([mm, 1.0, 1, 1]))) for mm in (0.7, 0.73)]
    batch = next(iter(DataLoader(Dataset([{"label": label} for label in labels]), batch_size=2)))
    metric = LesionMetric(metric="tpr", match="distance")
    metric(line((9, 10)).expand(2, *BLANK), batch["label"])
    assert metric.aggregate() == 0.5


def test_metric_forgets_on_reset():
    metric = LesionMetric()
    metric(line((2, 4))[None], line((2, 4))[None])
    metric.reset()
    with pytest.raises(ValueError, match="counts of 0 subjects"):
        metric.aggregate()


def test_metric_needs_labels():
    with pytest.raises(ValueError, match="without labels"):
        LesionMetric()(line()[None])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"metric": "dice"}, "`metric` must be one of 'tpr', 'fps_per_subject', 'precision', 'f1', got 'dice'"),
        ({"match": "iou"}, "`match` must be one of"),
        ({"reduction": "mean"}, "`reduction` must be one of"),
        ({"threshold": 2}, "`threshold` must be between 0 and 1, got 2"),
        ({"max_distance_mm": -1}, "`max_distance_mm` must be above 0, got -1"),
    ],
)
def test_metric_refuses_what_it_does_not_know(setting, message):
    with pytest.raises(ValueError, match=message):
        LesionMetric(**setting)


def test_metrics_work_in_an_evaluator_from_a_config():
    output = {"_target_": "monai.handlers.from_engine", "keys": ["pred", "label"]}
    metrics = {
        "froc": {"_target_": "csvd.metrics.FROCMetric"},
        "f1": {"_target_": "csvd.metrics.LesionMetric", "match": "overlap", "metric": "f1"},
        "fps": {"_target_": "csvd.metrics.LesionMetric", "match": "overlap", "metric": "fps_per_subject"},
    }
    handlers = {
        name: {"_target_": "IgniteMetricHandler", "metric_fn": metric, "output_transform": output}
        for name, metric in metrics.items()
    }
    parser = ConfigParser({"key": {"froc": handlers.pop("froc")}, "others": handlers})
    # the image is the prediction: lesion found and one false positive; lesion found
    scans = [(line((2, 4), (10, 12)), line((2, 4))), (line((5, 6)), line((5, 6)))]
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([{"image": image, "label": label} for image, label in scans]), batch_size=1),
        network=torch.nn.Identity(),
        key_val_metric=parser.get_parsed_content("key"),
        additional_metrics=parser.get_parsed_content("others"),
    )
    evaluator.run()
    assert evaluator.state.metrics == pytest.approx({"froc": 1, "f1": 0.8, "fps": 0.5})
    assert evaluator.state.best_metric == 1
