"""The command: bad input is refused in one line, a real clip becomes a subject that can be read, steps are kept."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from talksplat.audio import MelFeatures
from talksplat.config import compose, instantiate
from talksplat.errors import UserError
from talksplat.geometry.cameras import project
from talksplat.media import assets
from talksplat.media.assets import face_landmarker_path
from talksplat.media.face_landmarker import DLIB68, FaceLandmarker
from talksplat.media.video_writer import VideoWriter
from talksplat.preprocess.__main__ import main
from talksplat.preprocess.alignment.base import NoAlignment
from talksplat.preprocess.alignment.photometric import PhotometricAlignment
from talksplat.preprocess.face_tracker.imported import ImportTracker
from talksplat.preprocess.face_tracker.mediapipe import MediapipeTracker
from talksplat.preprocess.pipeline import Preprocessor
from talksplat.preprocess.segmentation.choose import BestSegmenter
from talksplat.preprocess.segmentation.imported import ImportedSegmenter
from talksplat.preprocess.segmentation.mediapipe import MediapipeSegmenter
from talksplat.preprocess.segmentation.segmenter import ColorModelSegmenter
from talksplat.preprocess.steps import check_track
from talksplat.subject_format.labels import Label, decode_parsing
from tests.preprocess.face_fixtures import make_track

TONE = (0.2 * np.sin(np.arange(16000 * 4) * 0.1)).astype(np.float32)


def preprocessor(**changes) -> Preprocessor:
    parts = dict(
        face_tracker=MediapipeTracker(),
        segmenter=ColorModelSegmenter(keyframes=8, size=128),
        alignment=PhotometricAlignment(points=1500, keyframes=10, sigmas=(2.0, 1.0)),
        features=MelFeatures(),
        resolution=256,
        points=6000,
    )
    return Preprocessor(**{**parts, **changes})


def write_clip(path: Path, frames, audio=TONE) -> Path:
    frames = list(frames)
    with VideoWriter(path, frames[0].shape[1], frames[0].shape[0], fps=25, audio=audio) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def gray(count: int):
    return (np.full((96, 96, 3), 100 + i % 50, np.uint8) for i in range(count))


def test_no_such_file_and_not_a_video(tmp_path):
    with pytest.raises(UserError, match="no such video"):
        preprocessor().run(tmp_path / "none.mp4", tmp_path / "subject")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(UserError, match="text.mp4"):
        preprocessor().run(tmp_path / "text.mp4", tmp_path / "subject")
    assert [p.name for p in tmp_path.iterdir()] == ["text.mp4"]  # nothing half-made


def test_too_short_silent_and_existing(tmp_path):
    with pytest.raises(UserError, match="too short"):
        preprocessor().run(write_clip(tmp_path / "short.mp4", gray(12)), tmp_path / "subject")
    with pytest.raises(UserError, match="no audio track.*audio_file"):
        preprocessor().run(write_clip(tmp_path / "mute.mp4", gray(60), audio=None), tmp_path / "subject")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UserError, match="not empty"):
        preprocessor().run(write_clip(tmp_path / "clip.mp4", gray(60)), tmp_path / "full")


@pytest.mark.assets
def test_weights_that_cannot_be_had_are_named_before_work_starts(tmp_path, monkeypatch):
    find = assets._find
    monkeypatch.setattr(
        assets, "_find", lambda model, folder: None if model is assets.SEGMENTER else find(model, folder)
    )
    monkeypatch.setattr(assets.pooch, "retrieve", None)  # calling it is an error like any other
    with pytest.raises(UserError, match="multiclass selfie segmenter model is missing"):
        preprocessor(segmenter=MediapipeSegmenter()).run(
            write_clip(tmp_path / "clip.mp4", gray(55)), tmp_path / "subject"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.assets
def test_no_face(tmp_path):
    with pytest.raises(UserError, match="no face in most frames"):
        preprocessor().run(write_clip(tmp_path / "clip.mp4", gray(55)), tmp_path / "subject")
    assert not (tmp_path / "subject").exists()


def test_a_track_that_misses_the_face_is_an_error():
    track = make_track(200)
    track.rigid_error[:] = 0.5
    check_track(track, 256)
    track.rigid_error[120:122] = 7.0  # of 512 pixels 14
    check_track(track, 256)
    track.rigid_error[120:124] = 7.0
    with pytest.raises(UserError, match=r"misses the face by up to 14.0 pixels .* in 4 of 200 frames \(120-123\)"):
        check_track(track, 256)


def test_settings_are_checked_and_composed():
    wrong = {"resolution": 33}, {"on_cut": "guess"}, {"video_track": 0}, {"sound_track": "second"}
    for changes, word in ((change, next(iter(change))) for change in wrong):
        with pytest.raises(UserError, match=word):
            preprocessor(**changes)
    config = compose("preprocess", ["video=a.mp4", "subject=b"])
    assert isinstance(instantiate(config.face_tracker), MediapipeTracker)
    assert isinstance(instantiate(config.segmentation), BestSegmenter)
    with pytest.raises(UserError, match="video"):
        compose("preprocess", ["subject=b"])


def test_command_prints_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main([f"video={tmp_path}/none.mp4", f"subject={tmp_path}/s"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_wrong_model_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "face_landmarker.task").write_bytes(b"something else")
    with pytest.raises(UserError, match="not the face landmarker"):
        face_landmarker_path(tmp_path)


@pytest.mark.assets
def test_landmarker_on_a_photograph():
    from skimage.data import astronaut

    image = astronaut()
    with FaceLandmarker(face_landmarker_path(None), video=False) as landmarker:
        faces = landmarker.detect(image)
        assert landmarker.detect(np.zeros_like(image)) == []
    assert len(faces) == 1
    points = faces[0].landmarks68
    assert points.shape == (68, 2) and len(DLIB68) == 68
    assert points[:17, 1].max() > points[48:, 1].max()  # the chin is below the lips
    assert points[36:42, 0].mean() < points[42:48, 0].mean()  # the right eye is at image-left
    assert faces[0].blendshapes["mouthSmileLeft"] > 0.3


@pytest.mark.clips
@pytest.mark.assets
@pytest.mark.slow
def test_a_real_clip_becomes_a_subject(tmp_path):
    import cv2

    from talksplat.media.sound import read_audio
    from talksplat.media.video import read_frames
    from talksplat.subject_format.subject import load_frame, read_subject

    source = sorted(Path(os.environ["TALKSPLAT_CLIPS"]).glob("*.mp4"))[0]
    frames = [frame for _, frame in zip(range(55), read_frames(source))]
    clip = write_clip(tmp_path / "clip.mp4", frames, read_audio(source)[: 55 * 640])
    manifest = preprocessor().run(clip, tmp_path / "subject")
    assert manifest["subject"] == "subject"  # its name, not its place on this machine
    track = manifest["track"]
    assert np.mean(track["rigid_error_px"]) < 1.2  # at 256 pixels
    assert not any(step["cached"] for step in manifest["steps"])

    subject = read_subject(tmp_path / "subject", ["aud_mel.npy"], 32, 16)
    assert subject.frame_ids.tolist() == list(range(55)) and (subject.width, subject.height) == (256, 256)
    assert len(subject.train) == 50 and len(subject.test) == 5
    assert 5 < subject.viewmats[:, 2, 3].mean() < 20 and len(subject.vertices) > 5000
    assert subject.eye.min() >= 0 and subject.eye.max() <= 1
    import torch

    pixels, _ = project(
        torch.tensor(subject.vertices)[None], torch.tensor(subject.viewmats), torch.tensor(subject.K)[None]
    )
    nose = pixels[:, 1].numpy()  # start points begin with the landmarks
    assert np.abs(nose - subject.landmarks[:, 30]).max() < 12
    frame = load_frame(subject, 20)
    assert 0.2 < frame["head_mask"].mean() < 0.9
    alpha = cv2.imread(str(tmp_path / "subject" / "alpha" / "20.png"), cv2.IMREAD_UNCHANGED) / 255
    assert alpha.shape == frame["head_mask"].shape and np.abs(alpha - frame["head_mask"]).mean() < 0.05
    assert 0.002 < ((alpha > 0.1) & (alpha < 0.9)).mean() < 0.1
    labels = decode_parsing(cv2.imread(str(tmp_path / "subject" / "parsing" / "20.png")))
    assert (labels == Label.NECK).mean() > 0.005

    again = preprocessor().run(clip, tmp_path / "second", work=tmp_path / "subject.work")
    assert all(step["cached"] for step in again["steps"])
    other = preprocessor(face_tracker=MediapipeTracker(smoothing_hz=4)).run(
        clip, tmp_path / "third", work=tmp_path / "subject.work"
    )
    assert [step["name"] for step in other["steps"] if step["cached"]] == ["faces", "sync", "features_mel", "frames"]
    moved = preprocessor(sound_shift_ms=120, composites=True).run(
        clip, tmp_path / "moved", work=tmp_path / "subject.work"
    )
    assert (manifest["sound_shift_ms"], moved["sound_shift_ms"]) == (0, 120)  # 2.2 s are too short for auto
    torso = cv2.imread(str(tmp_path / "moved" / "torso_imgs" / "20.png"), cv2.IMREAD_UNCHANGED)[..., 3] > 0
    edge, composite = torso & (labels == Label.BACKGROUND), cv2.imread(str(tmp_path / "moved" / "gt_imgs" / "20.jpg"))
    assert edge.any()
    difference = np.abs(composite[..., ::-1].astype(int) - frame["original"])
    assert difference[edge].mean() < 4, "composites show as much of the torso as torso images"
    before, after = (read_audio(tmp_path / name / "aud.wav") for name in ("subject", "moved"))
    assert len(before) == len(after) and np.array_equal(after[:-1920], before[1920:])
    imported = preprocessor(
        face_tracker=ImportTracker(str(tmp_path / "subject")),
        segmenter=ImportedSegmenter(str(tmp_path / "subject")),
        alignment=NoAlignment(),
    ).run(clip, tmp_path / "fourth", work=tmp_path / "subject.work")
    assert (
        np.mean(imported["track"]["rigid_error_px"]) < np.mean(track["rigid_error_px"]) + 0.15
    )  # other landmarks count
    maps = [cv2.imread(str(tmp_path / name / "parsing" / "20.png")) for name in ("subject", "fourth")]
    np.testing.assert_array_equal(*maps)


def test_silence_is_found_before_any_work(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (75, 64, 64, 3), dtype=np.uint8)
    clip = write_clip(tmp_path / "clip.mp4", frames, np.zeros(48000, np.float32))
    with pytest.raises(UserError, match=r"clip.mp4 is silent.*audio_file=FILE"):
        preprocessor().run(clip, tmp_path / "subject")
    assert not (tmp_path / "subject.work").exists()
