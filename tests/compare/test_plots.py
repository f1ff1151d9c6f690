from __future__ import annotations

import importlib

import cv2
import numpy as np
import pytest

from talksplat.compare.pictures.draw import draw_pictures
from talksplat.compare.pictures.frames import plot_frames
from talksplat.compare.pictures.history import plot_history
from talksplat.compare.pictures.metrics import MAX_LINES, plot_metrics
from talksplat.compare.pictures.pareto import plot_pareto
from talksplat.compare.pictures.style import COLORS, PlotStyle
from tests.compare.made_runs import add_history, data_of, frames, seeded

NAMES = ("frames", "history", "metrics", "pareto")


@pytest.fixture
def figures(monkeypatch) -> list:
    """Figures instead of files."""
    caught = []
    for name in NAMES:
        module = importlib.import_module(f"talksplat.compare.pictures.{name}")
        monkeypatch.setattr(module, "save", lambda figure, path, **_: caught.append(figure))
    return caught


def variants(tmp_path, count: int, seeds: int = 1, **more):
    """Groups whose head PSNR and speed rise with their number."""
    changes = [
        seeded(
            seed,
            config__loss={"lip": {"weight": i}},
            metrics__mean={"psnr": 20.0 + i + seed, "psnr_head": 20.0 + i + seed},
            metrics__fps=10.0 * (count - i),
            **more,
        )
        for i in range(count)
        for seed in range(seeds)
    ]
    return data_of(tmp_path, *changes)


