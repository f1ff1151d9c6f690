"""Every flaw is found before work starts, in one line that names the file or the setting."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talksplat.data.datamodule import PortraitDataModule
from talksplat.errors import UserError


def prepare(root: Path, width: int = 8, files: tuple[str, ...] = ("aud_mel.npy",), **settings) -> None:
    PortraitDataModule(str(root), files, width, 16, **settings).prepare()


def cut(name: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: len(data) * 2 // 3])

    return apply


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


def overwrite(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda root: (root / name).write_bytes(data) and None


def image(name: str, shape: tuple[int, ...]) -> Callable[[Path], None]:
    return lambda root: cv2.imwrite(str(root / name), np.zeros(shape, np.uint8)) and None


def change_features(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda root: np.save(root / "aud_mel.npy", function(np.load(root / "aud_mel.npy")))


def nan_in_row_5(features: np.ndarray) -> np.ndarray:
    features[5, 3, 2] = np.nan
    return features


def change_track(key: str, function: Callable[[torch.Tensor], object]) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        content = torch.load(root / "track_params.pt", weights_only=True)
        content[key] = function(content[key])
        torch.save(content, root / "track_params.pt")

    return apply


def nan_pose(poses: torch.Tensor) -> torch.Tensor:
    poses[7, 1] = float("nan")
    return poses


class Exploding:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def hostile_track(root: Path) -> None:
    torch.save({"euler": Exploding()}, root / "track_params.pt")


def change_transforms(root: Path, change: Callable[[list[dict]], None]) -> None:
    for path in root.glob("transforms_*.json"):
        content = json.loads(path.read_text())
        change(content["frames"])
        path.write_text(json.dumps(content))


def remove_poses(root: Path) -> None:
    (root / "track_params.pt").unlink()
    change_transforms(root, lambda frames: [frame.pop("transform_matrix") for frame in frames] and None)


def squash_matrices(root: Path) -> None:
    (root / "track_params.pt").unlink()
    change_transforms(root, lambda frames: frames[1].update(transform_matrix=np.ones((4, 4)).tolist()))


def frames_resized_after_tracking(root: Path) -> None:
    content = json.loads((root / "transforms_val.json").read_text())
    (root / "transforms_val.json").write_text(json.dumps({**content, "cx": 256.0, "cy": 256.0}))


FLAWS = {
    "missing frame": (remove("ori_imgs/4.jpg"), r"ori_imgs/4.jpg is missing"),
    "missing parsing": (remove("parsing/4.png"), r"parsing/4.png is missing"),
    "no parsing at all": (remove("parsing"), r"parsing is missing"),
    "missing torso": (remove("torso_imgs/4.png"), r"torso_imgs/4.png is missing"),
    "missing plate": (remove("bc.jpg"), r"bc.jpg is missing"),
    "cut frame": (cut("ori_imgs/4.jpg"), r"ori_imgs/4.jpg is cut short"),
    "cut parsing": (cut("parsing/4.png"), r"parsing/4.png is cut short"),
    "empty torso": (overwrite("torso_imgs/4.png", b""), r"torso_imgs/4.png is cut short or no image"),
    "a web page as frame": (overwrite("ori_imgs/4.jpg", b"<html>" * 99), r"ori_imgs/4.jpg is cut short or no image"),
    "damaged png": (
        overwrite("parsing/4.png", b"\x89PNG\r\n" + b"x" * 50 + b"IEND"),
        r"parsing/4.png is not a readable",
    ),
    "wrong size": (image("ori_imgs/4.jpg", (48, 40, 3)), r"ori_imgs/4.jpg is 40x48 pixels but this subject is 48x48"),
    "torso without alpha": (image("torso_imgs/4.png", (48, 48, 3)), r"torso_imgs/4.png has no alpha channel"),
    "resized frames": (frames_resized_after_tracking, r"are 48x48 but their poses were found at 512x512"),
    "nan in audio": (change_features(nan_in_row_5), r"aud_mel.npy has values that are no numbers \(first in row 5\)"),
    "short audio": (
        change_features(lambda a: a[:-4]),
        r"aud_mel.npy has 18 rows but the last video frame is number 21",
    ),
    "flat audio": (change_features(lambda a: a[:, 0]), r"aud_mel.npy has shape \[22, 8\]"),
    "text as audio": (overwrite("aud_mel.npy", b"hello"), r"aud_mel.npy is not a plain .npy array"),
    "nan pose": (
        change_track("euler", nan_pose),
        r"track_params.pt has head poses that are no numbers \(1 of 22.*row 7",
    ),
    "nan vertices": (
        change_track("vertices", lambda v: v * float("nan")),
        r"`vertices` in .*track_params.pt has values that are no num",
    ),
    "head behind": (change_track("trans", torch.neg), r"track_params.pt puts the head behind the camera"),
    "poses missing": (change_track("euler", lambda e: None), r"track_params.pt has nothing under `euler`"),
    "fewer translations": (change_track("trans", lambda t: t[:9]), r"22 rotations but 9 translations"),
    "code in the track": (hostile_track, r"cannot read .*track_params.pt: .*run code"),
    "numpy in the track": (
        change_track("euler", lambda euler: euler.numpy()),
        r"track_params.pt: it holds numpy[\w.]+, and .*torch\.as_tensor[^\x1b]*$",
    ),
    "damaged track": (cut("track_params.pt"), r"cannot read .*track_params.pt: it is damaged"),
    "no poses": (remove_poses, r"track_params.pt is missing and no transforms file holds"),
    "matrices that are no poses": (squash_matrices, r"transforms files .* have matrices that are no camera poses"),
    "no focal": (change_track("focal", lambda f: f * 0), r"no usable `focal`"),
    "empty landmarks": (overwrite("ori_imgs/4.lms", b"\n"), r"ori_imgs/4.lms has no landmarks"),
    "few landmarks": (overwrite("ori_imgs/4.lms", b"1 2\n" * 67), r"4.lms has 67 landmarks instead of 68"),
    "nan landmarks": (overwrite("ori_imgs/4.lms", b"1 nan\n" * 68), r"4.lms has landmarks that are no numbers"),
    "no blink column": (overwrite("au.csv", b"frame, AU01_r\n1, 0\n"), r"au.csv has no column AU45_r"),
    "empty au.csv": (overwrite("au.csv", b"frame, AU45_r\n"), r"au.csv has no rows"),
    "bad transforms": (overwrite("transforms_val.json", b"{}"), r"transforms_val.json is not JSON with `frames`"),
    "bad manifest": (overwrite("manifest.json", b"{"), r"cannot read .*manifest.json"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_flaw_is_named(tiny_copy: Path, flaw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    damage, message = FLAWS[flaw]
    damage(tiny_copy)
    with pytest.raises(UserError, match=message) as error:
        prepare(tiny_copy)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "exploded").exists()


def test_the_untouched_copy_is_fine(tiny_copy: Path):
    prepare(tiny_copy)


def test_wrong_audio_width_names_the_setting(tiny_subject: Path):
    with pytest.raises(UserError, match=r"aud_mel.npy has windows of 16 rows of width 8.*width 29.*audio=\.\.\."):
        prepare(tiny_subject, width=29)


def test_missing_audio_features_list_what_there_is(tiny_subject: Path):
    with pytest.raises(UserError, match=r"no audio features aud_ds.npy or aud.npy; it has aud_mel.npy"):
        prepare(tiny_subject, files=("aud_ds.npy", "aud.npy"))


def test_no_such_folder(tmp_path: Path):
    with pytest.raises(UserError, match=r"no subject folder .*nowhere: set dataset.root"):
        prepare(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"cache": "gpu"}, "dataset.cache=gpu is unknown: choose one of memory, device, disk"),
        ({"max_frames": 1}, "dataset.max_frames=1 must be at least 2"),
        ({"audio_context": 0}, "dataset.audio_context=0 must be at least 1"),
    ],
)
def test_bad_settings(tiny_subject: Path, setting: dict, message: str):
    with pytest.raises(UserError, match=message):
        prepare(tiny_subject, **setting)


def test_poses_that_belong_to_no_frames(tiny_copy: Path):
    change_track("frame_ids", lambda ids: None)(tiny_copy)
    for split in ("train", "val"):
        (tiny_copy / f"transforms_{split}.json").unlink()
    (tiny_copy / "ori_imgs/3.lms").unlink()
    with pytest.raises(UserError, match=r"cannot tell which frames the 22 poses .* belong to"):
        prepare(tiny_copy)
