"""Phase images and QSM as files: found signs do not depend on the unit; what cannot be used is said and not used."""

import nibabel as nib
import numpy as np
import pytest
import torch
from balls import CHI_PPM, GRIDS, SIGN, balls_and_veins, wrapped
from monai.data import MetaTensor

from csvd.checks import InputError
from csvd.transforms import SusceptibilitySignd
from csvd.transforms.phase._phase_file import full_circle


@pytest.fixture(scope="module")
def simple():
    return balls_and_veins(**GRIDS["isotropic"])


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


def raw(phase):
    """Return phase as a scanner's: with a background of four turns over the head, wrapped to -pi..pi."""
    return wrapped(phase + torch.linspace(0, 25, phase.shape[1])[None, :, None, None])


def per_turn(circle, start=-0.5):
    """Return a function that wraps radians, and gives one turn the length of ``circle``, from ``start`` of it."""
    return lambda phase: (raw(phase) / (2 * np.pi) - start) % 1 * circle + start * circle


def rounded(low, high):
    """Return a function that turns radians into whole numbers from low to high, as scanners store them."""
    return lambda phase: scaled(low, high)(raw(phase)).to(torch.int32)


def in_air(unit):
    """Return a function that puts noise, which fills the circle, around the head."""

    def noisy(phase):
        air = torch.nn.functional.pad(torch.zeros_like(phase)[:, 2:-2, 2:-2, 2:-2], (2,) * 6, value=1) > 0
        noise = 2 * np.pi * torch.rand(phase.shape, generator=torch.Generator().manual_seed(0))
        return unit(torch.where(air, noise, phase))

    return noisy


UNITS = {
    "radians": lambda phase: phase,
    "wrapped": lambda phase: wrapped(2 * phase),
    "0..4095": scaled(0, 4095),
    "-4096..4095": scaled(-4096, 4095),
    "milliradians": scaled(-3141, 3141),
    "16 bits": scaled(-32000, 32000),
    "filtered turns": lambda phase: phase / (2 * np.pi),
    "filtered degrees": lambda phase: phase * 180 / np.pi,
    "filtered, few levels": lambda phase: (phase / 0.3).round() * 3,
    "unwrapped": lambda phase: phase + torch.linspace(0, 25, phase.shape[1])[None, :, None, None],
    "raw -pi..pi": raw,
    "raw 0..2 pi": per_turn(2 * np.pi, start=0),
    "raw 0..4095": rounded(0, 4095),
    "raw -4096..4094": lambda phase: 2 * rounded(-2048, 2047)(phase),
    "raw milliradians": rounded(-3142, 3141),
    "raw -500..496": lambda phase: 4 * rounded(-125, 124)(phase),
    "raw degrees": per_turn(360),
    "raw 0..360": per_turn(360, start=0),
    "raw turns": per_turn(1),
    "raw 0..1": per_turn(1, start=0),
    "raw -1..1": per_turn(2),
    "raw 8 bits": rounded(0, 255),
    "raw 16 bits": rounded(0, 65535),
    "raw in a unit of its own": per_turn(73.5),
    "raw, far too small a slope": per_turn(0.00735),
}
UNITS |= {f"{unit}, air": in_air(UNITS[unit]) for unit in ("raw degrees", "raw turns", "raw 0..4095", "raw -500..496")}


@pytest.mark.parametrize("unit", UNITS)
def test_unit_of_the_file_does_not_matter(item, simple, tmp_path, unit):
    phase, _, _, affine = simple
    item["phase"] = save(UNITS[unit](phase)[0], affine, tmp_path / "x.nii.gz")
    out = SusceptibilitySignd("candidates")(item)
    assert out["susceptibility"].sign == SIGN
    assert out["susceptibility"].file == "x.nii.gz"
    assert out["pred"].unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("unit", ["raw 0..4095", "raw degrees", "raw turns", "raw -500..496"])
@pytest.mark.parametrize("fill", [0, -9999])
def test_what_a_mask_put_outside_of_the_head_is_no_phase(item, simple, tmp_path, unit, fill):
    phase, _, mask, affine = simple
    values = UNITS[unit](phase).float().masked_fill(mask == 0, fill)
    values[:, :, :4] = fill
    item["phase"] = save(values[0], affine, tmp_path / "x.nii.gz")
    assert SusceptibilitySignd("candidates")(item)["susceptibility"].sign == SIGN


