from dataclasses import replace

import numpy as np
import pytest
import torch
from once import simulated
from scipy import ndimage

from csvd.anatomy.mars import MARS
from csvd.phantom import MIMICS, PHENOTYPES, PROTOCOLS, phenotype_log_likelihood, simulate_subject
from csvd.phantom.lesions import draw_person

TINY = replace(
    PROTOCOLS["ukbb"], name="tiny", voxel_mm=(2.0, 2.0, 3.0), matrix=(96, 112, 56), fine_mm=2.0, radius_mm=3.0, snr=40
)


@pytest.fixture(scope="module")
def bleeding():
    """An aSVD subject on a coarse grid, with several microbleeds."""
    return simulated(replace(TINY, lesions=8), seed=2, phenotype="aSVD")


@pytest.fixture(scope="module")
def healthy():
    return simulate_subject(TINY, seed=1, phenotype="healthy")


def surroundings(subject, lesion_id):
    """Return the mask of a lesion and that of a ring of brain around it, without other lesions, veins or mimics."""
    lesion = subject.label == lesion_id
    grown, close = (torch.from_numpy(ndimage.binary_dilation(lesion.numpy(), iterations=n)) for n in (7, 3))
    free = (subject.mask > 0) & (subject.label == 0) & (subject.vessels == 0) & (subject.mimics == 0)
    return lesion, grown & ~close & free


def equal(one, other):
    return all(torch.equal(one.images[name], other.images[name]) for name in one.images)


def test_same_seed_gives_the_same_subject(healthy):
    again = simulate_subject(TINY, seed=1, phenotype="healthy")
    assert equal(again, healthy)
    assert (again.age, again.sex) == (healthy.age, healthy.sex)


def test_the_number_of_threads_changes_nothing(healthy):
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    again = simulate_subject(TINY, seed=1, phenotype="healthy")
    kept = torch.get_num_threads()
    torch.set_num_threads(threads)
    assert equal(again, healthy)
    assert kept == 3


@pytest.mark.parametrize(("seed", "index"), [(2, 0), (1, 1)])
def test_another_seed_or_index_gives_another_subject(healthy, seed, index):
    other = simulate_subject(TINY, seed=seed, index=index, phenotype="healthy")
    assert not torch.equal(other.mask, healthy.mask)


def test_every_volume_has_the_matrix_of_the_protocol(bleeding):
    volumes = [*bleeding.images.values(), bleeding.mask, bleeding.label, bleeding.vessels, bleeding.mimics]
    assert {tuple(volume.shape) for volume in volumes} == {TINY.matrix}
    assert all(image.isfinite().all() for image in bleeding.images.values())


def test_the_origin_lies_in_the_middle_and_axes_are_ras(bleeding):
    middle = (torch.tensor(TINY.matrix, dtype=torch.float64) - 1) / 2
    torch.testing.assert_close(bleeding.affine[:3, :3], torch.diag(torch.tensor(TINY.voxel_mm)).double())
    torch.testing.assert_close(bleeding.affine[:3, :3] @ middle + bleeding.affine[:3, 3], torch.zeros(3).double())


def test_the_brain_has_the_volume_of_a_brain(healthy):
    litres = float(healthy.mask.sum()) * 12 / 1e6
    assert 1.2 < litres < 2.0


def test_images_are_zero_outside_the_brain(bleeding):
    assert all((image[bleeding.mask == 0] == 0).all() for image in bleeding.images.values())


def test_a_head_has_signal_outside_the_brain():
    head = simulate_subject(TINY, seed=1, phenotype="healthy", head=True)
    outside = head.images["mag"][head.mask == 0]
    assert float((outside > 500).float().mean()) > 0.05
    assert (head.images["qsm"][head.mask == 0] == 0).all()


def test_lesions_and_labels_are_the_same(bleeding):
    assert [row["id"] for row in bleeding.lesions] == list(range(1, len(bleeding.lesions) + 1))
    assert bleeding.label.unique().tolist() == [0, *(row["id"] for row in bleeding.lesions)]
    assert len(bleeding.lesions) >= 3


def test_world_coordinates_are_the_centroids_of_labels_within_a_voxel(bleeding):
    inverse = torch.linalg.inv(bleeding.affine)
    for row in bleeding.lesions:
        centroid = (bleeding.label == row["id"]).nonzero().double().mean(0)
        voxel = (inverse @ torch.tensor([row["x_mm"], row["y_mm"], row["z_mm"], 1.0]).double())[:3]
        assert float((voxel - centroid).abs().max()) < 1, row


def test_region_of_the_rating_scale_agrees_with_the_coarse_region(bleeding):
    assert [MARS[row["mars"]] for row in bleeding.lesions] == [row["region"] for row in bleeding.lesions]


def test_labels_have_the_volume_of_their_lesions(bleeding):
    # Together: a single small lesion is a handful of coarse voxels.
    drawn_mm3 = float((bleeding.label > 0).sum()) * 12
    assert 0.7 < drawn_mm3 / sum(4.19 * row["radius_mm"] ** 3 for row in bleeding.lesions) < 1.4


def test_microbleeds_are_dark_on_swi_and_bright_on_qsm(bleeding):
    for row in bleeding.lesions:
        lesion, ring = surroundings(bleeding, row["id"])
        assert bleeding.images["swi"][lesion].min() < 0.7 * bleeding.images["swi"][ring].median(), row
        assert bleeding.images["qsm"][lesion].max() > bleeding.images["qsm"][ring].median() + 0.1, row


