from __future__ import annotations

import numpy as np
import pytest

from talksplat.compare.data import ComparisonData
from talksplat.compare.pictures.footage import absolute_error, find_clips, paint_error
from talksplat.compare.pictures.style import APART, ERROR_HIGH
from talksplat.compare.pictures.video import MAX_WIDTH, poster_of, write_side_by_side
from talksplat.compare.pictures.worst_frames import CELL, draw_worst_frames, worst_positions
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.media.video import probe, read_frames
from talksplat.media.video_writer import VideoWriter
from talksplat.subject_format.images import decode_image
from tests.compare.made_runs import FRAMES, SIZE, add_video, runs_of, seeded, write_originals


def picture(seed: int) -> np.ndarray:
    """Smooth colours, so that the codec changes little."""
    x, y = np.meshgrid(np.linspace(0, 3, SIZE), np.linspace(0, 2, SIZE))
    waves = [np.sin(x + seed), np.cos(y - seed), np.sin(x * y + seed)]
    return (128 + 70 * np.stack(waves, -1)).astype(np.uint8)


def film(run, pictures, fps: float = 25) -> None:
    (run.path / "test").mkdir()
    height, width = pictures[0].shape[:2]
    with VideoWriter(run.path / "test" / "render.mp4", width, height, fps, crf=8) as writer:
        for one in pictures:
            writer.write(one)


def noted(write, data: ComparisonData, *arguments) -> str:
    """What a picture or video has to say on what it leaves out."""
    write(data, *arguments)
    return "\n".join(data.notes.lines)


def variant(i: int, root, **changes) -> dict:
    return {"config__loss": {"lip": {"weight": i}}, "config__dataset": {"root": str(root)}, **changes}


@pytest.fixture
def compared(tmp_path):
    """Two groups, the first of two seeds, with videos and originals; the sound ticks at frame 22."""
    originals = {frame_id: picture(frame_id) for frame_id in FRAMES}
    sound = np.zeros(26 * 640, np.float32)
    sound[22 * 640 : 23 * 640] = 0.5 * np.sin(np.arange(640) * 0.3)
    root = write_originals(tmp_path / "subject", originals, sound)
    changes = [seeded(0, **variant(1, root)), seeded(1, **variant(1, root)), seeded(0, **variant(2, root))]
    runs = runs_of(tmp_path / "runs", *changes)
    for level, run in zip((40, 90, -60), runs):
        film(run, [np.clip(one.astype(int) + level, 0, 255).astype(np.uint8) for one in originals.values()])
    return ComparisonData(runs)


def test_original_renderings_and_errors_with_the_sound_of_the_clip(compared, tmp_path):
    path = tmp_path / "side.mp4"
    write_side_by_side(compared, path)
    assert compared.notes.lines == []
    shown, info = list(read_frames(path)), probe(path)
    assert len(shown) == len(FRAMES) and info.width == 3 * SIZE and info.height % 2 == 0
    bar = info.height // 2 - SIZE
    videos = [list(read_frames(group.runs[0].path / "test" / "render.mp4")) for group in compared.groups]
    inner = np.s_[4:-4, 4:-4]

    def cell(frame, row, column):
        top = row * (bar + SIZE) + bar
        return frame[top : top + SIZE, column * SIZE : (column + 1) * SIZE][inner].astype(int)

    for i, frame_id in enumerate(FRAMES):
        original = picture(frame_id)
        assert np.abs(cell(shown[i], 0, 0) - original[inner]).mean() < 4
        for column, video in enumerate(videos, 1):
            assert np.abs(cell(shown[i], 0, column) - video[i][inner]).mean() < 4, "the first seed of each group"
            error = paint_error(absolute_error(original, video[i]))[inner]
            assert np.abs(cell(shown[i], 1, column) - error).mean() < 6
    sound = read_audio(path)
    assert len(sound) == pytest.approx(len(FRAMES) / 25 * SAMPLE_RATE, abs=1100)
    loud = [np.abs(sound[i * 640 + 100 : (i + 1) * 640 - 100]).mean() for i in range(len(FRAMES))]
    assert np.argmax(loud) == 2 and loud[2] > 5 * max(loud[0], loud[1], loud[3]), "frame 22 is the third"


def test_the_scale_of_errors_is_fixed_and_absolute():
    original, rendering = np.zeros((1, 2, 3), np.uint8), np.array([[[0, 0, 0], [90, 30, 0]]], np.uint8)
    assert absolute_error(original, rendering).tolist() == absolute_error(rendering, original).tolist() == [[0, 40]]
    half, full, beyond = paint_error(np.array([[ERROR_HIGH / 2, ERROR_HIGH, 250]], np.float32))[0].tolist()
    assert half != full == beyond == paint_error(np.full((1, 1), 255, np.float32))[0, 0].tolist()


