"""The page in a browser: it renders, its numbers are those of the table, and it asks the network for nothing."""

import csv
import json
import re
import shutil
import subprocess
from html import unescape

import numpy as np
import pytest
import torch
from geometry import planted_scan, sphere_fraction
from monai.data import MetaTensor
from PIL import Image

from csvd.handlers import CaseWriter
from csvd.report import write_cohort_page
from csvd.report.page_table import ORDER, TITLES

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ASK = """<script type="module">
const viewer = document.querySelector("#viewer"), told = {};
const ready = () => "ready" in viewer.dataset;
await new Promise(done => ready() ? done() : new MutationObserver(() => ready() && done())
  .observe(viewer, { attributes: true }));
const cells = row => [...row.cells].map(cell => cell.textContent);
told.head = cells(document.querySelector("thead tr"));
told.rows = [...document.querySelectorAll("tbody tr")].map(cells);
const addresses = [...document.querySelectorAll("svg image")].map(image => image.href.baseVal);
told.sizes = await Promise.all(addresses.map(async address => {
  const image = new Image();
  await new Promise((done, fail) => Object.assign(image, { onload: done, onerror: fail, src: address }));
  return image.naturalWidth * image.naturalHeight;
}));
told.drawn = [...document.querySelectorAll("svg")].map(one => one.getBoundingClientRect().width);
const heading = document.querySelectorAll("th button")[told.head.indexOf("volume mm³")];
const order = () => [...document.querySelectorAll("tbody tr")].map(row => +row.cells[0].textContent);
heading.click();
told.ascending = order();
heading.click();
told.descending = order();
document.querySelector("#outlines").click();
viewer.querySelector("[name=zoom]").value = 8;
told.shown = {};
for (const row of document.querySelectorAll("tbody tr")) {
  row.cells[1].click();
  told.shown[row.cells[0].textContent] = {
    text: viewer.querySelector("output").textContent,
    pixels: [...viewer.querySelectorAll("canvas")].map(canvas => {
      const value = (x, y) => canvas.getContext("2d").getImageData(x, y, 1, 1).data[0];
      const [x, y] = [canvas.width / 2, canvas.height / 2];
      return [value(x, y), value(x / 8, y / 8)];
    }),
  };
}
const result = document.createElement("pre");
result.id = "told";
result.textContent = JSON.stringify(told);
document.body.append(result);
</script>"""


def open_page(page, *options):
    """Open a page without a window and return what the browser prints and what its console says."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"needs one of {', '.join(PROGRAMS)}")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    still = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--enable-logging=stderr")
    done = subprocess.run(
        [program, *still, profile, *options, page.as_uri()], capture_output=True, text=True, timeout=120
    )
    return done.stdout, re.findall(r"CONSOLE.*", done.stderr)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder of the results of an oblique scan: the planted lesion has number 2, others lie beside it."""
    folder = tmp_path_factory.mktemp("browser")
    planted = planted_scan(axcodes="LAS", voxel_mm=(1.0, 1.0, 2.0), oblique_degrees=20.0, shape=(96, 112, 44))
    affine, shape = planted.image.affine, planted.image.shape
    instances = torch.zeros(1, *shape)
    for number, (x, radius_mm) in enumerate(((0.0, 3.5), (24.0, 2.5), (12.0, 1.5)), start=1):
        inside = sphere_fraction(affine, shape, (x, 8.0, 30.0), radius_mm) > 0.5
        instances[0][torch.from_numpy(inside)] = number
    planted.image.to_filename(folder / "sub-01_swi.nii.gz")
    meta = {"filename_or_obj": str(folder / "sub-01_swi.nii.gz")}
    brain = torch.from_numpy(np.asarray(planted.image.dataobj) > 0)[None].float()
    maps = {"pred": instances.int(), "prob": 0.87 * (instances > 0), "mask": brain}
    item = {name: MetaTensor(x, affine=torch.from_numpy(affine), meta=meta) for name, x in maps.items()}
    return folder / "out" / CaseWriter(folder / "out", threshold=0.5).write(item)["case"]


@pytest.fixture(scope="module")
def opened(written):
    """What a script in the page reports."""
    page = written.parent / "asked.html"
    page.write_text((written / f"{written.name}.html").read_text().replace("</body>", ASK + "</body>"))
    dom, console = open_page(page, "--dump-dom", "--window-size=1300,1000")
    told = re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)
    assert told, console
    return json.loads(unescape(told.group(1)))


def table(written):
    with (written / f"{written.name}_lesions.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_numbers_on_the_page_are_those_of_the_table(written, opened):
    told, truth = opened, table(written)
    assert told["head"] == [TITLES.get(name, name) for name in ORDER]
    assert sorted(ORDER) == sorted(truth[0])
    assert len(told["rows"]) == len(truth) == 3
    for cells, row in zip(told["rows"], truth, strict=True):
        for cell, value in zip(cells, map(row.get, ORDER), strict=True):
            if re.fullmatch(r"-?\d+\.\d+", value):  # the table has more digits
                digits = len(cell.partition(".")[2])
                assert float(cell) == pytest.approx(float(value), abs=0.56 * 10**-digits)
            else:
                assert cell == value


def test_a_click_on_a_heading_sorts(opened):
    assert opened["ascending"] == [3, 2, 1]
    assert opened["descending"] == [1, 2, 3]


def test_every_picture_has_pixels_and_a_place(opened):
    assert len(opened["sizes"]) > 15
    assert min(opened["sizes"]) > 100
    assert min(opened["drawn"]) > 50


@pytest.mark.parametrize("plane", [0, 1, 2], ids=["axial", "coronal", "sagittal"])
def test_viewer_shows_the_planted_lesion_where_the_row_says(written, opened, plane):
    row, shown = table(written)[1], opened["shown"]["2"]
    middle, beside = shown["pixels"][plane]
    assert middle < 10
    assert beside > 50
    place = [float(row[name]) for name in ("x_mm", "y_mm", "z_mm")]
    x, y, z = (float(one) for one in re.findall(r"[xyz] (-?[\d.]+)", shown["text"]))
    assert [x, y, z] == pytest.approx(place, abs=0.056)
    assert shown["text"].endswith(f"voxel {row['i']}, {row['j']}, {row['k']}, id 2")


def test_page_is_drawn_and_asks_nothing_of_the_network(written):
    picture, page = written.parent / "page.png", written / f"{written.name}.html"
    _, console = open_page(page, f"--screenshot={picture}", "--window-size=1300,1200")
    assert console == []
    with Image.open(picture) as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 50


def test_a_question_to_the_network_is_refused(written):
    page, html = written.parent / "curious.html", (written / f"{written.name}.html").read_text()
    page.write_text(html.replace("</body>", '<img src="http://example.invalid/a.png"></body>'))
    assert "Content Security Policy" in open_page(page, "--dump-dom")[1][0]


def test_page_of_a_large_cohort_lays_out_its_first_rows_until_it_is_used(tmp_path):
    failed = [{"case": f"sub-{number}", "status": "failed", "reason": "it is empty"} for number in range(130)]
    write_cohort_page(failed, tmp_path)
    ask = """<script>
      const shown = () => [...document.querySelectorAll("tbody tr")].filter(row => row.offsetHeight > 0).length;
      const before = shown();
      document.body.dispatchEvent(new Event("pointerover", { bubbles: true }));
      document.body.dataset.told = `${before}, ${shown()}`;
    </script>"""
    page = tmp_path / "index.html"
    page.write_text(page.read_text().replace("</body>", f"{ask}</body>"))
    assert 'data-told="100, 130"' in open_page(page, "--dump-dom")[0]
