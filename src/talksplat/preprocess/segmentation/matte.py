"""Soft head masks: how much of each pixel is head, at hair against the background and at the seam with the torso."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.subject_format.labels import Label

# Pixels at a frame size of 512.
OUTSIDE, INSIDE = 10.0, 6.0  # reach of the uncertain band beyond the outline and within it
FREE = 3.0  # beyond the outline: nearer than this any alpha is allowed
NEARBY = 12.0  # radius over which colours of hair and background are averaged
SEAM = 8.0  # width of the feather over neck and torso

FAINT = 0.1  # alpha below which pixels do not connect
NOISE = 8.0  # grey levels by which a pixel may differ from the background that it shows
CONTRAST = (
    40.0  # difference of hair and background colours (Euclidean, grey levels) at which colour and place weigh alike
)


def head_alpha(
    image: UInt8[np.ndarray, "height width 3"],
    labels: UInt8[np.ndarray, "height width"],
    plate: UInt8[np.ndarray, "height width 3"],
    seen: Bool[np.ndarray, "height width"],
) -> UInt8[np.ndarray, "height width"]:
    """Alpha of the head, 0 to 255, of a frame.

    Where head meets background, from colour: a pixel is a mixture of hair and what lies behind (matting equation
    I = alpha F + (1 - alpha) B), with F and B from sure pixels nearby and, where `seen`, from the background `plate`; where the
    two look alike, from the distance to the outline. Where head meets neck or torso, alpha falls linearly over `SEAM` pixels
    on their side: there the picture below is known, so that the head's layer overlaps it and no gap can open.
    """
    scale = max(labels.shape) / 512
    head = labels == Label.HEAD
    alpha = head.astype(np.float32)
    if head.any():
        below = np.isin(labels, (int(Label.NECK), int(Label.TORSO)))
        distance = cv2.distanceTransform((~head).astype(np.uint8), cv2.DIST_L2, 5)
        alpha = np.where(below, np.clip(1 - (distance - 0.5) / (SEAM * scale), 0, 1), alpha)
    if head.any() and (labels == Label.BACKGROUND).any():
        band, values = _hair_alpha(image, labels, plate, seen, scale)
        alpha[band] = values
        soft = cv2.GaussianBlur(alpha, (0, 0), 0.6)
        alpha[band] = soft[band]
        _, parts = cv2.connectedComponents((alpha > FAINT).astype(np.uint8))
        alpha[~np.isin(parts, np.unique(parts[head]))] = 0  # specks that touch no head
    return np.round(255 * alpha).astype(np.uint8)


def _hair_alpha(
    image: np.ndarray, labels: np.ndarray, plate: np.ndarray, seen: np.ndarray, scale: float
) -> tuple[Bool[np.ndarray, "height width"], Float[np.ndarray, " band"]]:
    """The band around the outline towards the background, and alpha there."""
    empty = labels == Label.BACKGROUND
    inside = cv2.distanceTransform((~empty).astype(np.uint8), cv2.DIST_L2, 5)  # from persons to the background
    head = labels == Label.HEAD
    outside = cv2.distanceTransform((~head).astype(np.uint8), cv2.DIST_L2, 5)
    band = (head & (inside <= INSIDE * scale)) | (empty & (outside <= OUTSIDE * scale))
    depth = np.where(head, inside - 0.5, 0.5 - outside)[band] / scale  # positive inside, at 512

    radius = NEARBY * scale
    hair = _nearby(image, head & (inside > INSIDE * scale), radius)[band]
    sure = empty & (outside > OUTSIDE * scale)
    around = _nearby(image, sure, radius)[band]
    # the plate has the detail, the frame the light of the moment
    detail = np.where(seen[..., None], plate.astype(np.float32) - _nearby(plate, sure & seen, radius), 0)
    behind = np.clip(around + detail[band], 0, 255)
    colors, contrast = image[band].astype(np.float32), hair - behind
    square = (contrast**2).sum(-1)
    along = ((colors - behind) * contrast).sum(-1) / np.maximum(square, 1)
    away = (np.linalg.norm(colors - behind, axis=-1) - NOISE) / np.sqrt(np.maximum(square, 1))
    by_color = np.clip(0.5 * (along + away), 0, 1)
    by_place = np.clip(depth / 3 + 0.5, 0, 1)
    trust = square / (square + CONTRAST**2)
    alpha = trust * by_color + (1 - trust) * by_place
    lowest = np.clip((depth - 1) / (INSIDE - 1), 0, 1)
    highest = np.clip(1 + (depth + FREE) / (OUTSIDE - FREE), 0, 1)
    return band, np.clip(alpha, lowest, highest).astype(np.float32)


def _nearby(image: np.ndarray, mask: Bool[np.ndarray, "height width"], radius: float) -> Float[np.ndarray, "h w 3"]:
    """Mean colour of the pixels of `mask` around each pixel; further ones where none is near, their mean where none at all.

    At a quarter of the size: means over a neighbourhood have no detail.
    """
    height, width = mask.shape
    small = (max(1, width // 4), max(1, height // 4))
    weight = mask.astype(np.float32)
    values = cv2.resize(image.astype(np.float32) * weight[..., None], small, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)
    total, mass = np.full_like(values, 127.5 * 1e-9), np.full_like(weight, 1e-9)
    for factor, share in ((1, 1.0), (4, 1e-3), (16, 1e-6)):
        side = 2 * max(1, round(factor * radius / 4)) + 1
        side = min(side, 2 * max(small) + 1)
        total += share * cv2.blur(values, (side, side), borderType=cv2.BORDER_CONSTANT)
        mass += share * cv2.blur(weight, (side, side), borderType=cv2.BORDER_CONSTANT)
    return cv2.resize(total / mass[..., None], (width, height), interpolation=cv2.INTER_LINEAR)
