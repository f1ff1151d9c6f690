"""Features by a pretrained speech model of the wav2vec 2.0 family (wav2vec 2.0, HuBERT, WavLM...)."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from talksplat.audio import speech_checkpoint
from talksplat.audio.base import ROW_RATE, ROW_SAMPLES, AudioFeatures
from talksplat.audio.row_grid import RowGrid
from talksplat.audio.waveform import standardize
from talksplat.errors import UserError
from talksplat.fingerprints import settings_of
from talksplat.progress_bars import ProgressBars


class SpeechModelFeatures(AudioFeatures):
    """Logits of a CTC checkpoint, or hidden states of one layer, at exactly 50 rows a second.

    The recording is processed in overlapping chunks, so memory does not grow with its length.

    Args:
        checkpoint: Hugging Face name or local folder.
        width: of the features: the vocabulary of a CTC checkpoint, or the model's hidden size.
        window, first_row: see `AudioFeatures`.
        layer: None: CTC logits; otherwise the hidden states after so many transformer layers (0: before the first;
            negative numbers count from the last).
        normalize: bring the recording to mean 0 and variance 1; None: as the checkpoint's preprocessor_config.json says.
        chunk_seconds: length of a chunk.
        overlap_seconds: context before and after a chunk, since the model's attention spans its whole input.
        assets: folder of named checkpoints.

    Raises:
        UserError: no such checkpoint, one that reads no audio, or one of another width.
    """

    def __init__(
        self,
        checkpoint: str,
        width: int,
        window: int = 16,
        first_row: int | None = None,
        layer: int | None = None,
        normalize: bool | None = None,
        chunk_seconds: float = 20.0,
        overlap_seconds: float = 4.0,
        assets: str | None = None,
    ) -> None:
        super().__init__(width, window, first_row=first_row)
        if chunk_seconds < 1 or overlap_seconds < 0:
            raise UserError(
                f"chunk_seconds={chunk_seconds} must be at least 1 and overlap_seconds={overlap_seconds} at least 0"
            )
        self.checkpoint, self.layer = checkpoint, layer
        self.chunk_seconds, self.overlap_seconds = chunk_seconds, overlap_seconds
        self._folder = speech_checkpoint.find_checkpoint(checkpoint, assets)
        self._config = speech_checkpoint.read_config(self._folder)
        self.normalize = speech_checkpoint.wants_normalized(self._folder) if normalize is None else normalize
        self._check()
        self._grid = RowGrid.of(self._config)

    def _check(self) -> None:
        config, kind = self._config, f"{self._config.model_type} checkpoint {self._folder}"
        if self.layer is not None and not -config.num_hidden_layers - 1 <= self.layer <= config.num_hidden_layers:
            raise UserError(
                f"audio.extractor.layer={self.layer}: the {kind} has {config.num_hidden_layers} layers; the last is -1"
            )
        found, what = (
            (config.vocab_size, "logits") if self.layer is None else (config.hidden_size, "hidden states of a layer")
        )
        if found != self.width:
            raise UserError(
                f"the {what} of the {kind} have width {found}, but the audio setting says {self.width}: give "
                f"audio.width={found} and, in audio.files, a name of its own for such features"
            )

    def identity(self) -> dict[str, Any]:
        """Settings, and the contents of the checkpoint instead of its path."""
        settings = {name: value for name, value in settings_of(self).items() if name != "checkpoint"}
        return {**settings, "layer": self.layer, "checkpoint_sha256": speech_checkpoint.content_of(self._folder)}

    def rows(self, samples: Float[np.ndarray, " sample"]) -> Float[np.ndarray, "row width"]:
        """See `AudioFeatures`. Raises UserError for less sound than one row."""
        if len(samples) < ROW_SAMPLES:
            raise UserError(
                f"the audio has {len(samples)} samples at 16 kHz, too short for one row of features ({ROW_SAMPLES} "
                "samples, 20 ms): give a longer recording"
            )
        count = round(len(samples) / ROW_SAMPLES)
        grid, own = self._grid, self._grid.rows_for(count)
        sound = grid.lay_out(standardize(samples) if self.normalize else samples, own)
        chunk, overlap = (max(round(s * ROW_RATE), 1) for s in (self.chunk_seconds, self.overlap_seconds))
        result = np.empty((own, self.width), np.float32)
        with speech_checkpoint.inference(self._folder, ctc=self.layer is None) as model:
            for start in ProgressBars()(range(0, own, chunk), "audio features"):
                stop = min(start + chunk, own)
                first, last = max(start - overlap, 0), min(stop + overlap, own)
                part = model(sound[grid.samples_of(first, last)], self.layer)
                if len(part) != last - first:
                    raise UserError(
                        f"{self._folder} gives {len(part)} rows where its convolutions make {last - first}: a model with "
                        "an adapter or pooling has no even time grid; choose another checkpoint"
                    )
                result[start:stop] = part[start - first : stop - first]
        return grid.resample(result, count)
