"""One tiny subject for all tests of this room, and a copy of it for tests that change files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helpers.tiny_subject import write_tiny_subject


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read-only."""
    return write_tiny_subject(tmp_path_factory.mktemp("subjects") / "tiny")


@pytest.fixture
def tiny_copy(tiny_root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_root, tmp_path / "copy"))
