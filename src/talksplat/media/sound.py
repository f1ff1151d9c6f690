"""Audio in and out: any file that FFmpeg reads, as mono samples."""

from __future__ import annotations

import logging
import math
import wave
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float

from talksplat.errors import UserError
from talksplat.files import replacing
from talksplat.media import SAMPLE_RATE

logger = logging.getLogger(__name__)

SILENCE = 1e-4  # three steps of 16-bit PCM: nothing was recorded
NOTED_DIFFERENCE = 0.1  # s between the ends of sound and picture; encoders leave less


def read_audio(path: str | Path, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Samples float32 [n] in about [-1, 1], mono, at `rate` Hz, of the first audio track of an audio or video file.

    In a video, sample 0 is at the time of the first picture: a track that starts later (or earlier) is padded (or cut),
    so that sound and picture stay together. All channels are mixed down.

    Raises:
        UserError: no such file, not an audio file, no audio track, no samples, samples that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no such audio file: {path}")
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise UserError(f"{path} has no audio track: give a file with sound")
            samples = _decode(container, rate)
    except (av.FFmpegError, ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as audio ({error}): give a wav, mp3, m4a, flac, ogg or video file"
        ) from error
    if not len(samples):
        raise UserError(f"{path} has an audio track without any samples")
    if not np.isfinite(samples).all():
        raise UserError(f"{path} has samples that are not finite numbers: export it again as 16-bit PCM")
    return samples


def picture_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream | None:
    """The first video track, cover pictures of music files not counted."""
    pictures = (s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
    return next(pictures, None)


def _decode(container: av.container.InputContainer, rate: int) -> np.ndarray:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    blocks: list[np.ndarray] = []
    start, gain = 0.0, 1.0
    try:
        for frame in container.decode(container.streams.audio[0]):
            if not blocks:
                start = frame.time or 0.0
                # FFmpeg adds channels at equal power; halved, sound in the middle of a stereo field keeps its level.
                gain = 1.0 if frame.layout.nb_channels == 1 else math.sqrt(0.5)
            blocks += [block.to_ndarray()[0] for block in resampler.resample(frame)]
    except av.FFmpegError as error:
        if not blocks:
            raise
        logger.warning("%s: the audio track breaks off (%s); what comes before is used", container.name, error)
    if not blocks:
        return np.zeros(0, np.float32)
    blocks += [block.to_ndarray()[0] for block in resampler.resample(None)]
    samples = gain * np.concatenate(blocks)
    picture = picture_stream(container)
    if picture is not None and picture.start_time is not None:
        samples = shifted(samples, round((start - float(picture.start_time * picture.time_base)) * rate))
    return samples.astype(np.float32, copy=False)


def shifted(samples: np.ndarray, offset: int) -> np.ndarray:
    """Sound that comes `offset` samples later, with silence before it; or earlier, with its beginning cut off."""
    if offset >= 0:
        return np.concatenate([np.zeros(offset, np.float32), samples])
    return samples[-offset:]


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
