"""What stands behind the person: the clean background plate."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.subject_format.labels import Label

SAFE = 5.0  # pixels at 512 that a pixel must lie from the nearest foreground to count as background
EDGE_MEAN = 8  # pixels at 512 over which the edge of a hole is averaged before it is continued
ROUNDS = 400  # of diffusion at the coarsest level
ALIKE = 40.0  # grey levels that the two ends of a row may differ by and still be taken for one thing


def background_plate(
    frames: Iterable[tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]],
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]:
    """Plate and the mask of pixels that no frame shows, from images and their labels.

    Each pixel is taken where foreground was farthest away (GaussianTalker), averaged over the frames that come
    close to that distance, which removes noise. Pixels never seen are filled from their sides (`fill_hole`).
    """
    distances, colors = [], []
    for image, labels in frames:
        outside = (labels == Label.BACKGROUND).astype(np.uint8)
        distances.append(cv2.distanceTransform(outside, cv2.DIST_L2, 3).astype(np.float16))
        colors.append(image)
    farthest = np.max(distances, axis=0).astype(np.float32)
    total, weight = np.zeros((*farthest.shape, 3), np.float32), np.zeros(farthest.shape, np.float32)
    for distance, color in zip(distances, colors):
        near_best = (distance >= 0.8 * farthest).astype(np.float32)
        total += near_best[..., None] * color
        weight += near_best
    plate = total / weight[..., None]
    hole = farthest <= SAFE * max(farthest.shape) / 512
    return np.round(fill_hole(plate, ~hole)).astype(np.uint8), hole


def fill_hole(
    image: Float[np.ndarray, "height width 3"], known: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width 3"]:
    """Unknown pixels from the known ones at the left and right in the same row, or smoothly from all around.

    Window bars, frames and skirting boards mostly run level, so where both ends of a row look alike they go on behind the
    head; a head that moves then uncovers what one expects and no grey smear. Where they differ there is no such thing, and
    rows would be streaks: a membrane (`fill_smoothly`) fills those.
    """
    height, width = known.shape
    scale = max(height, width) / 512
    reach = max(2, round(EDGE_MEAN * scale))
    mass = cv2.blur(known.astype(np.float32), (2 * reach + 1, 1))
    near = cv2.blur(np.where(known[..., None], image, 0).astype(np.float32), (2 * reach + 1, 1))
    near = near / np.maximum(mass, 1e-6)[..., None]
    level = np.where(known[..., None], image, 0).astype(np.float32)
    alike = np.zeros(height, np.float32)
    columns = np.arange(width)
    for row in np.flatnonzero(~known.all(1) & known.any(1)):
        at, gaps = np.flatnonzero(known[row]), np.flatnonzero(~known[row])
        for channel in range(3):
            level[row, :, channel] = np.interp(columns, at, near[row, at, channel])
        first, last = gaps[0] - 1, gaps[-1] + 1
        if first >= 0 and last < width:
            alike[row] = np.exp(-((np.abs(near[row, first] - near[row, last]).max() / ALIKE) ** 2))
    smooth = fill_smoothly(near, known)
    soft = cv2.GaussianBlur(level, (0, 0), sigmaX=1.0, sigmaY=EDGE_MEAN * scale / 2)
    depth = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 3)
    level += np.clip(depth / (0.1 * height), 0, 1)[..., None] * (soft - level)
    # a few rows that agree by chance are a streak and no bar
    alike = cv2.morphologyEx(alike[:, None], cv2.MORPH_OPEN, np.ones((2 * reach + 1, 1)))
    alike = cv2.GaussianBlur(alike, (0, 0), sigmaX=1e-3, sigmaY=EDGE_MEAN * scale / 2)
    share = np.maximum(alike, np.exp(-depth / (EDGE_MEAN * scale)) * known.any(1)[:, None])[..., None]
    return np.where(known[..., None], image, share * level + (1 - share) * smooth)


def fill_smoothly(
    image: Float[np.ndarray, "height width 3"], known: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width 3"]:
    """Unknown pixels by solving Laplace's equation between the known ones, coarse to fine.

    A membrane has no streaks and no grey centre: it blends the colours around the hole. Nothing known gives mid-grey.
    """
    if known.all():
        return image.astype(np.float32)
    if not known.any():
        return np.full(image.shape, 127.5, np.float32)
    image = np.where(known[..., None], image, 0).astype(np.float32)
    height, width = known.shape
    if min(height, width) > 8:
        half = ((width + 1) // 2, (height + 1) // 2)
        mass = cv2.resize(known.astype(np.float32), half, interpolation=cv2.INTER_AREA)
        small = cv2.resize(image, half, interpolation=cv2.INTER_AREA) / np.maximum(mass, 1e-6)[..., None]
        coarse = fill_smoothly(small, mass > 0)
        filled = np.where(known[..., None], image, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
        rounds = 40
    else:
        filled = np.where(known[..., None], image, image[known].mean(0))
        rounds = ROUNDS
    kernel = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], np.float32)
    for _ in range(rounds):
        around = cv2.filter2D(filled, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        filled = np.where(known[..., None], image, around)
    return filled
