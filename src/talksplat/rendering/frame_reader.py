"""Reader of backgrounds and originals of a clip, which threads decode ahead while other frames are rendered."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from talksplat.subject_format.subject import Subject, load_background, load_frame

CACHE_BYTES = 512 * 2**20  # of decoded frames, since a camera path returns to them
MAX_THREADS = 8


class FrameReader:
    """Images of a subject folder by position; a context manager.

    Args:
        subject: whose frames.
        names: which images of `load_frame` are wanted.
        cache_bytes: of decoded images kept in memory; further ones are decoded on each request.
    """

    def __init__(
        self, subject: Subject, names: Sequence[str] = ("background",), cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.subject = subject
        self.names = tuple(names)
        self._plate = load_background(subject)
        self._kept: dict[int, dict[str, np.ndarray]] = {}
        self._room = cache_bytes
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS))

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_) -> None:
        self._pool.shutdown(cancel_futures=True)

    def request(self, positions: Int[np.ndarray, " frame"]) -> Callable[[], dict[str, Tensor]]:
        """Start to read; returns a function that waits for the images [B, H, W, ...], on the CPU."""
        unique, inverse = np.unique(positions, return_inverse=True)
        futures = [self._pool.submit(self._load, int(position)) for position in unique]

        def wait() -> dict[str, Tensor]:
            frames = [future.result() for future in futures]
            return {name: torch.from_numpy(np.stack([frames[i][name] for i in inverse])) for name in self.names}

        return wait

    def _load(self, position: int) -> dict[str, np.ndarray]:
        kept = self._kept.get(position)
        if kept is not None:
            return kept
        loaded = load_frame(self.subject, int(self.subject.frame_ids[position]), self._plate)
        frame = {name: loaded[name] for name in self.names}
        size = sum(image.nbytes for image in frame.values())
        with self._lock:
            if size <= self._room and position not in self._kept:
                self._room -= size
                self._kept[position] = frame
        return frame


class PlateReader:
    """Replaces `FrameReader` where only one background is available."""

    def __init__(self, plate: UInt8[Tensor, "height width 3"]) -> None:
        self._plate = plate

    def __enter__(self) -> PlateReader:
        return self

    def __exit__(self, *_) -> None:
        return None

    def request(self, positions: Int[np.ndarray, " frame"]) -> Callable[[], dict[str, Tensor]]:
        """As of `FrameReader`; any position gives the same background."""
        # Memory of its own for each frame: CUDA cannot pin a view that repeats its rows.
        return lambda: {"background": self._plate.repeat(len(positions), 1, 1, 1)}
