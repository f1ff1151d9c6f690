"""Clips are refused or trimmed for stated reasons, and cropped around the face."""

from __future__ import annotations

import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.lips.sync import SoundOffset
from talksplat.preprocess.clip_plan import find_cuts, frame_list, plan_clip
from talksplat.preprocess.faces import FaceStream
from talksplat.preprocess.verdicts import judge, judge_masks
from tests.preprocess.face_fixtures import landmarks_of, make_track


def stream(count: int = 100, width: int = 512, height: int = 512) -> FaceStream:
    thumbnails = np.random.default_rng(0).integers(90, 110, (count, 24, 24, 3), dtype=np.uint8)
    thumbnails[:] = thumbnails[:1] + np.arange(count, dtype=np.uint8)[:, None, None, None] % 2
    return FaceStream(
        landmarks=landmarks_of(make_track(count)),
        second=np.full((count, 4), np.nan),
        blendshapes=np.zeros((count, 51)),
        blendshape_names=np.array(["jawOpen"]),
        thumbnails=thumbnails,
        tones=np.random.default_rng(2).integers(100, 110, (count, 468, 3), dtype=np.uint8),
        sharpness=np.full(count, 300.0),
        light=np.full(count, 120.0),
        size=np.array([width, height]),
    )


def test_a_good_clip_is_used_whole():
    plan = plan_clip(stream())
    assert plan.frame_ids.tolist() == list(range(100))
    assert plan.crop == (0, 0, 512) and plan.resolution == 512 and not plan.notes


def test_too_short():
    with pytest.raises(UserError, match=r"too short: 0.48 s.*clip.min_seconds=2"):
        plan_clip(stream(12))


def test_no_face_in_most_frames():
    faces = stream()
    faces.landmarks[20:] = np.nan
    with pytest.raises(UserError, match="no face in most frames.*20 of 100"):
        plan_clip(faces)


def test_two_people_throughout_and_for_a_moment():
    faces = stream()
    faces.second[10:14] = 1.0
    plan = plan_clip(faces)
    assert plan.second_person == [10, 11, 12, 13] and "10-13" in plan.notes[0]
    faces.second[:] = 1.0
    with pytest.raises(UserError, match="two people"):
        plan_clip(faces)


def test_lost_frames_keep_the_numbers_of_the_others():
    faces = stream()
    faces.landmarks[40:43] = np.nan
    plan = plan_clip(faces)
    assert plan.lost == [40, 41, 42] and len(plan.frame_ids) == 97 and plan.frame_ids[40] == 43
    assert plan.landmarks(faces).shape == (97, 478, 3)


def test_covered_faces_are_left_out_with_their_numbers():
    faces = stream(200)
    faces.tones[:] = np.random.default_rng(4).integers(50, 200, (468, 3)) + faces.tones % 10
    faces.tones[60:75, :300] = 120
    plan = plan_clip(faces)
    assert plan.covered == list(range(60, 75)) and plan.frame_ids[60] == 75 and "60-74" in plan.notes[0]
    assert plan.confidence.shape == (185,) and plan.confidence.min() > 0.5
    faces.tones[75:160, :300] = 120  # too long for a hand: another light, a mask put on
    assert plan_clip(faces).covered == []


def test_a_cut_keeps_the_longest_scene_or_fails():
    faces = stream(150)
    faces.thumbnails[:60, :, 8:] = 150  # the same place, another picture
    assert find_cuts(faces) == [60]
    plan = plan_clip(faces)
    assert plan.frame_ids[0] == 60 and plan.frame_ids[-1] == 149 and "60" in plan.notes[0]
    with pytest.raises(UserError, match="cut at frame 60"):
        plan_clip(faces, on_cut="fail")
    kept = plan_clip(faces, on_cut="keep")
    assert kept.frame_ids.tolist() == list(range(150)) and "all scenes are used" in kept.notes[0]
    with pytest.raises(UserError, match="in one scene"):
        plan_clip(faces, min_seconds=4.0)


def test_a_moving_camera_is_no_cut():
    faces = stream()
    picture = np.random.default_rng(1).integers(0, 255, (24, 124, 3), dtype=np.uint8)
    faces.thumbnails = np.stack([picture[:, i : i + 24] for i in range(100)])
    assert find_cuts(faces) == []


def test_a_swinging_camera_and_held_pictures_are_no_cuts():
    picture = np.random.default_rng(1).integers(0, 255, (24, 324, 3), dtype=np.uint8)
    faces = stream()
    at = np.interp(np.arange(100), [0, 40, 50, 75, 85, 100], [0, 0, 240, 240, 0, 0]).astype(int)  # away and back
    faces.thumbnails = np.stack([picture[:, i : i + 24] for i in at])
    assert find_cuts(faces) == []
    held = np.repeat(np.arange(0, 300, 9), 3)[:100]  # every third frame is new
    faces.thumbnails = np.stack([picture[:, i : i + 24] for i in held])
    assert find_cuts(faces) == []


