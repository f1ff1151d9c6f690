"""Other packages of OpenCV than the one that is needed."""

from __future__ import annotations

import cv2
import pytest

from talksplat.errors import UserError
from talksplat.media.opencv import check_opencv
from talksplat.preprocess.__main__ import main


def test_version() -> None:
    assert check_opencv() == cv2.__version__


def test_without_the_contrib_modules_nothing_is_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path
) -> None:
    monkeypatch.delattr(cv2, "ximgproc")
    monkeypatch.setattr(
        "talksplat.media.opencv.version", lambda name: {"opencv-python": "4", "opencv-contrib-python": "5"}[name]
    )
    monkeypatch.setattr("talksplat.media.opencv.PackageNotFoundError", KeyError)
    with pytest.raises(
        UserError, match="pip uninstall -y opencv-python opencv-contrib-python && pip install opencv-con"
    ):
        check_opencv()
    with pytest.raises(SystemExit):
        main([f"video={tmp_path / 'x.mp4'}", f"subject={tmp_path / 'y'}"])
    assert "ximgproc" in capsys.readouterr().err and list(tmp_path.iterdir()) == []
