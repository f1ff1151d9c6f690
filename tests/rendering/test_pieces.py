"""Frame reading, streaming, panels, progress and clocks."""

from __future__ import annotations

import io
import logging
import os
import threading
import time

import numpy as np
import pytest
import torch
from rich.console import Console

from talksplat.media.video import read_frames
from talksplat.media.video_writer import VideoWriter
from talksplat.rendering.async_encoder import BUFFERS, AsyncEncoder
from talksplat.rendering.frame_reader import FrameReader, PlateReader
from talksplat.rendering.panels import Panel, Panels
from talksplat.rendering.progress import RenderProgress
from talksplat.rendering.renderer import Clock
from talksplat.subject_format.subject import load_frame, read_subject
from tests.helpers.tiny_subject import AUDIO_FILE, AUDIO_WIDTH, AUDIO_WINDOW
from tests.helpers.waiting import HANG, wait_until


@pytest.mark.parametrize("cache_bytes", [2**20, 0])
def test_reader_gives_the_frames_in_the_order_asked_for(tiny_subject, cache_bytes):
    subject = read_subject(tiny_subject, [AUDIO_FILE], AUDIO_WIDTH, AUDIO_WINDOW)
    with FrameReader(subject, ("background", "original"), cache_bytes) as reader:
        for _ in range(2):
            images = reader.request(np.array([7, 3, 7]))()
            for row, position in enumerate((7, 3, 7)):
                expected = load_frame(subject, int(subject.frame_ids[position]))
                np.testing.assert_array_equal(images["background"][row], expected["background"])
                np.testing.assert_array_equal(images["original"][row], expected["original"])
    assert set(images) == {"background", "original"}


def test_plate_stands_in_for_every_frame():
    plate = torch.randint(0, 255, (4, 5, 3), dtype=torch.uint8)
    with PlateReader(plate) as reader:
        images = reader.request(np.array([1, 99]))()
    assert torch.equal(images["background"], torch.stack([plate, plate]))


def test_stream_writes_chunks_in_order(tmp_path):
    with AsyncEncoder(VideoWriter(tmp_path / "a.mp4", 32, 32)) as encoder:
        for first in range(0, 20, 4):
            levels = torch.arange(first, first + 4, dtype=torch.uint8) * 12
            encoder.write(levels[:, None, None, None].expand(4, 32, 32, 3).contiguous())
    levels = np.array([frame.mean() for frame in read_frames(tmp_path / "a.mp4")])
    np.testing.assert_allclose(levels, np.arange(20) * 12, atol=2)


class _SlowWriter:
    """Counts what waits; fails at a chosen frame."""

    def __init__(self, fail_at=None):
        self.gate = threading.Event()
        self.frames, self.fail_at, self.outcome = 0, fail_at, "open"

    def __enter__(self):
        return self

    def write(self, frame):
        self.gate.wait(HANG)
        if self.frames == self.fail_at:
            raise ValueError("disk full")
        self.frames += 1

    def __exit__(self, kind, value, traceback):
        self.outcome = kind


def test_stream_holds_few_chunks_and_makes_the_renderer_wait():
    writer = _SlowWriter()
    accepted = []

    def produce():
        with AsyncEncoder(writer) as encoder:
            for i in range(6):
                encoder.write(torch.zeros(2, 4, 4, 3, dtype=torch.uint8))
                accepted.append(i)

    thread = threading.Thread(target=produce)
    thread.start()
    wait_until(lambda: len(accepted) == BUFFERS, "writing into the buffers")
    time.sleep(0.05)  # in which it would write on, if it did not wait
    assert len(accepted) == BUFFERS
    writer.gate.set()
    thread.join(HANG)
    assert writer.frames == 12 and writer.outcome is None


@pytest.mark.parametrize("fail_at, chunks", [(0, 6), (11, 6)])
def test_errors_of_the_encoder_reach_the_renderer(fail_at, chunks):
    writer = _SlowWriter(fail_at)
    writer.gate.set()
    with pytest.raises(ValueError, match="disk full"), AsyncEncoder(writer) as encoder:
        for _ in range(chunks):
            encoder.write(torch.zeros(2, 4, 4, 3, dtype=torch.uint8))
    assert writer.outcome is ValueError


def test_error_of_the_renderer_leaves_no_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), AsyncEncoder(VideoWriter(tmp_path / "a.mp4", 32, 32)) as encoder:
        encoder.write(torch.zeros(2, 32, 32, 3, dtype=torch.uint8))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_panels_join_and_name_pictures():
    panels = Panels([Panel("render"), Panel("audio")], 200, 160)
    black, white = torch.zeros(2, 160, 200, 3), torch.ones(2, 160, 200, 3)
    joined = panels([black, white])
    assert joined.shape == (2, 160, 400, 3) and joined.dtype == torch.uint8
    assert (joined[:, 60:, :200] == 0).all() and (joined[:, 60:, 200:] == 255).all()
    assert joined[:, :30, :200].max() > 150  # letters on black
    assert joined[:, :30, 200:].min() < 100  # and on white
    single = Panels([Panel("render")], 200, 160)
    assert torch.equal(single([black + 0.5]), torch.full((2, 160, 200, 3), 128, dtype=torch.uint8))


def test_clock_leaves_the_first_call_out():
    clock = Clock()
    clock.add(4, 100.0)
    assert clock.fps is None
    clock.add(4, 0.5)
    clock.add(2, 0.5)
    assert clock.fps == 6


def test_progress_on_a_terminal_and_without_one(caplog, monkeypatch):
    shown = io.StringIO()
    with RenderProgress(10, Console(file=shown, force_terminal=True, width=100)) as progress:
        progress.advance(10)
    assert "10/10" in shown.getvalue()
    monkeypatch.setattr("talksplat.rendering.progress.PLAIN_SECONDS", 0.0)
    plain = io.StringIO()
    with caplog.at_level(logging.INFO), RenderProgress(10, Console(file=plain)) as progress:
        progress.advance(4)
    assert "rendering 4/10 frames  left 0:0" in caplog.text and plain.getvalue() == ""
