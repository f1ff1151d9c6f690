"""Makes `astronaut_landmarks.npz`, the hand and machine annotation of the portrait: run once, its result is shipped.

    python -m talksplat.data.sample.annotate face_landmarker.task astronaut_landmarks.npz

Coordinates are pixels of scikit-image's 512 x 512 `astronaut`, pixel centres at +0.5. The portrait is NASA's official
photograph of Eileen Collins, in the public domain.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from talksplat.subject_format.labels import Label

SCALE = 2  # masks have this many pixels for each pixel of the photograph
HEIGHT = 272  # rows of the photograph that are annotated

# MediaPipe's face oval below the ears, from the subject's right to left: where the head ends and the neck begins.
JAW = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
FACE_OVAL = (10, 338, 297, 332, 284, 251, 389, *JAW[::-1], 127, 162, 21, 54, 103, 67, 109)


def _points(x: tuple[float, ...], y: tuple[float, ...]) -> np.ndarray:
    return np.stack([x, y], -1)


# Polylines traced by eye on an enlargement of the photograph.

# Lower edge of the upper lip, corner to corner
UPPER_LIP_EDGE = _points(
    (202.6, 205, 208, 211, 215, 219, 222.5, 226, 230, 234, 238, 241, 244.6),
    (139.2, 140.3, 141.6, 141.9, 142.5, 143.3, 143.8, 143.9, 143.5, 142.7, 141.6, 140.9, 140.6),
)
# Upper edge of the lower lip, corner to corner
LOWER_LIP_EDGE = _points(
    (202.6, 204, 206, 208, 210, 212, 215, 218, 222, 226, 230, 233, 236, 239, 242, 244.6),
    (139.3, 141.2, 143.4, 145.2, 146.8, 148, 149, 149.5, 149.9, 149.9, 149.4, 148.5, 147, 145.3, 143.1, 140.7),
)
# Lower edge of the upper teeth
TEETH = _points(
    (207, 209, 211, 213, 215, 217, 218, 222, 222.6, 223.2, 228, 229, 231.5, 232.2, 234, 235.2, 236.2),
    (143.6, 145.8, 146.9, 147.6, 148.3, 148.4, 149, 149.4, 149, 149.5, 149.5, 149, 149, 148, 147.1, 146.3, 145),
)
# Skin between jaw and collar, carried on behind the jaw, narrower there so that it is never visible next to it
NECK = _points(
    (188.2, 186.2, 186, 187, 190, 194.5, 205, 215, 224, 232, 240, 247, 252, 254, 255, 257.3, 257),
    (143, 158, 172, 177, 181, 184.6, 185.6, 187.4, 189.3, 190.8, 190.8, 188.4, 186, 181, 172, 163, 146),
)


def detect_landmarks(image: np.ndarray, model: Path) -> tuple[np.ndarray, np.ndarray]:
    """478 landmarks [478, 3] (pixels; z in the same unit, away from the viewer) and the head's rotation [3, 3]."""
    import mediapipe as mp

    left, width, enlarge = 30, 400, 3
    crop = cv2.resize(image[:width, left : left + width], None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC)
    vision = mp.tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=str(model)), output_facial_transformation_matrixes=True
    )
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        found = landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(crop)))
    points = np.array([(p.x, p.y, p.z) for p in found.face_landmarks[0]]) * width
    points[:, 0] += left
    matrix = np.asarray(found.facial_transformation_matrixes[0])[:3, :3]
    u, _, vt = np.linalg.svd(matrix)
    return points, u @ vt


def _polygon(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(points * SCALE * 16).astype(np.int32)], 1, shift=4)
    return mask > 0


def _person(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Person against background by GrabCut, seeded by rough outlines of hair, face and suit."""
    shape = image.shape[:2]
    seeds = np.full(shape, cv2.GC_PR_BGD, np.uint8)
    seeds[: 12 * SCALE] = cv2.GC_BGD
    seeds[: 205 * SCALE, : 108 * SCALE] = cv2.GC_BGD
    probable = [(150, 90), (160, 50), (190, 25), (230, 13), (280, 30), (304, 80), (295, 118), (270, 140), (258, 170)]
    probable += [
        (306, 235),
        (350, 275),
        (60, 275),
        (60, 235),
        (88, 215),
        (112, 200),
        (140, 148),
        (180, 145),
        (172, 120),
    ]
    seeds[_polygon(np.array(probable, float), shape)] = cv2.GC_PR_FGD
    sure = [(160, 90), (170, 55), (200, 35), (240, 22), (280, 50), (295, 85), (275, 120)]
    seeds[_polygon(np.array(sure, float), shape)] = cv2.GC_FGD
    seeds[_polygon(landmarks[list(FACE_OVAL), :2], shape)] = cv2.GC_FGD
    seeds[_polygon(NECK, shape)] = cv2.GC_FGD
    suit = [(130, 180), (150, 153), (186, 152), (190, 185), (250, 190), (258, 176), (285, 200), (303, 240), (330, 275)]
    suit += [(70, 275), (75, 240), (104, 225), (120, 205)]
    seeds[_polygon(np.array(suit, float), shape)] = cv2.GC_FGD
    seeds[_polygon(np.array([(112, 187), (119, 186), (123, 200), (119, 207), (111, 199)], float), shape)] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    cv2.grabCut(image[..., ::-1].copy(), seeds, None, np.zeros((1, 65)), np.zeros((1, 65)), 8, cv2.GC_INIT_WITH_MASK)
    person = ((seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)).astype(np.uint8)
    person = cv2.morphologyEx(person, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(person)
    person = (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    return cv2.medianBlur(person * 255, 7) > 127


def segment(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Labels u8 [HEIGHT * SCALE, 512 * SCALE] of the photograph (see `talksplat.subject_format.labels`)."""
    enlarged = cv2.resize(image[:HEIGHT], None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    person = _person(enlarged, landmarks)
    shape = person.shape
    jaw = landmarks[list(JAW), :2].copy()
    beside = jaw[:, 1] < np.where(
        jaw[:, 0] < 226, 147, 158
    )  # outside of these points is backdrop, which `person` excludes
    jaw[beside, 0] += 4 * np.sign(jaw[beside, 0] - 226)
    above = np.concatenate([[(140, 0), (140, 140), (170, 140)], jaw[2:-2], [(272, 150), (310, 150), (310, 0)]])
    head = person & _polygon(above, shape)
    labels = np.full(shape, Label.BACKGROUND, np.uint8)
    labels[person] = Label.TORSO
    labels[_polygon(NECK, shape)] = Label.NECK
    labels[head] = Label.HEAD
    return labels


def main(model: Path, output: Path) -> None:
    """Annotate the photograph and store the result."""
    from skimage import data

    image = data.astronaut()
    landmarks, rotation = detect_landmarks(image, model)
    labels = segment(image, landmarks)
    packed = np.packbits(np.stack([labels & 1, labels >> 1]), axis=-1)
    arrays = {"upper_lip_edge": UPPER_LIP_EDGE, "lower_lip_edge": LOWER_LIP_EDGE, "teeth": TEETH, "neck": NECK}
    np.savez_compressed(
        output,
        landmarks=landmarks.astype(np.float32),
        rotation=rotation.astype(np.float64),
        label_bits=packed,
        label_scale=np.array(SCALE),
        **{name: points.astype(np.float32) for name, points in arrays.items()},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
