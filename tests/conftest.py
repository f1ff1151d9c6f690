"""What all tests share."""

from __future__ import annotations

import os
import shutil
from ctypes.util import find_library
from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

from tests.helpers.typecheck import checked_modules

# Shapes and types in the signatures of these rooms are checked in every call that a test makes in its own process.
# What numba compiles is left as it is.
ROOMS = ("audio", "data", "geometry", "lips", "losses", "metrics", "models", "rasterizer", "subject_format", "types")
install_import_hook(checked_modules(ROOMS), "tests.helpers.typecheck.typechecker")

from tests.helpers.tiny_subject import write_tiny_subject  # noqa: E402 (after the hook)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete small subject folder; read only."""
    return write_tiny_subject(tmp_path_factory.mktemp("subject") / "tiny")


@pytest.fixture
def tiny_copy(tiny_subject: Path, tmp_path: Path) -> Path:
    """A copy of it for tests that change files."""
    return Path(shutil.copytree(tiny_subject, tmp_path / "copy"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine lacks, and say what it is."""
    clips = os.environ.get("TALKSPLAT_CLIPS")
    assets = os.environ.get("TALKSPLAT_ASSETS")
    mattes = os.environ.get("TALKSPLAT_MATTES")
    no_mediapipe = None if find_library("EGL") and find_library("GLESv2") else "MediaPipe needs libegl1 libgles2"
    missing = {
        "mediapipe": no_mediapipe,
        "gpu": None if torch.cuda.is_available() else "no CUDA GPU",
        "clips": None if clips and list(Path(clips).glob("*.mp4")) else "TALKSPLAT_CLIPS names no folder with clips",
        "mattes": None if mattes and Path(mattes).is_dir() else "TALKSPLAT_MATTES names no folder with mattes",
        "assets": no_mediapipe
        if assets and (Path(assets) / "face_landmarker.task").exists()
        else "TALKSPLAT_ASSETS names no folder with face_landmarker.task",
    }
    for item in items:
        for marker, reason in missing.items():
            if reason and marker in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))