def test_calcifications_are_dark_on_swi_and_on_qsm():
    subject = simulate_subject(replace(TINY, calcifications=20), seed=3, phenotype="healthy")
    calcified = subject.mimics == MIMICS["calcification"]
    brain = (subject.mask > 0) & (subject.mimics == 0)
    assert subject.images["swi"][calcified].median() < 0.9 * subject.images["swi"][brain].median()
    assert subject.images["qsm"][calcified].median() < subject.images["qsm"][brain].median() - 0.05


def test_veins_are_darker_than_brain_on_swi():
    # Veins are thinner than the coarse voxels of the other tests.
    subject = simulate_subject(replace(TINY, voxel_mm=(1.0, 1.0, 2.0), matrix=(176, 208, 80)), seed=1)
    veins = subject.vessels > 0
    assert 0.001 < float(veins.sum()) / float(subject.mask.sum()) < 0.08
    assert subject.images["swi"][veins].median() < 0.85 * subject.images["swi"][subject.mask > 0].median()
    assert subject.images["qsm"][veins].median() > subject.images["qsm"][subject.mask > 0].median() + 0.03


def test_long_repetition_makes_csf_brighter_than_tissue():
    short, long = (simulate_subject(replace(TINY, tr_ms=tr), seed=4).images["mag"] for tr in (27, 2000))
    ratio = (long / short.clamp(min=100))[short > 100]
    assert ratio.quantile(0.98) > 1.3 * ratio.median()


@pytest.mark.parametrize("seed", [1, 2])
def test_microbleeds_of_caa_are_strictly_lobar(seed):
    subject = simulate_subject(replace(TINY, lesions=8), seed=seed, phenotype="CAA")
    assert {row["region"] for row in subject.lesions} == {"lobar"}


def test_microbleeds_of_asvd_are_mostly_not_lobar():
    rows = [
        row
        for index in range(2)
        for row in simulate_subject(replace(TINY, lesions=10), seed=5, index=index, phenotype="aSVD").lesions
    ]
    assert sum(row["region"] != "lobar" for row in rows) > 0.5 * len(rows)


def test_a_healthy_subject_has_no_microbleed(healthy):
    assert healthy.lesions == []
    assert healthy.label.max() == 0


def test_the_default_mix_holds_all_phenotypes():
    rng = np.random.default_rng(0)
    kinds = [draw_person(rng, phenotype=None)[0] for _ in range(300)]
    assert set(kinds) == set(PHENOTYPES)
    assert 80 < kinds.count("healthy") < 120


def test_a_phenotype_is_as_probable_as_the_shares_of_age_sex_place_and_number_say():
    def ratio(one, other, age=60.0, sex="F", median=4.0, **regions):
        both = (phenotype_log_likelihood(name, median, age, sex, regions) for name in (one, other))
        return next(both) - next(both)

    assert ratio("CAA", "aSVD", lobar=3, deep=1) == -np.inf  # CAA is strictly lobar
    assert np.isfinite(ratio("CAA", "aSVD", lobar=3))
    assert ratio("aSVD", "CADASIL", deep=1) - ratio("aSVD", "CADASIL", lobar=1) == pytest.approx(
        np.log(0.5 / 0.25) - np.log(0.35 / 0.4)
    )
    assert ratio("aSVD", "CAA", sex="M", lobar=1) - ratio("aSVD", "CAA", sex="F", lobar=1) == pytest.approx(
        np.log(0.6 / 0.55) - np.log(0.4 / 0.45)
    )
    ages = [ratio("CADASIL", "CAA", age, lobar=2) for age in (45.0, 60.0, 75.0)]
    assert ages == sorted(ages, reverse=True)
    assert ratio("CADASIL", "aSVD", lobar=1) < ratio("CADASIL", "aSVD", lobar=40)  # has more of them


def test_the_likelihoods_of_all_numbers_of_microbleeds_are_one():
    rest = [phenotype_log_likelihood("aSVD", 4, 66, "M", {"lobar": n}) - n * np.log(0.25) for n in range(1, 41)]
    person = np.log(0.6) - np.log(10 * np.sqrt(2 * np.pi))
    assert np.exp(np.array(rest) - person).sum() == pytest.approx(1)


def test_oblique_slices_keep_world_coordinates():
    subject = simulate_subject(replace(TINY, oblique_deg=20.0, lesions=6), seed=6, phenotype="CAA")
    tilt = torch.rad2deg(torch.acos(subject.affine[2, 2] / TINY.voxel_mm[2]))
    torch.testing.assert_close(float(tilt), 20.0, atol=0.01, rtol=0)
    test_world_coordinates_are_the_centroids_of_labels_within_a_voxel(subject)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"voxel_mm": (1.0, 0.0, 1.0)}, "`voxel_mm` must be above 0"),
        ({"te_ms": -1}, "`te_ms` must be above 0"),
        ({"haemorrhage": 2}, "`haemorrhage` must be between 0 and 1"),
    ],
)
def test_impossible_protocols_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


def test_an_unknown_phenotype_is_refused():
    with pytest.raises(ValueError, match="`phenotype` must be one of 'healthy', 'aSVD', 'CAA', 'CADASIL'"):
        simulate_subject(TINY, seed=0, phenotype="MS")
