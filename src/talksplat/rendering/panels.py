"""Several pictures of the same moment side by side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from talksplat.rendering.renderer import to_uint8


class Panels:
    """Joins pictures from left to right and writes their names into the upper left corners.

    Args:
        names: of the pictures; a single one stays without a caption.
        width, height: pixels of one picture.
    """

    def __init__(self, names: Sequence[str], width: int, height: int) -> None:
        self.names = tuple(names)
        self.width, self.height = width * len(self.names), height
        captions = np.zeros((height, self.width), np.uint8)
        if len(self.names) > 1:
            scale = max(height / 512, 0.3)
            for i, name in enumerate(self.names):
                origin = (i * width + round(8 * scale), round(24 * scale))
                cv2.putText(captions, name, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.7 * scale, 255, 1, cv2.LINE_AA)
        self._captions = torch.from_numpy(captions)[..., None].float() / 255
        self._outline = torch.from_numpy(cv2.dilate(captions, np.ones((3, 3), np.uint8)))[..., None].float() / 255

    def __call__(self, pictures: Sequence[Float[Tensor, "frame height width 3"]]) -> UInt8[Tensor, "frame height w 3"]:
        """The joined pictures (each in [0, 1]) of all frames, as bytes."""
        if len(pictures) == 1:
            return to_uint8(pictures[0])
        joined = torch.cat(list(pictures), dim=2)
        self._captions, self._outline = self._captions.to(joined.device), self._outline.to(joined.device)
        return to_uint8(joined * (1 - self._outline) + self._captions)


def grey(
    attention: Float[Tensor, "frame height width token"],
) -> list[Float[Tensor, "frame height width 3"]]:
    """One grey picture for each channel."""
    return [channel[..., None].expand(*channel.shape, 3) for channel in attention.unbind(-1)]
