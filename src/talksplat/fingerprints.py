"""Fingerprints: class and plain attributes of configurable objects; mean response of audio features to a fixed sound; names."""

from __future__ import annotations

from collections.abc import Container
from itertools import chain, count
from typing import Any

import numpy as np
from jaxtyping import Float

SAME = 0.01  # relative difference: float16 weights make 1e-4, another model about 1


def same_features(a: Float[np.ndarray, " width"], b: Float[np.ndarray, " width"]) -> bool:
    """Whether two fingerprints are of the same features."""
    return a.shape == b.shape and bool(np.linalg.norm(a - b) <= SAME * np.linalg.norm(b))


def distinct(name: str, taken: Container[str]) -> str:
    """The name, with a number where another thing has it: what things are tells them apart, not what they are called."""
    return next(text for text in chain([name], (f"{name}_{number}" for number in count(2))) if text not in taken)


def settings_of(part: object) -> dict[str, Any]:
    """Class and public plain attributes of a configurable object: what a kept step's key depends on."""
    plain = (int, float, str, bool, tuple)
    values = {k: v for k, v in vars(part).items() if not k.startswith("_") and isinstance(v, plain)}
    return {"class": f"{type(part).__module__}.{type(part).__qualname__}", **values}
