"""How likely each English phone is, by PocketSphinx's acoustic model: 38 MB with the package, no torch.

Two passes over a recording. The first makes its cepstra in one stretch, because the noise removal of the front end
remembers seconds of sound, and the mean that is taken off them is that of the recording. The second scores them in
chunks: there a frame sees only three neighbours to each side, so chunks that read along more than that change nothing.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float, Int16

from talksplat.errors import UserError
from talksplat.preprocess.audio_features.base import ROW_SAMPLES, AudioFeatures
from talksplat.preprocess.audio_io import SAMPLE_RATE
from talksplat.preprocess.progress import ProgressBars

# In the order of the model. NSN and SPN: noise, and speech that is no word; SIL: silence.
_NAMES = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH SIL T TH UH UW V W Y Z ZH"
PHONES = ("+NSN+", "+SPN+", *_NAMES.split())
STATES = 3  # of each phone: beginning, middle, end; the first senones of the model are those of the phones alone
FRAME, HOP = 410, SAMPLE_RATE // 100  # samples that a frame of the front end sees, and from one frame to the next
LEAD = (FRAME - HOP) // 2  # silence before the recording, which brings the middle of frame f to (f + 0.5) / 100 s
CEPSTRA = 13
FRAMES_PER_ROW = ROW_SAMPLES // HOP
CHUNK, OVERLAP = 1000, 8  # frames
ROOM = 16 << 20  # bytes on disk; a chunk of scores takes 10.4 MB
FREE_SPACE = "make room there, or name another folder for temporary files in the variable TMPDIR"
USUAL_MEAN = (40.0, 3.0, -1.0)  # of the first cepstra of speech: the model's `cmninit`, for recordings without sound
SCORE_UNIT = 1024 * math.log(1.0001)  # a step of the integer scores as a natural logarithm
# Exponent of the likelihoods, from the study of lips that chose this feature: broad posteriors, the largest of a frame
# 0.12 on average over speech (0.6 with exponent 1).
SHARPNESS = 0.2


class PhoneFeatures(AudioFeatures):
    """Posteriors of `PHONES` at 50 rows a second; each row sums to 1.

    The loudness of a recording hardly matters, since the mean of its cepstra is taken off; so a part of a recording
    alone gives somewhat other rows than within the whole.

    Args:
        window, first_row: see `AudioFeatures`.

    Raises:
        UserError: no package pocketsphinx, or one without its English model.
    """

    def __init__(self, window: int = 16, first_row: int | None = None) -> None:
        super().__init__(len(PHONES), window, first_row=first_row)
        english_model()

    def identity(self) -> dict[str, Any]:
        """Settings, and the version of the package, which brings the model."""
        return {**super().identity(), "pocketsphinx": version("pocketsphinx")}

    def rows(self, samples: Float[np.ndarray, " sample"]) -> Float[np.ndarray, "row width"]:
        """See `AudioFeatures`. Raises UserError where temporary files cannot be written."""
        count = max(round(len(samples) / ROW_SAMPLES), 1)
        try:
            with tempfile.TemporaryDirectory(prefix="talksplat-phones-") as scratch:
                return self._rows(_pcm(samples, count * FRAMES_PER_ROW), count, Path(scratch))
        except OSError as error:
            raise UserError(
                f"audio=phones cannot write its temporary files ({error.strerror or error}): {FREE_SPACE}"
            ) from error

    def _rows(self, sound: Int16[np.ndarray, " padded"], count: int, scratch: Path) -> Float[np.ndarray, "row width"]:
        frames, rows = count * FRAMES_PER_ROW, np.empty((count, self.width), np.float32)
        cepstra = _without_mean(_cepstra(sound, frames, scratch))
        decoder = _decoder(scratch, senlogdir=str(scratch))
        for start in ProgressBars()(range(0, frames, CHUNK), "audio features"):
            stop, first = min(start + CHUNK, frames), max(start - OVERLAP, 0)
            scores = _senone_scores(decoder, cepstra[first : stop + OVERLAP], scratch)
            pairs = _posteriors(scores[start - first : stop - first]).reshape(-1, FRAMES_PER_ROW, self.width)
            rows[start // FRAMES_PER_ROW : stop // FRAMES_PER_ROW] = pairs.mean(1)
        return rows


def pocketsphinx() -> ModuleType:
    """The package. Raises UserError where it is not installed."""
    try:
        import pocketsphinx
    except ImportError as error:
        raise UserError(
            f"audio=phones needs the package pocketsphinx, which cannot be imported here ({error}): "
            'pip install "talksplat[phones]"'
        ) from error
    return pocketsphinx


def english_model() -> Path:
    """Folder of the English model that comes with the package: `en-us` in it is the acoustic model.

    Raises:
        UserError: it is not there, as in packages of some Linux distributions.
    """
    folder = Path(pocketsphinx().get_model_path("en-us"))
    if not (folder / "en-us" / "feat.params").is_file():
        raise UserError(f'pocketsphinx has no English model in {folder}: pip install "talksplat[phones]"')
    return folder


def _pcm(samples: Float[np.ndarray, " sample"], frames: int) -> Int16[np.ndarray, " padded"]:
    """The recording in 16 bits, louder samples clipped, with silence around it that makes so many frames of it."""
    sound = np.zeros((frames - 1) * HOP + FRAME, np.int16)
    count = min(len(samples), len(sound) - LEAD)
    sound[LEAD : LEAD + count] = np.round(np.clip(samples[:count], -1, 1) * 32767)
    return sound


def _decoder(scratch: Path, **logs: str) -> Any:
    """A decoder that takes cepstra as they are and, asked to search, scores all senones of each frame.

    The search itself is of no use here, so its beams are tight: scores do not depend on them. `cmn` can only be set in
    a file: that of the model wins over an argument.
    """
    model = english_model()
    settings = scratch / "feat.params"
    settings.write_text((model / "en-us" / "feat.params").read_text().replace("-cmn batch", "-cmn none"))
    return pocketsphinx().Decoder(
        hmm=str(model / "en-us"),
        featparams=str(settings),
        allphone=str(model / "en-us-phone.lm.bin"),
        allphone_ci=True,
        lm=None,
        dict=None,
        beam=0.1,
        pbeam=0.1,
        pl_window=0,
        compallsen=True,
        loglevel="FATAL",
        **logs,
    )


def _cepstra(sound: Int16[np.ndarray, " padded"], frames: int, scratch: Path) -> Float[np.ndarray, "frame 13"]:
    decoder = _decoder(scratch, mfclogdir=str(scratch))
    decoder.start_utt()
    decoder.process_raw(sound.tobytes(), no_search=True, full_utt=True)
    del decoder  # closes its log; `end_utt` would do so too, after a search through the whole recording
    log = _take_log(scratch, ".mfc")
    _check(len(log) // (4 * CEPSTRA), frames, scratch)
    return np.frombuffer(log, ">f4", frames * CEPSTRA, offset=4).reshape(frames, CEPSTRA)  # after the number of values


def _without_mean(cepstra: Float[np.ndarray, "frame 13"]) -> Float[np.ndarray, "frame 13"]:
    """As PocketSphinx does for a whole utterance: frames of (nearly) digital silence do not count for the mean."""
    heard = cepstra[cepstra[:, 0] >= 0]
    mean = heard.mean(0, dtype=np.float64) if len(heard) else np.array([*USUAL_MEAN, *[0.0] * (CEPSTRA - 3)])
    return (cepstra - mean).astype(np.float32)


def _senone_scores(decoder: Any, cepstra: Float[np.ndarray, "frame 13"], scratch: Path) -> Int16[np.ndarray, "frame n"]:
    """Negative log likelihoods of the states of the phones, in `SCORE_UNIT`, from 0 for the frame's best senone."""
    if (free := shutil.disk_usage(scratch).free) < ROOM:  # PocketSphinx would crash the whole process
        raise UserError(
            f"audio=phones needs {ROOM >> 20} MB in {scratch}, where {free >> 20} MB are left: {FREE_SPACE}"
        )
    decoder.start_utt()
    decoder.process_cep(cepstra.tobytes(), no_search=False, full_utt=True)
    decoder.end_utt()
    log = _take_log(scratch, ".sen")
    mark = b"endhdr\n"
    start = log.find(mark) + len(mark) + 4  # text, then four bytes that tell the order of bytes: this machine's
    width = 1 + int(np.frombuffer(log[start : start + 2], np.int16).sum())  # a frame: number of senones, their scores
    _check((len(log) - start) // (2 * width), len(cepstra), scratch)
    table = np.frombuffer(log, np.int16, len(cepstra) * width, start).reshape(len(cepstra), width)
    return table[:, 1 : 1 + STATES * len(PHONES)]


def _posteriors(scores: Int16[np.ndarray, "frame n"]) -> Float[np.ndarray, "frame phone"]:
    """A phone is as likely as the best of its states; all are equally likely beforehand."""
    best = scores.reshape(len(scores), len(PHONES), STATES).min(2).astype(np.float32)
    weights = np.exp((best.min(1, keepdims=True) - best) * (SCORE_UNIT * SHARPNESS))
    return weights / weights.sum(1, keepdims=True)


def _take_log(scratch: Path, ending: str) -> bytes:
    """Contents of the only log with that ending, which is removed."""
    content = b""
    for path in scratch.glob(f"*{ending}"):
        content = path.read_bytes()
        path.unlink()
    return content


def _check(found: int, expected: int, scratch: Path) -> None:
    if found < expected:
        raise UserError(
            f"audio=phones: only {max(found, 0)} of {expected} frames were written to {scratch}: {FREE_SPACE}"
        )
