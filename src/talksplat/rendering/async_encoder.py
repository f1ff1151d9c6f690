"""Asynchronous video encoder: rendered frames are copied and encoded while the next ones are rendered."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from jaxtyping import UInt8
from torch import Tensor

from talksplat.media.video_writer import VideoWriter

BUFFERS = 2


class AsyncEncoder:
    """Context manager around a `VideoWriter`: copies chunks to the host and encodes them in a thread of its own.

    At most `BUFFERS` chunks are pending, so memory does not grow with the length of the video. On CUDA the copies go
    to pinned memory (torch reuses it) and the thread, not the renderer, waits for them.
    """

    def __init__(self, writer: VideoWriter) -> None:
        self.writer = writer
        self._pool = ThreadPoolExecutor(1)
        self._pending: deque[Future] = deque()

    def __enter__(self) -> AsyncEncoder:
        self.writer.__enter__()
        return self

    def write(self, frames: UInt8[Tensor, "frame height width 3"]) -> None:
        """Append a chunk; errors of earlier chunks are raised here."""
        while len(self._pending) >= BUFFERS:
            self._pending.popleft().result()
        copied = None
        if frames.is_cuda:
            host = torch.empty(frames.shape, dtype=frames.dtype, pin_memory=True)
            host.copy_(frames, non_blocking=True)
            copied = torch.cuda.Event()
            copied.record()
            frames = host
        self._pending.append(self._pool.submit(self._encode, frames, copied))

    def _encode(self, frames: Tensor, copied: torch.cuda.Event | None) -> None:
        if copied is not None:
            copied.synchronize()
        for frame in frames.numpy():
            self.writer.write(frame)

    def __exit__(self, kind, value, traceback) -> None:
        try:
            while kind is None and self._pending:
                self._pending.popleft().result()
        except BaseException as error:
            self._pool.shutdown(cancel_futures=True)
            self.writer.__exit__(type(error), error, error.__traceback__)
            raise
        self._pool.shutdown(cancel_futures=True)
        self.writer.__exit__(kind, value, traceback)
