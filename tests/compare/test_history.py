from __future__ import annotations

import numpy as np
import pytest

from talksplat.compare.pictures.history import Curve, NoHistory, mean_curve, read_curve
from tests.compare.made_runs import add_history


def test_values_and_times_of_all_stages(tmp_path):
    add_history(tmp_path, {10: (5.0, 20.0), 20: (9.0, 22.0)}, "coarse")
    coarse = (tmp_path / "metrics.csv").read_bytes()
    add_history(tmp_path, {30: (20.0, 25.0)})
    (tmp_path / "metrics.csv").write_bytes(coarse + (tmp_path / "metrics.csv").read_bytes())
    curve = read_curve(tmp_path)
    assert curve.steps.tolist() == [10, 20, 30]
    assert curve.seconds.tolist() == [5, 9, 20] and curve.values.tolist() == [20, 22, 25]


def test_times_between_rows_are_interpolated_and_none_is_made_up_after_the_last(tmp_path):
    rows = ["step,name,value", "10,seconds,4", "20,seconds,8", "5,a/val_psnr_composite,1", "15,a/val_psnr_composite,2"]
    (tmp_path / "metrics.csv").write_text("\n".join([*rows, "21,a/val_psnr_composite,3", ""]))
    curve = read_curve(tmp_path)
    assert curve.steps.tolist() == [5, 15] and curve.seconds.tolist() == [2, 6]


def test_torn_and_foreign_rows_do_not_count(tmp_path):
    add_history(tmp_path, {10: (5.0, 20.0)})
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("20,fine/milliseconds,7\n20,fine/seconds,nan\nx,fine/seconds,9\n15,fine/seconds,90\n")
        file.write("15,fine/val_psnr_composite,2")  # of 21.5
    curve = read_curve(tmp_path)
    assert curve.steps.tolist() == [10] and curve.seconds.tolist() == [5]


@pytest.mark.parametrize(
    "text, reason",
    [
        (None, "no readable metrics.csv"),
        ("step,name,value\n", "no rows val_psnr_composite"),
        ("step,name,value\n10,fine/val_psnr_composite,20\n", "no rows seconds .*older version"),
        ("step,name,value\n10,fine/val_psnr_composite,20\n5,fine/seconds,2\n", "as late as"),
    ],
)
def test_why_there_is_no_curve(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(NoHistory, match=reason):
        read_curve(tmp_path)


def test_the_mean_is_over_steps_that_all_have(tmp_path):
    one = Curve(np.array([10, 20, 30]), np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0]))
    other = Curve(np.array([10, 30]), np.array([2.0, 6.0]), np.array([14.0, 31.0]))
    mean = mean_curve([one, other])
    assert (
        mean.steps.tolist() == [10, 30] and mean.seconds.tolist() == [1.5, 4.5] and mean.values.tolist() == [12, 30.5]
    )
