"""Rendering speed of an avatar: frames per second at fixed batch sizes, with the device synchronised."""

from __future__ import annotations

import torch

from talksplat.data.datamodule import PortraitDataModule
from talksplat.rendering.renderer import AvatarRenderer, Clock

BATCHES = (1, 16)
MOST_SECONDS = 20.0  # per batch size: enough on a GPU, while a CPU need not render all frames


def measure_speed(renderer: AvatarRenderer, data: PortraitDataModule, frames: int) -> dict[str, float | int | str]:
    """Model and rasteriser, without reading and encoding.

    Returns:
        "device"; for each of `BATCHES` "batch_N" (frames/s) and "batch_N_frames", those that were timed. The first chunk
        warms up and is left out.
    """
    device = renderer.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    found: dict[str, float | int | str] = {"device": name}
    total = len(data.store)
    for size in BATCHES:
        renderer.clock = clock = Clock()
        start = 0
        while clock.frames < frames and clock.seconds < MOST_SECONDS:
            positions = torch.arange(start, start + size) % total
            batch = data.store.batch(positions, device)
            renderer.render(batch.conditions, batch.background_u8)
            start += size
        found[f"batch_{size}"] = round(clock.fps, 2)
        found[f"batch_{size}_frames"] = clock.frames
    return found
