"""Fingerprints of audio features: the mean response to a fixed sound, which tells kinds of one shape apart."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

SAME = 0.01  # relative difference: float16 weights make 1e-4, another model about 1


def same_features(a: Float[np.ndarray, " width"], b: Float[np.ndarray, " width"]) -> bool:
    """Whether two fingerprints are of the same features."""
    return a.shape == b.shape and bool(np.linalg.norm(a - b) <= SAME * np.linalg.norm(b))
