"""Balls of known susceptibility in a brain with veins: their sign, whatever the grid, the unit and the convention."""

import nibabel as nib
import numpy as np
import pytest
import torch
from geometry import grid_affine
from monai.data import MetaTensor

from csvd.checks import InputError
from csvd.phantom.physics import dipole_field
from csvd.transforms import (
    SusceptibilitySign,
    SusceptibilitySignd,
    lesion_contrast,
    phase_convention,
    relative_susceptibility,
)

BALLS_MM = {1: (-14.0, 2.0, -9.0), 2: (10.0, -8.0, 9.0), 3: (2.0, 14.0, -3.0)}  # from the grid's middle
CHI_PPM = {1: 0.8, 2: -0.8, 3: 0.0}
RADIUS_MM = 2.0
SIGN = {1: "paramagnetic", 2: "diamagnetic", 3: "unclear"}
TO_PHASE = 267.522 * 3.0 * 0.020  # rad / ppm at 3 T and 20 ms
GRIDS = {
    "isotropic": {"axcodes": "RAS", "voxel_mm": (1.0, 1.0, 1.0), "oblique_degrees": 0.0, "shape": (60, 60, 56)},
    "thick slices": {"axcodes": "LPS", "voxel_mm": (0.8, 0.8, 2.5), "oblique_degrees": 0.0, "shape": (76, 76, 24)},
    "sagittal": {"axcodes": "ASR", "voxel_mm": (1.0, 1.0, 1.2), "oblique_degrees": 0.0, "shape": (60, 56, 50)},
    "oblique": {"axcodes": "RAS", "voxel_mm": (1.0, 1.0, 1.5), "oblique_degrees": 25.0, "shape": (64, 64, 42)},
}


def balls_and_veins(axcodes, voxel_mm, oblique_degrees, shape, chi_ppm=CHI_PPM, vein_ppm=0.3, noise=0.04, seed=0):
    """Return phase in radians, lesions, mask, (1, H, W, D) each, and the affine.

    The field of the balls is the formula of a sphere, that of the veins, 12 mm apart, comes from the dipole in k-space.
    """
    affine = grid_affine(axcodes, voxel_mm, oblique_degrees, shape)
    index = np.stack(np.indices(shape), axis=-1)
    axes = affine[:3, :3]
    offset = (index - (np.array(shape) - 1) / 2) @ axes.T  # mm in the world, from the middle
    inside = (index >= 2).all(-1) & (index < np.array(shape) - 2).all(-1)
    vein = ((((offset[..., 1:] + 6) % 12) - 6) ** 2).sum(-1) < 1.3**2
    balls = {n: np.linalg.norm(offset - place, axis=-1) for n, place in BALLS_MM.items()}
    vein &= ~np.any([distance < 5 for distance in balls.values()], axis=0)
    voxel = torch.tensor(voxel_mm)
    direction = torch.from_numpy((axes / np.linalg.norm(axes, axis=0))[2]).float()
    field = dipole_field(torch.from_numpy(vein_ppm * vein).float(), voxel, direction).numpy()
    label = np.zeros(shape, np.int32)
    for n, distance in balls.items():
        cosine = (offset - BALLS_MM[n])[..., 2] / np.maximum(distance, 1e-3)
        outside = (RADIUS_MM / np.maximum(distance, RADIUS_MM)) ** 3 * (3 * cosine**2 - 1)
        field += chi_ppm[n] / 3 * outside * (distance >= RADIUS_MM)
        label[distance < RADIUS_MM + 0.5] = n
    phase = TO_PHASE * field + noise * np.random.default_rng(seed).standard_normal(shape)
    volumes = (torch.from_numpy(part)[None] for part in (phase.astype(np.float32), label, inside.astype(np.uint8)))
    return *volumes, torch.from_numpy(affine)


def wrapped(phase):
    return torch.atan2(phase.sin(), phase.cos())


@pytest.fixture(scope="module", params=GRIDS)
def scene(request):
    return balls_and_veins(**GRIDS[request.param])


