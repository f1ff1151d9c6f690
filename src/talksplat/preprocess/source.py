"""The checked input: which of its video tracks shows a face, and which of its sound tracks its lips follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float

from talksplat.errors import UserError
from talksplat.files import content_hash
from talksplat.lips.sync import SoundOffset
from talksplat.media.face_landmarker import FaceLandmarker
from talksplat.media.sound import check_sound, read_audio, read_tracks
from talksplat.media.speech_track import SILENCE, most_like_speech
from talksplat.media.video import VideoInfo, probe, read_frames

AUTO = "auto"
LOOKS, LOOKED_AT_RATE = 8, 2.0  # pictures of a video track that are looked at, a second


@dataclass(frozen=True)
class Source:
    """The checked input."""

    video: Path
    info: VideoInfo
    sha256: str
    sound: Path  # file with the sound
    samples: Float[np.ndarray, " sample"]  # at 16 kHz
    picture: int | None = None  # number of the video track where there are several, from 1
    tracks: Sequence[Float[np.ndarray, " sample"]] = ()  # sound of each track where one is still to be chosen
    notes: Sequence[str] = ()  # what is odd about tracks and sound

    @property
    def origin(self) -> int | None:
        """Number of the video track to whose first picture the sound is counted."""
        return self.picture if self.sound == self.video else None


def track_number(name: str, wanted: str | int) -> int | None:
    """Number of a track as set; None for auto. Raises UserError."""
    if wanted == AUTO or (type(wanted) is int and wanted >= 1):
        return None if wanted == AUTO else wanted
    raise UserError(f"{name}={wanted!r}: use auto, or the number of a track, counted from 1")


def open_source(
    video: Path, audio: Path | None, model: Callable[[], Path], picture: int | None = None, sound: int | None = None
) -> Source:
    """Read the sound and find the tracks.

    Args:
        audio: file with the sound; None: the video.
        model: finds the file of the face landmarker, which only several video tracks need.
        picture, sound: numbers of tracks that are set, from 1.

    Raises:
        UserError: what cannot be read, no such track, silence.
    """
    notes: list[str] = []
    info = probe(video, picture)
    if picture is None and info.num_tracks > 1:
        picture, words = _track_with_face(video, info.num_tracks, model())
        notes.append(words)
        info = probe(video, picture)
    source = Source(video, info, content_hash(video), audio or video, np.zeros(0), picture, notes=notes)
    tracks = [] if sound is not None else read_tracks(source.sound, source.origin)
    if len(tracks) < 2:
        source = _with_track(source, sound, [])
    else:
        source = replace(source, samples=tracks[most_like_speech(tracks)], tracks=tracks)
    check_sound(source.samples, source.sound)
    return source


def _with_track(source: Source, number: int | None, words: list[str]) -> Source:
    notes: list[str] = []
    samples = read_audio(source.sound, track=number, picture=source.origin, say=notes.append)
    return replace(source, samples=samples, tracks=(), notes=[*source.notes, *words, *notes])


def _track_with_face(video: Path, count: int, model: Path) -> tuple[int, str]:
    """Number of the video track that shows a face most often, of equals the first, and words about it."""
    seen: dict[int, list[bool]] = {}
    with FaceLandmarker(model, video=False, num_faces=1) as landmarker:
        for number in range(1, count + 1):
            frames = islice(read_frames(video, LOOKED_AT_RATE, track=number, say=lambda sentence: None), LOOKS)
            seen[number] = [bool(landmarker.detect(frame)) for frame in frames]
    best = max(seen, key=lambda number: sum(seen[number]))
    share = f"{sum(seen[best])} of {len(seen[best])} pictures looked at"
    return best, (
        f"of {count} video tracks number {best} is used, which shows a face in {share}; clip.video_track=N takes another"
    )


def with_followed_track(source: Source, find: Callable[[np.ndarray, int], SoundOffset]) -> Source:
    """The sound of the track that the lips follow best where that is certain for one, or of that which is most like
    speech; unchanged where there is nothing to choose. `find(samples, number)` tells how lips and a sound fit."""
    if not source.tracks:
        return source
    audible = {k: samples for k, samples in enumerate(source.tracks, 1) if np.abs(samples).max(initial=0) > SILENCE}
    found = {k: find(samples, k) for k, samples in audible.items()}
    certain = [k for k, offset in found.items() if offset.confident]
    number = max(certain, key=lambda k: found[k].score) if certain else most_like_speech(source.tracks) + 1
    reason = (
        f"which the lips follow (correlation {found[number].score:.2f})" if certain else "which is most like speech"
    )
    silent = [str(k) for k in range(1, len(source.tracks) + 1) if k not in audible]
    words = f" (silent: {', '.join(silent)})" if silent else ""
    sentence = f"of {len(source.tracks)} sound tracks number {number} is used, {reason}{words}; clip.sound_track=N takes another"
    return _with_track(source, number, [sentence])
