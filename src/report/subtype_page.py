"""One self-contained page about the class of one scan: probabilities, attention, where the network looked."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import numpy as np

from .overlays import Picture, around
from .page import cards_of, details_section, document, figures_of, limits_section, masks_section, warnings_section
from .plane import Plane
from .scene import Scene

PICTURED = 8
WIDTH = 800  # of the attention curve
LIMITS = (
    "The classes are those of the training: everybody gets one of them, healthy people too.",
    "Trained and measured on simulated subjects.",
    "In real cohorts the diagnosis of CAA rests on lobar microbleeds, which the network sees: it repeats a rule more "
    "than it finds one.",
    "Attention and Grad-CAM++ show where the network looked, not why it is right.",
)


def subtype_page(record: Mapping[str, Any], scene: Scene, attention: np.ndarray, heat: np.ndarray) -> str:
    """Return the HTML of the page.

    Args:
        record: what :class:`SubtypeWriter` writes to the JSON of the case.
        scene: what the pictures are drawn from.
        attention: of each axial slice of the scene, (Z,).
        heat: Grad-CAM++, (X, Y, Z), 0 to 1.
    """
    cards = cards_of((f"{value:.2f}", escape(name)) for name, value in record["probabilities"].items())
    sections = (
        warnings_section(record),
        _curve(scene, attention),
        _slices(scene, attention, heat),
        masks_section(scene),
        details_section(record, {"contrast": record["contrast"], **record["settings"]}),
        limits_section(LIMITS),
    )
    return document(record["case"], "Subtype of small vessel disease", summary(record), cards, sections)


def summary(record: Mapping[str, Any]) -> str:
    """Return one line such as ``Likeliest class: CAA, 0.81, from 5 microbleeds, age 71, sex F``."""
    known = record["covariates"]
    said = ", ".join(f"{name} {'not known' if value is None else value}" for name, value in known.items())
    total = record["counts"]["total"]
    likeliest = record["likeliest"]
    return (
        f"Likeliest class: {escape(likeliest)}, {record['probabilities'][likeliest]:.2f}, from "
        f"{total or 'no'} microbleed{'' if total == 1 else 's'}, {said}"
    )


def _curve(scene: Scene, attention: np.ndarray) -> str:
    height = attention.max() or 1
    across = np.linspace(2, WIDTH - 2, len(attention))
    points = " ".join(f"{x:.1f},{96 - 90 * y / height:.1f}" for x, y in zip(across, attention, strict=True))
    low, high = (scene.slice_mm(index) for index in (0, len(attention) - 1))
    return (
        '<section><h2>Attention</h2><p class="hint">Weight of each axial slice in the answer, from bottom to top.</p>'
        f'<svg class="curve" viewBox="0 0 {WIDTH} 112" role="img"><path d="M2,96H{WIDTH - 2}"/>'
        f'<polyline points="{points}"/>'
        f'<text x="2" y="110" font-size="10">z = {low:.0f} mm</text>'
        f'<text x="{WIDTH - 2}" y="110" font-size="10" text-anchor="end">z = {high:.0f} mm</text></svg></section>'
    )


def _slices(scene: Scene, attention: np.ndarray, heat: np.ndarray) -> str:
    chosen = np.sort(np.argsort(attention, kind="stable")[::-1][:PICTURED])
    pictures = figures_of(_pictures(scene, attention, heat, chosen))
    return (
        f'<section><h2>Where it looked</h2><p class="hint">The {len(chosen)} slices of most attention, with Grad-CAM++ '
        "for the likeliest class in red and outlines of the microbleeds. Radiological convention: R, the patient's "
        f'right, is on the left.</p><div class="film slices">{pictures}</div></section>'
    )


def _pictures(scene: Scene, attention: np.ndarray, heat: np.ndarray, chosen: np.ndarray) -> Iterator[Picture]:
    plane = Plane(scene, "axial")
    view = around(plane, scene.brain)
    for index in chosen:
        warm = plane.layer(_red(plane.cut(heat, index)), view, "overlay heat")
        outline = plane.outline(plane.cut(scene.instances, index) > 0, view, "lesion")
        caption = f"z = {scene.slice_mm(index):.0f} mm, weight {attention[index]:.2f}"
        yield Picture(plane.draw(plane.cut(scene.grey, index), view, (warm, outline)), caption)


def _red(heat: np.ndarray) -> np.ndarray:
    """Return (U, V) in 0..1 as red of that opacity, (U, V, 4) uint8."""
    pixels = np.zeros((*heat.shape, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[..., 3] = (160 * heat.clip(0, 1)).astype(np.uint8)
    return pixels
