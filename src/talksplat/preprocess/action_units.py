"""Facial action units in OpenFace's columns from MediaPipe's blendshapes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

# Intensity of an action unit = 5 x mean of these coefficients (OpenFace counts 0 to 5). By the definitions of Ekman and
# Friesen's action units and of the ARKit coefficients that MediaPipe follows. docs/action_units.md has the table.
INTENSITY: dict[str, tuple[str, ...]] = {
    "AU01_r": ("browInnerUp",),
    "AU02_r": ("browOuterUpLeft", "browOuterUpRight"),
    "AU04_r": ("browDownLeft", "browDownRight"),
    "AU05_r": ("eyeWideLeft", "eyeWideRight"),
    "AU06_r": ("cheekSquintLeft", "cheekSquintRight"),
    "AU07_r": ("eyeSquintLeft", "eyeSquintRight"),
    "AU09_r": ("noseSneerLeft", "noseSneerRight"),
    "AU10_r": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "AU12_r": ("mouthSmileLeft", "mouthSmileRight"),
    "AU14_r": ("mouthDimpleLeft", "mouthDimpleRight"),
    "AU15_r": ("mouthFrownLeft", "mouthFrownRight"),
    "AU17_r": ("mouthShrugLower",),
    "AU20_r": ("mouthStretchLeft", "mouthStretchRight"),
    "AU23_r": ("mouthPressLeft", "mouthPressRight"),
    "AU25_r": ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    "AU26_r": ("jawOpen",),
}
BLINK = ("eyeBlinkLeft", "eyeBlinkRight")
BLINK_SHUT = 2.0  # AU45_r of a shut eye: the shared layout clips there
SHUT_AT_LEAST = 0.5  # eyeBlink of shut eyes is 0.5 to 0.8, depending on the person


def action_units(blendshapes: Mapping[str, Float[np.ndarray, " frame"]]) -> dict[str, Float[np.ndarray, " frame"]]:
    """OpenFace columns of F frames, in OpenFace's order; frames without a face may be NaN and stay so.

    AU45_r is scaled by the clip: the resting value (its median) becomes 0 and the strongest blink, or SHUT_AT_LEAST if
    nobody blinks, becomes BLINK_SHUT.
    """
    columns = {
        name: 5.0 * np.mean([np.asarray(blendshapes[part], np.float64) for part in parts], axis=0)
        for name, parts in INTENSITY.items()
    }
    blink = np.mean([np.asarray(blendshapes[part], np.float64) for part in BLINK], axis=0)
    rest = float(np.nanmedian(blink))
    shut = max(float(np.nanpercentile(blink, 99)), SHUT_AT_LEAST, rest + 0.2)
    columns["AU45_r"] = BLINK_SHUT * np.clip((blink - rest) / (shut - rest), 0, None)
    return columns