@pytest.fixture(scope="module")
def simple():
    return balls_and_veins(**GRIDS["isotropic"])


@pytest.mark.parametrize("way", [1, -1])
def test_signs_are_told_on_any_grid_in_either_convention(scene, way):
    phase, label, mask, affine = scene
    told = SusceptibilitySign()(label, way * phase, mask, affine, kind="phase")
    assert told.convention == way
    assert told.sign == SIGN


def test_conventions_give_the_same_numbers(simple):
    phase, label, mask, affine = simple
    up, down = (SusceptibilitySign()(label, way * phase, mask, affine, kind="phase") for way in (1, -1))
    assert up.contrast == pytest.approx(down.contrast, rel=1e-3, abs=1e-3)
    assert up.evidence == pytest.approx(-down.evidence)


def test_wraps_and_a_smooth_background_do_not_matter(simple):
    phase, label, mask, affine = simple
    ramp = torch.linspace(0, 12, phase.shape[1])[None, :, None, None]  # 2 turns over the brain
    raw = wrapped(2 * phase + ramp)
    assert (raw.diff(dim=1).abs() > 6).any()
    assert SusceptibilitySign()(label, raw, mask, affine, kind="phase").sign == SIGN


def test_field_lies_along_the_worlds_z_axis(simple):
    phase, label, mask, affine = simple
    turned = affine[[0, 2, 1, 3]]  # the same voxels, said to lie with another axis along the tube
    chi = [relative_susceptibility(phase[0], mask[0] > 0, world) for world in (affine, turned)]
    right, wrong = (lesion_contrast(label[0], one, mask[0] > 0, affine)[1][0] for one in chi)
    assert right > 3 * wrong


def test_map_holds_its_sign_at_a_known_world_point(scene):
    phase, _, mask, affine = scene
    chi = relative_susceptibility(phase[0], mask[0] > 0, affine)
    middle = affine @ torch.tensor([*((torch.tensor(phase.shape[1:]) - 1) / 2), 1.0], dtype=torch.float64)
    for n in (1, 2):
        world = middle + torch.tensor([*BALLS_MM[n], 0.0], dtype=torch.float64)
        value = chi[tuple((torch.linalg.inv(affine) @ world)[:3].round().long())]
        assert torch.sign(value) == np.sign(CHI_PPM[n])


def test_without_veins_all_is_unclear():
    phase, label, mask, affine = balls_and_veins(**GRIDS["isotropic"], vein_ppm=0.0)
    told = SusceptibilitySign()(label, phase, mask, affine, kind="phase")
    assert told.convention == 0
    assert set(told.sign.values()) == {"unclear"}
    assert np.isnan([*told.contrast.values()]).all()


def test_lesions_do_not_vote_for_the_convention(simple):
    phase, label, mask, affine = balls_and_veins(**GRIDS["isotropic"], chi_ppm=dict.fromkeys(CHI_PPM, -3.0))
    told = SusceptibilitySign()(label, phase, mask, affine, kind="phase")
    assert told.convention == 1
    assert set(told.sign.values()) == {"diamagnetic"}


def test_qsm_is_its_own_sign(simple):
    _, label, mask, affine = simple
    qsm = 0.02 * torch.from_numpy(np.random.default_rng(1).standard_normal(label.shape).astype(np.float32))
    for n, chi in CHI_PPM.items():
        qsm[label == n] += chi
    told = SusceptibilitySign()(label, qsm, mask, affine, kind="qsm")
    assert told.sign == SIGN
    assert told.convention == 1


def test_no_lesion_is_no_sign(simple):
    phase, label, mask, affine = simple
    assert SusceptibilitySign()(torch.zeros_like(label), phase, mask, affine, kind="phase").sign == {}


def test_lesion_with_nothing_around_it_is_unclear():
    everywhere = torch.ones(1, 12, 12, 12, dtype=torch.int32)
    image = torch.rand(1, 12, 12, 12)
    for kind in ("phase", "qsm"):
        told = SusceptibilitySign()(everywhere, image, torch.ones_like(image), torch.eye(4), kind=kind)
        assert told.sign == {1: "unclear"}


