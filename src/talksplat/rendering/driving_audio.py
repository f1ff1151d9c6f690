"""Driving audio: features of any length, and the sound of the video."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf

from talksplat.audio import AudioFeatures
from talksplat.audio.speech import SPEECH_RATE, speak
from talksplat.config import instantiate
from talksplat.errors import UserError
from talksplat.fingerprints import same_features
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.subject_format.audio_windows import ROWS_PER_FRAME, rewindow

logger = logging.getLogger(__name__)

SOUND_RATE = 48000  # Hz, of the sound in the video; the features are made at 16 kHz


@dataclass
class DrivingAudio:
    """One audio window per frame at 25 fps, and the sound track."""

    features: Float[np.ndarray, "frame window width"]
    sound: Float[np.ndarray, " sample"] | None
    sound_rate: int = SOUND_RATE

    def __len__(self) -> int:
        return len(self.features)


def driving_audio_from_file(
    path: str | Path,
    audio: DictConfig,
    sound: str | Path | None = None,
    speech_model: str | None = None,
    fingerprint: Float[np.ndarray, " feature"] | None = None,
    track: int | None = None,
) -> DrivingAudio:
    """Features of a recording, or stored features.

    Args:
        path: a sound or video file of any length and format, or `.npy` features [frames, window, width].
        audio: the configuration node `audio` that the avatar was trained with (`width`, `window`, `extractor`, `name`).
        sound: with features, the recording for the sound track; None: no sound.
        speech_model: checkpoint that computes the features; None: where it was when the avatar was trained.
        fingerprint: of the features that the avatar was trained with; None: unknown.
        track: number of the recording's sound track, from 1; None: the one that is most like speech.

    Raises:
        UserError: a file that cannot be read, features of another shape, or a recording for an avatar whose kind of
            features cannot be computed here.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        features = _read_features(path, audio)
        return DrivingAudio(features, None if sound is None else read_audio(sound, SOUND_RATE, track))
    if sound is not None:
        raise UserError("sound= needs audio=FEATURES.npy; a recording given as audio= is itself the sound track")
    extractor = _extractor(audio, f"audio={path}", speech_model, fingerprint)
    features = extractor(read_audio(path, track=track))
    return DrivingAudio(features, read_audio(path, SOUND_RATE, track, say=lambda sentence: None))


def driving_audio_from_text(
    text: str,
    voice: str,
    audio: DictConfig,
    speech_model: str | None = None,
    fingerprint: Float[np.ndarray, " feature"] | None = None,
) -> DrivingAudio:
    """Features of `text` spoken by espeak-ng; errors as `speak` and `driving_audio_from_file` raise them."""
    extractor = _extractor(audio, "text=", speech_model, fingerprint)
    if extractor.english_only and not voice.startswith("en"):
        logger.info(
            "%s features were trained on English; lips also follow voice=%s, slightly less accurately",
            audio.name,
            voice,
        )
    speech = speak(text, voice)
    return DrivingAudio(extractor(soxr.resample(speech, SPEECH_RATE, SAMPLE_RATE)), speech, SPEECH_RATE)


def _extractor(
    audio: DictConfig, source: str, speech_model: str | None, fingerprint: np.ndarray | None
) -> AudioFeatures:
    extractor = _open_extractor(audio, source, speech_model)
    if fingerprint is not None and not same_features(extractor.fingerprint(), fingerprint):
        raise UserError(
            f"the {audio.name} features computed here differ from those this avatar was trained with (a test sound gives "
            "other numbers): give the checkpoint that made them as speech_model=FOLDER; if an older version computed them, recompute them (preprocess features=SUBJECT overwrite=true) and train on those"
        )
    return extractor


def _open_extractor(audio: DictConfig, source: str, speech_model: str | None) -> AudioFeatures:
    if audio.extractor is None:
        raise UserError(
            f"this avatar is driven by {audio.name} features [frames, {audio.window}, {audio.width}], which cannot be "
            f"computed here from {source}: give them as audio=FEATURES.npy, with sound=RECORDING for the sound track"
        )
    if speech_model is None:
        return instantiate(audio.extractor)
    if "checkpoint" not in audio.extractor:
        raise UserError(f"speech_model={speech_model}: this avatar is driven by {audio.name} features, which need none")
    return instantiate(OmegaConf.merge(audio.extractor, {"checkpoint": speech_model}))


def _read_features(path: Path, audio: DictConfig) -> np.ndarray:
    if not path.is_file():
        raise UserError(f"no such feature file: {path}")
    try:
        features = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is not a NumPy array of numbers ({error})") from error
    if features.ndim == 3 and features.shape[1:] == (ROWS_PER_FRAME, audio.width) and audio.window > ROWS_PER_FRAME:
        features = rewindow(features.reshape(-1, audio.width), audio.window)
    if features.ndim != 3 or features.shape[1:] != (audio.window, audio.width) or not len(features):
        raise UserError(
            f"{path} has shape {tuple(features.shape)}, but this avatar is driven by {audio.name} features of shape "
            f"[frames, {audio.window}, {audio.width}]"
        )
    if not np.issubdtype(features.dtype, np.number) or not np.isfinite(features).all():
        raise UserError(f"{path} has values that are not finite numbers")
    return features.astype(np.float32)
