"""Whether sound and picture of a clip belong together in time, and moving the sound where they do not (`lips.sync`)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from talksplat.audio import VIDEO_FPS, AudioFeatures, MelFeatures, WhisperFeatures
from talksplat.errors import UserError
from talksplat.files import content_hash, write_bytes
from talksplat.fingerprints import same_features
from talksplat.lips.measures import lip_measures
from talksplat.lips.prior import LipPrior
from talksplat.lips.shipped import find_prior
from talksplat.lips.sync import SoundOffset, find_offset
from talksplat.media import SAMPLE_RATE
from talksplat.media.face_landmarker import DLIB68
from talksplat.media.sound_track import shifted
from talksplat.preprocess.clip_plan import ClipPlan
from talksplat.preprocess.faces import FaceStream
from talksplat.preprocess.source import AUTO

OFFSET_FILE = "offset.json"
SMALLEST = 20  # ms that are worth moving: half a frame
PRIORS = {WhisperFeatures: "whisper_tiny_en", MelFeatures: "mel"}


class SoundSync:
    """Finds a clip's offset by the best lip prior whose features can be computed here.

    Args:
        features: those of the subject, used where there is a prior for them.
        assets: folder in which Whisper's weights are looked for.
    """

    def __init__(self, features: AudioFeatures, assets: Path | None) -> None:
        self.features, self.prior_file = _choose(features, assets)

    def identity(self) -> dict[str, Any]:
        """JSON values that, with sound and faces, determine the offset."""
        return {**self.features.identity(), "prior": content_hash(self.prior_file)}

    def find(self, samples: Float[np.ndarray, " sample"], plan: ClipPlan, faces: FaceStream) -> SoundOffset:
        """Offset of the sound (16 kHz, sample 0 at frame 0) in the frames that are used."""
        measures = lip_measures(plan.landmarks(faces)[:, list(DLIB68), :2])
        return find_offset(LipPrior.load(self.prior_file), self.features.rows(samples), plan.frame_ids, measures)


def _choose(features: AudioFeatures, assets: Path | None) -> tuple[AudioFeatures, Path]:
    name = PRIORS.get(type(features))
    if name is not None:
        path = find_prior(name)
        if same_features(features.fingerprint(), LipPrior.load(path).fingerprint):
            return features, path
    try:
        return WhisperFeatures(assets=assets, download=False), find_prior(PRIORS[WhisperFeatures])
    except UserError:
        return MelFeatures(), find_prior(PRIORS[MelFeatures])


def save_offset(folder: Path, offset: SoundOffset) -> dict[str, Any]:
    """Write offset.json; returns what a person wants to know of it."""
    values = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in asdict(offset).items()}
    write_bytes(folder / OFFSET_FILE, json.dumps(values).encode())
    late = None if offset.offset is None else round(1000 * offset.offset)
    return {"late_ms": late, "certain": offset.confident, "correlation": round(offset.score, 2)}


def load_offset(folder: Path) -> SoundOffset:
    """What `save_offset` wrote."""
    values = json.loads((folder / OFFSET_FILE).read_text())
    return SoundOffset(**{key: np.array(value) if isinstance(value, list) else value for key, value in values.items()})


def shift_for(wanted: str | int, found: SoundOffset) -> int:
    """Milliseconds by which to move the sound earlier: those of the settings, or with auto those found for certain."""
    if wanted != AUTO:
        return int(wanted)
    late = round(1000 * found.offset) if found.confident else 0
    return late if abs(late) >= SMALLEST else 0


def move_earlier(samples: Float[np.ndarray, " sample"], milliseconds: int) -> Float[np.ndarray, " sample"]:
    """The sound so much earlier, as long as before; later for a negative number."""
    moved = shifted(samples, -round(milliseconds * SAMPLE_RATE / 1000))[: len(samples)]
    return np.pad(moved, (0, len(samples) - len(moved)))


def loudness(samples: Float[np.ndarray, " sample"], num_frames: int) -> Float[np.ndarray, " frame"]:
    """Loudness of each video frame: mean log-mel energy of its 40 ms, 0 for silence."""
    rows = MelFeatures(num_mels=24, rate=VIDEO_FPS).rows(samples).mean(1)
    return np.pad(rows[:num_frames], (0, max(0, num_frames - len(rows))))