def test_convention_of_no_brain_has_no_evidence():
    nothing = torch.zeros(8, 8, 8)
    assert phase_convention(nothing, nothing > 0, torch.eye(4)) == 0


@pytest.mark.parametrize("argument", ["least_contrast", "least_evidence"])
def test_levels_are_above_0(argument):
    with pytest.raises(ValueError, match=f"{argument}.*above 0, got 0"):
        SusceptibilitySign(**{argument: 0})


def test_arguments_that_do_not_fit_are_named(simple):
    phase, label, mask, affine = simple
    judge = SusceptibilitySign()
    with pytest.raises(ValueError, match="`kind` must be one of 'phase', 'qsm', got 'mag'"):
        judge(label, phase, mask, affine, kind="mag")
    with pytest.raises(ValueError, match=r"needs to be \(1, H, W, D\)"):
        judge(label[0], phase, mask, affine, kind="phase")
    with pytest.raises(ValueError, match="its phase's"):
        judge(label, phase[:, 1:], mask, affine, kind="phase")
    with pytest.raises(ValueError, match="its mask's"):
        judge(label, phase, mask[:, 1:], affine, kind="phase")
    with pytest.raises(ValueError, match="cannot compute the susceptibility of"):
        relative_susceptibility(phase[0], mask[0, 1:] > 0, affine)


# Dictionary version: files


def save(values, affine, path):
    nib.save(nib.Nifti1Image(values.numpy() if isinstance(values, torch.Tensor) else values, affine.numpy()), path)
    return str(path)


@pytest.fixture
def item(simple, tmp_path):
    """Item as postprocessing sees it, of a scan without phase."""
    _, label, mask, affine = simple
    meta = {"filename_or_obj": save(mask[0].float(), affine, tmp_path / "sub-01_swi.nii.gz")}
    maps = {key: MetaTensor(label.clone(), affine=affine, meta=dict(meta)) for key in ("candidates", "pred")}
    return {**maps, "mask": MetaTensor(mask, affine=affine)}


def scaled(low, high):
    """Return a function that turns radians into scanner units, whose circle goes from low to high."""
    return lambda phase: ((wrapped(phase) / (2 * np.pi) + 0.5) * (high - low) + low).round().to(torch.int16)


UNITS = {
    "radians": lambda phase: phase,
    "wrapped": lambda phase: wrapped(2 * phase),
    "0..4095": scaled(0, 4095),
    "-4096..4095": scaled(-4096, 4095),
    "milliradians": scaled(-3141, 3141),
    "16 bits": scaled(-32000, 32000),
}


@pytest.mark.parametrize("unit", UNITS)
def test_unit_of_the_file_does_not_matter(item, simple, tmp_path, unit):
    phase, _, _, affine = simple
    item["phase"] = save(UNITS[unit](phase)[0], affine, tmp_path / "x.nii.gz")
    out = SusceptibilitySignd("candidates")(item)
    assert out["susceptibility"].sign == SIGN
    assert out["susceptibility"].file == "x.nii.gz"
    assert out["pred"].unique().tolist() == [0, 1, 2, 3]


def test_diamagnetic_lesions_are_dropped_when_asked(item, simple, tmp_path):
    phase, label, _, affine = simple
    item["phase"] = save(phase[0], affine, tmp_path / "x.nii")
    out = SusceptibilitySignd("candidates", filter_keys="pred", drop_diamagnetic=True)(item)
    assert torch.equal(out["pred"].as_tensor(), label.masked_fill(label == 2, 0))
    assert out["pred"].dtype == torch.int32
    assert torch.equal(out["candidates"].as_tensor(), label)
    assert out["pred"].affine.allclose(affine)


def test_without_phase_nothing_happens(item):
    out = SusceptibilitySignd("candidates", filter_keys="pred", drop_diamagnetic=True)(item)
    assert out.keys() == item.keys()
    assert all(out[key] is item[key] for key in item)


