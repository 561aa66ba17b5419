"""OHIF in a browser without a window: npm's viewer, served as ``tools/serve_ohif.py`` does, and what it shows."""

import os
import shutil
import subprocess
import sys
import tarfile
import threading
from base64 import b64decode
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from once import filled_once
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))

OHIF = "3.13.2"
FOLDER = "CSVD_OHIF"
"""Variable that names OHIF's ``dist``, where it is already there."""
SCREENSHOTS = "CSVD_SCREENSHOTS"
"""Variable that names a folder for pictures of the documents."""
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SIZE = {"width": 1440, "height": 900}
PATIENCE_MS = 120_000
WAIT_MS, QUIET_WAITS, LONGEST_WAITS = 400, 4, 50


def ohif_dist():
    """Return the folder of the built viewer; npm brings it where no variable names it. Without npm, skip."""
    if FOLDER in os.environ:
        return Path(os.environ[FOLDER])
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"needs OHIF: install npm, or set {FOLDER} to the folder `dist` of npm's @ohif/app@{OHIF}")

    def fill(folder):
        done = subprocess.run([npm, "pack", f"@ohif/app@{OHIF}"], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"npm does not give @ohif/app@{OHIF}: {done.stderr.strip()[-300:]}")
        (package,) = folder.glob("*.tgz")
        with tarfile.open(package) as content:
            content.extractall(folder, filter="data")
        package.unlink()

    return filled_once(ROOT / ".pytest_cache" / f"ohif-{OHIF}", fill) / "package" / "dist"


@contextmanager
def serving(dist, dicomweb):
    """Serve the viewer beside a PACS, and give its address."""
    from serve_ohif import make_server

    server = make_server(dist, dicomweb)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def browsing():
    """Give a page of a browser; without Playwright or a browser, skip."""
    api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install 'csvd[integration]'")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"needs one of {', '.join(PROGRAMS)}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        try:
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(PATIENCE_MS)
            yield page
        finally:
            browser.close()


class Viewer:
    """What a reader does in OHIF, and what the reader then sees.

    Args:
        page: of a browser.
    """

    def __init__(self, page):
        self.page = page

    def open(self, address, greetings=("Skip all", "Confirm and hide")):
        """Open a study, and close what greets the reader, by the texts of these buttons."""
        self.page.goto(address)
        self.page.locator("[data-cy=viewport-pane] canvas").first.wait_for()
        for text in greetings:
            self.page.get_by_text(text).click()

    def load(self, modality):
        """Double-click the thumbnail of a segmentation or report, and agree to what OHIF then asks."""
        self.page.locator("[data-cy=study-browser-thumbnail-no-image]").filter(has_text=modality).dblclick()
        if modality == "SEG":
            self.page.locator("[data-cy=yes-hydrate-btn]").click()
            self.page.locator("[data-cy=panelSegmentation-btn]").click()
            self.page.locator("[data-cy=data-row]").first.wait_for()
        else:
            self.page.locator("[data-cy^=viewport-action-arrows]").first.wait_for()

    def segments(self):
        """Return the texts of the rows of the panel."""
        return self.page.locator("[data-cy=data-row]").all_inner_texts()

    def select_segment(self, number):
        """Click a row, which goes to the slice in the middle of the segment, and wait until it is drawn."""

        def click():
            self.page.locator("[data-cy=data-row]").nth(number).click()
            self.page.mouse.move(5, 5)  # the row's text would cover the picture

        self._drawn_after(click)

    def canvas_point(self, lps):
        """Return column and row of a point (3,) in LPS mm, in pixels of :meth:`pixels`."""
        return self._script("(v, point) => v.worldToCanvas(point)", [float(value) for value in lps])

    def pixels_per_mm(self):
        """Return how many pixels of :meth:`pixels` are a millimetre."""
        return self._script("v => v.canvas.clientHeight / 2 / v.getCamera().parallelScale")

    def pixels(self):
        """Return the picture without overlay, (H, W) grey values, and where the overlay changes it, (H, W) bool."""
        shown = self._canvas()
        self._show_segments(False)
        plain = self._canvas()
        self._show_segments(True)
        return plain.mean(axis=2), np.abs(shown - plain).max(axis=2) > 8

    def report(self):
        """Return what OHIF read of the report: name, point (3,) and labels of each measurement that has a point."""
        return self.page.evaluate(
            """() => services.displaySetService.getActiveDisplaySets().find(one => one.Modality === "SR").measurements
            .filter(one => one.coords.length && one.coords[0].GraphicData).map(one => ({
              name: one.TrackingIdentifier, point: [...one.coords[0].GraphicData],
              labels: Object.fromEntries(one.labels.map(each => [each.label, each.value])) }))"""
        )

    def turn_upright(self):
        """Turn the picture by half a turn: the study's first row is posterior."""
        self._drawn_after(lambda: self._script("v => { v.setViewPresentation({ rotation: 180 }); v.render(); }"))

    def _show_segments(self, shown):
        script = """(v, shown) => { const { config, state } = cornerstoneTools.segmentation;
            for (const { segmentationId, type } of state.getSegmentationRepresentations(v.id))
              config.visibility.setSegmentationRepresentationVisibility(v.id, { segmentationId, type }, shown); }"""
        self._drawn_after(lambda: self._script(script, shown))

    def _drawn_after(self, action):
        """Act, and wait until the viewport was drawn anew and then not for a while."""
        self._script(
            """v => { if ("drawings" in v.element) return; v.element.drawings = 0;
            v.element.addEventListener("CORNERSTONE_IMAGE_RENDERED", () => v.element.drawings++); }"""
        )
        first = last = self._script("v => v.element.drawings")
        action()
        quiet = 0
        for _ in range(LONGEST_WAITS):
            self.page.wait_for_timeout(WAIT_MS)
            now = self._script("v => v.element.drawings")
            quiet, last = (quiet + 1 if now == last else 0), now
            if now > first and quiet == QUIET_WAITS:
                return

    def _canvas(self):
        """Return the picture of the active viewport, (H, W, 3)."""
        content = self._script("v => v.canvas.toDataURL('image/png')").partition(",")[2]
        return np.asarray(Image.open(BytesIO(b64decode(content))).convert("RGB")).astype(float)

    def _script(self, function, argument=None):
        """Return what a function says of the active viewport."""
        start = "(argument) => { const id = services.viewportGridService.getActiveViewportId();"
        viewport = "services.cornerstoneViewportService.getCornerstoneViewport(id)"
        return self.page.evaluate(f"{start} return ({function})({viewport}, argument); }}", argument)


def save_screenshot(page, name):
    """Save the page as a JPEG for the documents, where a variable names their folder."""
    if SCREENSHOTS in os.environ:
        page.screenshot(path=Path(os.environ[SCREENSHOTS]) / f"{name}.jpg", type="jpeg", quality=80)
