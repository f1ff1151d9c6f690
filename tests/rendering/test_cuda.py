"""Rendering on a GPU: the same video as on a CPU, through pinned memory and a thread of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talksplat.media.sound import write_wav
from talksplat.media.video import read_frames
from talksplat.media.video_writer import VideoWriter
from talksplat.rendering.async_encoder import AsyncEncoder
from tests.rendering.test_render import difference, noise, run

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("camera", ["cycle", "static"])
def test_gpu_and_cpu_render_the_same(checkpoint, tmp_path, camera):
    write_wav(tmp_path / "speech.wav", noise(2.0))
    arguments = [f"audio={tmp_path / 'speech.wav'}", f"camera={camera}", "batch_size=4", "attention=true"]
    gpu = run(checkpoint, tmp_path / "gpu.mp4", *arguments, "device=cuda")
    cpu = run(checkpoint, tmp_path / "cpu.mp4", *arguments)
    assert gpu.render_fps > 0
    pairs = list(zip(read_frames(gpu.output), read_frames(cpu.output)))
    assert len(pairs) == 50 and max(difference(a, b) for a, b in pairs) < 0.5


def test_split_and_missing_folder(checkpoint, tmp_path):
    assert run(checkpoint, tmp_path / "a.mp4", "split=test", "device=cuda").metrics["mean"]["psnr"] > 5
    entry = torch.load(checkpoint, weights_only=True)
    entry["talksplat"]["subject"]["root"] = str(tmp_path / "gone")
    torch.save(entry, tmp_path / "gone.ckpt")
    write_wav(tmp_path / "speech.wav", noise(1.0))
    alone = run(tmp_path / "gone.ckpt", tmp_path / "b.mp4", f"audio={tmp_path / 'speech.wav'}", "device=cuda")
    assert alone.num_frames == 25


def test_frames_are_copied_before_their_memory_is_used_again(tmp_path):
    with AsyncEncoder(VideoWriter(tmp_path / "a.mp4", 512, 512)) as encoder:
        for first in range(0, 60, 4):
            levels = torch.arange(first, first + 4, device="cuda", dtype=torch.uint8) * 4
            encoder.write(levels[:, None, None, None].expand(4, 512, 512, 3).contiguous())
            torch.zeros(4, 512, 512, 3, device="cuda", dtype=torch.uint8)  # takes the freed block
    levels = np.array([frame.mean() for frame in read_frames(tmp_path / "a.mp4")])
    np.testing.assert_allclose(levels, np.arange(60) * 4, atol=2)