def test_scan_that_is_qsm_needs_no_phase(item, simple, tmp_path):
    _, label, _, affine = simple
    qsm = 0.02 * torch.randn(label.shape, generator=torch.Generator().manual_seed(0))
    qsm += sum(chi * (label == n) for n, chi in CHI_PPM.items())
    item["candidates"].meta["filename_or_obj"] = save(qsm[0], affine, tmp_path / "sub-01_scan.nii.gz")
    for how in ({"contrast": "bright"}, {}):
        out = SusceptibilitySignd("candidates", **how)({**item, **({} if how else {"contrast": "bright"})})
        assert out["susceptibility"].sign == SIGN
        assert out["susceptibility"].kind == "qsm"


@pytest.mark.parametrize("name", ["x_qsm.nii.gz", "sub-01_Chimap.nii", "a_chi.nii"])
def test_name_tells_qsm(item, simple, tmp_path, name):
    _, label, _, affine = simple
    qsm = 0.02 * torch.randn(label.shape) + sum(chi * (label == n) for n, chi in CHI_PPM.items())
    item["phase"] = save(qsm[0], affine, tmp_path / name)
    assert SusceptibilitySignd("candidates")(item)["susceptibility"].kind == "qsm"


def test_volume_of_the_phase_is_that_of_the_scan(item, simple, tmp_path):
    phase, _, _, affine = simple
    item["candidates"].meta["volume"] = {"index": 1}
    both = torch.stack([torch.rand(phase[0].shape), phase[0]], dim=-1)
    item["phase"] = save(both, affine, tmp_path / "x.nii")
    assert SusceptibilitySignd("candidates")(item)["susceptibility"].sign == SIGN
    item["phase"] = save(phase[0, ..., None], affine, tmp_path / "y.nii")
    assert SusceptibilitySignd("candidates")(item)["susceptibility"].sign == SIGN


def shifted(phase, affine):
    world = affine.clone()
    world[0, 3] += 1
    return phase, world


def holed(phase, affine):
    return phase.clone().index_fill(0, torch.tensor([3]), float("nan")), affine


BAD = {
    "shape": (
        lambda phase, affine: (phase[1:], affine),
        r"phase '.*x.nii' must have the shape of its scan '.*swi.nii.gz",
    ),
    "affine": (shifted, r"phase '.*x.nii' must have the affine of its scan .* 1 mm apart"),
    "volumes": (lambda phase, affine: (phase[..., None].expand(-1, -1, -1, 2), affine), "must have the shape"),
    "NaN": (holed, r"must be finite everywhere, 3360 voxels"),
    "constant": (lambda phase, affine: (phase * 0 + 7, affine), "must not be constant, all its voxels are 7"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_file_is_named_with_the_rule_and_the_value(item, simple, tmp_path, fault):
    phase, _, _, affine = simple
    spoil, message = BAD[fault]
    if fault == "volumes":
        item["candidates"].meta["volume"] = {"index": 2}
    item["phase"] = save(
        *(lambda values, world: (values.contiguous(), world))(*spoil(phase[0], affine)), tmp_path / "x.nii"
    )
    with pytest.raises(InputError, match=message):
        SusceptibilitySignd("candidates", drop_diamagnetic=True)(item)


def test_missing_and_unreadable_files_are_named(item, tmp_path):
    item["phase"] = str(tmp_path / "none.nii")
    with pytest.raises(InputError, match=r"phase '.*none.nii' does not exist"):
        SusceptibilitySignd("candidates", drop_diamagnetic=True)(item)
    (tmp_path / "none.nii").write_text("no image")
    with pytest.raises(InputError, match=r"phase '.*none.nii' cannot be read"):
        SusceptibilitySignd("candidates", drop_diamagnetic=True)(item)


def test_bad_file_is_a_warning_where_nothing_is_to_be_dropped(item, tmp_path):
    item["phase"] = str(tmp_path / "none.nii")
    out = SusceptibilitySignd("candidates", filter_keys="pred")(item)
    assert "susceptibility" not in out
    assert "none.nii' does not exist" in out["candidates"].meta["warnings"][0]
