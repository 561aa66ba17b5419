"""The page: complete, self-contained, and its pictures show the right place the right way round."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from geometry import planted_scan
from PIL import Image

from csvd.lesions import Lesion, burden, count_lesions, count_mars, lesion_table
from csvd.report import make_scene, write_page
from csvd.report.overlays import lesion_pictures, mask_pictures, slab_pictures
from csvd.report.page import page
from csvd.report.plane import Box, Plane


class Elements(HTMLParser):
    """Tags that are open, all that were opened with their attributes, and the text."""

    VOID = ("meta", "input", "link", "br", "img")

    def __init__(self, html):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def count(self, tag, start):
        return sum(name == tag and attrs.get("id", "").startswith(start) for name, attrs in self.seen)


def record(lesions, **changes):
    return {
        "case": "sub-01",
        "counts": count_lesions(lesions),
        "mars": count_mars(lesions),
        "burden": burden(count_lesions(lesions)),
        "regions": {"method": "registration", "overlap": 0.95},
        "candidates": 120,
        "threshold": 0.5,
        "contrast": "dark",
        "warnings": [],
        "notes": [],
        "settings": {},
        "versions": {"csvd": "0"},
        "input": {"file": "sub-01.nii.gz", "shape": [64, 64, 20]},
        "quality": {"mask_volume_ml": 1400.0, "median_intensity": 500.0},
        **changes,
    }


def many(count, shape=(64, 64, 20)):
    """Scene of grey noise and `count` lesions of one voxel, 3 voxels apart."""
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    instances = torch.zeros(1, *shape, dtype=torch.int32)
    for n in range(count):
        instances[0, 3 + 3 * (n % 20), 3 + 3 * (n // 20 % 20), 3 + 8 * (n // 400)] = n + 1
    return lesion_table(instances, (instances > 0).float(), np.eye(4)), make_scene(
        image, instances, torch.ones(1, *shape), np.eye(4), "dark"
    )


def pixels(picture):
    """The PNG inside an SVG, rows from the top."""
    data = re.search(r'href="data:image/png;base64,([^"]+)"', picture.svg).group(1)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.fixture(scope="module")
def planted():
    """Scene and lesion of a scan stored LAS with a dark sphere in the right half of the head."""
    scan = planted_scan(axcodes="LAS", voxel_mm=(1.0, 1.0, 2.0), shape=(96, 112, 44))
    image = torch.from_numpy(scan.image.get_fdata())[None]
    instances = ((image > 0) & (image < 400)).int()
    return make_scene(image, instances, image > 0, scan.image.affine, "dark"), lesion_table(
        instances, instances.float(), scan.image.affine
    )


@pytest.mark.parametrize("count", [0, 1, 17, 100])
def test_every_lesion_has_a_row_and_the_first_forty_a_picture(count):
    elements = Elements(page(record(many(count)[0]), *many(count)))
    assert elements.open == []
    assert elements.count("tr", "row-") == count
    assert elements.count("div", "lesion-") == min(count, 40)
    words = f"{count or 'No'} suspected microbleed{'s' * (count != 1)} of 120 candidates, at threshold 0.5"
    assert words in elements.text
    assert elements.text.count("Research use only") == 2


def test_page_without_lesions_says_so():
    assert "No candidate reaches the threshold" in page(record([]), *many(0))


def test_links_lead_to_elements_of_the_page():
    elements = Elements(page(record(many(100)[0]), *many(100)))
    ids = {attrs["id"] for _, attrs in elements.seen if "id" in attrs}
    links = {attrs["href"] for tag, attrs in elements.seen if tag == "a"}
    assert links
    assert {link.removeprefix("#") for link in links} <= ids


def test_page_needs_no_network():
    html = page(record(many(3)[0]), *many(3))
    assert "http:" not in html
    assert "https:" not in html
    assert "//" not in re.sub(r"base64,[^\"]+", "", html)
    assert "default-src 'none'" in html


def test_words_of_the_user_are_text_not_html():
    words = "<script>alert(1)</script> & more"
    changes = {"case": words, "warnings": [words], "notes": [words], "settings": {"weights": words}}
    elements = Elements(page(record([], **changes), *many(0)))
    assert sum(tag == "script" for tag, _ in elements.seen) == 3  # the viewer's data, its own, and the page's
    assert elements.text.count("alert(1)") == 5  # title, heading, warning, note, setting


def test_lesions_without_region_are_counted_as_such():
    lesions, scene = many(2)
    text = Elements(page(record(lesions), lesions, scene)).text
    assert "2without a region" in text
    assert "region unknown" in text


def test_page_of_a_scan_at_full_resolution_stays_small(tmp_path):
    shape = (384, 384, 60)
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 255, (1, *shape), generator=generator)
    _, instances = (torch.zeros(1, *shape, dtype=torch.int32) for _ in range(2))
    instances[0, 5:365:9, 100:104, 30] = torch.arange(1, 41, dtype=torch.int32)[:, None]
    affine = np.diag([0.5, 0.5, 2.0, 1])
    lesions = lesion_table(instances, (instances > 0).float(), affine)
    write_page(tmp_path / "page.html", record(lesions), lesions, make_scene(image, instances, None, affine, "dark"))
    assert len(lesions) == 40
    assert (tmp_path / "page.html").stat().st_size < 10e6


def test_lesion_on_the_right_is_drawn_on_the_left(planted):
    scene, (lesion,) = planted
    slab = next(picture for picture in slab_pictures(scene, [lesion]) if "circle" in picture.svg)
    left, _, width, _ = map(float, re.search(r'viewBox="([^"]+)"', slab.svg).group(1).split())
    assert float(re.search(r'cx="([^"]+)"', slab.svg).group(1)) < left + width / 2
    assert slab.svg.index(">R<") < slab.svg.index(">L<")


@pytest.mark.parametrize(("nth", "size"), [(0, (1, 1)), (1, (1, 2)), (2, (1, 2))])
def test_crop_shows_the_lesion_in_its_middle_in_true_proportions(planted, nth, size):
    scene, (lesion,) = planted
    picture = list(lesion_pictures(scene, lesion))[nth]
    view = [float(number) for number in re.search(r'viewBox="([^"]+)"', picture.svg).group(1).split()]
    x, y, width, height = (
        float(re.search(rf'<image[^>]*? {name}="([\d.-]+)"', picture.svg).group(1))
        for name in ("x", "y", "width", "height")
    )
    image = pixels(picture)
    assert view[2:] == [30, 30]
    assert (width / image.shape[1], height / image.shape[0]) == pytest.approx(size)
    row, column = (view[1] + 15 - y) / size[1], (view[0] + 15 - x) / size[0]
    assert image[int(row), int(column)] < 30
    assert np.median(image) > 100


def test_projection_shows_dark_lesions_dark_and_bright_ones_bright():
    image, instances = torch.full((1, 32, 32, 10), 5.0), torch.zeros(1, 32, 32, 10, dtype=torch.int32)
    image += torch.rand(image.shape, generator=torch.Generator().manual_seed(0))
    for contrast, value in (("dark", 0.0), ("bright", 9.0)):
        image[0, 20, 8, 5] = value
        scene = make_scene(image, instances, torch.ones(1, 32, 32, 10), np.eye(4), contrast)
        (slab,) = slab_pictures(scene, [])
        assert pixels(slab)[31 - 8, 31 - 20] == (0 if contrast == "dark" else 255)


def test_outline_of_the_mask_follows_its_edge():
    mask = torch.zeros(1, 30, 30, 30)
    mask[0, 10:20, 10:20, 10:20] = 1
    scene = make_scene(torch.rand(1, 30, 30, 30), torch.zeros(1, 30, 30, 30), mask, np.eye(4), "dark")
    path = Plane(scene, "axial").outline(scene.brain[..., 15], Box(0, 0, 30, 30), "brain")
    corners = np.array([pair.split(",") for pair in re.findall(r"[\d.]+,[\d.]+", path)], dtype=float)
    assert corners.min(axis=0).tolist() == [10, 10]
    assert corners.max(axis=0).tolist() == [20, 20]
    assert sum("overlay brain" in picture.svg for picture in mask_pictures(scene)) == 16  # 10 of 12, 3 and 3


def test_scene_without_brain_or_contrast_can_be_drawn():
    zeros = torch.zeros(1, 12, 12, 12)
    scene = make_scene(zeros, zeros, zeros, np.eye(4), "bright")
    lesion = Lesion(1, 0.0, 0.0, 0.0, 0, 0, 0, 1.0, 1.2, 0.5)
    assert scene.brain.all()
    assert len(list(lesion_pictures(scene, lesion))) == 3


def test_scene_needs_volumes_of_one_shape():
    zeros = torch.zeros(1, 8, 8, 8)
    with pytest.raises(ValueError, match="cannot draw"):
        make_scene(torch.zeros(1, 8, 8, 9), zeros, None, np.eye(4), "dark")
    with pytest.raises(ValueError, match="cannot draw"):
        make_scene(zeros, zeros, torch.zeros(1, 8, 8, 9), np.eye(4), "dark")


def test_pattern_and_count_ranges_are_said_without_a_diagnosis():
    lesions = [Lesion(n, 0, 0, 0, 1, 2, 3, 14.1, 3.0, 0.9, "lobar", "left", "frontal") for n in (1, 2, 3)]
    elements = Elements(page(record(lesions), lesions, many(3)[1]))
    assert "pattern: strictly lobar; count range 2 to 4, on ARIA-H scales 1 to 4" in elements.text
    assert "lobar (frontal), left" in elements.text
    assert "does not diagnose" in elements.text
    assert not re.search("angiopathy|CAA|hypertens", re.sub('base64,[^"]*', "", elements.text))
