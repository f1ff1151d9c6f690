"""Row grid: times of a speech model's rows, from the strides and kernels of its convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from talksplat.audio.base import ROW_SAMPLES


@dataclass(frozen=True)
class RowGrid:
    """Row j of a stack of convolutions without padding sees the samples [j * hop, j * hop + field).

    Its centre is at j * hop + field / 2. With (field - hop) / 2 samples of silence before the recording that becomes
    (j + 0.5) * hop: for wav2vec 2.0 (hop 320, field 400) exactly the rows of 20 ms of the shared layout, which would
    otherwise be 2.5 ms late.
    """

    hop: int  # samples from row to row
    field: int  # samples that one row sees

    @classmethod
    def of(cls, config: Any) -> RowGrid:
        """From `conv_kernel` and `conv_stride` of a transformers configuration."""
        hop, field = 1, 1
        for kernel, stride in zip(config.conv_kernel, config.conv_stride):
            field += (kernel - 1) * hop
            hop *= stride
        return cls(hop, field)

    @property
    def lead(self) -> int:
        """Samples of silence before the recording (negative: samples left out)."""
        return (self.field - self.hop) // 2

    def rows_for(self, count: int) -> int:
        """Rows of the model that cover `count` rows of 20 ms."""
        return -(-count * ROW_SAMPLES // self.hop)

    def samples_of(self, first: int, last: int) -> slice:
        """Samples of a laid-out recording from which the rows [first, last) come."""
        return slice(first * self.hop, (last - 1) * self.hop + self.field)

    def lay_out(self, samples: Float[np.ndarray, " sample"], rows: int) -> Float[np.ndarray, " laid"]:
        """The recording with silence around it, from which exactly `rows` rows come."""
        laid = np.zeros((rows - 1) * self.hop + self.field, np.float32)
        shown = samples[max(-self.lead, 0) :]
        first = max(self.lead, 0)
        count = min(len(shown), len(laid) - first)
        laid[first : first + count] = shown[:count]
        return laid

    def resample(self, rows: Float[np.ndarray, "own width"], count: int) -> Float[np.ndarray, "row width"]:
        """`count` rows of 20 ms by linear interpolation between the model's rows; as they are where they coincide."""
        if self.hop == ROW_SAMPLES:
            return rows[:count]
        place = np.clip((np.arange(count) + 0.5) * ROW_SAMPLES / self.hop - 0.5, 0, len(rows) - 1)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, len(rows) - 1)
        share = (place - below)[:, None].astype(np.float32)
        return (1 - share) * rows[below] + share * rows[above]