def test_crop_of_a_wide_video_holds_the_face_with_margins():
    faces = stream(width=1280, height=720)
    faces.landmarks[..., :2] = faces.landmarks[..., :2] * 0.5 + [500, 250]
    plan = plan_clip(faces)
    x, y, side = plan.crop
    assert x >= 0 and x + side <= 1280 and y >= 0 and y + side <= 720
    moved = plan.landmarks(faces)[..., :2]
    assert moved.min() > 0 and moved.max() < plan.resolution
    face = np.ptp(faces.landmarks[0, :, 1])
    assert faces.landmarks[..., 1].min() - y > 0.3 * face  # room for hair
    assert plan.resolution <= 1.5 * side


def test_a_small_face_is_not_blown_up():
    faces = stream(width=640, height=360)
    faces.landmarks[..., :2] = faces.landmarks[..., :2] * 0.15 + [300, 100]
    plan = plan_clip(faces)
    assert plan.resolution < 512 and plan.resolution % 2 == 0 and "instead of 512" in plan.notes[-1]


def test_frame_numbers_are_readable():
    assert frame_list([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert frame_list(list(range(0, 40, 2))).endswith("14 more stretches")


def verdicts(**changes):
    count = 2500
    track = make_track(count)
    good = dict(
        seconds=100.0,
        source_fps=25.0,
        face_height=np.full(count, 0.45),
        viewmats=track.viewmats,
        rigid_error=np.full(count, 0.8),
        sharpness=np.full(count, 300.0),
        light=np.full(count, 120.0),
        samples=np.sin(np.arange(16000)) * 0.3,
        sync=in_sync(0.02),
    )
    return [check.sentence for check in judge(**{**good, **changes}) if check.good is False]


def in_sync(offset: float | None, confident: bool = True) -> SoundOffset:
    return SoundOffset(offset, confident, 0.5, 0.02, np.linspace(-0.5, 0.5, 3), np.array([0.1, 0.2, 0.5]))


def test_verdicts_name_what_a_clip_breaks():
    assert verdicts() == []
    turned = make_track(2500).viewmats
    turned[:, :3, :3] = turned[:, :3, :3] @ np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])
    for expected, change in {
        "short": {"seconds": 8.0},
        "small face": {"face_height": np.full(2500, 0.2)},
        "turned head": {"viewmats": turned},
        "blur": {"sharpness": np.full(2500, 5.0)},
        "uneven light": {"light": np.linspace(50, 200, 2500)},
        "frames a second": {"source_fps": 12.0},
        "clipped sound": {"samples": np.clip(np.sin(np.arange(16000)) * 3, -1, 1)},
        "hardly any sound": {"samples": np.zeros(16000)},
        "large face": {"face_height": np.full(2500, 0.6)},
        "left out": {"unusable": 60},
        "by over 4 in 2% of the frames": {"rigid_error": np.where(np.arange(2500) < 50, 7.0, 0.8)},
        "out of sync: the sound came 200 ms late": {"sync": in_sync(0.2)},
        "out of sync: the sound came 80 ms early": {"sync": in_sync(-0.08)},
    }.items():
        found = verdicts(**change)
        assert len(found) == 1 and expected in found[0], (expected, found)
    assert verdicts(sync=in_sync(0.2), shift=200) == []  # moved since
    assert "moved 400 ms earlier" in verdicts(sync=in_sync(0.2), shift=400)[0]
    assert verdicts(sync=in_sync(0.3, confident=False)) == [] and verdicts(sync=in_sync(None, confident=False)) == []


def masks_of(**changes):
    areas = np.tile([0.5, 0.3, 0.05, 0.15], (100, 2, 1))
    chin = np.full(100, 0.7)
    for frame, values in changes.get("areas", {}).items():
        areas[frame] = values
    still = changes.get("still", np.zeros(40))
    return judge_masks(
        areas,
        3 * np.arange(100),
        np.full(100, changes.get("chin", 0.7), float) if changes else chin,
        still,
        7 * np.arange(len(still)),
    )


def test_masks_that_cannot_be_right_are_named():
    assert masks_of().good
    bare = {k: [[0.6, 0.4, 0, 0]] * 2 for k in range(10, 40)}
    check = masks_of(areas=bare)
    assert (
        check.good is False
        and "no neck or torso below the chin in 30%" in check.finding
        and "(first: 30)" in check.finding
    )
    assert masks_of(areas=bare, chin=0.97).good  # the neck is out of the picture
    jumps = {k: [[0.5, 0.3, 0.05, 0.15], [0.4, 0.4, 0.05, 0.15]] for k in (50, 60)}
    assert "jumps to the next frame in 2% of 100 frames looked at (first: 150)" in masks_of(areas=jumps).sentence
    assert masks_of(areas={50: jumps[50]}).good  # a single frame is no rule
    wall = np.full(40, 0.2)
    wall[:10] = np.nan  # the head did not move enough to tell
    wall[10:13] = 0.02
    check = masks_of(still=wall)
    assert check.good is False
    assert "stays where it is while the head moves in 90% of 30 frames looked at (first: 91)" in check.sentence
    assert "segmentation=mediapipe" in check.sentence
    assert masks_of(still=np.where(np.arange(40) < 15, 0.2, 0.02)).good  # hair that is left behind in some frames
    assert masks_of(still=np.full(40, np.nan)).good
    assert judge_masks(np.zeros((0, 2, 4)), *[np.zeros(0, int)] * 4).good is None
