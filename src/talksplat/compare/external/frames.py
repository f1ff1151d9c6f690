"""Frames of a foreign video that belong to given frames of a clip."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from talksplat.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


def frames_of(
    source: Path, frame_ids: Sequence[int], clip_ids: Sequence[int], width: int, height: int
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Frames of an MP4 file or a folder of numbered images, one for each of `frame_ids`, in this order.

    As many as `frame_ids`: taken in their order. As many as the whole clip: those of the split are cut out. More images than
    the split, numbered by frame: found by their number.

    Args:
        frame_ids, clip_ids: numbers of the frames of the split, and of the subject.
        width, height: pixels that they must have. One row or column more is cut off: encoders pad odd sizes.

    Raises UserError for another number of frames, another size, or what cannot be read, when reading comes to it.
    """
    found = _from_folder(source, frame_ids, clip_ids) if source.is_dir() else _from_video(source, frame_ids, clip_ids)
    for path, picture in found:
        tall, wide = picture.shape[:2]
        if not (0 <= wide - width <= 1 and 0 <= tall - height <= 1):
            raise UserError(
                f"{path} is {wide}x{tall}, but the runs are {width}x{height}: rescale it so that the face covers the same "
                f"pixels, e.g. ffmpeg -i IN -vf scale={width}:{height}:flags=lanczos -crf 12 OUT"
            )
        yield picture[:height, :width]


def places(count: int, frame_ids: Sequence[int], clip_ids: Sequence[int], source: Path) -> list[int]:
    """Positions of the split's frames among `count` frames in their order."""
    if count == len(frame_ids):
        return list(range(count))
    if count == len(clip_ids):
        position = {frame_id: place for place, frame_id in enumerate(clip_ids)}
        return [position[frame_id] for frame_id in frame_ids]
    if count == max(clip_ids) + 1:  # the whole video, with the frames that the subject left out
        return list(frame_ids)
    raise UserError(
        f"{source} has {count} frames, but the split has {len(frame_ids)} ({frame_ids[0]} to {frame_ids[-1]}) and the whole "
        f"clip {len(clip_ids)}: render one of the two, at the clip's frame rate"
    )


def _from_video(source: Path, frame_ids: Sequence[int], clip_ids: Sequence[int]) -> Iterator[tuple[Path, np.ndarray]]:
    from talksplat.media.video import probe, read_frames

    info = probe(source)
    wanted = places(info.num_frames, frame_ids, clip_ids, source)
    remaining = set(wanted)
    for index, picture in enumerate(read_frames(source, info.fps)):
        if index in remaining:
            remaining.remove(index)
            yield source, picture
        if not remaining:
            return
    raise UserError(
        f"{source} says that it has {info.num_frames} frames, but {len(remaining)} of those that belong to the split cannot "
        "be decoded: it is cut off, or its frame rate varies; write it again at a constant rate"
    )


def _from_folder(source: Path, frame_ids: Sequence[int], clip_ids: Sequence[int]) -> Iterator[tuple[Path, np.ndarray]]:
    from talksplat.subject_format.images import decode_image

    numbered = _numbered(source)
    chosen = [numbered[frame_id] for frame_id in frame_ids if frame_id in numbered]
    if len(numbered) in (len(frame_ids), len(clip_ids)) or len(chosen) < len(frame_ids):
        paths = [numbered[number] for number in sorted(numbered)]
        chosen = [paths[place] for place in places(len(paths), frame_ids, clip_ids, source)]
    return ((path, decode_image(path)) for path in chosen)


def _numbered(folder: Path) -> dict[int, Path]:
    """Images by the last number in their name."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            digits = re.findall(r"\d+", path.stem)
            if not digits:
                raise UserError(f"{path} has no number: name the images by their frame, e.g. 00012.png")
            if int(digits[-1]) in found:
                raise UserError(f"{path} and {found[int(digits[-1])].name} have the same number: leave one of them out")
            found[int(digits[-1])] = path
    if not found:
        raise UserError(
            f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)}): give a folder of numbered images or an MP4 file"
        )
    return found
