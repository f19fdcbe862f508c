"""Every slice that the model saw, as anatomy and heat map apart, for whoever blends them on a screen: kept, never sent.

One zip of PNG files with `index.json`, which says of each slice where it lies, which way it is shown and what the model
said of it. Nothing in it names a patient. At its full strength the heat map covers the anatomy as on the captures.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from model.types import Prediction, Slice, SlicePrediction
from node.report import drawing
from node.report.drawing import Pixels
from node.report.overlay import LETTERS, at_mm, direction, key_slices

KIND, VERSION, INDEX, SCALE = "pictures", 1, "index.json", "scale.png"
OPPOSITE = {letter: pair[1 - at] for pair in LETTERS for at, letter in enumerate(pair)}
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same prediction gives the same bytes
FAST = 1  # of zlib: a tenth larger than its best, in a fifth of the time


def archive(prediction: Prediction) -> bytes:
    """The zip of these slices; about 50 kB and 3 ms a slice."""
    facts, content = [], io.BytesIO()
    marked = set(key_slices(prediction.slices))
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as target:
        for number, item in enumerate(prediction.slices, 1):
            fact = {"number": number, "key": number - 1 in marked, **_fact(item)}
            facts.append(fact)
            for name, png in _pictures(item, number):
                _add(target, name, png)
        _add(target, SCALE, _png(_palette_image(np.arange(255, -1, -1, dtype=np.uint8)[:, None])))
        _add(target, INDEX, json.dumps({"version": VERSION, "slices": facts}).encode())
    return content.getvalue()


def names(number: int) -> tuple[str, str]:
    """What the anatomy and the heat map of a slice (from 1) are called.

    >>> names(7)
    ('007.png', '007-heat.png')
    """
    return f"{number:03}.png", f"{number:03}-heat.png"


def _fact(item: SlicePrediction) -> dict[str, Any]:
    source = item.slice.source
    said = {"probability": round(item.probability, 6), "spread": round(item.spread, 6)}
    read = {"source": source.sop_instance_uid, "frame": source.frame_number} if source else {}
    return {**said, **read, **_place(item.slice)}


def _place(item: Slice) -> dict[str, Any]:
    """Plane, height and width in mm, position along the axis across the plane, and the letters at the four sides."""
    if item.affine_mm is None or item.position_mm is None:
        return {}
    rows, columns = item.pixels.shape
    down, along = item.affine_mm[:3, 0], item.affine_mm[:3, 1]
    bottom, right = direction(down)[0], direction(along)[0]
    return {
        "plane": item.plane,
        "position_mm": round(item.position_mm, 2),
        "place": at_mm(item),
        "height_mm": round(rows * float(np.linalg.norm(down)), 2),
        "width_mm": round(columns * float(np.linalg.norm(along)), 2),
        "sides": {"top": OPPOSITE[bottom], "right": right, "bottom": bottom, "left": OPPOSITE[right]},
    }


def _pictures(item: SlicePrediction, number: int) -> Iterator[tuple[str, bytes]]:
    grey, heat = names(number)
    rows, columns = item.slice.pixels.shape
    larger = drawing.resized(item.rollout.astype(np.float32), columns, rows, Image.Resampling.BILINEAR)
    steps = np.clip(np.rint(np.asarray(larger, np.float32) * 255), 0, 255).astype(np.uint8)
    yield grey, _png(Image.fromarray(item.slice.pixels))
    yield heat, _png(_palette_image(steps))


def _palette_image(steps: Pixels) -> Image.Image:
    """Heat (H, W) uint8 as an image whose palette is the colour map with its opacity."""
    image = Image.fromarray(steps).convert("L")
    image.putpalette(drawing.heat_palette()[0])
    return image


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    opacity = {"transparency": drawing.heat_palette()[1]} if image.mode == "P" else {}
    image.save(content, "PNG", compress_level=FAST, **opacity)
    return content.getvalue()


def _add(target: zipfile.ZipFile, name: str, content: bytes) -> None:
    target.writestr(zipfile.ZipInfo(name, LONG_AGO), content)
