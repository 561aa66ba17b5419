import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter

from csvd.transforms.features.frst import FastRadialSymmetry, FastRadialSymmetryd, fast_radial_symmetry


def ball(shape, center, radius, spacing=(1, 1, 1)):
    """Ball of intensity 1 with a soft edge, (H, W, D); ``center`` in voxels, ``radius`` in mm."""
    axes = torch.meshgrid(*(torch.arange(float(size)) for size in shape), indexing="ij")
    distance = sum(((x - c) * size) ** 2 for x, c, size in zip(axes, center, spacing, strict=True)).sqrt()
    return torch.sigmoid((radius - distance) / 0.5)


def peak(volume):
    return tuple(np.unravel_index(int(volume.argmax()), volume.shape))


def reference(image, radii, spacing=(1, 1, 1), alpha=2, polarity="both"):
    """The transform of one (H, W, D) volume in float64 NumPy, written from the definition."""
    image = np.asarray(image, dtype=np.float64)
    gradient = np.zeros((3, *image.shape))
    gradient[0][1:-1] = (image[2:] - image[:-2]) / 2 / spacing[0]
    gradient[1][:, 1:-1] = (image[:, 2:] - image[:, :-2]) / 2 / spacing[1]
    gradient[2][..., 1:-1] = (image[..., 2:] - image[..., :-2]) / 2 / spacing[2]
    total = np.zeros_like(image)
    for n in radii:
        lattice = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        lattice = lattice[np.any(lattice != 0, axis=1)]
        unit = lattice * spacing / np.linalg.norm(lattice * spacing, axis=1, keepdims=True)
        k = np.all(np.rint(n * unit / spacing) == lattice, axis=1).sum() / 3
        count, strength = np.zeros(image.shape), np.zeros(image.shape)
        for voxel in np.ndindex(image.shape):
            vector = gradient[(slice(None), *voxel)]
            length = np.linalg.norm(vector)
            if length == 0:
                continue
            step = np.rint(n * vector / length / spacing).astype(int)
            for sign in {"bright": (1,), "dark": (-1,), "both": (1, -1)}[polarity]:
                target = tuple(voxel + sign * step)
                if all(0 <= t < size for t, size in zip(target, image.shape, strict=True)):
                    np.add.at(count, target, sign)
                    np.add.at(strength, target, sign * length)
        response = n * strength / k * (np.minimum(np.abs(count), k) / k) ** alpha
        total += gaussian_filter(response, 0.25 * n / np.asarray(spacing), mode="nearest")
    return total / len(radii)


@pytest.fixture
def noisy_balls():
    """Bright and dark balls in noise, (18, 20, 14), one of them on the border."""
    shape = (18, 20, 14)
    picture = ball(shape, (6, 6, 6), 3) - ball(shape, (12, 13, 8), 2) + ball(shape, (17, 3, 13), 3)
    return picture + 0.05 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("polarity", ["bright", "dark", "both"])
@pytest.mark.parametrize(
    ("radii", "spacing"), [((2, 3, 4, 6), (1, 1, 1)), ((1.5, 3), (0.8, 0.9, 3)), ((2.2,), (1, 2, 1))]
)
def test_agrees_with_the_definition_in_float64(noisy_balls, radii, spacing, polarity):
    ours = fast_radial_symmetry(noisy_balls[None, None], radii, spacing=spacing, alpha=1.5, polarity=polarity)[0, 0]
    theirs = reference(noisy_balls, radii, spacing, alpha=1.5, polarity=polarity)
    assert abs(ours.numpy() - theirs).max() <= 1e-4 * abs(theirs).max()


