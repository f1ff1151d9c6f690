"""Blendshapes become OpenFace columns; blinks reach the scale that the shared layout clips at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from talksplat.preprocess.action_units import BLINK, INTENSITY, action_units


def blendshapes(count: int = 100, **values) -> dict[str, np.ndarray]:
    names = {part for parts in INTENSITY.values() for part in parts} | set(BLINK)
    return {name: np.full(count, 0.0) for name in names} | values


def test_columns_and_scale():
    columns = action_units(blendshapes(4, jawOpen=np.array([0, 0.5, 1.0, 0.2]), mouthSmileLeft=np.full(4, 0.4)))
    assert {"AU01_r", "AU12_r", "AU25_r", "AU26_r", "AU45_r"} <= columns.keys()
    np.testing.assert_allclose(columns["AU26_r"], [0, 2.5, 5, 1])
    np.testing.assert_allclose(columns["AU12_r"], 1.0)  # one side of two


def test_a_full_blink_is_two_and_resting_eyes_are_zero():
    lids = np.full(200, 0.12)
    lids[50:55] = [0.3, 0.6, 0.65, 0.6, 0.3]
    blink = action_units(blendshapes(200, eyeBlinkLeft=lids, eyeBlinkRight=lids))["AU45_r"]
    assert np.median(blink) == 0 and (blink >= 0).all()
    assert blink[52] >= 2.0 and 0.4 < blink[50] < 1.2


def test_nobody_blinks_then_noise_is_not_a_blink():
    lids = 0.1 + 0.03 * np.sin(np.arange(200))
    blink = action_units(blendshapes(200, eyeBlinkLeft=lids, eyeBlinkRight=lids))["AU45_r"]
    assert blink.max() < 0.3


def test_frames_without_a_face_stay_unknown():
    lids = np.full(10, 0.1)
    lids[3] = np.nan
    blink = action_units(blendshapes(10, eyeBlinkLeft=lids, eyeBlinkRight=lids))["AU45_r"]
    assert np.isnan(blink[3]) and np.isfinite(np.delete(blink, 3)).all()


def test_the_documented_table_is_the_one_in_use():
    table = (Path(__file__).parents[2] / "docs" / "action_units.md").read_text()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table.splitlines() if "_r` |" in line]
    assert {name: tuple(shapes.split(", ")) for name, _, shapes in rows} == {**INTENSITY, "AU45_r": BLINK}
