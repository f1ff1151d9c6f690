"""Traps in sound, audio features and action units of a subject folder (GaussianTalker)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from talksplat.config.compose import CONF_DIR
from talksplat.errors import UserError
from talksplat.preprocess.check.findings import Finding, Level
from talksplat.preprocess.check.folder import Folder
from talksplat.subject_format.action_units import BLINK_COLUMN, FLAT, read_columns, usable_rows
from talksplat.subject_format.audio_windows import MAX_MISSING_ROWS, ROWS_PER_FRAME

FPS = 25.0
SOUND_RATE = 16000


def action_units(folder: Folder) -> Iterator[Finding]:
    """Header spelling, number of rows, a blink that never happens, frames OpenFace was not sure of."""
    header = folder.au_header
    if header is None:
        return
    spaced = f" {BLINK_COLUMN}" in header
    if spaced and BLINK_COLUMN in header:
        yield Finding(Level.GOOD, "au.csv", "blink column under both spellings")
    elif spaced:
        yield Finding(Level.NOTE, "au.csv", "names have a leading space: read here; EGSTalker looks for AU45_r without")
    elif BLINK_COLUMN in header:
        yield Finding(
            Level.NOTE, "au.csv", "names have no leading space: read here; GaussianTalker looks for ' AU45_r'"
        )
    try:
        columns = read_columns(folder.root / "au.csv")
    except UserError as error:
        yield Finding(Level.BAD, "au.csv", str(error))
        return
    blink = columns.get(BLINK_COLUMN)
    if blink is None:
        return
    rows, frames = len(blink), len(folder.frames)
    if rows < frames:
        yield Finding(
            Level.NOTE,
            "au.csv",
            f"{rows} rows for {frames} frames: the last ones hold the last value here; an IndexError elsewhere",
        )
    if np.isfinite(blink).any() and np.nanmax(blink) - np.nanmin(blink) < FLAT:
        yield Finding(Level.WARN, "au.csv", f"{BLINK_COLUMN} never changes (a dummy): the avatar will not blink")
    failed = 1 - usable_rows(columns).mean()
    if failed > 0.05:
        text = f"OpenFace failed in or was unsure of {100 * failed:.0f} % of the frames, which do not count"
        yield Finding(Level.WARN, "au.csv", text)


def sound(folder: Folder) -> Iterator[Finding]:
    """Rate, channels and length of `aud.wav`."""
    if folder.sound is None:
        yield Finding(Level.NOTE, "aud.wav", "not there, or no PCM wave file: videos will be silent")
        return
    seconds, rate, channels = folder.sound
    if (rate, channels) != (SOUND_RATE, 1):
        yield Finding(
            Level.NOTE, "aud.wav", f"{rate} Hz, {channels} channels: resampled here; the layout has 16 kHz mono"
        )
    if len(folder.frames):
        video = (int(folder.frames[-1]) + 1) / FPS
        if abs(seconds - video) > (MAX_MISSING_ROWS + 1) / FPS:
            yield Finding(
                Level.WARN,
                "aud.wav",
                f"{seconds:.2f} s of sound for {video:.2f} s of video at {FPS:g} frames a second: another rate, or cut apart",
            )


def features(folder: Folder) -> Iterator[Finding]:
    """Shape and length of each audio feature file, and the setting that reads it."""
    if not folder.audio:
        yield Finding(
            Level.BAD, "audio", "no aud*.npy: make features of aud.wav, for example with preprocess of the video"
        )
    last = int(folder.frames[-1]) + 1 if len(folder.frames) else 0
    for name, shape in folder.audio.items():
        if len(shape) not in (2, 3):
            yield Finding(Level.WARN, "audio", f"{name} is no array [frames, window, width]")
            continue
        yield Finding(Level.GOOD, "audio", f"{name} {list(shape)}: train with {' '.join(audio_settings(name, shape))}")
        if shape[0] < last - MAX_MISSING_ROWS:
            yield Finding(
                Level.WARN,
                "audio",
                f"{name} has {shape[0]} rows, but the last frame is number {last - 1}: too short to train on",
            )
        elif shape[0] != last:
            yield Finding(Level.NOTE, "audio", f"{name} has {shape[0]} rows for {last} frames: taken by frame number")


def audio_settings(name: str, shape: tuple[int, ...]) -> list[str]:
    """Settings of `train.py` that read a feature file: an audio group made for it, or its name, width and window."""
    width, window = shape[-1], shape[1] if len(shape) == 3 else 1
    for path in sorted((CONF_DIR / "audio").glob("*.yaml")):
        try:
            audio = OmegaConf.create({"audio": OmegaConf.load(path)}).audio
            windows = (audio.window, ROWS_PER_FRAME) if window == ROWS_PER_FRAME else (audio.window,)
            if name in audio.files and audio.width == width and window in windows:
                # an earlier name of the group's list would be found first
                return [f"audio={path.stem}", f"'audio.files=[{name}]'"][: 1 + (audio.files[0] != name)]
        except OmegaConfBaseException:
            continue  # a group whose width is not known before its model is
    window = 16 if window == ROWS_PER_FRAME else window
    return [f"'audio.files=[{name}]'", f"audio.width={width}", f"audio.window={window}", "audio.extractor=null"]


SIGNAL_TRAPS = (action_units, sound, features)
