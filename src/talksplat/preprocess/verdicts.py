"""Which advice for good clips a clip breaks; nothing here stops the work."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from talksplat.geometry.cameras import euler_trans_from_viewmat

GOOD_SECONDS = 60.0
FACE_SHARE = 0.30  # face height in the frame's height
FRONTAL_DEGREES = 15.0
BLUR_SHARPNESS = 25.0  # variance of the Laplacian of a face at 128 pixels; sharp faces have several hundred
CLIPPED_LEVEL, CLIPPED_SHARE = 0.985, 0.001
QUIET_RMS = 0.003
FLICKER = 0.15  # relative spread of the face's brightness


def head_angles(viewmats: Float[np.ndarray, "frame 4 4"]) -> Float[np.ndarray, "frame 3"]:
    """Pitch, yaw and roll in degrees; 0 for a frontal face."""
    import torch

    euler, _ = euler_trans_from_viewmat(torch.as_tensor(viewmats, dtype=torch.float64))
    return np.degrees(euler.numpy())


def judge(
    seconds: float,
    source_fps: float,
    face_height: Float[np.ndarray, " frame"],
    viewmats: Float[np.ndarray, "frame 4 4"],
    sharpness: Float[np.ndarray, " frame"],
    light: Float[np.ndarray, " frame"],
    samples: Float[np.ndarray, " sample"],
) -> list[str]:
    """Sentences on what to film differently, most important first; empty for a good clip.

    Args:
        face_height: chin to forehead as a share of the frame's height.
        sharpness, light: as in `faces.FaceStream`.
        samples: sound in [-1, 1].
    """
    verdicts = []
    if seconds < GOOD_SECONDS:
        verdicts.append(f"short: {seconds:.1f} s; 3 to 5 minutes let an avatar learn all sounds and blinks")
    share = float(np.median(face_height))
    if share < FACE_SHARE:
        verdicts.append(f"small face: {share:.0%} of the frame's height; film or crop closer, 30 to 50 % is good")
    angles = np.abs(head_angles(viewmats)[:, :2])
    turned = float((angles.max(1) > FRONTAL_DEGREES).mean())
    if turned > 0.1:
        verdicts.append(
            f"turned head: {turned:.0%} of the frames are more than {FRONTAL_DEGREES:.0f} degrees from frontal "
            f"(up to {angles.max():.0f}); those views are seen rarely and will be less sharp"
        )
    blurred = float((sharpness < BLUR_SHARPNESS).mean())
    if blurred > 0.1:
        verdicts.append(f"blur: {blurred:.0%} of the faces are not sharp; use more light or a shorter exposure")
    spread = float(np.std(light) / max(np.mean(light), 1e-6))
    if spread > FLICKER:
        verdicts.append(f"uneven light: the face's brightness varies by {spread:.0%}; use steady light")
    if source_fps < 24:
        verdicts.append(f"{source_fps:.1f} frames a second: lips move in steps; film with 25 to 30")
    clipped = float((np.abs(samples) > CLIPPED_LEVEL).mean())
    if clipped > CLIPPED_SHARE:
        verdicts.append(f"clipped sound: {clipped:.2%} of the samples are at full scale; record with less gain")
    if float(np.sqrt(np.mean(np.square(samples)))) < QUIET_RMS:
        verdicts.append("hardly any sound: check the microphone; lips cannot be learned from silence")
    return verdicts
