"""Masks that would train an avatar without a head, or of something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt8

from talksplat.data.head_cloud import pixels_of
from talksplat.errors import UserError
from talksplat.subject_format.images import read_image
from talksplat.subject_format.labels import Label, label_mask
from talksplat.subject_format.subject import Subject, load_background, load_frame, read_parsing

SAMPLED = 16  # frames
ON_HEAD = 0.5  # share of the face landmarks that must lie on the head
POINTS_ON_HEAD = 0.3  # of the start points, some of which a mesh has elsewhere
MOST_HEAD = 0.95  # share of the frame that a head covers
MOST_CLASSES = 32  # of a face parser; the lineage has 19
SHOWN = 0.5  # share of a masked part that the image made along the mask must show
MEND = "make the masks again, or import right ones by preprocess with segmentation=import"


def check_masks(subject: Subject) -> None:
    """Look at some frames before work starts: heads, what lies on them, and whether torsos are shown.

    Raises:
        UserError: head masks that are empty, inverted, of another size or of another video; poses that put the start points
            elsewhere; transparent torsos.
    """
    used = used_positions(subject)
    positions = used[np.unique(np.linspace(0, len(used) - 1, SAMPLED).round().astype(int))].tolist()
    plate = load_background(subject)
    heads = [load_checked(subject, int(subject.frame_ids[position]), plate)["head_mask"] for position in positions]
    folder = subject.root / "parsing"
    size = float(np.median([head.mean() for head in heads]))
    if size > MOST_HEAD:
        raise UserError(
            f"the head covers {100 * size:.0f} % of the frames in {folder}, which leaves no background: {MEND}"
        )
    _check_on_head(
        "face landmarks", [_landmarks_on_head(subject, *pair) for pair in zip(positions, heads)], ON_HEAD, folder
    )
    _check_on_head(
        "start points", [_points_on_head(subject, *pair) for pair in zip(positions, heads)], POINTS_ON_HEAD, folder
    )
    if (subject.root / "torso_imgs").is_dir():
        shown = [share for position in positions if (share := _torso_shown(subject, position)) is not None]
        if shown and np.median(shown) < SHOWN:
            raise UserError(
                f"{subject.root / 'torso_imgs'} is transparent where parsing marks neck and torso: make it again, or remove "
                "it (neck and torso of the original video are then shown)"
            )


def load_checked(
    subject: Subject, frame_id: int, plate: UInt8[np.ndarray, "height width 3"] | None = None
) -> dict[str, np.ndarray]:
    """`load_frame`, with a look at its masks. Raises UserError where `parsing` marks no head, or `alpha` contradicts it."""
    frame = load_frame(subject, frame_id, plate)
    head, path = frame["head_mask"], subject.root / "parsing" / f"{frame_id}.png"
    if not head.any():
        parsing = read_parsing(subject, frame_id)
        most = int(parsing.max())
        hint = f"; its values up to {most} are class numbers and not colours" if 0 < most < MOST_CLASSES else ""
        raise UserError(f"{path} marks no pixel as head (pure blue){hint}: {MEND}")
    if "head_alpha" in frame:
        alpha = frame["head_alpha"] / 255
        if alpha[head].mean() < SHOWN or (not head.all() and alpha[~head].mean() > SHOWN):
            raise UserError(
                f"{subject.root / 'alpha' / path.name} does not show the head that {path} marks (empty, full or inverted): "
                "make the masks again, or set dataset.soft_masks=false"
            )
    return frame


def used_positions(subject: Subject) -> Int[np.ndarray, " used"]:
    """Rising positions of the frames that are trained on, chosen by or reported."""
    return np.unique(np.concatenate([subject.train, subject.val, subject.test]))


def _check_on_head(what: str, shares: list[float | None], least: float, folder: Path) -> None:
    known = [share for share in shares if share is not None]
    if known and np.median(known) < least:
        raise UserError(
            f"only {100 * np.median(known):.0f} % of the {what} lie on the head of {folder}: its maps are inverted, shifted or of "
            f"another video, or the head poses are; {MEND}"
        )


def _landmarks_on_head(subject: Subject, position: int, head: Bool[np.ndarray, "height width"]) -> float | None:
    """Share of a frame's landmarks on the mask; None where it has none."""
    points = subject.landmarks[position]
    if not np.isfinite(points).all():
        return None
    columns, rows = np.floor(points).astype(np.int64).T
    inside = (columns >= 0) & (columns < subject.width) & (rows >= 0) & (rows < subject.height)
    return float(head[rows[inside], columns[inside]].sum() / len(points))


def _points_on_head(subject: Subject, position: int, head: Bool[np.ndarray, "height width"]) -> float | None:
    """Share of the start points on the mask; None where there are none."""
    if not len(subject.vertices):
        return None
    columns, rows, inside = pixels_of(subject.vertices, subject.viewmats[position], subject.K, head.shape)
    return float(head[rows[inside], columns[inside]].sum() / len(inside))


def _torso_shown(subject: Subject, position: int) -> float | None:
    """Share of neck and torso in a frame that its torso image shows; None where it has neither."""
    frame_id = int(subject.frame_ids[position])
    parsing = read_parsing(subject, frame_id)
    below = label_mask(parsing, Label.NECK) | label_mask(parsing, Label.TORSO)
    torso = read_image(subject.root / "torso_imgs" / f"{frame_id}.png", subject.width, subject.height, 4)
    return float((torso[..., 3][below] / 255).mean()) if below.any() else None
