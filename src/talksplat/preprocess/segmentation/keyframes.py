"""Keyframes of a clip at working resolution, with everything that the colour models are learned from."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.preprocess.face_tracker.face_regions import CHIN, FACE_OVAL
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.head_shape import HeadShape, head_shape
from talksplat.preprocess.segmentation.local_mixture import color_place_features


@dataclass
class View:
    """One frame at working resolution."""

    image: UInt8[np.ndarray, "height width 3"]
    shape: HeadShape
    face: Bool[np.ndarray, "height width"]  # inside the outline of the detected face
    below_jaw: Float[np.ndarray, "height width"]  # dm under the detected jaw line; negative above it
    unlike_skin: Float[np.ndarray, "height width"]  # colour distance from the face's skin, in its standard deviations
    by_image: Float[np.ndarray, "pixel 5"]  # colour and place in the image
    by_head: Float[np.ndarray, "pixel 5"]  # colour and place relative to the head

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[:2]


def view_of(clip: ClipImages, position: int, size: int, image: np.ndarray | None = None) -> View:
    """Frame at a longer side of at most `size` pixels; `image` saves loading it again."""
    image = clip.load(position) if image is None else image
    scale = min(1.0, size / max(clip.width, clip.height))
    width, height = round(clip.width * scale), round(clip.height * scale)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    track = clip.track
    shape = head_shape(track.viewmats[position], track.mesh, track.focal * scale, width, height)
    landmarks = clip.landmarks[position] * scale

    face = np.zeros((height, width), np.uint8)
    cv2.fillPoly(face, [np.round(landmarks[list(FACE_OVAL)]).astype(np.int32)], 1)
    rows, columns = np.mgrid[:height, :width].astype(np.float32) + 0.5
    unit = track.focal * scale / float(np.median(track.viewmats[:, 2, 3]))  # pixels in a dm, the same in every frame
    by_head = color_place_features(image, shape.across, shape.up)
    return View(
        image=image,
        shape=shape,
        face=face > 0,
        below_jaw=_below_jaw(shape, landmarks),
        unlike_skin=_unlike_skin(by_head[:, :3].reshape(height, width, 3), face > 0),
        by_image=color_place_features(image, (columns - width / 2) / unit, (rows - height / 2) / unit),
        by_head=by_head,
    )


def _below_jaw(shape: HeadShape, landmarks: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "height width"]:
    height, width = shape.up.shape
    # across and up are affine in the pixel, so landmarks outside the image extrapolate exactly
    origin = np.array([shape.across[0, 0], shape.up[0, 0]])
    right = np.array([shape.across[0, 1], shape.up[0, 1]]) - origin
    down = np.array([shape.across[1, 0], shape.up[1, 0]]) - origin
    outline = landmarks[list(FACE_OVAL)] - 0.5
    outline = origin + outline[:, :1] * right + outline[:, 1:] * down
    chin = list(FACE_OVAL).index(CHIN)
    jaw = outline[chin - 9 : chin + 10]  # from ear to ear below the face
    jaw = jaw[np.argsort(jaw[:, 0])]
    line = np.interp(shape.across.ravel(), jaw[:, 0], jaw[:, 1]).reshape(height, width)
    return (line - shape.up).astype(np.float32)


def _unlike_skin(lab: Float[np.ndarray, "height width 3"], face: Bool[np.ndarray, "height width"]) -> np.ndarray:
    skin = lab[face] if face.any() else lab.reshape(-1, 3)
    center = np.median(skin, axis=0)
    deviation = 1.48 * np.median(np.abs(skin - center), axis=0) + 2.0  # eyes, lips and stray hair do not widen it
    # the neck lies in shade: lightness may differ more than hue
    return (np.abs(lab - center) / deviation / np.array([2.0, 1.0, 1.0])).max(-1).astype(np.float32)
