from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.media.sound import write_wav
from talksplat.media.video import probe, read_frames


def write_clip(path, images, times, rotation=None, rate=30, aspect=None):
    """H.264 clip with one image at each of `times` (seconds) and a display matrix."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "10"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for image, time in zip(images, times):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            frame.pts, frame.time_base = round(time * 90000), Fraction(1, 90000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def numbered(index: int) -> np.ndarray:
    """A picture [32, 160, 3] that holds its number in ten black and white stripes."""
    stripes = np.repeat(np.array([255 * (index >> bit & 1) for bit in range(10)], np.uint8), 16)
    return np.broadcast_to(stripes[None, :, None], (32, 160, 3))


def number_of(frame: np.ndarray) -> int:
    return sum(1 << bit for bit in range(10) if frame[:, 16 * bit + 4 : 16 * bit + 12].mean() > 128)


def upright_picture(height: int, width: int) -> np.ndarray:
    """Red at the top left, green at the top right, blue below."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    image[: height // 2, width // 2 :] = (30, 220, 30)
    image[height // 2 :] = (30, 30, 220)
    return image


def is_upright(frame: np.ndarray) -> bool:
    height, width = frame.shape[:2]
    places = [(height // 4, width // 4), (height // 4, 3 * width // 4), (3 * height // 4, width // 2)]
    return [int(frame[place].argmax()) for place in places] == [0, 1, 2]


@pytest.mark.parametrize("rotation", [90, -90, 180, 0])
def test_rotated_phone_video_comes_out_upright(tmp_path, rotation):
    upright = upright_picture(96, 54)
    # Stored as the sensor saw it: what the display matrix turns back counter-clockwise.
    stored = np.rot90(upright, -rotation // 90)
    rate = Fraction(30000, 1001)
    write_clip(tmp_path / "a.mp4", [stored] * 60, [i / float(rate) for i in range(60)], rotation, rate)
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.rotation) == (54, 96, rotation % 360)
    assert info.fps == pytest.approx(29.97, abs=0.01) and info.num_frames == 60
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert len(frames) == 50  # 2.002 s
    assert all(frame.shape == (96, 54, 3) and is_upright(frame) for frame in frames)


def test_full_size_phone_video(tmp_path):
    stored = np.rot90(upright_picture(1920, 1080), 1)
    write_clip(tmp_path / "a.mp4", [stored] * 6, [i * 1001 / 30000 for i in range(6)], -90, Fraction(30000, 1001))
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert len(frames) == 5 and frames[0].shape == (1920, 1080, 3) and is_upright(frames[0])


RATES = [Fraction(30000, 1001), Fraction(25), Fraction(60), Fraction(24000, 1001), Fraction(15)]


@pytest.mark.parametrize("rate", RATES)
def test_resampling_shows_the_frame_nearest_in_time(tmp_path, rate):
    times = np.arange(int(4 * rate)) / float(rate)
    write_clip(tmp_path / "a.mp4", [numbered(i) for i in range(len(times))], times, rate=rate)
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert abs(len(frames) - 25 * len(times) / float(rate)) <= 0.5
    errors = np.array([times[number_of(frame)] - i / 25 for i, frame in enumerate(frames)])
    assert np.abs(errors).max() <= max(0.5 / float(rate), 1 / float(rate) - 0.02) + 1e-3
    assert abs(errors.mean()) < 0.003 or rate < 20  # no lag against the sound


def test_variable_frame_rate_holds_pictures_and_does_not_drift(tmp_path):
    random = np.random.default_rng(0)
    times = np.concatenate([[0], np.cumsum(random.uniform(0.01, 0.06, 60))])
    times[40:] += 1.0  # a picture held for a second
    write_clip(tmp_path / "a.mp4", [numbered(i) for i in range(len(times))], times)
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert abs(len(frames) / 25 - times[-1]) < 0.1
    for i, frame in enumerate(frames):
        newest = np.flatnonzero(times <= i / 25 + 0.021).max()
        oldest = np.flatnonzero(times <= i / 25 + 1e-4).max()
        assert oldest <= number_of(frame) <= newest


def test_late_start_does_not_shift_the_frames(tmp_path):
    times = [2.0 + i / 25 for i in range(20)]
    write_clip(tmp_path / "a.mkv", [numbered(i) for i in range(20)], times, rate=25)
    assert [number_of(frame) for frame in read_frames(tmp_path / "a.mkv")] == list(range(20))


def test_square_crop_and_pixel_aspect(tmp_path):
    image = np.full((40, 80, 3), 10, np.uint8)
    image[:, 20:60] = 200
    write_clip(tmp_path / "a.mp4", [image] * 3, [0, 0.04, 0.08], rate=25)
    frame = next(read_frames(tmp_path / "a.mp4", size=20))
    assert frame.shape == (20, 20, 3) and frame.min() > 180
    write_clip(tmp_path / "b.mp4", [image] * 3, [0, 0.04, 0.08], rate=25, aspect=Fraction(2, 1))
    info = probe(tmp_path / "b.mp4")
    assert (info.width, info.height) == (160, 40)
    assert next(read_frames(tmp_path / "b.mp4")).shape == (40, 160, 3)


def test_frames_are_decoded_one_by_one(tmp_path):
    write_clip(tmp_path / "a.mp4", [numbered(0)] * 10, [i / 25 for i in range(10)], rate=25)
    frames = read_frames(tmp_path / "a.mp4")
    assert next(frames).shape == (32, 160, 3)
    frames.close()


def test_half_a_second_reads_fine(tmp_path):
    write_clip(tmp_path / "a.mp4", [numbered(0)] * 12, [i / 25 for i in range(12)], rate=25)
    info = probe(tmp_path / "a.mp4")
    assert info.duration == pytest.approx(0.48, abs=0.01) and not info.has_audio
    assert len(list(read_frames(tmp_path / "a.mp4"))) == 12


def test_broken_off_clip_gives_what_is_there(tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 255, (75, 64, 64, 3), dtype=np.uint8)
    write_clip(tmp_path / "a.mkv", list(noise), [i / 25 for i in range(75)], rate=25)
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "b.mkv").write_bytes(content[: len(content) // 2])
    assert 5 < len(list(read_frames(tmp_path / "b.mkv"))) < 60


def test_bad_files_are_named_at_once(tmp_path):
    with pytest.raises(UserError, match="no such video file.*missing.mp4"):
        read_frames(tmp_path / "missing.mp4")
    (tmp_path / "text.mp4").write_text("not a video\n" * 1000)
    with pytest.raises(UserError, match="text.mp4 cannot be read as a video"):
        read_frames(tmp_path / "text.mp4")
    write_wav(tmp_path / "sound.wav", np.zeros(16000))
    with pytest.raises(UserError, match="sound.wav has no video track"):
        probe(tmp_path / "sound.wav")
    write_clip(tmp_path / "a.mp4", [numbered(0)] * 30, [i / 25 for i in range(30)], rate=25)
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])  # the index at its end is gone
    with pytest.raises(UserError, match="cut.mp4 cannot be read"):
        probe(tmp_path / "cut.mp4")
