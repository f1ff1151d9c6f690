"""Looks at the images of a subject folder before any of them is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from talksplat.errors import UserError
from talksplat.subject_format import images
from talksplat.subject_format.labels import looks_swapped

FOLDERS = {  # what each is needed for
    "ori_imgs": "it holds the frames of the video",
    "parsing": "its colour-coded maps say which pixels are head, and nothing can be trained without",
}


def check_files(
    root: Path, frame_ids: Int[np.ndarray, " frame"], notes: list[str], soft_masks: bool = False
) -> tuple[int, int]:
    """Height and width of the frames. Of most images only the existence is checked, by one listing of each folder.

    Raises UserError naming the first file that is missing.
    """
    suffixes = {"ori_imgs": images.ORIGINAL_SUFFIXES, "parsing": (".png",), "torso_imgs": (".png",)}
    suffixes |= {"alpha": (".png",)} if soft_masks else {}
    for folder, allowed in suffixes.items():
        if folder == "torso_imgs" and not (root / folder).is_dir():
            notes.append("no torso_imgs: neck and torso of the original video are shown below the head")
            continue
        if not (root / folder).is_dir():
            raise UserError(f"{root / folder} is missing: {FOLDERS[folder]}; {images.MEND}")
        present = {path.name for path in (root / folder).iterdir()}
        missing = [
            f"{number}{allowed[0]}"
            for number in frame_ids.tolist()
            if not any(f"{number}{suffix}" in present for suffix in allowed)
        ]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(f"{root / folder / missing[0]}{more} is missing: {images.MEND}")
    if not (root / "bc.jpg").is_file():
        raise UserError(
            f"{root / 'bc.jpg'} is missing: it is the clean background that the head is drawn over; {images.MEND}"
        )
    height, width = images.decode_image(images.original_path(root, int(frame_ids[0]))).shape[:2]
    plate_height, plate_width = images.decode_image(root / "bc.jpg").shape[:2]
    if (plate_height, plate_width) != (height, width):
        notes.append(f"bc.jpg is {plate_width}x{plate_height} pixels and the frames {width}x{height}: resized")
    return height, width


def parsing_is_swapped(
    root: Path, frame_ids: Int[np.ndarray, " frame"], points: Float[np.ndarray, "frame 68 2"], notes: list[str]
) -> bool:
    """Whether red and blue of the semantic maps are exchanged: looks at the middle one of the frames with landmarks."""
    known = np.flatnonzero(np.isfinite(points).all((1, 2)))
    if not len(known):
        return False
    middle = known[len(known) // 2]
    parsing = images.decode_image(root / "parsing" / f"{frame_ids[middle]}.png")[..., ::-1]
    swapped = looks_swapped(parsing, points[middle])
    if swapped:
        notes.append(
            "parsing has red and blue exchanged (the face lies on the torso's colour): read the other way round"
        )
    return swapped
