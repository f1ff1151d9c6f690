"""`check=FOLDER` recognises every project's layout, finds every trap, and says whether the folder would train."""

from __future__ import annotations

import json
import re
import shutil
import wave
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talksplat.errors import UserError
from talksplat.preprocess.__main__ import main
from talksplat.preprocess.check import Level
from talksplat.preprocess.check.command import examine
from talksplat.preprocess.check.folder import Folder
from talksplat.preprocess.check.layouts import layout_of
from talksplat.preprocess.check.signal_traps import audio_settings
from tests.helpers.foreign_layouts import LAYOUTS
from tests.helpers.tiny_subject import write_tiny_subject


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_subject(tmp_path_factory.mktemp("subjects") / "tiny", num_frames=12)


@pytest.fixture(scope="module")
def pristine(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GaussianTalker's folder; read only."""
    root = tmp_path_factory.mktemp("check") / "gaussiantalker"
    LAYOUTS["gaussiantalker"].write(source, root)
    return root


PROJECTS = {
    "ad_nerf": "AD-NeRF",
    "rad_nerf": "RAD-NeRF",
    "er_nerf": "ER-NeRF",
    "gaussiantalker": "GaussianTalker",
    "egstalker": "EGSTalker or GaussianTalker",
    "talking_gaussian": "TalkingGaussian or InsTaG",
    "instag": "InsTaG",
    "synctalk": "SyncTalk",
}


@pytest.mark.parametrize("name", PROJECTS)
def test_every_project_is_recognised_and_would_train(source: Path, tmp_path: Path, name: str):
    LAYOUTS[name].write(source, tmp_path / name)
    folder = Folder(tmp_path / name)
    assert layout_of(folder)[0] == PROJECTS[name]
    findings, _ = examine(folder)
    assert not [finding for finding in findings if finding.level is Level.BAD]
    warned = {finding.topic for finding in findings if finding.level is Level.WARN}
    # a tiny mesh; a track in millimetres
    assert warned <= (
        {"vertices"} if "gaussian" in name or name == "egstalker" else {"poses"} if name == "synctalk" else set()
    )


def change_track(**changes: Callable) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        content = torch.load(root / "track_params.pt", weights_only=True)
        for key, change in changes.items():
            content[key] = change(content[key])
        torch.save(content, root / "track_params.pt")

    return apply


def change_json(change: Callable[[dict], None], split: str = "train") -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        path = root / f"transforms_{split}.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


def change_images(folder: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        for path in (root / folder).glob("*.png"):
            cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))

    return apply


