"""What the viewer of the page is given: the scan's own voxels, in their place, small enough."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from geometry import STORED, planted_scan, sphere_fraction
from PIL import Image

from csvd.lesions import lesion_table
from csvd.report import make_scene, viewer
from csvd.report.viewer import viewer_section


def given(html):
    """Data of the viewer, and its slices as one volume (X, Y, Z)."""
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL).group(1))
    files = [io.BytesIO(base64.b64decode(address.split(",")[1])) for address in data["slices"]]
    return data, np.stack([np.asarray(Image.open(file)).T for file in files], axis=2)


def scene_of(planted):
    """Scene and lesions of a planted scan."""
    affine, shape = planted.image.affine, planted.image.shape[:3]
    voxels = np.asarray(planted.image.dataobj).reshape(*shape, -1)[..., 0].astype(np.float32)
    instances = torch.from_numpy(sphere_fraction(affine, shape, planted.lesion_world_mm, planted.radius_mm) > 0.5)[None]
    image = torch.from_numpy(voxels)[None]
    scene = make_scene(image, instances.int(), image > 0, affine, "dark")
    return scene, lesion_table(instances.int(), instances.float(), affine)


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("limit", [viewer.MAX_BYTES, 60_000], ids=["whole", "reduced"])
def test_lesion_lies_where_the_viewer_is_told(stored, limit, monkeypatch):
    monkeypatch.setattr(viewer, "MAX_BYTES", limit)
    planted = planted_scan(**STORED[stored])
    scene, lesions = scene_of(planted)
    html = viewer_section(scene, lesions)
    data, volume = given(html)
    (lesion,) = data["lesions"]
    assert volume.shape == tuple(data["size"])
    assert sum(map(len, data["slices"])) < 1.4 * limit + 50 * len(data["slices"])
    for name, truth in (("toMm", planted.lesion_world_mm), ("toVoxel", planted.lesion_voxel)):
        found = np.array(data[name]) @ [*lesion["at"], 1]
        size = 1 if name == "toVoxel" else scene.voxel_mm.max()
        np.testing.assert_allclose(found, truth, atol=0.5 * size)
    inside = np.zeros(volume.size, dtype=bool)
    for start, count in np.reshape(lesion["runs"], (-1, 2)):
        inside[start : start + count] = True
    inside = inside.reshape(volume.shape, order="F")
    assert inside[tuple(np.rint(lesion["at"]).astype(int))]
    assert volume[inside].min() < 0.4 * np.median(volume[volume > 0])


def test_voxels_that_fit_are_kept_as_they_are():
    scene, lesions = scene_of(planted_scan())
    html = viewer_section(scene, lesions)
    data, volume = given(html)
    low = np.rint(scene.voxel_of(np.array(data["toMm"])[:, 3])).astype(int)
    part = scene.grey[tuple(slice(start, start + size) for start, size in zip(low, volume.shape, strict=True))]
    assert np.array_equal(volume, part)
    assert "Voxels are as acquired." in html


def test_what_does_not_fit_is_said(monkeypatch):
    scene, lesions = scene_of(planted_scan())
    monkeypatch.setattr(viewer, "MAX_BYTES", 200_000)
    assert "Voxels are as acquired, compressed as JPEG." in viewer_section(scene, lesions)
    monkeypatch.setattr(viewer, "MAX_BYTES", 40_000)
    assert "Voxels are reduced to 2 x 2 x 2 mm" in viewer_section(scene, lesions)
