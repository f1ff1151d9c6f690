"""The wrapper around MediaPipe's face landmarker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from skimage.data import astronaut

from talksplat.doctor import check_face_model
from talksplat.errors import UserError
from talksplat.media.face_landmarker import FaceLandmarker, check_mediapipe


@pytest.fixture
def model_path() -> Path:
    return Path(os.environ["TALKSPLAT_ASSETS"]) / "face_landmarker.task"


@pytest.mark.assets
def test_a_face_is_found_where_it_is(model_path: Path) -> None:
    with FaceLandmarker(model_path, video=False) as landmarker:
        (face,) = landmarker.detect(astronaut())
    x0, y0, x1, y1 = face.box
    assert 150 < x0 < x1 < 300 and 50 < y0 < y1 < 220
    assert face.landmarks68.shape == (68, 2)


@pytest.mark.assets
def test_a_profiling_timer_does_not_end_the_process(model_path: Path) -> None:
    with FaceLandmarker(model_path, video=False):
        signal.raise_signal(signal.SIGPROF)


@pytest.mark.mediapipe
def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"face_landmarker\.task cannot be opened"), FaceLandmarker(path):
        pass


def test_a_machine_without_libraries_of_opengl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is opened when the first model is; no model is to blame."""
    from mediapipe.tasks.python import vision

    def refuse(options) -> None:
        raise OSError("libEGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(vision.FaceLandmarker, "create_from_options", refuse)
    (tmp_path / "model.task").write_bytes(b"")
    with (
        pytest.raises(UserError, match="apt-get install libegl1 libgles2") as error,
        FaceLandmarker(tmp_path / "model.task"),
    ):
        pass
    assert "model.task" not in str(error.value)
    finding = check_face_model()
    assert finding.state == "missing" and "libegl1 libgles2" in finding.detail


@pytest.mark.mediapipe
def test_a_machine_with_them() -> None:
    check_mediapipe()
