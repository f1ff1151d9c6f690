"""Sound and pictures are read by one clock: each block and each picture at its own time after the first picture shown."""

from __future__ import annotations

import av
import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.media.sound import read_audio
from talksplat.media.video import probe, read_frames
from tests.media.made_files import RATE, blocks_of, lag_at, long_sound, pictures_of, write_file
from tests.media.test_video import number_of

SOUND = long_sound()
ORIGINAL = long_sound(16000)
CLOSE = 0.02  # s; half of what is allowed


def check_in_step(path, times, first: float = 0.0) -> None:
    """The sound at each of `times` (of the original) and every picture are where they belong after the first picture."""
    samples = read_audio(path)
    for time in times:
        assert abs(lag_at(samples, ORIGINAL, time) + first) < CLOSE
    shown = np.array([number_of(frame) / 25 for frame in read_frames(path)])
    assert np.abs(shown - first - np.arange(len(shown)) / 25).max() < 0.041


def test_a_gap_in_the_stamps_of_the_sound_is_filled_with_silence(tmp_path, caplog):
    blocks = [(time, block) for time, block in blocks_of(SOUND) if not 1.2 <= time < 1.8]
    path = write_file(tmp_path / "a.mkv", pictures_of(), blocks)
    check_in_step(path, (0.2, 2.0, 5.0))
    assert not read_audio(path)[round(1.25 * 16000) : round(1.75 * 16000)].any()
    assert "no sound for 0.60 s from 1.20 s on" in caplog.text


def test_several_gaps(tmp_path):
    gone = [(0.5, 0.6), (1.5, 2.3), (3.0, 3.05), (4.0, 4.5)]
    blocks = [(t, block) for t, block in blocks_of(SOUND) if not any(a <= t < b for a, b in gone)]
    check_in_step(write_file(tmp_path / "a.mkv", pictures_of(), blocks), (0.05, 1.0, 2.4, 3.5, 5.0))


def test_samples_that_sum_to_less_than_the_stamps_say(tmp_path):
    """A recorder's clock that is off by half a percent, and one that loses 10 ms now and then."""
    late = [(time * 1.005, block) for time, block in blocks_of(SOUND)]
    path = write_file(tmp_path / "a.mkv", pictures_of(), late)
    assert abs(lag_at(read_audio(path), ORIGINAL, 5.0, length=0.05) - 0.025) < CLOSE
    lacking = [(time, block) for k, (time, block) in enumerate(blocks_of(SOUND)) if k % 50 != 49]
    samples = read_audio(write_file(tmp_path / "b.mkv", pictures_of(), lacking))
    for time in (0.2, 1.2, 2.2, 3.2, 4.2, 5.2):
        assert abs(lag_at(samples, ORIGINAL, time, length=0.02)) < 0.035


@pytest.mark.parametrize(
    "name, codec", [("a.mkv", "libx264"), ("a.ts", "libx264"), ("b.mkv", "mpeg4"), ("c.mkv", "libvpx-vp9")]
)
def test_a_recording_cut_within_a_group_of_pictures_stays_in_step(tmp_path, caplog, name, codec):
    """The first 20 pictures lean on one that is not there."""
    path = write_file(
        tmp_path / name,
        pictures_of(),
        blocks_of(SOUND),
        keep=lambda packet: packet.stream.type == "audio" or packet.pts * packet.time_base > 0.19,
        options={"g": "25", "bf": "0"},
        codec=codec,
    )
    check_in_step(path, (1.1, 3.0, 5.0), first=1.0)
    assert "the first 0.80 s of picture cannot be decoded: left out, with the sound there" in caplog.text


def test_starts_of_either_track(tmp_path, caplog):
    later = [(time + 0.7, block) for time, block in blocks_of(SOUND)]
    samples = read_audio(write_file(tmp_path / "a.mkv", pictures_of(), later))
    assert not samples[:11000].any() and abs(lag_at(samples, ORIGINAL, 1.0) - 0.7) < CLOSE
    assert "the sound begins 0.70 s after the picture" in caplog.text
    pictures = [(time + 0.5, image) for time, image in pictures_of()]
    for name in ("b.mkv", "b.mov", "b.ts"):
        path = write_file(tmp_path / name, pictures, blocks_of(SOUND))
        assert abs(lag_at(read_audio(path), ORIGINAL, 2.0) + 0.5) < CLOSE
        assert [number_of(frame) for frame in read_frames(path)][:50] == list(range(50))


