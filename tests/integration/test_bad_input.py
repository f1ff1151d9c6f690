"""What can go wrong with a run or a checkpoint gets one clear line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from talksplat.checkpoint import load_weights, read_checkpoint
from talksplat.config import CONF_DIR
from talksplat.errors import UserError
from talksplat.files import write_archive
from talksplat.losses.base import Loss
from talksplat.training.run import train
from tests.helpers.runs import small_config, small_overrides


def train_command(*overrides: str) -> subprocess.CompletedProcess:
    arguments = [sys.executable, str(CONF_DIR.parent / "train.py"), *overrides]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=600)


def test_unknown_model_lists_the_known_ones_and_leaves_nothing(tmp_path: Path) -> None:
    done = train_command("model=nerf", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert "gaussiantalker" in lines[0]
    assert not (tmp_path / "run").exists()


def test_folder_errors_are_one_line(tiny_subject: Path, tmp_path: Path) -> None:
    done = train_command(*small_overrides(tmp_path, f"hydra.run.dir={tmp_path / 'run'}"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr + done.stdout
    assert str(tmp_path) in done.stderr + done.stdout


class Poisoned(Loss):
    """Becomes NaN at a step."""

    def __init__(self, weight: float, at: int) -> None:
        super().__init__(weight)
        self.at, self.calls = at, 0

    def forward(self, output, batch):
        self.calls += 1
        return output.image.mean() * (float("nan") if self.calls > self.at else 1.0)


def test_nan_stops_the_run_and_keeps_the_last_good_state(tiny_subject: Path, tmp_path: Path) -> None:
    poison = f"+loss.poison={{_target_: {__name__}.Poisoned, weight: 0.1, at: 5}}"
    with pytest.raises(UserError, match="loss term 'poison' became NaN or infinite at step 5"):
        train(small_config(tiny_subject, poison), tmp_path / "run")
    saved = read_checkpoint(tmp_path / "run" / "stages" / "01_coarse" / "last_good.ckpt", trust=["tests"])
    assert saved["talksplat"]["step"] == 5
    assert all(torch.isfinite(v).all() for v in saved["state_dict"].values() if v.is_floating_point())


def test_perceptual_loss_without_weights_fails_before_training(
    tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("TALKSPLAT_ASSETS", raising=False)
    monkeypatch.setattr("talksplat.losses.pretrained.URL", "http://127.0.0.1:9/")
    with pytest.raises(UserError, match=r"vgg16-397923af\.pth.*loss=default|vgg16-397923af\.pth.*perceptual=null"):
        train(small_config(tiny_subject, "loss=perceptual", "paths.assets=null"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "no checkpoint"), (b"not a torch file at all", "no checkpoint"), (None, "no such checkpoint")],
)
def test_no_checkpoint(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_checkpoint(path)


def test_checkpoint_that_would_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    torch.save({"talksplat": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match="no checkpoint of this project"):
        read_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "pwned").exists()


def test_checkpoint_of_another_version(tmp_path: Path) -> None:
    torch.save({"talksplat": {"format": 99, "version": "9.9"}, "state_dict": {}}, tmp_path / "new.ckpt")
    with pytest.raises(UserError, match=r"format 99 \(talksplat 9.9\)"):
        read_checkpoint(tmp_path / "new.ckpt")


def test_checkpoint_of_another_model(tiny_subject: Path, tmp_path: Path) -> None:
    train(small_config(tiny_subject, "model=static", "stage.order=[coarse]"), tmp_path / "static")
    from talksplat.config import instantiate

    model = instantiate(small_config(tiny_subject).model)
    with pytest.raises(UserError, match="StaticHead|static"):
        load_weights(model, read_checkpoint(tmp_path / "static" / "last.ckpt"), "it")


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"old")

    def fill(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"cannot write .*last\.ckpt.*No space left"):
        write_archive(fill, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
