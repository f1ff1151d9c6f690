"""Existing semantic maps are used as they are, whatever their coding, size and crop."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from talksplat.config import compose, instantiate
from talksplat.errors import UserError
from talksplat.media.face_landmarker import DLIB68
from talksplat.preprocess.clip_plan import ClipPlan
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.imported import ImportedSegmenter
from talksplat.subject_format.labels import Label, encode_parsing
from talksplat.subject_format.landmarks import format_landmarks
from tests.preprocess.face_fixtures import landmarks_of, make_track

SIZE, COUNT = 128, 6


@pytest.fixture(scope="module")
def clip() -> ClipImages:
    track = make_track(COUNT, SIZE)
    track.frame_ids = track.frame_ids + 3
    landmarks = landmarks_of(track, SIZE)[..., :2]
    return ClipImages(lambda i: np.zeros((SIZE, SIZE, 3), np.uint8), track, landmarks, SIZE, SIZE)


def true_labels(clip: ClipImages, position: int) -> np.ndarray:
    labels = np.zeros((SIZE, SIZE), np.uint8)
    cv2.rectangle(labels, (20, 100), (110, SIZE), int(Label.TORSO), -1)
    cv2.rectangle(labels, (50, 90), (80, 100), int(Label.NECK), -1)
    hull = cv2.convexHull(clip.landmarks[position].astype(np.float32))
    cv2.fillConvexPoly(labels, hull.round().astype(np.int32), int(Label.HEAD))
    return labels


def soft(labels: np.ndarray) -> np.ndarray:
    """Edges as a recompressed or smoothly resized map has them."""
    return cv2.GaussianBlur(encode_parsing(labels), (3, 3), 0)


CODINGS = {
    "BGR codes": encode_parsing,
    "exchanged": lambda labels: encode_parsing(labels)[..., ::-1],
    "soft edges": soft,
    "labels": lambda labels: labels,
    "19 classes": lambda labels: np.array([0, 10, 14, 16], np.uint8)[labels],
    "three equal channels": lambda labels: labels[..., None].repeat(3, -1),
}


def write(root: Path, clip: ClipImages, encode) -> Path:
    (root / "parsing").mkdir(parents=True)
    for position, frame_id in enumerate(clip.track.frame_ids):
        cv2.imwrite(str(root / "parsing" / f"{frame_id}.png"), encode(true_labels(clip, position)))
    return root


@pytest.mark.parametrize("coding", CODINGS)
def test_any_coding(clip: ClipImages, tmp_path: Path, coding: str):
    segmenter = ImportedSegmenter(str(write(tmp_path / "s", clip, CODINGS[coding])))
    segmenter.fit(clip)
    for position in (0, 4):
        same = segmenter(clip, position) == true_labels(clip, position)
        assert same.mean() > (0.98 if coding == "soft edges" else 0.9999)


@pytest.mark.parametrize("landmarks", [True, False])
def test_another_size(clip: ClipImages, tmp_path: Path, landmarks: bool):
    def large(labels):
        return cv2.resize(encode_parsing(labels), (3 * SIZE, 3 * SIZE), interpolation=cv2.INTER_NEAREST)

    root = write(tmp_path / "s", clip, large)
    if landmarks:
        (root / "ori_imgs").mkdir()
        for frame_id, points in zip(clip.track.frame_ids, clip.landmarks):
            (root / "ori_imgs" / f"{frame_id}.lms").write_text(format_landmarks(3 * points[list(DLIB68)]))
    segmenter = ImportedSegmenter(str(root / "parsing"))
    segmenter.fit(clip)
    np.testing.assert_array_equal(segmenter(clip, 2), true_labels(clip, 2))


def test_another_crop_by_landmarks(clip: ClipImages, tmp_path: Path):
    """Their picture is wider: ours begins 30 pixels right of and 10 below its corner."""

    def wider(labels):
        return cv2.copyMakeBorder(encode_parsing(labels), 10, 0, 30, 20, cv2.BORDER_CONSTANT, value=(255, 255, 255))

    root = write(tmp_path / "s", clip, wider)
    with pytest.raises(
        UserError, match=r"maps of .*parsing are 178x138 and the frames here 128x128, and no .lms files"
    ):
        ImportedSegmenter(str(root)).fit(clip)
    (root / "ori_imgs").mkdir()
    for frame_id, points in zip(clip.track.frame_ids, clip.landmarks):
        (root / "ori_imgs" / f"{frame_id}.lms").write_text(format_landmarks(points[list(DLIB68)] + [30, 10]))
    segmenter = ImportedSegmenter(str(root))
    segmenter.fit(clip)
    np.testing.assert_array_equal(segmenter(clip, 1), true_labels(clip, 1))


def test_maps_of_the_whole_video_follow_our_crop(clip: ClipImages, tmp_path: Path):
    """Maps at half the size of a 400x300 video, of which our frames show the square of 256 from (60, 20) on."""

    def whole(labels):
        video = np.full((300, 400, 3), 255, np.uint8)
        video[20:276, 60:316] = cv2.resize(encode_parsing(labels), (256, 256), interpolation=cv2.INTER_NEAREST)
        return video[::2, ::2]

    segmenter = ImportedSegmenter(str(write(tmp_path / "s", clip, whole)))
    segmenter.follow(
        ClipPlan(clip.track.frame_ids, (60, 20, 256), SIZE, [], [], [], np.ones(len(clip)), []), (400, 300)
    )
    segmenter.fit(clip)
    np.testing.assert_array_equal(segmenter(clip, 3), true_labels(clip, 3))


def test_what_is_no_such_map_is_refused(clip: ClipImages, tmp_path: Path):
    root = write(tmp_path / "photos", clip, lambda labels: np.full((SIZE, SIZE, 3), (120, 90, 60), np.uint8))
    with pytest.raises(UserError, match="do not show a head where the face is"):
        ImportedSegmenter(str(root)).fit(clip)
    root = write(tmp_path / "empty", clip, lambda labels: encode_parsing(np.zeros_like(labels)))
    with pytest.raises(UserError, match="do not show a head where the face is"):
        ImportedSegmenter(str(root)).fit(clip)
    root = write(tmp_path / "gap", clip, encode_parsing)
    (root / "parsing" / "5.png").unlink()
    with pytest.raises(UserError, match=r"has no map of frames 5: frame numbers count from 0"):
        ImportedSegmenter(str(root)).fit(clip)


def test_settings(tmp_path: Path):
    with pytest.raises(UserError, match="missing setting segmentation.source"):
        compose("preprocess", ["video=a.mp4", "subject=b", "segmentation=import"])
    config = compose(
        "preprocess", ["video=a.mp4", "subject=b", "segmentation=import", f"segmentation.source={tmp_path}"]
    )
    with pytest.raises(UserError, match="has no maps"):
        instantiate(config.segmentation)
