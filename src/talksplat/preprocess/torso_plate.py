"""Neck and torso of a frame, continued under chin and hair."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.preprocess.plates import SAFE, fill_smoothly
from talksplat.subject_format.labels import Label

EXPLAINED = 12  # grey levels of a channel by which a frame may differ from the plate and still show the background

# Pixels at a frame size of 512.
RIM = 3.0  # next to the head, where its colours mix in: not continued
CELL = 4  # side of the squares that colours are averaged in before they are continued
JOIN = 8.0  # over which the continuation goes over into the picture's own colours
SHADE = 0.995  # darkening a pixel under the chin


def torso_edge(
    image: UInt8[np.ndarray, "height width 3"],
    labels: UInt8[np.ndarray, "height width"],
    plate: UInt8[np.ndarray, "height width 3"],
) -> Bool[np.ndarray, "height width"]:
    """Background pixels that a torso image must contain for torso over plate to look like the frame.

    Labels cut through the blurred edge of a coat or end within it, and up to `SAFE` pixels from a torso that stands still the
    plate is a guess. Starting from neck and torso, the edge grows over what the plate does not explain, but not over what
    lies nearer to the head: hair there moves with the head.
    """
    below = (labels == Label.NECK) | (labels == Label.TORSO)
    distance = cv2.distanceTransform((~below).astype(np.uint8), cv2.DIST_L2, 5)
    to_head = cv2.distanceTransform((labels != Label.HEAD).astype(np.uint8), cv2.DIST_L2, 5)
    reach = SAFE * max(labels.shape) / 512
    near = (labels == Label.BACKGROUND) & (distance <= reach) & (distance < to_head)
    unexplained, grown = np.zeros_like(labels), below.astype(np.uint8)
    unexplained[near] = np.abs(image[near].astype(np.int16) - plate[near]).max(-1) > EXPLAINED
    for _ in range(round(reach)):
        grown |= cv2.dilate(grown, np.ones((3, 3), np.uint8)) & unexplained
    return (grown > 0) & ~below


def torso_image(
    image: UInt8[np.ndarray, "height width 3"],
    labels: UInt8[np.ndarray, "height width"],
    reach: float = 0.12,
    edge: Bool[np.ndarray, "height width"] | None = None,
) -> UInt8[np.ndarray, "height width 4"]:
    """Neck and torso of a frame as RGBA, continued under the head; alpha 0 or 255, colours 0 where transparent.

    A head that moves then uncovers skin or cloth and no hole. The neck goes up by `reach` (share of the frame's height), the
    torso outward by a quarter of it. The colours solve Laplace's equation from those of neck and torso and darken a little
    with the distance. (GaussianTalker repeats each column's top colour instead, 53 and 9 pixels of 512 up,
    darkening by 0.98 a pixel, which shows as streaks and as a dark edge where the head moves away.) `edge` (of `torso_edge`)
    is part of the image but not continued, since half of it is background.
    """
    height, width = labels.shape
    visible = (labels == Label.NECK) | (labels == Label.TORSO)
    if not visible.any():
        return np.zeros((height, width, 4), np.uint8)
    head = labels == Label.HEAD
    hidden = head & (_above_neck(labels, round(reach * height)) | _near_torso(labels, reach / 4 * height))
    color = np.where(visible[..., None], image, np.uint8(0))
    if hidden.any():
        color[hidden] = np.round(_continued(image, visible, head, hidden))
    alpha = visible | hidden
    if edge is not None:
        color[edge] = image[edge]
        alpha |= edge
    return np.dstack([color, np.where(alpha, 255, 0).astype(np.uint8)])


def _above_neck(labels: UInt8[np.ndarray, "height width"], steps: int) -> Bool[np.ndarray, "height width"]:
    """Up to `steps` pixels above the neck's upper edge, and all below that edge (a chin may reach into the neck)."""
    neck = labels == Label.NECK
    columns = np.flatnonzero(neck.any(0))
    result = np.zeros(labels.shape, bool)
    if len(columns):
        between = np.arange(columns[0], columns[-1] + 1)
        tops = np.interp(between, columns, neck[:, columns].argmax(0))
        tops = cv2.blur(tops[None].astype(np.float32), (2 * max(1, len(tops) // 16) + 1, 1))[0]
        result[:, between] = np.arange(len(labels))[:, None] >= tops - steps
    return result


def _near_torso(labels: UInt8[np.ndarray, "height width"], reach: float) -> Bool[np.ndarray, "height width"]:
    torso = labels == Label.TORSO
    if not torso.any():
        return torso
    return cv2.distanceTransform((~torso).astype(np.uint8), cv2.DIST_L2, 5) <= reach


def _continued(
    image: np.ndarray,
    visible: Bool[np.ndarray, "height width"],
    head: Bool[np.ndarray, "height width"],
    hidden: Bool[np.ndarray, "height width"],
) -> Float[np.ndarray, "hidden 3"]:
    """Colours of the hidden pixels."""
    height, width = visible.shape
    scale = max(height, width) / 512
    known = visible & (cv2.distanceTransform((~head).astype(np.uint8), cv2.DIST_L2, 5) > RIM * scale)
    known = known if known.any() else visible
    picture, weight = np.where(known[..., None], image, 0).astype(np.float32), known.astype(np.float32)
    cell = max(1, round(CELL * scale))
    small = (-(-width // cell), -(-height // cell))
    mass = cv2.resize(weight, small, interpolation=cv2.INTER_AREA)
    cells = cv2.resize(picture, small, interpolation=cv2.INTER_AREA) / np.maximum(mass, 1e-6)[..., None]
    smooth = cv2.resize(fill_smoothly(cells, mass > 0.1 * mass.max()), (width, height), interpolation=cv2.INTER_LINEAR)
    # what the cells averaged away goes on for a little, so that nothing shows where the picture ends
    spread = JOIN * scale / 2
    detail = cv2.GaussianBlur(picture - smooth * weight[..., None], (0, 0), spread)[hidden]
    detail = detail / np.maximum(cv2.GaussianBlur(weight, (0, 0), spread)[hidden], 1e-3)[..., None]
    distance = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5)[hidden][:, None] / scale
    color = smooth[hidden] + detail * np.exp(-distance / JOIN)
    return np.clip(color * SHADE**distance, 0, 255)
