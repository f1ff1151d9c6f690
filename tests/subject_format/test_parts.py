"""Labels, lip boxes and audio windows on their own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talksplat.errors import UserError
from talksplat.subject_format.audio_windows import audio_windows, read_fingerprint, rewindow
from talksplat.subject_format.labels import Label, decode_parsing, encode_parsing
from talksplat.subject_format.landmarks import lip_box


def test_parsing_colours_round_trip_and_match_exactly():
    labels = np.arange(4, dtype=np.uint8).repeat(3).reshape(4, 3)
    bgr = encode_parsing(labels)
    assert bgr[1, 0].tolist() == [255, 0, 0] and bgr[3, 0].tolist() == [0, 0, 255]
    np.testing.assert_array_equal(decode_parsing(bgr), labels)
    bgr[1, 0] = (254, 0, 0)
    assert decode_parsing(bgr)[1, 0] == Label.BACKGROUND
    with pytest.raises(ValueError, match="labels go from 0 to 3"):
        encode_parsing(np.full((2, 2), 4, np.uint8))


def landmarks_with_lips(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    points = np.full((68, 2), 5.0)
    points[48:60] = (x0 + x1) / 2, (y0 + y1) / 2
    points[48], points[54] = (x0, y0), (x1, y1)
    points[60:] = 90  # inner lips do not count
    return points


@pytest.mark.parametrize(
    ("lips", "box"),
    [
        ((40, 50, 61, 58), [40, 44, 60, 64]),  # centre (50, 54), half side floor(21 / 2)
        ((40.9, 50.2, 61.9, 58.7), [40, 44, 60, 64]),  # fractions are dropped first
        ((90, 95, 110, 99), [90, 87, 100, 100]),  # clipped to the image
        ((-30, 5, -10, 9), [0, 0, 0, 0]),  # outside
        ((np.nan, 5, 10, 9), [0, 0, 0, 0]),
    ],
)
def test_lip_box(lips: tuple, box: list[int]):
    assert lip_box(landmarks_with_lips(*lips), 100, 100).tolist() == box


@pytest.mark.parametrize("context", [1, 4, 8])
def test_audio_windows_are_centred_and_padded_with_zeros(context: int):
    features = torch.arange(1.0, 7.0)[:, None, None].expand(6, 3, 2)
    windows = audio_windows(features, torch.tensor([0, 3, 5, 9]), context)
    assert windows.shape == (4, context, 3, 2)
    for i, center in enumerate((0, 3, 5, 9)):
        rows = range(center - context // 2, center - context // 2 + context)
        assert windows[i, :, 0, 0].tolist() == [row + 1 if 0 <= row < 6 else 0 for row in rows]


def test_windows_ahead_of_the_frame_are_a_setting():
    features = torch.arange(1.0, 13.0)[:, None, None]
    windows = audio_windows(features, torch.tensor([6]), 4, ahead=0)
    assert windows[0, :, 0, 0].tolist() == [4, 5, 6, 7]
    assert torch.equal(
        audio_windows(features, torch.tensor([6]), 8, ahead=3), audio_windows(features, torch.tensor([6]))
    )


def test_what_made_features_is_read_beside_them(tmp_path):
    assert read_fingerprint(tmp_path / "aud_x.npy") is None
    (tmp_path / "aud_x.json").write_text('{"fingerprint": [1.5, 2]}')
    assert read_fingerprint(tmp_path / "aud_x.npy").tolist() == [1.5, 2]
    (tmp_path / "aud_x.json").write_text('{"fingerprint": ')
    with pytest.raises(UserError, match="aud_x.json.*make the features again"):
        read_fingerprint(tmp_path / "aud_x.npy")


def test_rewindow_follows_the_layout():
    """Section 1.7: window k covers rows 2k-8 to 2k+7, one window for each of ceil(rows / 2) frames."""
    rows = np.arange(1, 24, dtype=np.float32)[:, None]
    windows = rewindow(rows, 16)
    assert windows.shape == (12, 16, 1)
    for k in range(12):
        expected = [row + 1 if 0 <= row < 23 else 0 for row in range(2 * k - 8, 2 * k + 8)]
        assert windows[k, :, 0].tolist() == expected
