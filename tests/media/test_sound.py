from __future__ import annotations

import os
import wave
from fractions import Fraction

import av
import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import fit_to_length, read_audio, write_wav


def beep(rate: int, onset: float = 0.5, seconds: float = 1.0, frequency: float = 440.0) -> np.ndarray:
    time = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency * time) * (time >= onset)).astype(np.float32)


def encode(path, channels: np.ndarray, rate: int, codec: str, layout: str, with_video: bool = False) -> None:
    """Writes `channels` [C, n] with PyAV, in any codec of its FFmpeg."""
    with av.open(str(path), "w") as container:
        if with_video:
            video = container.add_stream("libx264", rate=25)
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
        stream = container.add_stream(codec, rate=rate, layout=layout)
        if with_video:
            for _ in range(25):
                image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
                container.mux(video.encode(image))
            container.mux(video.encode(None))
        packed = np.ascontiguousarray(channels.astype(np.float32))
        frame = av.AudioFrame.from_ndarray(packed, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        fitting = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
        fifo = av.AudioFifo()
        for block in fitting.resample(frame) + fitting.resample(None):
            fifo.write(block)
        while block := fifo.read(stream.codec_context.frame_size or 1024, partial=True):
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))


def onset_of(samples: np.ndarray) -> float:
    return np.flatnonzero(np.abs(samples) > 0.1)[0] / SAMPLE_RATE


def test_wav_round_trip(tmp_path):
    samples = beep(16000)
    write_wav(tmp_path / "a.wav", samples)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.wav"]
    read = read_audio(tmp_path / "a.wav")
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, samples, atol=1e-4)
    write_wav(tmp_path / "a.wav", np.array([2.0, -2.0]))
    assert np.abs(read_audio(tmp_path / "a.wav")).max() <= 1


@pytest.mark.parametrize(
    "name, codec, rate, layout",
    [
        ("a.mp3", "libmp3lame", 44100, "stereo"),
        ("a.m4a", "aac", 48000, "stereo"),
        ("a.flac", "flac", 24000, "mono"),
        ("a.ogg", "libopus", 48000, "stereo"),
        ("a.wav", "pcm_s16le", 8000, "mono"),
        ("a.mka", "pcm_f32le", 44100, "5.1"),
    ],
)
def test_any_format_comes_out_at_16_khz_in_time(tmp_path, name, codec, rate, layout):
    channels = np.tile(beep(rate), (av.AudioLayout(layout).nb_channels, 1))
    encode(tmp_path / name, channels, rate, codec, layout)
    samples = read_audio(tmp_path / name)
    assert abs(len(samples) - SAMPLE_RATE) < 0.06 * SAMPLE_RATE
    assert abs(onset_of(samples) - 0.5) < 0.004
    if layout != "5.1":
        assert abs(np.abs(samples[9000:14000]).max() - 0.5) < 0.05


def test_channels_are_mixed(tmp_path):
    left_only = np.stack([beep(16000), np.zeros(16000)])
    encode(tmp_path / "a.wav", left_only, 16000, "pcm_s16le", "stereo")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), beep(16000) / 2, atol=1e-3)


def test_sound_of_a_video(tmp_path):
    encode(tmp_path / "a.mp4", beep(48000)[None], 48000, "aac", "mono", with_video=True)
    assert abs(onset_of(read_audio(tmp_path / "a.mp4")) - 0.5) < 0.004


def test_broken_off_file_gives_what_is_there(tmp_path):
    encode(tmp_path / "a.mp3", beep(44100, onset=0.1)[None], 44100, "libmp3lame", "mono")
    content = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "b.mp3").write_bytes(content[: len(content) // 2])
    assert 0.3 < len(read_audio(tmp_path / "b.mp3")) / SAMPLE_RATE < 0.7


def _silent_video(path):
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 32
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        container.mux(video.encode(None))


def test_bad_files_are_named(tmp_path):
    with pytest.raises(UserError, match="no such audio file.*missing.wav"):
        read_audio(tmp_path / "missing.wav")
    (tmp_path / "text.wav").write_text("not audio\n" * 100)
    with pytest.raises(UserError, match="text.wav cannot be read as audio"):
        read_audio(tmp_path / "text.wav")
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(UserError, match="empty.wav"):
        read_audio(tmp_path / "empty.wav")
    _silent_video(tmp_path / "silent.mp4")
    with pytest.raises(UserError, match="silent.mp4 has no audio track"):
        read_audio(tmp_path / "silent.mp4")
    with wave.open(str(tmp_path / "header.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
    with pytest.raises(UserError, match="header.wav"):
        read_audio(tmp_path / "header.wav")
    encode(tmp_path / "nan.wav", np.full((1, 2000), np.nan), 16000, "pcm_f32le", "mono")
    with pytest.raises(UserError, match="not finite"):
        read_audio(tmp_path / "nan.wav")


def test_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="not finite"):
        write_wav(tmp_path / "a.wav", np.array([np.inf]))
    assert os.listdir(tmp_path) == []


def test_sound_is_fitted_to_the_length_of_the_picture():
    samples = np.ones(32000, np.float32)
    same, note = fit_to_length(samples, 2.04)
    assert len(same) == 32640 and note is None  # a codec's padding is not worth a word
    long, note = fit_to_length(samples, 1.5)
    assert len(long) == 24000 and "0.50 s longer than the picture" in note
    short, note = fit_to_length(samples, 5.0)
    assert len(short) == 80000 and not short[32000:].any() and "ends 3.00 s before the picture" in note
