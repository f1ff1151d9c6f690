"""Every flaw is found before work starts, in one line that names the file or the setting."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talksplat.data.datamodule import PortraitDataModule
from talksplat.errors import UserError
from talksplat.preprocess.check import Level
from talksplat.preprocess.check.command import examine
from talksplat.preprocess.check.folder import Folder
from talksplat.subject_format.labels import COLORS_BGR, Label


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


def change_images(folder: str, change: Callable[[np.ndarray], np.ndarray], only: str = "*") -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        for path in (root / folder).glob(f"{only}.png"):
            cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))

    return apply


def class_numbers(parsing: np.ndarray) -> np.ndarray:
    """As a face parser writes them: 1 skin, 14 neck, 16 cloth."""
    return np.select([(parsing == code).all(-1) for code in COLORS_BGR], [0, 1, 14, 16]).astype(np.uint8)


def inverted(parsing: np.ndarray) -> np.ndarray:
    head = (parsing == COLORS_BGR[Label.HEAD]).all(-1)
    return np.where(head[..., None], COLORS_BGR[Label.BACKGROUND], COLORS_BGR[Label.HEAD]).astype(np.uint8)


def opaque(torso: np.ndarray) -> np.ndarray:
    torso[..., 3] = 255 - torso[..., 3]
    return torso


def without_landmarks(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        for path in (root / "ori_imgs").glob("*.lms"):
            path.unlink()
        change(root)

    return apply


def soft(change: Callable[[np.ndarray], np.ndarray], only: str = "*") -> Callable[[Path], None]:
    """An `alpha` folder that agrees with the semantic maps, then changed."""

    def apply(root: Path) -> None:
        (root / "alpha").mkdir()
        for path in (root / "parsing").glob("*.png"):
            head = (cv2.imread(str(path)) == COLORS_BGR[Label.HEAD]).all(-1)
            cv2.imwrite(str(root / "alpha" / path.name), 255 * head.astype(np.uint8))
        change_images("alpha", change, only)(root)

    return apply


def twice(root: Path) -> None:
    change_transforms(root, lambda frames: frames.append(frames[0]))


MASKS = {
    "class numbers": (
        change_images("parsing", class_numbers),
        r"0.png marks no pixel as head .*values up to 16 are class numbers and not colours",
    ),
    "colours of class numbers": (
        change_images("parsing", lambda p: np.repeat(class_numbers(p)[..., None], 3, -1)),
        "are class numbers and not colours",
    ),
    "empty masks": (change_images("parsing", lambda p: np.full_like(p, 255)), r"parsing/0.png marks no pixel as head"),
    "one empty mask": (change_images("parsing", lambda p: p * 0, "9"), r"parsing/9.png marks no pixel as head"),
    "inverted masks": (change_images("parsing", inverted), r"only \d+ % of the face .* lie on the head of .*inverted"),
    "inverted, no landmarks": (without_landmarks(change_images("parsing", inverted)), r"lie on the head of .*inverted"),
    "poses of another video": (
        change_track("trans", lambda trans: trans + torch.tensor([2.5, 0, 0])),
        r"only \d+ % of the start points lie on the head of .*or the head poses are",
    ),
    "all head": (
        change_images("parsing", lambda p: p * 0 + COLORS_BGR[Label.HEAD]),
        r"head covers 100 % of the frames",
    ),
    "shifted masks": (change_images("parsing", lambda p: np.roll(p, 24, 1)), "inverted, shifted or of another video"),
    "masks of another size": (
        change_images("parsing", lambda p: cv2.resize(p, (96, 96))),
        r"parsing/\d+.png is 96x96 pixels but this subject is 48x48",
    ),
    "alpha of nothing": (soft(lambda a: a * 0), r"alpha/0.png does not show the head .*dataset.soft_masks=false"),
    "alpha of everything": (soft(lambda a: a * 0 + 255), r"alpha/0.png does not show the head"),
    "inverted alpha": (soft(lambda a: 255 - a), r"alpha/0.png does not show the head"),
    "one empty alpha": (soft(lambda a: a * 0, "7"), r"alpha/7.png does not show the head"),
    "alpha of another size": (soft(lambda a: a[:24]), r"alpha/\d+.png is 48x24 pixels but this subject is 48x48"),
    "transparent torsos": (
        change_images("torso_imgs", lambda t: t * 0),
        r"torso_imgs is transparent where parsing marks",
    ),
    "inverted torsos": (change_images("torso_imgs", opaque), r"torso_imgs is transparent where parsing marks"),
    "torsos of another size": (
        change_images("torso_imgs", lambda t: t[:, :40].copy()),
        r"torso_imgs/\d+.png is 40x48 pixels but this subject is 48x48",
    ),
    "a frame listed twice": (twice, r"transforms_train.json lists a frame \(`img_id`\) more than once"),
    "units of other frames": (
        lambda root: (root / "au.csv").write_text("frame,AU45_r\n900,0\n901,0.5\n") and None,
        r"au.csv has numbers in column AU45_r that count .* for 0 of 22 frames",
    ),
}
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


FLAWS |= MASKS


@pytest.mark.parametrize("flaw", FLAWS)
def test_flaw_is_named(tiny_copy: Path, flaw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    damage, message = FLAWS[flaw]
    damage(tiny_copy)
    with pytest.raises(UserError, match=message) as error:
        prepare(tiny_copy)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("flaw", MASKS)
def test_the_check_says_the_same(tiny_copy: Path, flaw: str):
    damage, message = MASKS[flaw]
    damage(tiny_copy)
    findings, _ = examine(Folder(tiny_copy))
    assert any(finding.level is Level.BAD and re.search(message, finding.text) for finding in findings)


def test_masks_of_frames_that_are_left_out_do_not_matter(tiny_copy: Path):
    change_images("parsing", lambda parsing: parsing * 0, "9")(tiny_copy)
    change_transforms(tiny_copy, lambda frames: [frames.remove(f) for f in list(frames) if f["img_id"] == 9] and None)
    prepare(tiny_copy)


def test_a_soft_mask_that_agrees_is_fine(tiny_copy: Path):
    soft(lambda alpha: alpha)(tiny_copy)
    prepare(tiny_copy)


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
