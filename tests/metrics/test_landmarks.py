from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.metrics.landmarks import landmark_distance, lip_gap
from talksplat.types import Conditions, FrameBatch
from tests.helpers.metrics import shipped_suite

ASSETS = Path(os.environ.get("TALKSPLAT_ASSETS", "/nonexistent"))
needs_model = pytest.mark.skipif(
    not (ASSETS / "face_landmarker.task").is_file(), reason="TALKSPLAT_ASSETS has no face_landmarker.task"
)


def test_lmd_ignores_shifts_and_points_outside_the_mouth():
    points = np.random.default_rng(0).uniform(0, 100, (68, 2))
    shifted = points + [3, -5]
    shifted[:48] += 10
    assert landmark_distance(points, shifted) == pytest.approx(0, abs=1e-9)
    moved = points.copy()
    moved[48] += [20, 0]  # the mean moves by one: one point is off by 19, nineteen by 1
    assert landmark_distance(points, moved) == pytest.approx((19 + 19) / 20)


def test_lip_gap_is_in_units_of_the_eye_distance():
    points = np.zeros((68, 2))
    points[36], points[45], points[62], points[66] = (0, 0), (40, 30), (25, 60), (25, 70)
    assert lip_gap(points) == pytest.approx(10 / 50)


@pytest.mark.assets
@needs_model
def test_lmd_on_a_photograph():
    from skimage.data import astronaut

    face = torch.from_numpy(astronaut()[:256, 96:352].copy())
    rows = torch.arange(256)
    stretched = face[(rows + 4 * ((rows > 150) * (rows - 150)).clamp(0, 8) // 4).clamp(max=255)]  # the chin moved up
    blank = torch.full_like(face, 128)
    frames = torch.stack([face, face, face, face])
    batch = FrameBatch(
        torch.arange(4),
        Conditions(
            torch.zeros(4, 8, 16, 4), torch.zeros(4), torch.eye(4).expand(4, 4, 4), torch.eye(3).expand(4, 3, 3)
        ),
        frames,
        frames,
        torch.ones(4, 256, 256, dtype=torch.bool),
        torch.tensor([[100, 140, 160, 180]] * 4),
    )
    suite = shipped_suite(None, ASSETS)
    suite.update(torch.stack([face, face, stretched, blank]).float() / 255, batch)
    result = suite.compute()
    lmd = [frame["lmd"] for frame in result["frames"]]
    assert lmd[0] == pytest.approx(0, abs=1e-4) and lmd[1] == pytest.approx(0, abs=1e-4)
    assert lmd[2] > 0.2 and lmd[3] is None
    assert result["mean"]["lmd"] == pytest.approx(sum(lmd[:3]) / 3)
    assert "no face found in 0 originals and 1 renderings" in result["notes"]["lmd"]
