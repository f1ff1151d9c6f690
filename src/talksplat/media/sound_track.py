"""One sound track as mono samples, every block of it at its own time."""

from __future__ import annotations

import math

import av
import numpy as np
from jaxtyping import Float

from talksplat.media.tracks import NOTED, Say, check_step, decoded

JITTER = 0.03  # s by which a block's stamp may differ from where the blocks before it end
STRETCHED = 0.04  # s; smaller gaps and overlaps are a clock that is off, and no sound is missing there


class _Run:
    """Blocks that follow each other, in one format."""

    def __init__(self, first: av.AudioFrame, start: float, rate: int) -> None:
        self.start = self.end = start
        self.form = _form(first)
        self._resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
        # FFmpeg adds channels at equal power; halved, sound in the middle of a stereo field keeps its level.
        self._gain = 1.0 if first.layout.nb_channels == 1 else math.sqrt(0.5)
        self._blocks: list[np.ndarray] = []
        self.samples: Float[np.ndarray, " sample"] = np.zeros(0, np.float32)  # mono, once finished

    def continues_with(self, frame: av.AudioFrame) -> bool:
        """Whether a block is the next of this run."""
        return self.form == _form(frame) and (frame.time is None or abs(frame.time - self.end) < JITTER)

    def add(self, frame: av.AudioFrame) -> None:
        """Append a block."""
        self._blocks += [block.to_ndarray()[0] for block in self._resampler.resample(frame)]
        self.end += frame.samples / frame.sample_rate

    def finish(self) -> None:
        """Make `samples` of all blocks."""
        self._blocks += [block.to_ndarray()[0] for block in self._resampler.resample(None)]
        self.samples = self._gain * np.concatenate([np.zeros(0, np.float32), *self._blocks])
        self._blocks.clear()


def _form(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def decode_track(
    container: av.container.InputContainer,
    stream: av.audio.stream.AudioStream,
    rate: int,
    start: float | None,
    say: Say,
) -> Float[np.ndarray, " sample"]:
    """Samples of a track from the time `start` (s) on, or from its own first block; none where it has no block.

    Gaps between blocks are filled with silence and said. Raises UserError where time runs backwards.
    """
    runs: list[_Run] = []
    for frame in decoded(container, stream, say):
        if not runs:
            runs.append(_Run(frame, frame.time or 0.0, rate))
        elif not runs[-1].continues_with(frame):
            end = runs[-1].end
            time = end if frame.time is None else frame.time
            check_step(container.name, "sound", end, time)
            runs[-1].finish()
            runs.append(_Run(frame, time, rate))
        runs[-1].add(frame)
    if not runs:
        return np.zeros(0, np.float32)
    runs[-1].finish()
    start = runs[0].start if start is None else start
    _say_gaps(runs, start, say)
    return _join(runs, start, rate).astype(np.float32, copy=False)


def _join(runs: list[_Run], start: float, rate: int) -> np.ndarray:
    """The runs at their times after `start`."""
    if len(runs) == 1:
        return shifted(runs[0].samples, round((runs[0].start - start) * rate))
    first = runs[0].start
    samples = np.zeros(round((max(run.end for run in runs) - first) * rate), np.float32)
    for run, following in zip(runs, [*runs[1:], None]):
        sound, at = run.samples, round((run.start - first) * rate)
        if following is not None and _drifted(run, following):
            places = np.linspace(0, len(sound) - 1, max(round((following.start - first) * rate) - at, 0))
            sound = np.interp(places, np.arange(len(sound)), sound)
        samples[at : at + len(sound)] = sound[: len(samples) - at]
    return shifted(samples, round((first - start) * rate))


def _drifted(run: _Run, following: _Run) -> bool:
    """Whether a clock that is off parts two runs, and nothing is missing between them."""
    return run.form == following.form and abs(following.start - run.end) < STRETCHED and run.samples.size > 0


def _say_gaps(runs: list[_Run], start: float, say: Say) -> None:
    pairs = list(zip(runs, runs[1:]))
    steps = [(run.end - start, following.start - run.end) for run, following in pairs]
    gaps = [f"{length:.2f} s from {at:.2f} s on" for at, length in steps if length > NOTED]
    if runs[0].start - start > NOTED:
        say(f"the sound begins {runs[0].start - start:.2f} s after the picture: filled with silence")
    if gaps:
        more = f" and {len(gaps) - 4} more times" if len(gaps) > 4 else ""
        say(
            f"no sound for {', '.join(gaps[:4])}{more}: filled with silence, where lips that move teach an avatar nothing"
        )
    drift = sum(following.start - run.end for run, following in pairs if _drifted(run, following))
    if abs(drift) > NOTED:
        say(
            f"the samples of the sound last {abs(drift):.2f} s {'less' if drift > 0 else 'more'} than its stamps say: stretched"
        )


def shifted(samples: np.ndarray, offset: int) -> np.ndarray:
    """Sound that comes `offset` samples later, with silence before it; or earlier, with its beginning cut off."""
    if offset >= 0:
        return np.concatenate([np.zeros(offset, np.float32), samples])
    return samples[-offset:]
