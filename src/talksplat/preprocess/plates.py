"""What stands behind the head: the clean background plate and the torso of each frame."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.data.labels import Label

SAFE = 5.0  # pixels at 512 that a pixel must lie from the nearest foreground to count as background
EDGE_MEAN = 8  # pixels at 512 over which the edge of a hole is averaged before it is continued
ROUNDS = 400  # of diffusion at the coarsest level


def background_plate(
    frames: Iterable[tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]],
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]:
    """Plate and the mask of pixels that no frame shows, from images and their labels.

    Each pixel is taken where foreground was farthest away (GaussianTalker section 1.8), averaged over the frames that come
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
    """Unknown pixels from the known ones at the left and right in the same row.

    Window bars, frames and skirting boards mostly run level, so they go on behind the head; a head that moves then
    uncovers what one expects and no grey smear. Further inside rows are blended, which avoids streaks. Rows without any
    known pixel are filled smoothly.
    """
    height, width = known.shape
    reach = max(2, round(EDGE_MEAN * max(height, width) / 512))
    mass = cv2.blur(known.astype(np.float32), (2 * reach + 1, 1))
    near = cv2.blur(np.where(known[..., None], image, 0).astype(np.float32), (2 * reach + 1, 1))
    near = near / np.maximum(mass, 1e-6)[..., None]
    filled = np.where(known[..., None], image, 0).astype(np.float32)
    columns = np.arange(width)
    for row in np.flatnonzero(~known.all(1) & known.any(1)):
        at = np.flatnonzero(known[row])
        for channel in range(3):
            filled[row, :, channel] = np.interp(columns, at, near[row, at, channel])
    empty = ~known.any(1)
    if empty.any():
        filled = fill_smoothly(filled, np.repeat(~empty[:, None], width, axis=1))
    depth = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 3)
    soft = cv2.GaussianBlur(filled, (0, 0), sigmaX=1.0, sigmaY=EDGE_MEAN * height / 512)
    share = np.clip(depth / (0.1 * height), 0, 1)[..., None]
    return np.where(known[..., None], image, (1 - share) * filled + share * soft)


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


def torso_image(
    image: UInt8[np.ndarray, "height width 3"], labels: UInt8[np.ndarray, "height width"], reach: float = 0.12
) -> UInt8[np.ndarray, "height width 4"]:
    """Neck and torso of a frame as RGBA, continued under the head; alpha 0 or 255, colours 0 where transparent.

    Under chin and hair the picture goes on upward from neck and torso, so that a head that moves uncovers skin or cloth
    and not a hole. Torso goes up by a quarter of `reach`, neck by `reach` (share of the frame's height), both darkening as
    under a chin. (GaussianTalker section 1.8: 48 + 5 and 9 pixels of 512, darkening by 0.98 a pixel.)
    """
    height = image.shape[0]
    visible = (labels == Label.NECK) | (labels == Label.TORSO)
    if not visible.any():
        return np.zeros((*image.shape[:2], 4), np.uint8)
    alpha = visible.copy()
    color = np.where(visible[..., None], image, 0).astype(np.float32)
    head = labels == Label.HEAD
    for label, steps in ((Label.TORSO, reach / 4), (Label.NECK, reach)):
        _extend(color, alpha, labels == label, head, round(steps * height), continuous=label == Label.NECK)
    return np.dstack([np.round(color).astype(np.uint8), np.where(alpha, 255, 0).astype(np.uint8)]) * alpha[..., None]


def _extend(
    color: np.ndarray, alpha: np.ndarray, part: np.ndarray, head: np.ndarray, steps: int, continuous: bool
) -> None:
    """Continue the top of `part` upward under `head`, in place; a `continuous` part also across its gaps."""
    height = len(color)
    columns = np.flatnonzero(part.any(0))
    if not len(columns) or steps < 1:
        return
    top = part[:, columns].argmax(0)
    inner = np.minimum(top + max(2, round(4 * height / 512)), height - 1)  # below the edge, where head colours mix in
    inner = np.where(part[inner, columns], inner, top)
    start = color[inner, columns].astype(np.float32)
    if continuous:  # a chin that reaches the frame's lower edge cuts the neck in two: close the gap behind it
        between = np.arange(columns[0], columns[-1] + 1)
        start = np.stack([np.interp(between, columns, channel) for channel in start.T], axis=1).astype(np.float32)
        gaps = np.setdiff1d(between, columns)
        top, columns = np.round(np.interp(between, columns, top)).astype(int), between
        for column in gaps:
            low = np.flatnonzero(head[:, column] & (np.arange(height) >= top[column - between[0]]))
            color[low, column], alpha[low, column] = start[column - between[0]], True
    start = cv2.GaussianBlur(start[None], (0, 0), 2.0 * height / 512, borderType=cv2.BORDER_REPLICATE)[0]
    fade = 0.98 ** (512 / height)
    for step in range(-2, steps + 1):
        rows = top - step
        valid = (rows >= 0) & (rows < height)
        rows, cols, colors = rows[valid], columns[valid], start[valid]
        under = head[rows, cols] & ~alpha[rows, cols]
        color[rows[under], cols[under]] = colors[under] * fade ** max(step, 0)
        alpha[rows[under], cols[under]] = True
