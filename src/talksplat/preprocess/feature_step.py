"""Audio features as a kept step, and features of another kind for a subject folder that is there already."""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from talksplat.audio import AudioFeatures
from talksplat.errors import UserError
from talksplat.files import write_bytes
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import check_sound, read_audio
from talksplat.preprocess.cache import StepCache, StepResult
from talksplat.subject_format.audio_windows import about_path
from talksplat.subject_format.images import ORIGINAL_SUFFIXES

VERSION = 3  # raised whenever the code gives other features
FEATURES_FILE = "features.npy"
ABOUT_FILE = "about.json"


def feature_name(files: list[str]) -> str:
    """NAME of the first of `audio.files`, aud_NAME.npy, to which new features are written. Raises UserError."""
    match = re.fullmatch(r"aud_(\w+)\.npy", files[0]) if files else None
    if match is None:
        raise UserError(f"audio.files must begin with the file to write, named aud_NAME.npy, not {files[:1]}")
    return match[1]


def keep_features(
    cache: StepCache,
    name: str,
    features: AudioFeatures,
    samples: Float[np.ndarray, " sample"],
    num_frames: int,
    source: Path,
) -> StepResult:
    """A folder with `features.npy` as a subject folder keeps them and `about.json` (`about`), made again only for another sound, frame count, kind of
    features, setting or checkpoint. Raises UserError if `source` is silent, and what the features raise."""

    def compute(folder: Path) -> dict:
        windows = _windows(features, samples, num_frames, source)
        write_bytes(folder / FEATURES_FILE, _npy(windows))
        write_bytes(folder / ABOUT_FILE, about(features))
        return {"windows": len(windows), "rows": windows.shape[1], "width": features.width}

    sound = hashlib.sha256(np.ascontiguousarray(samples, np.float32).tobytes()).hexdigest()
    inputs = {"sound": sound, "frames": num_frames, "features": features.identity()}
    return cache.run(f"features_{name}", VERSION, inputs, compute)


def add_features(
    root: Path, features: AudioFeatures, name: str, overwrite: bool = False, work: Path | None = None
) -> tuple[Path, tuple[int, ...]]:
    """Write `aud_{name}.npy` and `aud_{name}.json` into a subject folder, from its `aud.wav`; nothing else changes there.

    Args:
        root: subject folder of this project or of one that shares its layout.
        overwrite: replace features that are there.
        work: folder of kept steps; None: `<root>.work` where preprocessing left it, otherwise nothing is kept.

    Returns:
        the file and its shape.

    Raises:
        UserError: no subject folder, no `aud.wav`, features that are there already, silence; nothing is written.
    """
    root = Path(root).expanduser()
    frames = [path for path in root.glob("ori_imgs/*") if path.suffix in ORIGINAL_SUFFIXES]
    numbers = [int(path.stem) for path in frames if path.stem.isdigit()]
    if not numbers:
        raise UserError(
            f"features={root} is no subject folder with frames in ori_imgs: make one with preprocess video=..."
        )
    target, source = root / f"aud_{name}.npy", root / "aud.wav"
    if target.exists() and not overwrite:
        raise UserError(f"{target} is there already: give overwrite=true to replace it")
    if not source.is_file():
        raise UserError(f"{source} is missing: put the clip's sound there as 16 kHz mono wav")
    samples = read_audio(source)
    num_frames = max(max(numbers) + 1, -(-len(samples) * 25 // SAMPLE_RATE))
    kept = root.with_name(root.name + ".work") if work is None else work
    if work is None and not kept.is_dir():
        data, words = _npy(_windows(features, samples, num_frames, source)), about(features)
    else:
        step = keep_features(StepCache(kept), name, features, samples, num_frames, source)
        data, words = ((step.folder / file).read_bytes() for file in (FEATURES_FILE, ABOUT_FILE))
    write_bytes(about_path(target), words)
    write_bytes(target, data)
    return target, np.load(io.BytesIO(data)).shape


def about(features: AudioFeatures) -> bytes:
    """JSON beside a feature file: what made it, and the fingerprint by which features of one shape are told apart."""
    fingerprint = [float(f"{value:.6g}") for value in features.fingerprint()]
    return json.dumps({"features": features.identity(), "fingerprint": fingerprint}).encode()


def _windows(features: AudioFeatures, samples: np.ndarray, num_frames: int, source: Path) -> np.ndarray:
    check_sound(samples, source)
    windows = features.stored(samples, num_frames)
    if not np.isfinite(windows).all():
        raise UserError(f"the {type(features).__name__} of {source} are not finite: the checkpoint is damaged")
    return windows


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
