"""Traps in the images of a subject folder (GaussianTalker)."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from talksplat.errors import UserError
from talksplat.preprocess.check.findings import Finding, Level
from talksplat.preprocess.check.folder import Folder
from talksplat.preprocess.clip_plan import frame_list
from talksplat.subject_format.images import original_path
from talksplat.subject_format.labels import COLORS_BGR, Label, looks_swapped
from talksplat.subject_format.landmarks import read_landmarks

INEXACT = 0.001  # share of pixels without an exact colour code that counts
HEAD_SHARE = (0.02, 0.9)  # of the frame; outside, something else was labelled


def frame_numbers(folder: Folder) -> Iterator[Finding]:
    """Gaps, frames without landmarks, and images that lack their maps."""
    frames = folder.frames
    if not len(frames):
        yield Finding(Level.BAD, "frames", "ori_imgs has no {number}.jpg or .png")
        return
    gaps = np.setdiff1d(np.arange(frames[-1] + 1), frames)
    if len(gaps):
        yield Finding(
            Level.NOTE,
            "frames",
            f"numbers have gaps: {frame_list(gaps.tolist())} missing. Read by number here; GaussianTalker and EGSTalker "
            "take a frame's number for its row in the track and would shift all later poses",
        )
    bare = np.setdiff1d(frames, folder.with_landmarks)
    if len(bare):
        yield Finding(
            Level.NOTE, "landmarks", f"no .lms for {len(bare)} frames ({frame_list(bare.tolist())}): no lip box there"
        )
    for name in ("parsing", "torso_imgs"):
        lacking = np.setdiff1d(frames, folder.numbers(name, (".png",)))
        if folder.has(name) and len(lacking):
            yield Finding(Level.WARN, name, f"no PNG for frames {frame_list(lacking.tolist())}")


def parsing_codes(folder: Folder) -> Iterator[Finding]:
    """Colour codes that are not exact, exchanged, or do not cover the face."""
    inexact, shares, on_head, swapped = 0.0, [], [], []
    for frame_id in folder.sample:
        parsing = folder.image("parsing", frame_id)
        if parsing is None or parsing.ndim != 3 or parsing.shape[2] < 3:
            yield Finding(Level.BAD, "parsing", f"parsing/{frame_id}.png is no colour image; see segmentation=import")
            return
        exact = (parsing[:, :, None, :3] == COLORS_BGR).all(-1)
        inexact = max(inexact, 1 - float(exact.any(-1).mean()))
        shares.append(float(exact[..., Label.HEAD].mean()))
        if frame_id in folder.with_landmarks:
            points = _landmarks(folder, frame_id)
            swapped.append(looks_swapped(parsing[..., :3], points))
            on_head.append(_share_at(exact[..., Label.HEAD], points))
    if not folder.sample:
        return
    exchanged = bool(swapped) and np.mean(swapped) > 0.5
    if not exchanged and not HEAD_SHARE[0] < np.median(shares) < HEAD_SHARE[1]:
        yield Finding(
            Level.WARN, "parsing", f"the head covers {100 * np.median(shares):.1f} % of the frames: implausible"
        )
    if not exchanged and on_head and np.median(on_head) < 0.5:
        yield Finding(
            Level.WARN,
            "parsing",
            f"only {100 * np.median(on_head):.0f} % of the face landmarks (.lms) lie on the head: of another size, or another video",
        )
    if inexact > INEXACT:
        yield Finding(
            Level.WARN,
            "parsing",
            f"up to {100 * inexact:.1f} % of a map's pixels have no exact colour code (resized or recompressed) and count as "
            "background, here and elsewhere; import them with segmentation=import, which takes the nearest code",
        )
    elif not exchanged:
        yield Finding(
            Level.GOOD, "parsing", f"exact BGR codes; the head covers {100 * np.median(shares):.0f} % of the frames"
        )


def _landmarks(folder: Folder, frame_id: int) -> np.ndarray:
    try:
        return read_landmarks(folder.root / "ori_imgs" / f"{frame_id}.lms")
    except UserError:  # the reader says so
        return np.full((1, 2), np.nan)


def _share_at(mask: np.ndarray, points: np.ndarray) -> float:
    """Share of the points, in pixels, that lie in the picture and on the mask."""
    columns, rows = np.floor(np.nan_to_num(points, nan=-1)).astype(np.int64).T
    inside = (columns >= 0) & (columns < mask.shape[1]) & (rows >= 0) & (rows < mask.shape[0])
    return float(mask[rows[inside], columns[inside]].sum() / len(points))


def image_sizes(folder: Folder) -> Iterator[Finding]:
    """Images of another size than the first frame, or than the poses were found at."""
    if folder.size is None:
        return
    for frame_id in folder.sample:
        original = cv2.imread(str(original_path(folder.root, frame_id)))
        images = {f"ori_imgs/{frame_id}": original, f"parsing/{frame_id}.png": folder.image("parsing", frame_id)}
        if folder.has("torso_imgs"):
            images[f"torso_imgs/{frame_id}.png"] = folder.image("torso_imgs", frame_id)
        for name, image in images.items():
            if image is not None and image.shape[1::-1] != folder.size:
                found, wanted = (f"{size[0]}x{size[1]}" for size in (image.shape[1::-1], folder.size))
                yield Finding(Level.BAD, "size", f"{name} is {found}, the first frame {wanted}")
                return
    center = None if folder.listed is None else folder.listed.center
    if center is not None and max(abs(2 * c - s) for c, s in zip(center, folder.size)) > 2:
        yield Finding(
            Level.BAD,
            "size",
            f"poses were found at {2 * center[0]:g}x{2 * center[1]:g} (cx, cy), frames are "
            f"{folder.size[0]}x{folder.size[1]}",
        )


def torso_alpha(folder: Folder) -> Iterator[Finding]:
    """Torso images whose alpha is not 0 or 255, or whose colours are not 0 where transparent."""
    if not folder.has("torso_imgs"):
        return
    for frame_id in folder.sample:
        torso = folder.image("torso_imgs", frame_id)
        if torso is None or torso.ndim != 3 or torso.shape[2] != 4:
            yield Finding(Level.BAD, "torso", f"torso_imgs/{frame_id}.png has no alpha channel")
            return
        soft = float(((torso[..., 3] > 0) & (torso[..., 3] < 255)).mean())
        if soft > 0:
            yield Finding(
                Level.NOTE,
                "torso",
                f"alpha of torso_imgs/{frame_id}.png is not only 0 and 255 ({100 * soft:.1f} % of the pixels): blended here; "
                "other projects expect two values",
            )
            return


IMAGE_TRAPS = (frame_numbers, parsing_codes, image_sizes, torso_alpha)