def test_runs_of_one_group_are_shown_each(tmp_path):
    runs = runs_of(tmp_path, seeded(0), seeded(1), seeded(1))
    for run in runs:
        add_video(run.path, 100)
    data = ComparisonData(runs)
    clips = find_clips(data, 6, "x.mp4")
    assert [clip.title for clip in clips] == ["r0", "r1", "r2"] and data.notes.lines == []


def test_what_cannot_be_shown_is_said(tmp_path):
    runs = runs_of(tmp_path, *(variant(i, "nowhere", metrics__mean__psnr_head=20.0 + i) for i in range(5)))
    add_video(runs[0].path, 100)
    film(runs[1], [picture(0)] * 3)
    film(runs[2], [np.zeros((32, 32, 3), np.uint8)] * 4)
    add_video(runs[3].path, 100)
    (runs[3].path / "test" / "render.mp4").write_bytes(b"no video")
    path = tmp_path / "side.mp4"
    text = noted(write_side_by_side, ComparisonData(runs), path)
    for words in ("has 3 frames, 4 were measured", "is 32x32", "cannot be read as a video", "no test/render.mp4"):
        assert words in text
    assert "no original and no errors" in text and "no sound" in text
    info = probe(path)
    assert info.width == SIZE and info.height < 2 * SIZE and not info.has_audio
    assert "no picture of the worst frames" in noted(draw_worst_frames, ComparisonData(runs), 2, tmp_path / "w.jpg")
    only = ComparisonData(runs[4:])
    assert (
        "no video: no run has" in noted(write_side_by_side, only, tmp_path / "none.mp4")
        and not (tmp_path / "none.mp4").exists()
    )


def test_six_groups_at_most_and_a_width_that_plays(tmp_path):
    size = 900
    originals = {0: np.zeros((size, size, 3), np.uint8)}
    root = write_originals(tmp_path / "subject", originals)
    made = {"metrics__resolution": [size, size], "metrics__frames": [{"frame_id": 0, "psnr_head": 1.0}]}
    runs = runs_of(tmp_path / "r", *(variant(i, root, **made, metrics__mean__psnr_head=float(i)) for i in range(7)))
    for run in runs:
        film(run, [np.full((size, size, 3), 16, np.uint8)])
    path = tmp_path / "side.mp4"
    data = ComparisonData(runs)
    write_side_by_side(data, path)
    info = probe(path)
    assert info.width <= MAX_WIDTH < info.width + 14 and info.width % 14 == 0
    assert data.notes.lines[0] == "side.mp4 shows the 3 best and 3 worst of 7 groups by head PSNR with a video"
    frame = next(read_frames(path))
    cell = info.width // 7
    expected = paint_error(np.full((1, 1), 16, np.float32))[0, 0]
    assert np.abs(frame[-cell // 2, cell + cell // 2].astype(int) - expected).max() < 8
    assert poster_of(path).startswith(b"\xff\xd8")


def test_worst_frames_are_apart():
    values = np.array([9.0, 8, 1, 0, 2, 9, 9, 9, 3, np.nan, 9, 5])
    assert APART == 5
    assert worst_positions(values, 3) == [3, 8]
    assert worst_positions(-values, 2) == [0, 5], "where less is better"
    assert worst_positions(values[:0], 3) == []


def test_worst_frames_show_original_rendering_and_error(compared, tmp_path):
    for group in compared.groups:
        for run in group.runs:
            for frame, value in zip(run.metrics["frames"], (20.0, 19.0, 12.0, 18.0)):
                frame["psnr_head"] = value
    path = tmp_path / "worst.jpg"
    draw_worst_frames(compared, 1, path)
    assert compared.notes.lines == []
    image = decode_image(path)
    assert image.shape[1] == 2 * 3 * CELL + 6
    row = image[-CELL:].astype(int)
    for block, group in enumerate(compared.groups):
        rendering = list(read_frames(group.runs[0].path / "test" / "render.mp4"))[2]
        error = paint_error(absolute_error(picture(22), rendering))
        for column, wanted in enumerate((picture(22), rendering, error)):
            left = block * (3 * CELL + 6) + column * CELL
            found = row[CELL // 2, left + CELL // 2]
            assert np.abs(found - wanted[SIZE // 2, SIZE // 2]).max() < 14