@pytest.mark.parametrize("radius", [2, 3, 4, 6])
def test_ball_peaks_at_its_centre(radius):
    volume = ball((33, 31, 29), (15, 17, 14), radius)[None]
    assert peak(FastRadialSymmetry()(volume)[0]) == (15, 17, 14)


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 3), (3, 0.8, 0.8), (0.5, 0.5, 2)])
@pytest.mark.parametrize("radius_mm", [1.5, 2, 3])
def test_ball_in_mm_peaks_at_its_centre_on_thick_slices(spacing, radius_mm):
    volume = ball((31, 31, 31), (15, 16, 14), radius_mm, spacing)[None]
    affine = torch.diag(torch.tensor([-spacing[0], spacing[1], spacing[2], 1], dtype=torch.float64))
    result = FastRadialSymmetry(radii=(1.5, 2, 3, 4), unit="mm")(MetaTensor(volume, affine=affine))
    assert peak(result[0]) == (15, 16, 14)


def test_microbleed_in_a_normalised_image_reaches_a_tenth_and_noise_a_hundredth():
    volume = 0.5 + 0.5 * ball((31, 31, 31), (15, 15, 15), 2.5)
    noise = 0.03 * torch.randn(volume.shape, generator=torch.Generator().manual_seed(0))
    result = FastRadialSymmetry()((volume + noise)[None])[0]
    assert 0.1 < result[15, 15, 15] < 1
    assert result[:9].max() < 0.01


def test_ball_stands_out_from_a_line_of_its_width():
    shape = (31, 31, 31)
    line = ball((31, 31), (15, 15), 2, spacing=(1, 1))[..., None].expand(shape)
    transform = FastRadialSymmetry()
    assert transform(ball(shape, (15, 15, 15), 2)[None]).max() > 3 * transform(line[None]).max()


def test_result_is_proportional_to_intensity_and_ignores_an_offset(noisy_balls):
    expected = 100 * FastRadialSymmetry()(noisy_balls[None])
    torch.testing.assert_close(FastRadialSymmetry()(100 * noisy_balls[None]), expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(FastRadialSymmetry()(100 * noisy_balls[None] + 256), expected, rtol=1e-2, atol=0.1)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_flips_commute(noisy_balls, axis):
    transform, volume = FastRadialSymmetry(polarity="both"), noisy_balls[None]
    torch.testing.assert_close(transform(volume.flip(axis)), transform(volume).flip(axis), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("plane", [(1, 2), (1, 3), (2, 3)])
def test_quarter_turns_commute(noisy_balls, plane):
    transform, volume = FastRadialSymmetry(polarity="both"), noisy_balls[None]
    torch.testing.assert_close(
        transform(volume.rot90(1, plane)), transform(volume).rot90(1, plane), rtol=1e-4, atol=1e-6
    )


def test_bright_and_dark_exchange_sign_under_negation(noisy_balls):
    dark, bright = FastRadialSymmetry(polarity="dark"), FastRadialSymmetry(polarity="bright")
    both = FastRadialSymmetry(polarity="both")
    torch.testing.assert_close(dark(-noisy_balls[None]), -bright(noisy_balls[None]))
    torch.testing.assert_close(both(-noisy_balls[None]), -both(noisy_balls[None]))
    assert bright(noisy_balls[None]).min() >= 0


def test_batch_equals_its_single_volumes(noisy_balls):
    batch = torch.stack([noisy_balls, noisy_balls.flip(0), -noisy_balls, 2 * noisy_balls]).reshape(2, 2, 18, 20, 14)
    together = fast_radial_symmetry(batch, (2, 3))
    alone = [fast_radial_symmetry(volume[None, None], (2, 3))[0, 0] for volume in batch.flatten(0, 1)]
    torch.testing.assert_close(together.flatten(0, 1), torch.stack(alone))


def test_constant_image_gives_zeros():
    assert not FastRadialSymmetry()(torch.full((1, 9, 9, 1), 0.3)).any()


def test_cropping_far_away_changes_nothing(noisy_balls):
    wide = torch.nn.functional.pad(noisy_balls, (30, 30, 30, 30, 30, 30))
    center = wide[16:-16, 16:-16, 16:-16]
    whole = FastRadialSymmetry()(wide[None])[:, 16:-16, 16:-16, 16:-16]
    torch.testing.assert_close(FastRadialSymmetry()(center[None]), whole, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.int16, torch.float64])
def test_any_number_type_gives_float32(noisy_balls, dtype):
    volume = (100 * noisy_balls[None]).round().to(dtype)
    result = FastRadialSymmetry()(volume)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, FastRadialSymmetry()(volume.float()))


