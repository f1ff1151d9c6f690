"""Decodes all frames of a subject once and keeps them packed: in memory or in one file on disk.

A packed frame is one row of bytes: the original (H*W*3), the background (H*W*3), the head mask (H*W). It is gathered
and moved to a device in one piece, and its images are views of it. Of a subject with soft masks, the last byte holds
alpha in its upper seven bits and the hard mask in the lowest.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from rich.console import Console
from rich.progress import track
from torch import Tensor

from talksplat.data.mask_checks import load_checked, used_positions
from talksplat.errors import UserError
from talksplat.locks import locked
from talksplat.subject_format.identity import identity
from talksplat.subject_format.images import original_path
from talksplat.subject_format.subject import Subject, load_background, load_frame

BYTES_PER_PIXEL = 7
FORMAT = 3  # part of the key of files on disk: increase it when the packing, the compositing or the checks change
CHUNK = 32
SHOW_PROGRESS_ABOVE = 50
GIB = 2**30


def packed_size(subject: Subject) -> int:
    """Bytes of one packed frame."""
    return subject.width * subject.height * BYTES_PER_PIXEL


def pack_frame(frame: dict[str, np.ndarray]) -> UInt8[np.ndarray, " byte"]:
    """One row of bytes from what `load_frame` returns."""
    mask = frame["head_mask"].astype(np.uint8)
    if "head_alpha" in frame:
        mask |= frame["head_alpha"] & 0xFE
    return np.concatenate([frame["original"].ravel(), frame["background"].ravel(), mask.ravel()])


def unpack_frames(
    packed: UInt8[Tensor, "frame byte"], width: int, height: int, soft_masks: bool = False
) -> dict[str, Tensor | None]:
    """`original_u8`, `background_u8` [B, H, W, 3], `head_mask` (bool) and `head_alpha_u8` (None without `soft_masks`)."""
    size = width * height
    original, background, mask = packed.split([3 * size, 3 * size, size], dim=1)
    mask = mask.unflatten(1, (height, width))
    return {
        "original_u8": original.unflatten(1, (height, width, 3)),
        "background_u8": background.unflatten(1, (height, width, 3)),
        "head_mask": (mask & 1).view(torch.bool) if soft_masks else mask.view(torch.bool),
        # the highest bit replaces the lowest, so that 0 and 255 are exact
        "head_alpha_u8": (mask & 0xFE) | (mask >> 7) if soft_masks else None,
    }


def available_memory() -> int | None:
    """Bytes of memory available without swapping; None where the system does not report it."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def decoded_frames(subject: Subject) -> Iterator[UInt8[np.ndarray, " byte"]]:
    """Packed frames in order, decoded by a few threads. Raises UserError naming the first file that is unusable."""
    plate = load_background(subject)
    frame_ids = iter(subject.frame_ids.tolist())
    used = set(subject.frame_ids[used_positions(subject)].tolist())

    def load(frame_id: int) -> UInt8[np.ndarray, " byte"]:
        return pack_frame((load_checked if frame_id in used else load_frame)(subject, frame_id, plate))

    with ThreadPoolExecutor(max_workers=max(2, min(4, os.cpu_count() or 1))) as pool:
        while chunk := list(itertools.islice(frame_ids, CHUNK)):
            yield from pool.map(load, chunk)


def _with_progress(subject: Subject) -> Iterator[UInt8[np.ndarray, " byte"]]:
    total = len(subject.frame_ids)
    console = Console(stderr=True)
    hidden = total <= SHOW_PROGRESS_ABOVE or not console.is_terminal
    return track(decoded_frames(subject), "reading frames", total, console=console, disable=hidden, transient=True)


def load_to_memory(subject: Subject) -> UInt8[Tensor, "frame byte"]:
    """All frames (7 bytes a pixel). Raises UserError if they would not fit into the memory that is free."""
    needed, free = len(subject.frame_ids) * packed_size(subject), available_memory()
    if free is not None and needed > free:
        raise UserError(
            f"the {len(subject.frame_ids)} frames of {subject.root} take {needed / GIB:.1f} GiB of memory and "
            f"{free / GIB:.1f} GiB are free: set dataset.cache=disk, or fewer frames with dataset.max_frames"
        )
    packed = torch.empty(len(subject.frame_ids), packed_size(subject), dtype=torch.uint8)
    rows = packed.numpy()
    for position, row in enumerate(_with_progress(subject)):
        rows[position] = row
    return packed


class FrameFile:
    """Packed frames in a file, read on request.

    Reads and no memory map: mapped pages count as the process's own memory, and after an epoch of a long clip all of
    them would be mapped. The system still keeps in its file cache what fits.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.path, self.shape = path, shape
        self._file = path.open("rb", buffering=0)

    def read(self, positions: Int[Tensor, " frame"], out: UInt8[Tensor, "frame byte"]) -> None:
        """Fill the rows of `out` (on the CPU) with the frames at `positions`. Raises UserError if the file is cut off."""
        size = self.shape[1]
        for row, position in zip(out.numpy(), positions.tolist()):
            done = 0
            while done < size:
                count = os.preadv(self._file.fileno(), [memoryview(row)[done:]], position * size + done)
                if count == 0:
                    raise UserError(f"{self.path} ends within frame {position}: remove the file, it will be rebuilt")
                done += count


def load_to_disk(subject: Subject, folder: Path) -> FrameFile:
    """All frames in a file in `folder`, written the first time.

    The file's name holds a digest of the names, sizes and times of the images, so a changed subject gets a new file.
    Raises UserError if the folder cannot be written or has too little space.
    """
    shape = (len(subject.frame_ids), packed_size(subject))
    path = folder / f"frames-{_fingerprint(subject)}.u8"
    if not _is_complete(path, shape):
        remedy = "set dataset.cache_dir to a folder with enough space, or dataset.cache=memory"
        with locked(path, remedy, wait=True):  # another run may be writing it
            if not _is_complete(path, shape):
                _write_file(subject, path, shape[0] * shape[1], remedy)
    return FrameFile(path, shape)


def _is_complete(path: Path, shape: tuple[int, int]) -> bool:
    return path.is_file() and path.stat().st_size == shape[0] * shape[1]


def _write_file(subject: Subject, path: Path, size: int, remedy: str) -> None:
    temporary = path.with_name(f"{path.name}.partial")  # that of a killed process is overwritten
    try:
        free = shutil.disk_usage(path.parent).free
        if size > free:
            raise UserError(
                f"{path.parent} has {free / GIB:.1f} GiB free but {size / GIB:.1f} GiB are needed: {remedy}"
            )
        with temporary.open("wb") as file:
            for row in _with_progress(subject):
                file.write(row.data)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write the frame cache {path} ({error.strerror or error}): {remedy}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _fingerprint(subject: Subject) -> str:
    kind = "soft" if subject.soft_masks else "hard"
    content = identity(subject)  # names, sizes and times alone may be those of another clip
    start = f"{FORMAT} {kind} {subject.width}x{subject.height} {content['frames']} {content['masks']}"
    digest = hashlib.blake2b(start.encode(), digest_size=10)
    names = ["bc.jpg"]
    for frame_id in subject.frame_ids.tolist():
        original = original_path(subject.root, frame_id).name
        names += [f"ori_imgs/{original}", f"parsing/{frame_id}.png", f"torso_imgs/{frame_id}.png"]
        names += [f"alpha/{frame_id}.png"] if subject.soft_masks else []
    for name in names:
        path = subject.root / name
        if path.is_file():
            status = path.stat()
            digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