@pytest.mark.parametrize(("circle", "start"), [(1, 0), (2, -0.5), (360, -0.5), (256, 0), (4096, 0), (65536, 0)])
def test_wrapped_phase_shows_its_circle(simple, circle, start):
    assert full_circle(per_turn(circle, start)(simple[0])[0].numpy()) == circle


def test_phase_within_2_pi_without_wraps_is_radians_whatever_it_fills(simple):
    for most in (0.1, 0.5, 1.0, 2.0):
        values = simple[0][0].numpy()
        assert full_circle(values * np.float32(most / np.abs(values).max())) == 2 * np.pi


def test_sidecar_tells_radians_of_phase_that_is_unwrapped(item, simple, tmp_path):
    phase, _, _, affine = simple
    turns = 2 * np.pi * torch.randint(-3, 3, (phase.shape[-1],), generator=torch.Generator().manual_seed(0))
    item["phase"] = save((phase + turns)[0], affine, tmp_path / "x.nii.gz")  # each slice unwrapped for itself
    (tmp_path / "x.json").write_text('{"Units": "rad"}')
    assert SusceptibilitySignd("candidates")(item)["susceptibility"].sign == SIGN
    for broken in ("", "[1]", '{"Units": null}'):
        (tmp_path / "x.json").write_text(broken)
        assert "susceptibility" in SusceptibilitySignd("candidates")(item)


@pytest.mark.parametrize("said", ['{"Units": "rad"}', '{"Units": "arbitrary"}'])
def test_wraps_go_before_the_sidecar(item, simple, tmp_path, said):
    phase, _, _, affine = simple
    item["phase"] = save(UNITS["raw 0..4095"](phase)[0], affine, tmp_path / "x.nii.gz")
    (tmp_path / "x.json").write_text(said)
    assert SusceptibilitySignd("candidates")(item)["susceptibility"].sign == SIGN


def test_unit_that_cannot_be_told_is_a_warning_and_no_sign(item, simple, tmp_path):
    phase, _, _, affine = simple
    values = 30 * phase[0]  # filtered, but in one place wrapped at no circle that there is
    half = float(values.abs().max())
    values[20:29, 20:29:2, 20:23] = -half
    values[20:29, 21:29:2, 20:23] = half
    item["phase"] = save(values, affine, tmp_path / "x.nii.gz")
    out = SusceptibilitySignd("candidates")(item)
    assert "susceptibility" not in out
    [said] = out["candidates"].meta["warnings"]
    assert "x.nii.gz' must be in a known unit, its values go from -" in said
    assert said.endswith("Signs of susceptibility are not given.")


@pytest.mark.parametrize("unit", ["raw degrees", "raw turns", "raw 0..4095", "raw -500..496", "raw -pi..pi"])
def test_stray_voxels_do_not_hide_wraps(item, simple, tmp_path, unit):
    phase, _, _, affine = simple
    values = UNITS[unit](phase).float()
    values[0, 0, 0, :2] = 3.5 * values.max()
    item["phase"] = save(values[0], affine, tmp_path / "x.nii.gz")
    out = SusceptibilitySignd("candidates")(item)
    assert "susceptibility" not in out
    assert "x.nii.gz' must be in a known unit" in out["candidates"].meta["warnings"][0]


def test_link_to_nothing_says_how_to_get_the_phase(item, tmp_path):
    (tmp_path / "x.nii.gz").symlink_to("../.git/annex/objects/none")
    item["phase"] = str(tmp_path / "x.nii.gz")
    [said] = SusceptibilitySignd("candidates")(item)["candidates"].meta["warnings"]
    assert "x.nii.gz' is a link to '../.git/annex/objects/none', which is not here. Get its content first" in said


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
    with pytest.raises(InputError, match=r"phase '.*none.nii' is not NIfTI: its header lacks the mark"):
        SusceptibilitySignd("candidates", drop_diamagnetic=True)(item)


def test_bad_file_is_a_warning_where_nothing_is_to_be_dropped(item, tmp_path):
    item["phase"] = str(tmp_path / "none.nii")
    out = SusceptibilitySignd("candidates", filter_keys="pred")(item)
    assert "susceptibility" not in out
    assert "none.nii' does not exist" in out["candidates"].meta["warnings"][0]
