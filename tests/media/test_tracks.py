"""Of several tracks the right one is read, and what changes within a track is handled or refused."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.media.sound import read_audio, read_tracks
from talksplat.media.speech_track import likeness
from talksplat.media.video import probe, read_frames
from tests.media.made_files import (
    OTHERS,
    RATE,
    SECONDS,
    SPEECH,
    TIME,
    blocks_of,
    lag_at,
    long_sound,
    pictures_of,
    resized,
    write_file,
)
from tests.media.test_video import number_of


@pytest.mark.parametrize("name", OTHERS)
def test_of_two_sound_tracks_the_one_with_speech_is_read(tmp_path, caplog, name):
    for number, tracks in ((2, (OTHERS[name], SPEECH)), (1, (SPEECH, OTHERS[name]))):
        path = write_file(tmp_path / "a.mkv", pictures_of(), *(blocks_of(track) for track in tracks))
        assert abs(lag_at(read_audio(path), np.interp(np.arange(96000) / 16000, TIME, SPEECH), 1.0, length=2.0)) < 0.005
        assert f"of 2 sound tracks number {number} is used, which is most like speech" in caplog.text
        assert (f"(silent: {3 - number})" in caplog.text) == (name == "silent")
        caplog.clear()
    found = read_audio(path, track=2)
    assert not caplog.records and np.array_equal(found, read_tracks(path)[1])
    with pytest.raises(UserError, match="a.mkv has no sound track 3: it has 2, counted from 1"):
        read_audio(path, track=3)


def test_tracks_of_unknown_codecs_are_passed_over(tmp_path):
    """As phones write spatial sound beside the ordinary one."""
    path = write_file(tmp_path / "a.mkv", pictures_of(), blocks_of(OTHERS["music"]), blocks_of(SPEECH))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"A_PCM/INT/LIT", b"A_PCM/INT/XYZ", 1))
    assert len(read_tracks(path)[0]) == 0 and np.array_equal(read_audio(path), read_tracks(path)[1])
    path.write_bytes(content.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ", 1))
    assert len(read_audio(path)) == SECONDS * 16000
    with pytest.raises(UserError, match="a.mkv has no video track that can be decoded"):
        probe(path)


@pytest.mark.clips
def test_real_recordings_are_more_like_speech_than_anything_made():
    folder = Path(os.environ["TALKSPLAT_CLIPS"])
    voices = [likeness(read_audio(path)[: 30 * 16000]) for path in sorted(folder.glob("*.mp4"))]
    assert min(voices) > 0.55
    assert max(likeness(track[::3]) for track in OTHERS.values()) < 0.5 * min(voices)


def two_pictures(path, sizes, frames=(50, 50), disposition=(0, 0)) -> Path:
    with av.open(str(path), "w") as container:
        streams = []
        for (height, width), kind in zip(sizes, disposition):
            stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            stream.disposition = av.stream.Disposition(kind)
            streams.append(stream)
        for level, stream, count in zip((60, 180), streams, frames):
            for index in range(count):
                frame = av.VideoFrame.from_ndarray(np.full((stream.height, stream.width, 3), level, np.uint8), "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def test_of_several_video_tracks_the_largest_is_read_or_the_wanted_one(tmp_path, caplog):
    path = two_pictures(tmp_path / "a.mkv", [(32, 64), (64, 96)])
    assert next(read_frames(path)).shape == (64, 96, 3)
    assert "it has 2 video tracks, of which the default one is read (96x64)" in caplog.text
    assert abs(next(read_frames(path, track=1)).mean() - 60) < 3
    assert probe(path, 1).width == 64
    with pytest.raises(UserError, match="a.mkv has no video track 3: it has 2"):
        probe(path, 3)


def sizes(*shapes: tuple[int, int]) -> list[list[np.ndarray]]:
    """A second of pictures of each height and width."""
    return [[cv2.resize(image, (width, height)) for _, image in pictures_of(1)] for height, width in shapes]


def test_pictures_of_another_size_are_scaled_to_the_first(tmp_path, caplog):
    path = resized(tmp_path / "a.ts", sizes((64, 320), (48, 240), (96, 480)))
    frames = list(read_frames(path))
    assert {frame.shape for frame in frames} == {(64, 320, 3)}
    big = [cv2.resize(frame, (160, 32)) for frame in frames]
    assert [number_of(frame) for frame in big] == [*range(25)] * 3
    assert "changes from 320x64 to 240x48 at 1.00 s: scaled to 320x64" in caplog.text
    assert "changes from 320x64 to 480x96 at 2.00 s" in caplog.text and len(caplog.records) == 2


def test_another_pixel_format_changes_nothing(tmp_path, caplog):
    path = resized(tmp_path / "a.mkv", sizes((64, 320), (64, 320), (64, 320)), ["yuv420p", "yuv444p", "yuv420p"])
    assert [number_of(cv2.resize(frame, (160, 32))) for frame in read_frames(path)] == [*range(25)] * 3
    assert not caplog.records


def test_another_shape_is_refused(tmp_path):
    path = resized(tmp_path / "a.mkv", sizes((64, 320), (64, 240)))
    with pytest.raises(
        UserError, match="shape of the picture changes from 320x64 to 240x64 at 1.00 s: cut the video there"
    ):
        list(read_frames(path))


def test_the_format_of_the_sound_may_change(tmp_path):
    """Mono, stereo and another sample rate in one transport stream, as broadcasts have them between programmes."""
    sound, parts = long_sound(), []
    for index, (layout, rate) in enumerate((("mono", 48000), ("stereo", 48000), ("stereo", 32000))):
        part = tmp_path / f"{index}.ts"
        with av.open(str(part), "w") as container:
            stream = container.add_stream("mp2", rate=rate, layout=layout)
            piece = sound[2 * index * RATE : 2 * (index + 1) * RATE]
            piece = np.interp(np.arange(2 * rate) / rate, np.arange(2 * RATE) / RATE, piece)
            pcm = np.round(np.stack([piece] * (1 + (layout == "stereo"))) * 32767).astype(np.int16)
            for start in range(0, 2 * rate, 1152):
                block = np.ascontiguousarray(pcm[:, start : start + 1152].T.reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(block, "s16", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, start + 2 * index * rate, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(part.read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    samples, original = read_audio(tmp_path / "a.ts"), long_sound(16000)
    for time in (0.5, 2.5, 4.5):
        assert abs(lag_at(samples, original, time)) < 0.03


def test_a_cover_picture_is_no_video(tmp_path):
    path = two_pictures(
        tmp_path / "a.mkv", [(96, 160), (32, 64)], (1, 50), (int(av.stream.Disposition.attached_pic), 0)
    )
    assert next(read_frames(path)).shape == (32, 64, 3)
