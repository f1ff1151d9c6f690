from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from talksplat.errors import UserError
from talksplat.metrics.picture import BAR, GAP, comparison_grid, save_picture


def test_grid_shows_original_rendering_and_four_times_the_error(tmp_path):
    originals = torch.full((2, 64, 80, 3), 0.5)
    renders = originals + torch.tensor([0.1, -0.3])[:, None, None, None]
    grid = comparison_grid(originals, renders, [7, 1234])
    assert grid.shape == (BAR + 2 * (64 + GAP), 3 * (80 + GAP), 3) and grid.dtype == np.uint8
    tops = [BAR, BAR + 64 + GAP]
    picks = [[int(grid[top + 8, column * (80 + GAP) + 40, 0]) for column in range(3)] for top in tops]
    assert picks == [[128, 153, 100], [128, 51, 255]]
    labels = [grid[top + 40 : top + 64, :60] for top in tops]
    assert (labels[0] > 200).any(), "the frame number is written"
    assert (labels[1] > 200).sum() > (labels[0] > 200).sum()
    path = tmp_path / "grid.png"
    save_picture(path, grid)
    assert (cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) == grid).all()
    assert [p.name for p in tmp_path.iterdir()] == ["grid.png"]


def test_bad_input_is_refused(tmp_path):
    image = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError):
        comparison_grid(image, image, [1, 2])
    with pytest.raises(UserError, match="nowhere"):
        save_picture(tmp_path / "nowhere" / "grid.png", image[0])
