"""Raw samples, for an avatar that contains a speech model."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from talksplat.audio.base import ROW_SAMPLES, AudioFeatures


class WaveformFeatures(AudioFeatures):
    """Rows of 320 samples, two for each frame: the windows of neighbouring frames, joined, are the recording.

    The recording is brought to mean 0 and variance 1, as speech models were trained on.
    """

    def __init__(self) -> None:
        super().__init__(ROW_SAMPLES, 2, first_row=0)

    def rows(self, samples: Float[np.ndarray, " sample"]) -> Float[np.ndarray, "row width"]:
        """See `AudioFeatures`; silence is 0."""
        count = max(round(len(samples) / ROW_SAMPLES), 1)
        whole = np.zeros(count * ROW_SAMPLES, np.float32)
        whole[: len(samples)] = standardize(samples)[: len(whole)]
        return whole.reshape(count, ROW_SAMPLES)


def standardize(samples: Float[np.ndarray, " sample"]) -> Float[np.ndarray, " sample"]:
    """The whole recording with mean 0 and variance 1; silence stays 0 (the constant is wav2vec 2.0's)."""
    return ((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)).astype(np.float32)
