"""What the data are counts, and not what their folders are called or where they lie."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback

from talksplat.checkpoint import read_checkpoint
from talksplat.data.frame_store import FrameStore
from talksplat.errors import UserError
from talksplat.rendering.source_clip import open_source_clip
from talksplat.subject_format.subject import read_subject
from talksplat.training.run import train
from tests.helpers.runs import small_config
from tests.helpers.tiny_subject import write_tiny_subject


class Stop(Callback):
    """Ends a run in its second stage."""

    def on_train_batch_start(self, trainer, module, *_) -> None:
        if module.stage_name == "fine":
            raise UserError("stopped")


def begun(run_dir: Path, config) -> Path:
    """A run folder whose run was stopped."""
    with pytest.raises(UserError, match="stopped"):
        train(config, run_dir, [Stop()])
    return run_dir


def resumes(run_dir: Path, subject: Path | str, *overrides: str) -> None:
    """Build and check the resumption of a run."""
    train(small_config(subject, "resume=true", "dry_run=true", *overrides), run_dir)


@pytest.fixture(scope="module")
def start(tiny_subject: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint that the run starts from."""
    run_dir = begun(tmp_path_factory.mktemp("start") / "run", small_config(tiny_subject))
    return Path(shutil.copy(run_dir / "last.ckpt", tmp_path_factory.mktemp("weights") / "start.ckpt"))


@pytest.fixture(scope="module")
def run_dir(tiny_subject: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small_config(tiny_subject, f"checkpoint={start}")
    return begun(tmp_path_factory.mktemp("identity") / "run", config)


def test_the_same_data_by_any_path(tiny_subject: Path, start: Path, run_dir: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "link").symlink_to(tiny_subject)
    shutil.copytree(tiny_subject, tmp_path / "moved" / "renamed")
    weights = shutil.copy(start, tmp_path / "copy.ckpt")
    monkeypatch.chdir(tmp_path / "moved")
    relative = os.path.relpath(start)
    for subject, checkpoint in {
        f"{tiny_subject}/": start,
        os.path.relpath(tiny_subject): relative,
        tmp_path / "link": weights,
        "renamed": weights,
    }.items():
        resumes(run_dir, subject, f"checkpoint={checkpoint}", "dataset.cache=disk", f"dataset.cache_dir={tmp_path}")


def test_other_data_by_the_same_name(tiny_copy: Path, start: Path, run_dir: Path, tmp_path: Path) -> None:
    other = write_tiny_subject(tmp_path / "other" / "tiny", seed=5)
    with pytest.raises(
        UserError, match=r"the data in .*other/tiny are not those that it began with .*frames, .*differ"
    ):
        resumes(run_dir, other, f"checkpoint={start}")
    data = (tiny_copy / "parsing" / "3.png").read_bytes()
    (tiny_copy / "parsing" / "3.png").write_bytes((tiny_copy / "parsing" / "4.png").read_bytes())
    with pytest.raises(UserError, match=r"\): masks differ; give dataset.root of those"):
        resumes(run_dir, tiny_copy, f"checkpoint={start}")
    (tiny_copy / "parsing" / "3.png").write_bytes(data)
    np.save(tiny_copy / "aud_mel.npy", np.load(tiny_copy / "aud_mel.npy")[::-1])
    with pytest.raises(UserError, match=r"\): audio differ"):
        resumes(run_dir, tiny_copy, f"checkpoint={start}")


def test_other_weights_by_another_path(tiny_subject: Path, run_dir: Path, start: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(start, weights_only=True)
    torch.save({**checkpoint, "more": 1}, tmp_path / "start.ckpt")
    with pytest.raises(UserError, match="checkpoint was .*; repeat the command"):
        resumes(run_dir, tiny_subject, f"checkpoint={tmp_path / 'start.ckpt'}")


def test_people_whose_folders_were_moved_and_renamed(tmp_path: Path) -> None:
    roots = [write_tiny_subject(tmp_path / name, seed=seed) for seed, name in enumerate(("anna", "ben"))]
    run_dir = begun(tmp_path / "run", small_config(roots[0], f"dataset.roots=[{roots[0]},{roots[1]}]"))
    moved = [root.rename(tmp_path / f"person{index}") for index, root in enumerate(roots)]
    again = [f"dataset.roots=[{moved[0]},{moved[1]}]", "resume=true"]
    metrics = train(small_config(moved[0], *again), run_dir)
    assert list(metrics["subjects"]) == ["anna", "ben"]
    assert list(read_checkpoint(run_dir)["talksplat"]["subjects"]) == ["anna", "ben"]
    assert metrics["identity"]["frames"].count(" ") == 1
    (run_dir / "metrics.json").unlink()
    with pytest.raises(UserError, match="the data in .*person1 are not those that it began with"):
        train(small_config(moved[1], f"dataset.roots=[{moved[1]},{moved[0]}]", "resume=true"), run_dir)


def test_an_avatar_is_not_shown_over_another_clip(tiny_subject: Path, start: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(start)["talksplat"]["subject"]
    audio = small_config(tiny_subject).audio
    assert (
        open_source_clip(checkpoint, audio, str(shutil.copytree(tiny_subject, tmp_path / "moved"))).subject is not None
    )
    other = write_tiny_subject(tmp_path / "tiny", seed=5)
    with pytest.raises(UserError, match=r"images in .*tiny are not those of the clip .*give subject=FOLDER"):
        open_source_clip(checkpoint, audio, str(other))
    older = {name: value for name, value in checkpoint.items() if name != "frames_hash"}
    assert open_source_clip(older, audio, str(other)).subject is not None  # numbers and size are all it tells


def test_frames_of_the_same_names_sizes_and_times_are_not_those_of_another_clip(
    tiny_copy: Path, tmp_path: Path
) -> None:
    first, second = tiny_copy / "ori_imgs" / "3.jpg", tiny_copy / "ori_imgs" / "4.jpg"
    contents = [path.read_bytes() for path in (first, second)]
    size = max(map(len, contents))

    def cached(*data: bytes) -> torch.Tensor:
        for path, content in zip((first, second), data):
            path.write_bytes(content.ljust(size, b"\0"))
            os.utime(path, ns=(1, 1))
        store = FrameStore(read_subject(tiny_copy, ["aud_mel.npy"], 8, 16), "disk", tmp_path / "cache")
        return store.batch(torch.tensor([3, 4]), "cpu").original_u8

    assert torch.equal(cached(*contents), cached(*contents[::-1]).flip(0))
    assert len(list((tmp_path / "cache").iterdir())) == 2