def test_dictionary_version_writes_the_output_key_with_the_meta_data_of_the_image(noisy_balls):
    image = MetaTensor(
        noisy_balls[None], affine=torch.diag(torch.tensor([1.0, 1, 3, 1])), meta={"filename_or_obj": "a.nii"}
    )
    before = image.clone()
    out = FastRadialSymmetryd(keys="image", unit="mm", radii=(2, 3))({"image": image})
    torch.testing.assert_close(out["image"], before)
    torch.testing.assert_close(out["frst"].affine, image.affine)
    assert out["frst"].meta["filename_or_obj"] == "a.nii"
    torch.testing.assert_close(
        out["frst"].as_tensor(), fast_radial_symmetry(noisy_balls[None, None], (2, 3), spacing=(1, 1, 3))[0]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radii": ()}, "`radii` must hold at least one"),
        ({"radii": (2, -1)}, "`radii` must be above 0, got -1"),
        ({"alpha": 0}, "`alpha` must be above 0, got 0"),
        ({"polarity": "white"}, "`polarity` must be one of 'bright', 'dark', 'both', got 'white'"),
        ({"unit": "cm"}, "`unit` must be one of 'voxel', 'mm', got 'cm'"),
    ],
)
def test_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FastRadialSymmetry(**arguments)


def test_missing_output_key_is_named():
    with pytest.raises(ValueError, match=r"one key for each of \('image', 'other'\), got \('frst',\)"):
        FastRadialSymmetryd(keys=["image", "other"])


def test_missing_dimension_is_named():
    with pytest.raises(ValueError, match=r"shape \(8, 8, 8\): it needs 5 dimensions \(B, C, H, W, D\), not 3"):
        fast_radial_symmetry(torch.zeros(8, 8, 8), (2,))


def test_radius_below_half_a_voxel_is_left_out():
    image = torch.rand(1, 1, 12, 12, 8, generator=torch.Generator().manual_seed(0))
    both, one = (fast_radial_symmetry(image, radii, spacing=(3.4, 3.4, 3.4)) for radii in ((1.6, 4.8), (4.8,)))
    assert torch.equal(both, one)


def test_radii_below_half_a_voxel_are_named_with_the_image():
    image = MetaTensor(torch.zeros(1, 1, 8, 8, 8), meta={"filename_or_obj": "coarse.nii.gz"})
    with pytest.raises(ValueError, match=r"coarse.nii.gz.*`radii` \(0.4,\) reaches .* size \(1.0, 1.0, 3.0\)"):
        fast_radial_symmetry(image, (0.4,), spacing=(1, 1, 3))


def test_value_that_is_not_finite_is_named():
    image = MetaTensor(torch.zeros(1, 8, 8, 8), meta={"filename_or_obj": "sub-01_swi.nii.gz"})
    image[0, 4, 4, 4] = torch.nan
    with pytest.raises(ValueError, match=r"sub-01_swi.nii.gz.*not finite"):
        FastRadialSymmetry()(image)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_the_cpu(noisy_balls):
    volume = noisy_balls.repeat(4, 4, 4)[None]
    on_cpu, on_cuda = FastRadialSymmetry()(volume), FastRadialSymmetry()(volume.cuda())
    # Votes are added in any order on CUDA, and a rounding difference may send one vote to the next voxel.
    assert (on_cuda.cpu() - on_cpu).abs().max() <= 1e-3 * on_cpu.abs().max()
