"""Audio in and out: any file that FFmpeg reads, as mono samples."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float

from talksplat.errors import UserError
from talksplat.files import replacing
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound_track import decode_track
from talksplat.media.speech_track import SILENCE, most_like_speech
from talksplat.media.tracks import Say, first_shown, picture_stream, start_of, warn

UNREADABLE = (av.FFmpegError, ValueError, UnicodeDecodeError)
NOTED_DIFFERENCE = 0.1  # s between the ends of sound and picture; encoders leave less


def read_audio(
    path: str | Path,
    rate: int = SAMPLE_RATE,
    track: int | None = None,
    picture: int | None = None,
    say: Say | None = None,
) -> np.ndarray:
    """Samples float32 [n] in about [-1, 1], mono, at `rate` Hz, of an audio track of an audio or video file.

    In a video, sample 0 is at the time of the first picture that `read_frames` shows, and every block of sound at its own
    time: what starts later is padded, what starts earlier cut, gaps are filled with silence. All channels are mixed down.

    Args:
        track: number of the audio track, from 1; None: the one that is most like speech.
        picture: number of the video track, from 1, as for `read_frames`.
        say: takes sentences about what is odd; None: they are logged.

    Raises:
        UserError: no such file, not an audio file, no audio track, no samples, samples that are not finite, time stamps
            that run backwards.
    """
    path, say = Path(path), say or warn(path)
    count, start = _sound_tracks(path, picture)
    if track is not None and not 1 <= track <= count:
        raise UserError(f"{path} has no sound track {track}: it has {count}, counted from 1")
    if track is None and count > 1:
        tracks = read_tracks(path, picture)
        track = most_like_speech(tracks) + 1
        say(f"of {count} sound tracks number {track} is used, which is most like speech{_silent(tracks)}")
    samples = _read_track(path, track or 1, rate, start, say)
    if not len(samples):
        raise UserError(f"{path} has an audio track without any samples")
    if not np.isfinite(samples).all():
        raise UserError(f"{path} has samples that are not finite numbers: export it again as 16-bit PCM")
    return samples


def read_tracks(path: Path, picture: int | None = None) -> list[np.ndarray]:
    """Every audio track as `read_audio` reads it; without samples where one cannot be decoded."""
    count, start = _sound_tracks(path, picture)
    tracks = []
    for number in range(1, count + 1):
        try:
            samples = _read_track(path, number, SAMPLE_RATE, start, lambda sentence: None)
        except UserError:
            samples = np.zeros(0, np.float32)
        tracks.append(samples if np.isfinite(samples).all() else samples[:0])
    return tracks


def _silent(tracks: list[np.ndarray]) -> str:
    silent = [str(k) for k, samples in enumerate(tracks, 1) if np.abs(samples).max(initial=0) < SILENCE]
    return f" (silent: {', '.join(silent)})" if silent else ""


def _sound_tracks(path: Path, picture: int | None) -> tuple[int, float | None]:
    """Number of audio tracks, and the time of the first picture where there are pictures."""
    if not path.is_file():
        raise UserError(f"no such audio file: {path}")
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise UserError(f"{path} has no audio track: give a file with sound")
            stream = picture_stream(container, picture)
            shown = None if stream is None else first_shown(container, stream)
            return len(container.streams.audio), None if shown is None else start_of(shown[0], stream)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _read_track(path: Path, number: int, rate: int, start: float | None, say: Say) -> np.ndarray:
    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[number - 1]
            if stream.codec_context is None:
                raise ValueError("its codec is not known")
            return decode_track(container, stream, rate, start, say)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as audio ({error}): give a wav, mp3, m4a, flac, ogg or video file")


def fit_to_length(samples: np.ndarray, seconds: float, rate: int = SAMPLE_RATE) -> tuple[np.ndarray, str | None]:
    """Sound cut, or filled up with silence, to the length of its video; and a note if they differ by over 0.1 s."""
    wanted = round(seconds * rate)
    difference = (len(samples) - wanted) / rate
    fitted = samples[:wanted] if difference > 0 else np.pad(samples, (0, wanted - len(samples)))
    if difference > NOTED_DIFFERENCE:
        return fitted, f"the sound lasts {difference:.2f} s longer than the picture: the rest is left out"
    if difference < -NOTED_DIFFERENCE:
        return fitted, (
            f"the sound ends {-difference:.2f} s before the picture: the rest is filled with silence, where lips that move "
            "teach an avatar nothing; cut the video to the sound"
        )
    return fitted, None


def write_wav(path: str | Path, samples: np.ndarray, rate: int = SAMPLE_RATE) -> None:
    """Write float samples [n] in [-1, 1] (louder ones are clipped) as 16-bit mono PCM.

    Raises:
        UserError: samples that are not finite.
    """
    path = Path(path)
    if not np.isfinite(samples).all():
        raise UserError(f"audio for {path} has samples that are not finite numbers")
    pcm = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    with replacing(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())


def check_sound(samples: Float[np.ndarray, " sample"], source: Path) -> None:
    """Raise UserError if nothing was recorded."""
    if np.abs(samples).max(initial=0) < SILENCE:
        raise UserError(f"{source} is silent: lips cannot be learned from it; give the clip's sound (audio_file=FILE)")