def test_an_uneven_frame_rate_with_gaps_in_both_tracks(tmp_path, caplog):
    """Nothing was recorded for 0.9 s; pictures come 10 to 60 ms after each other."""
    random = np.random.default_rng(1)
    times = np.cumsum(random.uniform(0.01, 0.06, 200))
    images = dict(pictures_of())
    shown = [
        (t, images[min(images, key=lambda time: abs(time - t))])
        for t in times - times[0]
        if not 2.0 < t < 2.9 and t < 5.9
    ]
    blocks = [(t, block) for t, block in blocks_of(SOUND) if not 2.0 <= t < 2.9]
    path = write_file(tmp_path / "a.mkv", shown, blocks)
    samples = read_audio(path)
    for time in (0.5, 3.0, 5.0):
        assert abs(lag_at(samples, ORIGINAL, time)) < CLOSE
    numbers = np.array([number_of(frame) / 25 for frame in read_frames(path)])
    late = np.arange(len(numbers)) / 25 - numbers
    assert np.abs(late[:48]).max() < 0.07 and np.abs(late[75:]).max() < 0.07 and late.max() > 0.8
    assert "the picture stands still for 0.9" in caplog.text and "no sound for 0.90 s from 2.00 s on" in caplog.text


def test_joined_recordings_whose_time_starts_again_are_refused_by_both(tmp_path):
    first = write_file(tmp_path / "a.ts", pictures_of(3), blocks_of(SOUND[: 3 * RATE]))
    second = write_file(tmp_path / "b.ts", pictures_of(2), blocks_of(SOUND[: 2 * RATE]))
    (tmp_path / "c.ts").write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(UserError, match="c.ts: the time stamps of the sound run backwards, from .* join them anew"):
        read_audio(tmp_path / "c.ts")
    with pytest.raises(UserError, match="c.ts: the time stamps of the pictures run backwards"):
        list(read_frames(tmp_path / "c.ts"))


def test_stamps_that_jump_by_hours_are_refused(tmp_path):
    jump = 5000.0
    far = [(time + jump * (time > 3), image) for time, image in pictures_of()]
    path = write_file(tmp_path / "a.mkv", far, [(t + jump * (t > 3), block) for t, block in blocks_of(SOUND)])
    with pytest.raises(UserError, match="the sound jump, from 3.01 s to 500"):
        read_audio(path)
    with pytest.raises(UserError, match="the pictures jump"):
        list(read_frames(path))


def test_a_damaged_packet_in_the_middle_is_left_out_and_the_rest_stays_in_step(tmp_path, caplog):
    path = write_file(tmp_path / "a.mkv", pictures_of(), blocks_of(SOUND), options={"g": "10", "bf": "0"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    for packet in packets[60:63]:
        content[packet.pos + 20 : packet.pos + packet.size] = bytes(max(packet.size - 20, 0))
    path.write_bytes(content)
    shown = [number_of(frame) for frame in read_frames(path)]
    assert shown[-60:] == list(range(90, 150)) and probe(path).num_frames == 150
    assert abs(lag_at(read_audio(path), ORIGINAL, 5.0)) < CLOSE


def test_avi_has_no_times_of_display(tmp_path):
    path = write_file(tmp_path / "a.avi", pictures_of(), blocks_of(SOUND), options={"bf": "2", "preset": "fast"})
    check_in_step(path, (1.0, 5.0))


def test_sound_alone_keeps_its_gaps(tmp_path):
    blocks = [(time, block) for time, block in blocks_of(SOUND) if not 1.2 <= time < 1.8]
    write_file(tmp_path / "a.mkv", pictures_of(0.2), blocks)
    with av.open(str(tmp_path / "a.mkv")) as source, av.open(str(tmp_path / "b.mka"), "w") as container:
        stream = container.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    assert abs(lag_at(read_audio(tmp_path / "b.mka"), ORIGINAL, 3.0)) < CLOSE
