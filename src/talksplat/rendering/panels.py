"""Panels: several images of the same frame side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from talksplat.rendering.color_scale import ColorScale
from talksplat.rendering.renderer import to_uint8

FONT = cv2.FONT_HERSHEY_SIMPLEX
MAX_COLUMNS = 6
LEAST_FONT = 0.45  # smaller letters are illegible; tiny images still get them, since larger ones would hide the face


@dataclass(frozen=True)
class Panel:
    """Caption of an image, meaning of its values and their colour scale; None: an ordinary image."""

    name: str
    meaning: str = ""
    scale: ColorScale | None = None


class Panels:
    """Joins images in rows of at most six, with their names in the upper left corners. Colour scales are drawn in a
    strip below, so that they hide nothing.

    Args:
        panels: the pictures; a single one stays without a caption.
        width, height: pixels of one picture.
    """

    def __init__(self, panels: Sequence[Panel], width: int, height: int) -> None:
        self._size = (height, width)
        rows = -(-len(panels) // MAX_COLUMNS)
        columns = -(-len(panels) // rows)
        font = min(max(0.7 * height / 512, LEAST_FONT), height / 320)
        strip = round(22 * font) * 2 if any(panel.scale for panel in panels) else 0
        self.width, self.height = columns * width, rows * (height + strip)
        self.corners = [(i // columns * (height + strip), i % columns * width) for i in range(len(panels))]
        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        captions = np.zeros((len(panels), height, width), np.uint8)
        for panel, (top, left), caption in zip(panels, self.corners, captions):
            if len(panels) > 1:
                _write(caption, panel.name, round(12 * font), round(34 * font), width - round(24 * font), font)
            if panel.scale is not None:
                _draw_scale(canvas[top + height : top + height + strip, left : left + width], panel.scale, font)
        outlines = np.stack([cv2.dilate(caption, np.ones((3, 3), np.uint8)) for caption in captions])
        self._canvas = torch.from_numpy(canvas)
        self._captions = torch.from_numpy(captions)[..., None].float() / 255
        self._outlines = torch.from_numpy(outlines)[..., None].float() / 255

    def __call__(self, pictures: Sequence[Float[Tensor, "frame height width 3"]]) -> UInt8[Tensor, "frame h w 3"]:
        """The joined pictures (each in [0, 1]) of all frames, as bytes."""
        if len(pictures) == 1:
            return to_uint8(pictures[0])
        device = pictures[0].device
        parts = (self._canvas, self._captions, self._outlines)
        self._canvas, self._captions, self._outlines = (part.to(device) for part in parts)
        joined = self._canvas.repeat(len(pictures[0]), 1, 1, 1)
        height, width = self._size
        for picture, (top, left), caption, outline in zip(pictures, self.corners, self._captions, self._outlines):
            joined[:, top : top + height, left : left + width] = to_uint8(picture * (1 - outline) + caption)
        return joined


def _draw_scale(strip: UInt8[np.ndarray, "height width 3"], scale: ColorScale, font: float) -> None:
    """Colours of a scale from left to right, with the values of its ends."""
    height, width = strip.shape[:2]
    gap, baseline, room = round(12 * font), round(0.68 * height), width // 3
    left = gap + _write(strip, "0", gap, baseline, room, font) + gap
    right = width - gap - min(_text_width(scale.high_label, font), room) - gap
    _write(strip, scale.high_label, right + gap, baseline, room, font)
    colors = torch.linspace(0, scale.high, max(right - left, 1))
    strip[height // 4 : -(height // 4), left : left + len(colors)] = to_uint8(scale.paint(colors)).numpy()


def _write(image: UInt8[np.ndarray, ...], text: str, left: int, baseline: int, room: int, font: float) -> int:
    """White text, made smaller where it is wider than `room` pixels; its width."""
    font *= min(room / _text_width(text, font), 1)
    cv2.putText(image, text, (left, baseline), FONT, font, (255, 255, 255), 1, cv2.LINE_AA)
    return min(_text_width(text, font), room)


def _text_width(text: str, font: float) -> int:
    return cv2.getTextSize(text, FONT, font, 1)[0][0]
