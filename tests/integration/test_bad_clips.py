"""Clips as people have them, through the command: what was odd is said, and the folder can be trained on."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soxr

from talksplat.data.datamodule import PortraitDataModule
from talksplat.media.sound import read_audio
from talksplat.media.video import read_frames
from talksplat.preprocess.__main__ import main
from tests.media.made_files import blocks_of, joined, lag_at, resized

pytestmark = [pytest.mark.clips, pytest.mark.assets]
SIZE, COUNT = 192, 130


@pytest.fixture(scope="module")
def source() -> tuple[list[np.ndarray], np.ndarray]:
    """Frames and sound (48 kHz) of a real clip, small."""
    path = Path(os.environ["TALKSPLAT_CLIPS"]) / "hdtf_radio2.mp4"
    frames = [
        cv2.resize(f, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for _, f in zip(range(COUNT), read_frames(path))
    ]
    return frames, soxr.resample(read_audio(path)[: COUNT * 640], 16000, 48000)


def write_clip(path: Path, frames, times, channels: np.ndarray, layout: str, pixels: str = "yuv420p") -> Path:
    """H.264 with a frame at each of `times` (s), and sound [channel, sample] at 48 kHz."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=60, options={"preset": "ultrafast", "crf": "12"})
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt, video.codec_context.time_base = pixels, Fraction(1, 90000)
        audio = container.add_stream("aac", rate=48000, layout=layout)
        for image, time in zip(frames, times):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            frame.pts, frame.time_base = round(time * 90000), Fraction(1, 90000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        size = audio.codec_context.frame_size
        for start in range(0, channels.shape[1] - size, size):
            block = np.ascontiguousarray(channels[:, start : start + size], np.float32)
            sound = av.AudioFrame.from_ndarray(block, "fltp", layout=layout)
            sound.sample_rate, sound.pts, sound.time_base = 48000, start, Fraction(1, 48000)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


def preprocess(clip: Path, subject: Path, *settings: str) -> dict:
    small = (
        "resolution=128",
        "points=3000",
        "segmentation=color_models",
        "segmentation.size=64",
        "segmentation.keyframes=2",
        "audio=mel",
    )
    main([f"video={clip}", f"subject={subject}", *small, *settings])
    return json.loads((subject / "manifest.json").read_text())


def test_face_out_of_the_picture_hand_before_it_another_scene_and_half_the_sound(source, tmp_path):
    frames, sound = source
    blank = np.random.default_rng(0).integers(0, 60, frames[0].shape, dtype=np.uint8)
    shown = []
    for index, frame in enumerate(frames):
        frame = blank if 40 <= index < 60 else frame.copy()  # nobody there for 0.8 s
        if 90 <= index < 100:
            cv2.ellipse(frame, (80, 100), (32, 48), 30, 0, 360, (205, 150, 130), -1)
        shown.append(frame)
    surround = np.stack([0.3 * sound, 0.3 * sound, sound, 0 * sound, 0 * sound, 0 * sound])[:, : len(sound) // 2]
    clip = write_clip(tmp_path / "clip.mp4", shown, np.arange(COUNT) / 25, surround, "5.1")
    manifest = preprocess(clip, tmp_path / "subject")
    assert manifest["cuts"] == [40, 60] and manifest["covered_frames"] == list(range(90, 100))
    assert manifest["frame_ids"] == [*range(60, 90), *range(100, manifest["frame_ids"][-1] + 1)]
    assert len(manifest["track"]["confidence"]) == len(manifest["track"]["rigid_error_px"]) >= 59
    assert min(manifest["track"]["confidence"]) > 0.5 and max(manifest["track"]["rigid_error_px"]) < 1.5
    assert any("sound ends 2.5" in note for note in manifest["notes"])
    page = (tmp_path / "subject" / "report.html").read_text()
    assert "90-99" in page and "only the longest scene" in page
    data = PortraitDataModule(str(tmp_path / "subject"), ["aud_mel.npy"], 32, 16, cache="disk")
    data.prepare()
    batch = next(data.train_batches(4, 0, 0, 1, "cpu"))
    assert set(batch.frame_ids.tolist()) <= set(manifest["frame_ids"])


def test_upright_phone_video_of_odd_size_at_60_frames_a_second_with_a_faint_longer_track(source, tmp_path):
    frames, sound = source
    tall = [cv2.resize(cv2.copyMakeBorder(f, 60, 90, 0, 0, cv2.BORDER_REPLICATE), (191, 341)) for f in frames[:60]]
    shown, times = [tall[int(i * 25 / 60)] for i in range(144)], np.arange(144) / 60
    times = times + np.random.default_rng(0).uniform(0, 0.006, 144)  # as phones record
    clip = write_clip(tmp_path / "clip.mp4", shown, times, 1e-3 * np.stack([sound, sound]), "stereo", "yuv444p")
    manifest = preprocess(clip, tmp_path / "subject")
    assert manifest["source"]["size"] == [191, 341] and manifest["frame_ids"] == list(range(60))
    assert manifest["crop"][2] <= 191 and manifest["width"] == 128
    assert np.mean(manifest["track"]["rigid_error_px"]) < 1
    failed = {check["name"] for check in manifest["checks"] if check["good"] is False}
    assert {"length", "sound"} <= failed and "frame rate" not in failed
    assert any("longer than the picture" in note for note in manifest["notes"])
    assert np.load(tmp_path / "subject" / "aud_mel.npy").shape[0] == 60


def test_another_size_in_the_middle_a_gap_in_the_sound_and_another_speaker_on_the_first_track(source, tmp_path):
    """What calls recorded over a network are like. Pictures shrink, sound is missing from 1.2 to 1.8 s."""
    frames, sound = source
    other = soxr.resample(read_audio(Path(os.environ["TALKSPLAT_CLIPS"]) / "hdtf_katie_hill.mp4"), 16000, 48000)
    blocks = [(time, block) for time, block in blocks_of(sound) if not 1.2 <= time < 1.8]
    parts = [frames[:65], [cv2.resize(f, (144, 144), interpolation=cv2.INTER_AREA) for f in frames[65:]]]
    video = resized(tmp_path / "video.mkv", parts)
    clip = joined(tmp_path / "clip.mkv", video, blocks_of(other[: len(sound)]), blocks)
    manifest = preprocess(clip, tmp_path / "subject", "alignment=none")
    notes = " ".join(manifest["notes"])
    assert "of 2 sound tracks number 2 is used" in notes and "no sound for 0.60 s from 1.20 s on" in notes
    assert f"changes from {SIZE}x{SIZE} to 144x144 at 2.60 s: scaled" in notes
    assert manifest["frame_ids"] == list(range(COUNT)) and max(manifest["track"]["rigid_error_px"]) < 1.5
    written, original = read_audio(tmp_path / "subject" / "aud.wav"), soxr.resample(sound, 48000, 16000)
    for time in (0.4, 2.4, 4.2):
        assert abs(lag_at(written, original, time) + manifest["sound_shift_ms"] / 1000) < 0.02


def test_a_picture_of_another_shape_in_the_middle_is_refused_in_one_line(source, tmp_path, capsys):
    frames, sound = source
    video = resized(tmp_path / "video.mkv", [frames[:30], [f[:, 48:] for f in frames[30:60]]])
    with pytest.raises(SystemExit, match="2"):
        preprocess(joined(tmp_path / "clip.mkv", video, blocks_of(sound)), tmp_path / "subject")
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and "shape of the picture changes from 192x192 to 144x192 at 1.20 s" in error
    assert not (tmp_path / "subject").exists()
