"""The video track with a face and the sound that the lips follow are found."""

from __future__ import annotations

import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.lips.sync import SoundOffset
from talksplat.media.assets import face_landmarker_path
from talksplat.media.video import read_frames
from talksplat.preprocess.source import open_source, with_followed_track
from tests.media.made_files import OTHERS, SPEECH, blocks_of, pictures_of, write_file


def unused() -> Path:
    raise AssertionError("no landmarker is needed")


def offset(score: float, confident: bool) -> SoundOffset:
    return SoundOffset(0.02, confident, score, 0.02, np.zeros(3), np.zeros(3))


def test_the_sound_that_the_lips_follow_is_taken(tmp_path):
    """What is most like speech where lips do not tell; they are not compared with silence."""
    tracks = [blocks_of(sound) for sound in (OTHERS["music"], 0 * SPEECH, SPEECH, OTHERS["noise"])]
    path = write_file(tmp_path / "a.mkv", pictures_of(), *tracks)
    source = open_source(path, None, unused)
    asked, certain = [], []

    def find(samples: np.ndarray, number: int) -> SoundOffset:
        asked.append(number)
        return offset(0.1 * number, number in certain)

    for certain[:], number, words in (((), 3, "most like speech"), ((1, 4), 4, "the lips follow (correlation 0.40)")):
        found = with_followed_track(source, find)
        assert np.array_equal(found.samples, source.tracks[number - 1]) and not found.tracks
        assert found.notes[0].startswith(f"of 4 sound tracks number {number} is used") and words in found.notes[0]
        assert "(silent: 2); clip.sound_track=N" in found.notes[0] and asked == [1, 3, 4]
        asked.clear()
    wanted = open_source(path, None, unused, sound=1)
    assert np.array_equal(wanted.samples, source.tracks[0]) and with_followed_track(wanted, find) is wanted
    with pytest.raises(UserError, match="a.mkv is silent"):
        open_source(path, None, unused, sound=2)


@pytest.mark.clips
@pytest.mark.assets
def test_the_video_track_with_a_face_is_taken(tmp_path):
    clip = Path(os.environ["TALKSPLAT_CLIPS"]) / "hdtf_radio2.mp4"
    person = [(k / 25, cv2.resize(frame, (192, 192))) for k, frame in zip(range(60), read_frames(clip))]
    slides = [(time, np.full((240, 320, 3), 200, np.uint8)) for time, _ in person]
    parts = [write_file(tmp_path / "1.mkv", slides, blocks_of(SPEECH)), write_file(tmp_path / "2.mkv", person)]
    with (
        av.open(str(parts[0])) as first,
        av.open(str(parts[1])) as second,
        av.open(str(tmp_path / "a.mkv"), "w") as file,
    ):
        streams = {s: file.add_stream_from_template(s) for s in (*first.streams, *second.streams)}
        packets = [packet for source in (first, second) for packet in source.demux() if packet.dts is not None]
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            packet.stream = streams[packet.stream]
            file.mux(packet)
    source = open_source(tmp_path / "a.mkv", None, lambda: face_landmarker_path(None))
    assert source.picture == 2 and (source.info.width, source.info.height) == (192, 192)
    assert "of 2 video tracks number 2 is used, which shows a face in" in source.notes[0]
    assert open_source(tmp_path / "a.mkv", None, unused, picture=1).info.width == 320