def remove(*names: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        for name in names:
            shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()

    return apply


def rewrite_au(change: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda root: (root / "au.csv").write_text(change((root / "au.csv").read_text())) and None


def dummy_blink(text: str) -> str:
    header, *rows = text.splitlines()
    return "\n".join([header, *(",".join([*row.split(",")[:-2], " 0.0", " 0.0"]) for row in rows)])


def jump(euler: torch.Tensor) -> torch.Tensor:
    euler[6:, 1] += 0.5
    return euler


def soften(rgba: np.ndarray) -> np.ndarray:
    return np.dstack([rgba[..., :3], cv2.blur(rgba[..., 3], (3, 3))])


def half_the_sound(root: Path) -> None:
    with wave.open(str(root / "aud.wav")) as file:
        parameters, data = file.getparams(), file.readframes(file.getnframes() // 2)
    with wave.open(str(root / "aud.wav"), "wb") as file:
        file.setparams(parameters)
        file.writeframes(data)


def set_numbers(content: dict) -> None:
    for frame in content["frames"]:
        frame["img_id"] += 1


TRAPS = {
    "soft codes": (change_images("parsing", lambda m: cv2.blur(m, (3, 3))), Level.WARN, "have no exact colour code"),
    "exchanged": (change_images("parsing", lambda m: m[..., ::-1]), Level.NOTE, "red and blue exchanged"),
    "no head": (
        change_images("parsing", lambda m: np.full_like(m, 255)),
        Level.WARN,
        "0.0 % of the frames: implausible",
    ),
    "flat maps": (
        change_images("parsing", lambda m: m[..., 0]),
        Level.BAD,
        "is no colour image; see segmentation=import",
    ),
    "soft alpha": (change_images("torso_imgs", soften), Level.NOTE, "is not only 0 and 255"),
    "no alpha": (change_images("torso_imgs", lambda m: m[..., :3]), Level.BAD, "no alpha channel"),
    "small maps": (change_images("parsing", lambda m: m[::2, ::2]), Level.BAD, "is 24x24, the first frame 48x48"),
    "other size": (change_json(lambda c: c.update(cx=256.0, cy=256.0), "val"), Level.BAD, "found at 512x512"),
    "no parsing": (remove("parsing"), Level.BAD, "parsing is missing"),
    "gap": (remove("ori_imgs/4.jpg", "ori_imgs/4.lms"), Level.BAD, "4.jpg is missing"),
    "gap elsewhere": (remove("ori_imgs/4.jpg", "ori_imgs/4.lms"), Level.NOTE, "gaps: 4 missing.*shift all later poses"),
    "no landmarks": (remove("ori_imgs/4.lms"), Level.NOTE, r"no .lms for 1 frames \(4\)"),
    "mixed scales": (
        change_track(trans=lambda t: t / 10),
        Level.WARN,
        "track are 1 times those of the matrices, where 10",
    ),
    "metres": (change_track(trans=lambda t: t / 10), Level.NOTE, "in metres.*multiplied by 10"),
    "focal": (change_track(focal=lambda f: f / 6), Level.WARN, "trackers find 600 to 1,400"),
    "two focals": (change_json(lambda c: c.update(focal_len=99.0), "val"), Level.WARN, "99 in the transforms files"),
    "jump": (change_track(euler=jump), Level.WARN, r"jumps by more than 12 degrees 1 times \(first at frame 6\)"),
    "frozen": (
        change_track(euler=lambda e: e * 0, trans=lambda t: t[:1].expand(len(t), 3).clone()),
        Level.WARN,
        "all poses are the same",
    ),
    "few points": (change_track(vertices=lambda v: v), Level.WARN, "only 400 points"),
    "other unit": (change_track(vertices=lambda v: v * 10), Level.WARN, "poses, scale or masks do not agree"),
    "shared split": (change_json(set_numbers), Level.WARN, "frames are in both splits"),
    "sound apart": (
        change_json(lambda c: c["frames"][2].update(aud_id=9)),
        Level.WARN,
        "aud_id is not img_id for 1 frames",
    ),
    "dummy units": (rewrite_au(dummy_blink), Level.WARN, "never changes"),
    "few rows": (rewrite_au(lambda t: "\n".join(t.splitlines()[:8])), Level.NOTE, "7 rows for 12 frames"),
    "leading space": (rewrite_au(lambda t: t), Level.NOTE, "EGSTalker looks for AU45_r without"),
    "no space": (rewrite_au(lambda t: t.replace(", ", ",")), Level.NOTE, "GaussianTalker looks for ' AU45_r'"),
    "unsure": (rewrite_au(lambda t: t.replace("0.98", "0.1")), Level.WARN, "unsure of 100 %"),
    "no units": (remove("au.csv"), Level.NOTE, "no au.csv"),
    "short features": (
        lambda root: np.save(root / "aud_ds.npy", np.zeros((5, 16, 29), np.float32)),
        Level.BAD,
        "has 5 rows but the last video frame is number 11",
    ),
    "long features": (
        lambda root: np.save(root / "aud_ds.npy", np.zeros((20, 16, 29), np.float32)),
        Level.NOTE,
        "has 20 rows for 12 frames",
    ),
    "no features": (remove("aud_ds.npy"), Level.BAD, "has no audio features"),
    "text as features": (
        lambda root: (root / "aud_ds.npy").write_text("x") and None,
        Level.BAD,
        "has no audio features",
    ),
    "other rate": (
        half_the_sound,
        Level.WARN,
        "for 0.48 s of video at 25 frames a second",
    ),
    "damaged track": (lambda root: (root / "track_params.pt").write_bytes(b"x") and None, Level.BAD, "cannot read"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_trap_is_found(pristine: Path, tmp_path: Path, trap: str):
    damage, level, words = TRAPS[trap]
    root = Path(shutil.copytree(pristine, tmp_path / "copy"))
    damage(root)
    findings, _ = examine(Folder(root))
    same = [finding for finding in findings if re.search(words, finding.text)]
    assert same and same[0].level is level, [(f.level.value, f.text) for f in findings]
    assert len({finding.text for finding in findings}) == len(findings)


def test_poses_that_a_tracker_compacted(pristine: Path, tmp_path: Path):
    """Frame 4 has no face: the track has 11 poses, the JSON counts 0 to 10."""
    root = Path(shutil.copytree(pristine, tmp_path / "copy"))
    (root / "ori_imgs/4.lms").unlink()
    change_track(**{key: lambda value: value[:11] for key in ("euler", "trans", "exp", "vertices")})(root)
    change_json(lambda content: content["frames"].pop(), "val")(root)
    findings, _ = examine(Folder(root))
    assert any("the tracker skipped frames and the JSON's numbers are shifted" in finding.text for finding in findings)


def test_the_command(pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "300")
    main([f"check={pristine}"])
    printed = capsys.readouterr().out
    assert "looks like GaussianTalker" in printed and "aud_ds.npy [12, 16, 29]" in printed
    assert f"would train: python train.py dataset=portrait dataset.root={pristine} audio=deepspeech" in printed
    broken = Path(shutil.copytree(pristine, tmp_path / "copy"))
    shutil.rmtree(broken / "parsing")
    with pytest.raises(SystemExit) as stop:
        main([f"check={broken}"])
    assert stop.value.code == 2 and "would not train" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main([f"check={tmp_path}/nowhere"])
    assert stop.value.code == 2 and "no such folder" in capsys.readouterr().err


def test_settings_for_a_feature_file():
    assert audio_settings("aud_ds.npy", (99, 16, 29)) == ["audio=deepspeech"]
    assert audio_settings("aud.npy", (99, 16, 29)) == ["audio=deepspeech", "'audio.files=[aud.npy]'"]
    assert audio_settings("aud_mel.npy", (99, 16, 32)) == ["audio=mel"]
    assert "audio.width=512" in audio_settings("aud_ave.npy", (99, 512))


def test_without_check_a_video_is_needed(capsys: pytest.CaptureFixture):
    from talksplat.config import compose

    with pytest.raises(
        UserError, match="give video=CLIP.mp4 and subject=FOLDER .* or check=FOLDER to look at one, not subject"
    ):
        compose("preprocess", ["subject=b"])
