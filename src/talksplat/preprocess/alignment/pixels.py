"""Images as the alignment compares them: without their light, with gradients, between pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

LIGHT = 8.0  # pixels at 512; broader than this, brightness is light that moves over the face, not the face


@dataclass
class Pixels:
    """Band-passed brightness and its gradient by pixel, float32 [H, W]."""

    value: Float[np.ndarray, "height width"]
    dx: Float[np.ndarray, "height width"]
    dy: Float[np.ndarray, "height width"]


def grey(image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width"]:
    """Brightness of an RGB image."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def band_pass(brightness: UInt8[np.ndarray, "height width"], sigma: float) -> Pixels:
    """Difference of Gaussians: detail coarser than `sigma` and finer than `LIGHT`, both in pixels at 512."""
    unit = max(brightness.shape) / 512
    brightness = brightness.astype(np.float32)
    value = cv2.GaussianBlur(brightness, (0, 0), sigma * unit) - cv2.GaussianBlur(brightness, (0, 0), LIGHT * unit)
    dx, dy = (cv2.Sobel(value, cv2.CV_32F, 1 - axis, axis, ksize=3) / 8 for axis in (0, 1))
    return Pixels(value, dx, dy)


def sample(
    image: Float[np.ndarray, "height width"], places: Float[np.ndarray, "point 2"]
) -> Float[np.ndarray, " point"]:
    """Bilinear values at pixel positions (centres at +0.5); beyond the border the border's."""
    if not len(places):
        return np.zeros(0, np.float32)
    shifted = places.astype(np.float32) - np.float32(0.5)
    x, y = np.ascontiguousarray(shifted[:, :1]), np.ascontiguousarray(shifted[:, 1:])
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
