from __future__ import annotations

import os

import av
import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.media.video import probe, read_frames
from talksplat.media.video_writer import VideoWriter


def write_flash_and_beep(path, num_frames=60, flash=37, fps=25, rate=16000, size=(48, 64), audio_seconds=10.0):
    """A white frame at `flash`, and a beep that starts with it."""
    time = np.arange(int(audio_seconds * rate)) / rate
    audio = 0.5 * np.sin(2 * np.pi * 600 * time) * (time >= flash / fps)
    with VideoWriter(path, width=size[1], height=size[0], fps=fps, audio=audio, audio_rate=rate) as writer:
        for i in range(num_frames):
            writer.write(np.full((*size, 3), 255 if i == flash else 10, np.uint8))


@pytest.mark.parametrize(
    "rate, fps, audio_seconds", [(16000, 25, 10.0), (22050, 25, 1.6), (48000, 30, 10), (17000, 25, 9)]
)
def test_sound_and_picture_stay_together(tmp_path, rate, fps, audio_seconds):
    path = tmp_path / "talk.mp4"
    write_flash_and_beep(path, rate=rate, fps=fps, audio_seconds=audio_seconds)
    info = probe(path)
    assert (info.width, info.height, info.fps, info.num_frames, info.has_audio) == (64, 48, fps, 60, True)
    brightness = [frame.mean() for frame in read_frames(path, fps=fps)]
    assert len(brightness) == 60 and np.argmax(brightness) == 37
    onset = np.flatnonzero(np.abs(read_audio(path)) > 0.1)[0] / SAMPLE_RATE
    assert abs(onset - 37 / fps) < 0.005
    with av.open(str(path)) as container:
        audio, video = container.streams.audio[0], container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt, audio.codec_context.name) == (
            "h264",
            "yuv420p",
            "aac",
        )
        seconds = [float(stream.duration * stream.time_base) for stream in (audio, video)]
    assert seconds[1] == pytest.approx(60 / fps, abs=1e-3)
    assert abs(seconds[0] - seconds[1]) < 0.5 / fps


def test_colours_survive(tmp_path):
    colors = np.array([[200, 40, 40], [40, 180, 60], [50, 70, 200], [128, 128, 128]], np.uint8)
    image = np.repeat(np.repeat(colors[None], 64, 0), 32, 1)
    with VideoWriter(tmp_path / "a.mp4", 128, 64, crf=5) as writer:
        for _ in range(5):
            writer.write(image)
    frame = list(read_frames(tmp_path / "a.mp4"))[2]
    for i in range(4):
        block = frame[8:-8, 32 * i + 8 : 32 * i + 24].reshape(-1, 3)
        assert np.abs(block.astype(int).mean(0) - colors[i]).max() < 4
    assert not probe(tmp_path / "a.mp4").has_audio


def test_odd_sizes_are_padded_to_even(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", width=33, height=21) as writer:
        writer.write(np.full((21, 33, 3), 200, np.uint8))
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert [frame.shape for frame in frames] == [(22, 34, 3)]
    assert abs(int(frames[0][-1, -1, 0]) - 200) < 5


def test_failure_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), VideoWriter(path, 32, 32) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
        assert path.read_bytes() == b"old"
        raise RuntimeError
    with pytest.raises(ValueError, match="expected uint8"), VideoWriter(path, 32, 32) as writer:
        writer.write(np.zeros((16, 32, 3), np.uint8))
    with pytest.raises(UserError, match="no frame"), VideoWriter(path, 32, 32, audio=np.zeros(100)):
        pass
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.mp4"]


def test_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write .*file"), VideoWriter(tmp_path / "file" / "a.mp4", 32, 32):
        pass


def test_memory_does_not_grow_with_the_length(tmp_path):
    """Frames reach the encoder one by one: what waits in it is bounded by its look-ahead."""
    sizes = []
    with VideoWriter(tmp_path / "a.mp4", 256, 256) as writer:
        noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
        for i in range(150):
            writer.write(np.roll(noise, i, axis=0))
            if i in (75, 149):
                sizes.append(next(tmp_path.glob(".a.mp4.*")).stat().st_size)
    assert sizes[1] > sizes[0] > 0  # packets go to the disk while writing
