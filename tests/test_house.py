"""How the packages stand on each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import torch

import talksplat
from talksplat.config import compose
from talksplat.config.moved import MOVED, follow_moves, present_name
from talksplat.config.targets import _locate
from talksplat.geometry.cameras import camera_centers
from talksplat.models.conditioning.audio_attention_prior import AudioAttentionPrior
from talksplat.models.deformation.base import DeformationHeads
from talksplat.sweep.folder import SweepFolder

PACKAGE = Path(talksplat.__file__).parent
HEAVY = {"av", "mediapipe", "cv2", "pytorch_lightning", "wandb", "transformers"}


def imports(path: Path) -> set[str]:
    """Modules of this package that a file imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "talksplat":
            found |= {f"talksplat.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("talksplat."):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("talksplat.")}
    return found


def room(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


def graph() -> dict[str, set[str]]:
    """Which packages, and modules beside them, import which others."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        here = room(path.relative_to(PACKAGE).parts)
        arrows[here] |= {name.split(".")[1] for name in imports(path)} - {here}
    return arrows


def reached(arrows: dict[str, set[str]], start: str) -> set[str]:
    seen, todo = set(), [start]
    while todo:
        for name in arrows.get(todo.pop(), set()) - seen:
            seen.add(name)
            todo.append(name)
    return seen


def test_no_package_imports_itself_through_others() -> None:
    arrows = graph()
    assert {"media", "audio", "subject_format", "training", "preprocess"} <= arrows.keys()
    assert [name for name in arrows if name in reached(arrows, name)] == []


def test_a_circle_is_found() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert [name for name in arrows if name in reached(arrows, name)] == ["a", "b", "c"]


def test_preprocessing_is_imported_by_nothing_else() -> None:
    assert [name for name, others in graph().items() if "preprocess" in others] == []


@pytest.mark.parametrize(
    "module", ["talksplat.models.gaussiantalker", "talksplat.models.egstalker", "talksplat.losses.base"]
)
def test_models_bring_no_video_and_no_tracker(module: str) -> None:
    code = f"import sys, {module}; print(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_class_paths_of_older_versions() -> None:
    old = {"_target_": "talksplat.preprocess.audio_features.MelFeatures", "x": [{"_target_": "torch.nn.Linear"}]}
    changed: dict[str, str] = {}
    new = follow_moves({"audio": {"extractor": old}}, changed)
    assert new["audio"]["extractor"] == {
        "_target_": "talksplat.audio.MelFeatures",
        "x": [{"_target_": "torch.nn.Linear"}],
    }
    assert changed == {"talksplat.preprocess.audio_features.MelFeatures": "talksplat.audio.MelFeatures"}
    assert (
        present_name("talksplat.preprocess.audio_features_of_mine.X") == "talksplat.preprocess.audio_features_of_mine.X"
    )


def test_moved_names_exist() -> None:
    for old, new in MOVED.items():
        assert _locate(new) and new != old
        assert present_name(new) == new
        assert present_name(old) == new
    assert _locate(present_name("talksplat.preprocess.audio_features.whisper.WhisperFeatures"))
    assert _locate(present_name("talksplat.models.deformation.DeformationHeads")) is DeformationHeads
    assert _locate(present_name("talksplat.models.reach.AudioReach")) is AudioAttentionPrior


def test_an_older_setting_works_and_says_its_new_name(caplog: pytest.LogCaptureFixture) -> None:
    config = compose("train", ["audio=mel", "audio.extractor._target_=talksplat.preprocess.audio_features.MelFeatures"])
    assert config.audio.extractor["_target_"] == "talksplat.audio.MelFeatures"
    assert "is now talksplat.audio.MelFeatures" in caplog.text


def test_shapes_in_signatures_are_checked_here() -> None:
    with pytest.raises(TypeError, match="viewmats"):
        camera_centers(torch.zeros(4, 4, 3))


def test_jobs_of_a_sweep_of_an_older_version(tmp_path) -> None:
    folder = SweepFolder(tmp_path)
    folder.config_file("job").parent.mkdir(parents=True)
    folder.config_file("job").write_text(
        "audio:\n  extractor:\n    _target_: talksplat.preprocess.audio_features.MelFeatures\n"
    )
    assert folder.config("job").audio.extractor["_target_"] == "talksplat.audio.MelFeatures"


def test_losses_wait_for_no_other_process() -> None:
    """A loss of one process is a number of its batch: what it shares with others comes with the batch."""
    assert "parallel" not in graph()["losses"]
