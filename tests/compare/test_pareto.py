from __future__ import annotations

from talksplat.compare.pictures.pareto import front_of, main_hardware, pareto_front, plot_pareto, points_of
from talksplat.compare.pictures.style import PlotStyle
from tests.compare.made_runs import data_of, seeded


def variant(weight: float, fps: float | None, psnr: float, **changes) -> dict:
    return {
        "config__loss": {"lip": {"weight": weight}},
        "metrics__fps": fps,
        "metrics__mean__psnr": psnr,
        "metrics__mean__lmd": 40 - psnr,
        **changes,
    }


def test_only_unbeaten_points_are_on_the_front():
    points = [(10, 30), (100, 20), (50, 25), (50, 24), (9, 29), (100, 19)]
    assert pareto_front(points) == [0, 2, 1]
    assert pareto_front([(1, 1), (1, 1)]) == [0, 1], "equals do not beat each other"
    assert pareto_front([]) == []


def test_fronts_of_metrics_in_both_directions(tmp_path):
    data = data_of(tmp_path, variant(1, 10, 30), variant(2, 100, 20), variant(3, 5, 29), variant(4, None, 35))
    for key in ("psnr", "lmd"):
        points = points_of(data, data.columns[key])
        front = front_of(points, data.columns[key])
        assert len(points) == 3 and [point.group.runs[0].name for point in front] == ["r0", "r1"]
    plot_pareto(data, PlotStyle(data), tmp_path / "x.png")
    where = "is not in the plot of quality against speed: no FPS was measured"
    assert data.notes.lines == [f"{data.groups[3].name} {where}"]


def test_speeds_of_another_machine_are_shown_but_do_not_compare(tmp_path):
    fast = {"info__host": "there"}
    data = data_of(tmp_path, variant(1, 10, 30), variant(2, 20, 25), variant(3, 900, 40, **fast))
    points = points_of(data, data.columns["psnr"])
    assert [point.compares for point in points] == [True, True, False] and "here" in main_hardware(data)
    assert [point.group.runs[0].name for point in front_of(points, data.columns["psnr"])] == ["r0", "r1"]


def test_groups_of_mixed_hardware_have_no_speed(tmp_path):
    data = data_of(tmp_path, seeded(0), seeded(1, info__host="there"))
    plot_pareto(data, PlotStyle(data), tmp_path / "x.png")
    where = "is not in the plot of quality against speed: its runs had different hardware"
    assert data.notes.lines == [f"{data.groups[0].name} {where}"]
    assert main_hardware(data) is None