def entries(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_training_time_has_a_line_for_each_group_and_thin_ones_for_its_seeds(tmp_path, figures):
    data = variants(tmp_path, 2, seeds=2)
    for seed, run in enumerate(data.groups[0].runs):
        add_history(run.path, {10: (5.0 + seed, 20.0), 20: (10.0 + 3 * seed, 24.0 + seed)})
    add_history(data.groups[1].runs[1].path, {10: (5.0, 19.0)})
    plot_history(data, PlotStyle(data), tmp_path / "x.png")
    lines = figures[0].axes[0].lines
    thick = [line for line in lines if line.get_linewidth() > 1.7]
    assert len([line for line in lines if line.get_linewidth() < 1]) == 2
    assert thick[0].get_xdata().tolist() == [5.5, 11.5] and thick[0].get_ydata().tolist() == [20, 24.5]
    assert thick[0].get_color() == COLORS[0] and thick[1].get_color() == COLORS[1]
    assert entries(figures[0]) == [group.name for group in data.groups]
    assert data.notes.lines == [
        f"{data.groups[1].runs[0].name} is not in the plot over training time: no readable metrics.csv in the run folder"
    ]


def test_thirty_groups_have_seven_colours_and_eight_legend_entries(tmp_path, figures):
    data = variants(tmp_path, 30, metrics__frames=frames(1, 2))
    for group in data.groups:
        add_history(group.runs[0].path, {10: (5.0, 20.0)})
    style = PlotStyle(data)
    plot_history(data, style, tmp_path / "x.png")
    plot_frames(data, style, tmp_path / "x.png")
    plot_pareto(data, style, tmp_path / "x.png")
    plot_metrics(data, tmp_path / "x.png")
    history, curves, pareto, metrics = figures
    assert entries(history)[-1] == "23 other groups" and len(entries(history)) == 8
    assert len(entries(curves)) == 7 and all(len(axes.lines) == 7 for axes in curves.axes)
    assert len(entries(pareto)) <= 16
    assert len(metrics.axes[0].get_yticklabels()) == 30 <= MAX_LINES
    best = f"{data.groups[-1].runs[0].config['loss']['lip']['weight']}"
    assert (
        best in entries(history)[0]
        and data.pick(data.groups, len(COLORS))[1] == "the 4 best and 3 worst of 30 groups by head PSNR"
    )


def test_frames_have_the_mean_and_the_band_of_the_seeds(tmp_path, figures):
    low = {"metrics__frames": frames(20, 21, 22, lmd=2)}
    high = {"metrics__frames": frames(24, 21, 24, lmd=3)}
    high["metrics__frames"][1]["psnr_head"] = None
    data = data_of(tmp_path, seeded(0, **low), seeded(1, **high))
    plot_frames(data, PlotStyle(data), tmp_path / "x.png")
    assert data.notes.lines == []
    axes = figures[0].axes
    assert [one.get_ylabel() for one in axes] == ["PSNR", "head PSNR", "LMD (px)"]
    assert axes[0].lines[0].get_ydata().tolist() == [22, 21, 23]
    assert axes[1].lines[0].get_ydata().tolist() == [22, 21, 23], "a seed without a value leaves the other"
    band = axes[0].collections[0].get_paths()[0].get_extents()
    assert (band.ymin, band.ymax) == (20, 24)


def test_the_front_is_drawn_as_steps_and_its_members_are_named(tmp_path, figures):
    data = variants(tmp_path, 3)
    data.groups[0].runs[0].metrics["fps"] = 15.0  # slower than the second, and worse
    elsewhere = data.groups[2].runs[0]
    elsewhere.info["host"] = "there"
    plot_pareto(data, PlotStyle(data), tmp_path / "x.png")
    axes = figures[0].axes[0]
    steps = next(line for line in axes.lines if line.get_drawstyle() == "steps-pre")
    assert list(steps.get_xdata()[1:]) == [20, 20] and list(steps.get_ydata()[:2]) == [21, 21]
    hollow = [
        line.get_color() for line in axes.lines if line.get_markerfacecolor() == "none" and line.get_marker() == "^"
    ]
    assert hollow == [COLORS[2]]
    assert entries(figures[0]) == [*(f"{i}  {group.name}" for i, group in enumerate(data.groups, 1)), "Pareto front"]
    assert data.notes.lines == [
        f"{data.groups[2].name} is hollow in the plot of quality against speed and no part of its front: their speed is of another machine"
    ]


def test_metrics_of_many_groups_are_cut_with_a_note(tmp_path, figures):
    data = variants(tmp_path, MAX_LINES + 1)
    plot_metrics(data, tmp_path / "metrics.png")
    assert data.notes.lines == [f"metrics.png shows the 15 best and 15 worst of {MAX_LINES + 1} groups by head PSNR"]
    dots = figures[0].axes[0].collections[0].get_offsets()
    assert len(dots) == MAX_LINES and dots[0].tolist() == [20.0 + MAX_LINES, 0]


def test_runs_without_history_speed_frames_and_metrics_leave_notes_only(tmp_path):
    nothing = {"metrics__mean": {}, "metrics__frames": [], "metrics__fps": None}
    data = data_of(tmp_path / "runs", nothing, {**nothing, "config__loss": {}})
    out = tmp_path / "out"
    out.mkdir()
    (out / "per_frame.png").write_bytes(b"of another comparison")
    assert draw_pictures(data, out, worst_frames=2) is None and not list(out.iterdir())
    text = "\n".join(data.notes.lines)
    for words in ("metrics.csv", "no FPS was measured", "single frames", "test/render.mp4", "measured any"):
        assert words in text


def test_pictures_are_png_files(tmp_path):
    data = variants(tmp_path, 2, seeds=2)
    add_history(data.groups[0].runs[0].path, {10: (5.0, 20.0), 20: (9.0, 21.0)})
    out = tmp_path / "out"
    out.mkdir()
    draw_pictures(data, out, worst_frames=0)
    names = {"metrics.png", "quality_and_speed.png", "training_time.png", "per_frame.png"}
    assert {path.name for path in out.iterdir()} == names
    for path in out.iterdir():
        image = cv2.imread(str(path))
        assert image.shape[1] > 1000 and np.ptp(image) == 255
