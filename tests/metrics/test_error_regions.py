import numpy as np
import pytest

from talksplat.metrics.error_regions import REGIONS, error_regions, region_table
from talksplat.subject_format.labels import Label

SIZE = 128


def frame(landmarks: np.ndarray | None = None):
    """A square head over a neck, with a square face of landmarks and a mouth in it."""
    labels = np.full((SIZE, SIZE), int(Label.BACKGROUND), np.uint8)
    labels[20:100, 30:98] = Label.HEAD
    labels[100:, 50:78] = Label.NECK
    if landmarks is None:
        landmarks = np.random.default_rng(0).uniform((48, 50), (80, 90), (68, 2))
        landmarks[17:27] = np.linspace((48, 50), (80, 50), 10)
        landmarks[33] = (64, 70)
    mouth = np.zeros((SIZE, SIZE), bool)
    mouth[78:86, 56:72] = True
    return error_regions(labels, landmarks, mouth)


def test_regions_cover_the_frame_once():
    regions = frame()
    assert tuple(regions) == REGIONS
    assert np.array_equal(np.sum([mask for mask in regions.values()], axis=0), np.ones((SIZE, SIZE)))
    where = {name: mask for name, mask in regions.items()}
    assert where["mouth"][80, 60] and where["edge"][20, 60] and where["edge"][60, 30] and where["body"][110, 60]
    assert where["face"][60, 64] and where["face"][42, 64]  # above the brows too
    assert where["hair"][30, 40] and where["background"][5, 5]


def test_without_landmarks_the_head_is_hair():
    regions = frame(np.full((68, 2), np.nan))
    assert not regions["face"].any() and regions["hair"][60, 64]


def test_shares_and_psnr():
    regions = frame()
    error = np.full((1, SIZE, SIZE), 0.01)
    table = region_table(error, [regions])
    assert sum(row["pixels"] for row in table.values()) == pytest.approx(1)
    assert sum(row["error"] for row in table.values()) == pytest.approx(1)
    assert all(row["psnr"] == pytest.approx(20) for row in table.values())
    error[0][regions["mouth"]] = 1.0
    table = region_table(error, [regions])
    assert table["mouth"]["psnr"] == pytest.approx(0) and table["face"]["psnr"] == pytest.approx(20)
    share = regions["mouth"].sum() / (regions["mouth"].sum() + 0.01 * (~regions["mouth"]).sum())
    assert table["mouth"]["error"] == pytest.approx(share)
