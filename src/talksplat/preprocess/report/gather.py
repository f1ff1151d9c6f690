"""What the report says about a subject, from the results of the steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from talksplat.errors import printable
from talksplat.lips.measures import lip_measures
from talksplat.lips.sync import SoundOffset
from talksplat.media.face_landmarker import DLIB68
from talksplat.preprocess.clip_plan import FPS
from talksplat.preprocess.face_tracker.face_regions import CHIN
from talksplat.preprocess.report.facts import Facts
from talksplat.preprocess.steps import spread
from talksplat.preprocess.still_outline import Outline, head_place, still_shares
from talksplat.preprocess.verdicts import Check, head_angles, judge, judge_masks
from talksplat.subject_format.labels import Label

if TYPE_CHECKING:
    from talksplat.preprocess.subject_folder import Made

MASK_PAIRS = 200  # pairs of neighbouring frames whose masks are compared
OUTLINES = 40  # frames spread over the clip whose outlines are compared


def run_checks(made: Made, sync: SoundOffset, shift: int) -> list[Check]:
    """The checks of a finished subject."""
    plan, faces, ids = made.plan, made.faces, made.clip.track.frame_ids
    checks = judge(
        seconds=len(ids) / FPS,
        source_fps=made.source.info.fps,
        face_height=np.ptp(made.clip.landmarks[..., 1], axis=1) / plan.resolution,
        viewmats=made.clip.track.viewmats,
        rigid_error=made.clip.track.rigid_error * 512 / plan.resolution,
        sharpness=faces.sharpness[ids],
        light=faces.light[ids],
        samples=made.source.samples,
        sync=sync,
        shift=shift,
        unusable=len(plan.lost) + len(plan.covered),
    )
    return [*checks, _masks(made)]


def _masks(made: Made) -> Check:
    """The check of the masks, on frames and pairs of neighbouring frames spread over the clip."""
    ids = made.clip.track.frame_ids
    pairs = np.flatnonzero(np.diff(ids) == 1)
    pairs = (
        pairs[np.unique(np.linspace(0, len(pairs) - 1, min(len(pairs), MASK_PAIRS)).astype(int))]
        if len(pairs)
        else pairs
    )
    areas = [
        [np.bincount(made.label(k).ravel(), minlength=len(Label)) / made.plan.resolution**2 for k in (first, first + 1)]
        for first in pairs
    ]
    chin = made.clip.landmarks[pairs, CHIN, 1] / made.plan.resolution
    compared = spread(len(ids), OUTLINES)
    still = still_shares([_outline(made, int(k)) for k in compared])
    return judge_masks(np.array(areas).reshape(-1, 2, len(Label)), ids[pairs], chin, still, ids[compared])


def _outline(made: Made, position: int) -> Outline:
    size = made.plan.resolution
    place = head_place(made.clip.track, position, size, size)
    return Outline.of(made.label(position), made.clip.landmarks[position, CHIN, 1], place)


def gather(
    made: Made,
    checks: list[Check],
    notes: list[str],
    sync: SoundOffset,
    blink: Float[np.ndarray, " frame"],
    loudness: Float[np.ndarray, " video"],
    durations: dict[str, float],
) -> Facts:
    """The facts of a finished subject; `blink` by used frame, `loudness` by frame of the video."""
    track, plan, info = made.clip.track, made.plan, made.source.info
    error = track.rigid_error
    about = [
        ("video", f"{info.width}x{info.height}, {info.fps:.2f} frames a second, {len(loudness) / FPS:.1f} s at 25"),
        ("subject", f"{plan.resolution}x{plan.resolution}, {len(track.frame_ids)} frames"),
        ("left out", f"{len(plan.lost)} frames without a face, {len(plan.covered)} covered"),
        ("masks", made.masks),
        ("reprojection error", f"mean {error.mean():.2f} px, 99 % below {np.percentile(error, 99):.2f} px"),
        ("focal length", f"{track.focal:.0f} px"),
        ("mean distance", f"{10 * track.viewmats[:, 2, 3].mean():.0f} cm"),
    ]
    return Facts(
        title=printable(made.source.video.name),
        about=about,
        checks=checks,
        notes=notes,
        frame_ids=track.frame_ids,
        angles=head_angles(track.viewmats),
        position=track.viewmats[:, :3, 3],
        blink=np.clip(blink, 0, 1),
        rigid_error=track.rigid_error,
        full_error=track.full_error,
        confidence=plan.confidence,
        left_out={"no face": plan.lost, "covered": plan.covered},
        opening=lip_measures(made.faces.landmarks[:, list(DLIB68), :2])[:, 0],
        loudness=loudness,
        sync=sync,
        durations=durations,
    )
