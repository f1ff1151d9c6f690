"""States of Whisper's encoder: what predicts lips best of the features here (docs/audio.md)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.errors import UserError
from talksplat.preprocess.audio_features.base import ROW_SAMPLES, AudioFeatures
from talksplat.preprocess.audio_features.whisper_checkpoint import content_of, find_whisper, open_whisper
from talksplat.preprocess.audio_features.whisper_encoder import WhisperEncoder
from talksplat.preprocess.audio_io import SAMPLE_RATE
from talksplat.preprocess.cache import settings_of
from talksplat.preprocess.progress import ProgressBars

HOP, FFT = 160, 400  # samples of a mel frame and of its Fourier transform
DECADES, LOUD = 8.0, 0.0  # range of the log-mel energies below the loudest; which is taken to be LOUD at least, so that
# silence is silence as between words of a recording, and not what Whisper makes of digital zeros alone
BLOCK = 6000  # mel frames made at once
EARLY = ROW_SAMPLES // 2  # state j is centred on sample 320 j of what the encoder is given, row j on sample 320 j + 160


class WhisperFeatures(AudioFeatures):
    """Encoder states after one block, 50 rows a second.

    The encoder takes 30 s at a time, of which the middle 20 s are kept: its attention then sees 5 s beyond every row, and
    memory does not grow with the recording.

    Args:
        checkpoint: Hugging Face name, or folder of a Hugging Face or CTranslate2 checkpoint.
        width: of the states: 384 for tiny, 512 base, 768 small, 1,024 medium, 1,280 large.
        layer: after how many transformer blocks; 0: before the first; None: after the last, with the final norm. Only
            these blocks are read. Block 2 of tiny.en tells most of lips, the last one least (docs/audio.md).
        window, first_row: see `AudioFeatures`.
        assets: folder in which names are looked for.
        download: a checkpoint that is nowhere else from Hugging Face.

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
        first_row: int | None = None,
        assets: str | None = None,
        download: bool = True,
    ) -> None:
        super().__init__(width, window, first_row=first_row)
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
        """Settings, and the contents of the checkpoint instead of its place."""
        settings = {
            name: value for name, value in settings_of(self).items() if name not in ("checkpoint", "english_only")
        }
        return {**settings, "layer": self.layer, "checkpoint_content": content_of(self._folder)}

    @torch.inference_mode()
    def rows(self, samples: Float[np.ndarray, " sample"]) -> Float[np.ndarray, "row width"]:
        """See `AudioFeatures`; any length."""
        count = max(round(len(samples) / ROW_SAMPLES), 1)
        span = self._size.positions
        margin = span // 6
        step = span - 2 * margin
        length = margin + -(-count // step) * step + margin
        sound = np.zeros(length * ROW_SAMPLES + EARLY, np.float32)
        sound[margin * ROW_SAMPLES :][: len(samples)] = samples
        mel = self._log_mel(torch.from_numpy(sound[EARLY:]))
        encoder, device = self._placed
        result = np.empty((count, self.width), np.float32)
        for start in ProgressBars()(range(0, count, step), "audio features"):
            states = encoder(mel[None, :, 2 * start : 2 * (start + span)].to(device))[0, margin : margin + step]
            stop = min(start + step, count)
            result[start:stop] = states[: stop - start].cpu().numpy()
        return result

    @cached_property
    def _placed(self) -> tuple[WhisperEncoder, torch.device]:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return self._encoder.to(device), device

    @cached_property
    def _filters(self) -> Float[Tensor, "mel bin"]:
        from librosa.filters import mel  # slow to import, and not needed where features are read from disk

        return torch.from_numpy(mel(sr=SAMPLE_RATE, n_fft=FFT, n_mels=self._size.mels))

    def _log_mel(self, samples: Float[Tensor, " sample"]) -> Float[Tensor, "mel frame"]:
        """Whisper's input of the whole recording: one floor for all of it, so that chunks agree."""
        window, padded = torch.hann_window(FFT), torch.nn.functional.pad(samples, (FFT // 2, FFT // 2))
        blocks = []
        for start in range(0, len(samples), BLOCK * HOP):
            part = padded[start : start + (BLOCK - 1) * HOP + FFT]
            spectrum = torch.stft(part, FFT, HOP, window=window, center=False, return_complex=True)
            blocks.append((self._filters @ spectrum.abs().square()).clamp_min(1e-10).log10())
        energies = torch.cat(blocks, dim=1)
        return (energies.clamp_min(energies.max().clamp_min(LOUD) - DECADES) + 4) / 4
