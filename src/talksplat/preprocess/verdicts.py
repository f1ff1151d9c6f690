"""Which advice for good clips a clip follows and which it breaks; nothing here stops the work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from talksplat.geometry.cameras import euler_trans_from_viewmat
from talksplat.lips.sync import SoundOffset

GOOD_SECONDS = 60.0
FACE_SHARE = (0.30, 0.50)  # face height in the frame's height
FRONTAL_DEGREES = 15.0
BLUR_SHARPNESS = 25.0  # variance of the Laplacian of a face at 128 pixels; sharp faces have several hundred
CLIPPED_LEVEL, CLIPPED_SHARE = 0.985, 0.001
QUIET_RMS = 0.003
FLICKER = 0.15  # relative spread of the face's brightness
EARLY, LATE = -0.045, 0.125  # s of sound against picture that viewers notice (ITU-R BT.1359)
LEAST_BODY, CHIN_ROOM = 0.005, 0.9  # share of the frame; height of a chin below which a neck may be out of the picture
JUMP = 0.05  # relative change of an area from frame to frame; right masks have up to 0.03
MASK_SHARE = 0.01  # of the frames, which may have wrong masks
STILL_OUTLINE = 0.1  # share of an outline that may stay while the head moves; right masks have 0.04 on average
STILL_SHARE = 0.5  # of the frames, which may have such an outline: a wall has it in nearly all of them
TRACK_ERROR, TRACK_SHARE = 4.0, 0.01  # pixels at 512, share of frames; 99 % of the frames of real clips stay below 2
OFTEN = 0.1  # share of frames that may be bad


@dataclass(frozen=True)
class Check:
    """One piece of advice: what was found, and if that is not good, what to do."""

    name: str
    good: bool | None  # None where the clip cannot tell
    finding: str
    advice: str

    @property
    def sentence(self) -> str:
        """Finding and advice in one line."""
        return f"{self.finding}; {self.advice}"


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
    rigid_error: Float[np.ndarray, " frame"],
    sharpness: Float[np.ndarray, " frame"],
    light: Float[np.ndarray, " frame"],
    samples: Float[np.ndarray, " sample"],
    sync: SoundOffset,
    shift: int = 0,
    unusable: int = 0,
) -> list[Check]:
    """Every check of a clip, most important first.

    Args:
        face_height: chin to forehead as a share of the frame's height.
        rigid_error: pixels by which poses miss the face, at 512.
        sharpness, light: as in `faces.FaceStream`.
        samples: sound in [-1, 1].
        sync: offset of the sound as it came against the picture.
        shift: milliseconds by which the sound was moved earlier since.
        unusable: frames left out because the face was out of the picture or covered.
    """
    picture = [_length(seconds), _turned(viewmats), _size(face_height), _usable(unusable, len(viewmats))]
    return [
        *picture,
        _tracked(rigid_error),
        _sharp(sharpness),
        _even(light),
        _rate(source_fps),
        _level(samples),
        _loud(samples),
        _together(sync, shift),
    ]


def judge_masks(
    areas: Float[np.ndarray, "pair 2 label"],
    frame_ids: Int[np.ndarray, " pair"],
    chin: Float[np.ndarray, " pair"],
    still: Float[np.ndarray, " frame"],
    still_ids: Int[np.ndarray, " frame"],
) -> Check:
    """Whether masks can be right: a part that is missing, an area that jumps from a frame to the next, or an outline that does
    not move with the head.

    Args:
        areas: of each label (`subject_format.labels.Label`) in a frame and the next one, as shares of the frame.
        frame_ids: numbers of the first frame of each pair.
        chin: height of the chin in those frames, 1 at the lower edge.
        still: as of `still_outline.still_shares`; NaN where the head does not move enough to tell.
        still_ids: numbers of those frames.
    """
    if not len(areas):
        return Check("masks", None, "no two frames in a row to compare", "")
    person, head = areas[..., 1:].sum(-1), areas[..., 1]
    change = np.max([np.abs(np.diff(part))[:, 0] / np.maximum(part[:, 0], 1e-6) for part in (person, head)], axis=0)
    bare = (areas[:, 0, 2:].sum(-1) < LEAST_BODY) & (chin < CHIN_ROOM)
    told = np.isfinite(still)
    found = [
        f"{words} in {bad.mean():.0%} of {len(bad)} frames looked at (first: {ids[bad][0]})"
        for words, bad, ids, most in (
            ("no neck or torso below the chin", bare, frame_ids, MASK_SHARE),
            ("a mask that jumps to the next frame", change > JUMP, frame_ids, MASK_SHARE),
            (
                "an outline that stays where it is while the head moves",
                still[told] > STILL_OUTLINE,
                still_ids[told],
                STILL_SHARE,
            ),
        )
        if len(bad) and bad.mean() > most
    ]
    advice = "look at the masks of these frames; segmentation=mediapipe and segmentation=matting find what colours do not tell"
    return Check(
        "masks", not found, "wrong masks: " + ", ".join(found) if found else "all parts are there and steady", advice
    )


def _length(seconds: float) -> Check:
    good = seconds >= GOOD_SECONDS
    finding = f"{seconds:.1f} s" if good else f"short: {seconds:.1f} s"
    return Check("length", good, finding, "3 to 5 minutes let an avatar learn all sounds and blinks")


def _turned(viewmats: np.ndarray) -> Check:
    angles = np.abs(head_angles(viewmats)[:, :2]).max(1)
    turned = float((angles > FRONTAL_DEGREES).mean())
    words = f"{turned:.0%} of the frames are more than {FRONTAL_DEGREES:.0f} degrees from frontal (up to {angles.max():.0f})"
    good = turned <= OFTEN
    advice = "those views are seen rarely and will be less sharp: face the camera, and cut profile views out"
    return Check("frontal view", good, words if good else f"turned head: {words}", advice)


def _size(face_height: np.ndarray) -> Check:
    share = float(np.median(face_height))
    if share < FACE_SHARE[0]:
        advice = "film or crop closer, 30 to 50 % is good"
        return Check("face size", False, f"small face: {share:.0%} of the frame's height", advice)
    if share > FACE_SHARE[1]:
        advice = "leave room for hair and shoulders, 30 to 50 % is good"
        return Check("face size", False, f"large face: {share:.0%} of the frame's height", advice)
    return Check("face size", True, f"the face takes {share:.0%} of the frame's height", "")


def _usable(unusable: int, used: int) -> Check:
    share = unusable / max(unusable + used, 1)
    finding = (
        f"{unusable} frames without a bare face were left out ({share:.0%})" if unusable else "a face in every frame"
    )
    advice = "keep the face in the picture and hands away from it; frame numbers and sound stay together"
    return Check("face in sight", share <= OFTEN / 10, finding, advice)


def _tracked(error: np.ndarray) -> Check:
    missed = float((error > TRACK_ERROR).mean())
    finding = f"poses miss the face by {error.mean():.1f} pixels on average, by over {TRACK_ERROR:.0f} in {missed:.0%} of the frames"
    advice = "cut out where the zoom changes, another person comes in or the face is in profile"
    return Check("head track", missed <= TRACK_SHARE, finding, advice)


def _sharp(sharpness: np.ndarray) -> Check:
    blurred = float((sharpness < BLUR_SHARPNESS).mean())
    good = blurred <= OFTEN
    finding = f"{1 - blurred:.0%} of the faces are sharp"
    advice = "use more light or a shorter exposure"
    return Check("sharpness", good, finding if good else f"blur: {finding}", advice)


def _even(light: np.ndarray) -> Check:
    spread = float(np.std(light) / max(np.mean(light), 1e-6))
    good = spread <= FLICKER
    finding = f"the face's brightness varies by {spread:.0%}"
    return Check("light", good, finding if good else f"uneven light: {finding}", "use steady light")


def _rate(fps: float) -> Check:
    good = fps >= 24
    finding = f"{fps:.1f} frames a second" + (", of which 25 are used" if fps > 25.5 else "")
    return Check("frame rate", good, finding, "lips move in steps; film with 25 to 30")


def _level(samples: np.ndarray) -> Check:
    clipped = float((np.abs(samples) > CLIPPED_LEVEL).mean())
    good = clipped <= CLIPPED_SHARE
    finding = f"{clipped:.2%} of the samples are at full scale"
    return Check("sound level", good, finding if good else f"clipped sound: {finding}", "record with less gain")


def _loud(samples: np.ndarray) -> Check:
    loudness = float(np.sqrt(np.mean(np.square(samples))))
    good = loudness >= QUIET_RMS
    finding = f"mean level {20 * np.log10(max(loudness, 1e-6)):.0f} dB"
    advice = "check the microphone; lips cannot be learned from silence"
    return Check("sound", good, finding if good else f"hardly any sound: {finding}", advice)


def _together(sync: SoundOffset, shift: int) -> Check:
    moved = f", and was moved {abs(shift)} ms {'earlier' if shift > 0 else 'later'}" if shift else ""
    if not sync.confident:
        guess = "" if sync.offset is None else f" (best guess {1000 * sync.offset:+.0f} ms, not to be relied on)"
        finding = f"whether they fit together cannot be told from this clip{guess}{moved}"
        return Check("sound and picture", None, finding, "")
    good = EARLY <= sync.offset - shift / 1000 <= LATE
    words = f"the sound came {abs(1000 * sync.offset):.0f} ms {'late' if sync.offset > 0 else 'early'}{moved}"
    if shift:
        words += f" (correlation of lips and sound {_score_at(sync, 0):.2f} before, {_score_at(sync, shift):.2f} after)"
    advice = "set clip.sound_shift_ms=auto, or give the right sound as audio_file=FILE"
    return Check("sound and picture", good, words if good else f"out of sync: {words}", advice)


def _score_at(sync: SoundOffset, milliseconds: int) -> float:
    return float(np.interp(milliseconds / 1000, sync.lags, sync.scores))
