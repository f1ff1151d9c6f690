"""States of Whisper's encoder, which predict lips best of the features here (docs/audio.md)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from talksplat.audio.base import ROW_SAMPLES, AudioFeatures
from talksplat.audio.whisper_checkpoint import content_of, find_whisper, open_whisper
from talksplat.audio.whisper_encoder import WhisperEncoder
from talksplat.errors import UserError
from talksplat.fingerprints import settings_of
from talksplat.media import SAMPLE_RATE
from talksplat.progress_bars import ProgressBars

HOP, FFT = 160, 400  # samples of a mel frame and of its Fourier transform
DECADES = 8.0  # range of Whisper's log-mel energies below the loudest
LEVEL = 1.5  # log10 energy to which the loudest sounds of a recording are brought: that of speech at full scale
LOUD_SHARE = 0.99  # of the frames that sound which are less loud; those SOUNDING log10 below the peak are pauses
SOUNDING = 4.0
GAIN = (-2.0, 3.0)  # log10 by which a recording is changed at most, so that hiss stays silence
SILENT = 6.0  # log10 below the loudest sounds: nothing sounds ...
SILENT_ROWS = 10  # ... if it is so in all of so many rows before and after
VERSION = 3  # raised whenever the states come out differently
BLOCK = 6000  # mel frames made at once
SPANS, TIMES, BATCH = 3, 4, 8  # windows in the encoder's 30 s, that a row is the mean of, that are worked on at once
EARLY = ROW_SAMPLES // 2  # state j is centred on sample 320 j of what the encoder is given, row j on sample 320 j + 160


class WhisperFeatures(AudioFeatures):
    """Encoder states after one block, 50 rows a second.

    A state also depends on its position in the encoder's input, by a third of its spread over speech, and in silence as
    well. The encoder therefore gets 10 s at a time (with 2.5 s of context around every row that is kept), and each row is
    the mean over four such windows. Rows of digital silence are 0; pauses of a recorded voice are not.

    Args:
        checkpoint: Hugging Face name, or folder of a Hugging Face or CTranslate2 checkpoint.
        width: of the states: 384 for tiny, 512 base, 768 small, 1,024 medium, 1,280 large.
        layer: after how many transformer blocks; 0: before the first; None: after the last, with the final norm. Only
            these blocks are read. Block 2 of tiny.en predicts lips best, the last one worst (docs/audio.md).
        window: see `AudioFeatures`.
        assets: folder of named checkpoints.
        download: get a checkpoint that is not found from Hugging Face.

    Raises:
        UserError: no such checkpoint, a damaged one, one of another model or width.
    """

    wide = True

    def __init__(
        self,
        checkpoint: str = "openai/whisper-tiny.en",
        width: int = 384,
        layer: int | None = 2,
        window: int = 16,
        assets: str | None = None,
        download: bool = True,
    ) -> None:
        super().__init__(width, window)
        self.checkpoint, self.layer = checkpoint, layer
        self.english_only = Path(checkpoint).name.endswith(".en")
        self._folder = find_whisper(checkpoint, assets, download)
        self._encoder, self._size = open_whisper(self._folder, layer)
        if self._size.width != width:
            raise UserError(
                f"the states of the Whisper checkpoint {self._folder} have width {self._size.width}, but the audio setting "
                f"says {width}: give audio.width={self._size.width} and, in audio.files, a name of its own for such features"
            )

    def identity(self) -> dict[str, Any]:
        """Settings, and the contents of the checkpoint instead of its path."""
        settings = {
            name: value for name, value in settings_of(self).items() if name not in ("checkpoint", "english_only")
        }
        return {**settings, "layer": self.layer, "version": VERSION, "checkpoint_content": content_of(self._folder)}

    def rows(self, samples: Float[np.ndarray, " sample"]) -> Float[np.ndarray, "row width"]:
        """See `AudioFeatures`; any length. Silence is 0."""
        states, silent = self._states(samples)
        return np.where(silent[:, None], np.float32(0), states - self._silence)

    @cached_property
    def _silence(self) -> Float[np.ndarray, " width"]:
        """States of silence, which are subtracted from all states, so that zeros outside a recording are silence as well."""
        return self._states(np.zeros(self._size.positions // SPANS * ROW_SAMPLES, np.float32))[0].mean(0)

    @torch.inference_mode()
    def _states(
        self, samples: Float[np.ndarray, " sample"]
    ) -> tuple[Float[np.ndarray, "row width"], Bool[np.ndarray, " row"]]:
        """States, and which rows are silent."""
        count = max(round(len(samples) / ROW_SAMPLES), 1)
        span = self._size.positions // SPANS
        hop = span // (2 * TIMES)
        kept = TIMES * hop
        margin = (span - kept) // 2
        before = margin + kept - hop  # rows of silence, so that the first row is kept TIMES times
        windows = -(-(count + kept - hop) // hop)
        sound = np.zeros((windows * hop + span) * ROW_SAMPLES + EARLY, np.float32)
        sound[before * ROW_SAMPLES :][: len(samples)] = samples
        mel = self._log_mel(torch.from_numpy(sound[EARLY:]))
        encoder, device = self._placed
        sums = np.zeros((windows * hop + kept, self.width), np.float32)
        for first in ProgressBars()(range(0, windows, BATCH), "audio features"):
            starts = range(first * hop, min(first + BATCH, windows) * hop, hop)
            batch = torch.stack([mel[:, 2 * start : 2 * (start + span)] for start in starts]).to(device)
            states = encoder(batch)[:, margin : margin + kept].cpu().numpy()
            for start, part in zip(starts, states):
                sums[start : start + kept] += part
        return sums[kept - hop :][:count] / TIMES, _silent_rows(mel[:, 2 * before :])[:count]

    @cached_property
    def _placed(self) -> tuple[WhisperEncoder, torch.device]:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return self._encoder.to(device), device

    @cached_property
    def _filters(self) -> Float[Tensor, "mel bin"]:
        from librosa.filters import mel  # slow to import, and not needed where features are read from disk

        return torch.from_numpy(mel(sr=SAMPLE_RATE, n_fft=FFT, n_mels=self._size.mels))

    def _log_mel(self, samples: Float[Tensor, " sample"]) -> Float[Tensor, "mel frame"]:
        """Whisper's input for the whole recording. Whisper hangs its floor on the loudest frame of each 30 s; here all
        recordings are brought to one level and have one floor, so that windows, recordings and silences agree."""
        window, padded = torch.hann_window(FFT), torch.nn.functional.pad(samples, (FFT // 2, FFT // 2))
        blocks = []
        for start in range(0, len(samples), BLOCK * HOP):
            part = padded[start : start + (BLOCK - 1) * HOP + FFT]
            spectrum = torch.stft(part, FFT, HOP, window=window, center=False, return_complex=True)
            blocks.append((self._filters @ spectrum.abs().square()).clamp_min(1e-10).log10())
        energies = torch.cat(blocks, dim=1)
        frames = energies.amax(0)
        loudest = np.quantile(frames[frames > frames.max() - SOUNDING].numpy(), LOUD_SHARE)
        energies = energies + float(np.clip(LEVEL - loudest, *GAIN))
        return (energies.clamp_min(LEVEL - DECADES) + 4) / 4


def _silent_rows(mel: Float[Tensor, "mel frame"]) -> Bool[np.ndarray, " row"]:
    """Rows with nothing but silence around them, of two frames of `_log_mel` each."""
    loudest = torch.nn.functional.max_pool1d(mel.amax(0)[None], 4 * SILENT_ROWS + 2, 2, 2 * SILENT_ROWS)[0]
    return (loudest < (LEVEL - SILENT + 4) / 4).numpy()
