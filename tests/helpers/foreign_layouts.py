"""Subject folders as other projects of the lineage leave them, each made of the tiny subject.

What each has, and lacks, is described by the projects' READMEs and code. `LAYOUTS` names a
writer and the settings that train on its folder for each project.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

UPPER_FACE = ("AU01_r", "AU02_r", "AU04_r", "AU05_r", "AU06_r", "AU07_r")


@dataclass(frozen=True)
class Layout:
    """One project's folder."""

    write: Callable[[Path, Path], None]  # from a tiny subject, to a new folder
    audio: tuple[str, ...]  # settings that read its audio features
    notes: list[str] = field(default_factory=list)  # words of the notes that its oddities leave


def features(file: str, width: int, window: int = 16) -> tuple[str, ...]:
    """Settings of audio features that are read from a folder."""
    return (f"audio.files=[{file}]", f"audio.width={width}", f"audio.window={window}", "audio.extractor=null")


def num_frames(root: Path) -> int:
    """Frames of a folder."""
    return len(list((root / "ori_imgs").glob("*.jpg")))


def _base(source: Path, root: Path, *, vertices: bool) -> int:
    """What all share; returns the number of frames."""
    shutil.copytree(source, root)
    for name in ("manifest.json", "true_signals.csv", "aud_mel.npy", "au.csv"):
        (root / name).unlink()
    for name in ("aud_train.wav", "aud_novel.wav"):
        shutil.copy(root / "aud.wav", root / name)
    track = torch.load(root / "track_params.pt", weights_only=True)
    count = len(track["euler"])
    kept = {name: track[name] for name in ("id", "exp", "euler", "trans", "focal")}
    if vertices:
        kept["vertices"] = track["vertices"].expand(count, -1, -1).clone()
    torch.save(kept, root / "track_params.pt")
    return count


def _audio(root: Path, name: str, *shape: int) -> None:
    values = np.random.default_rng(len(name)).normal(size=shape)
    np.save(root / name, values.astype(np.float32))


def _openface(root: Path, rows: int, space: str) -> None:
    """OpenFace's CSV: frames counted from 1, `space` before every name but the first."""
    names = ["frame", "face_id", "timestamp", "confidence", "success", *UPPER_FACE, "AU12_r", "AU45_r", "AU45_c"]
    lines = [f",{space}".join(names)]
    for row in range(rows):
        units = [f"{2.5 * abs(np.sin(0.4 * row + k)):.2f}" for k in range(len(UPPER_FACE) + 2)]
        lines.append(", ".join([str(row + 1), "0", f"{row / 25:.3f}", "0.98", "1", *units, "0.00"]))
    (root / "au.csv").write_text("\n".join(lines) + "\n")


def _images(root: Path, name: str) -> None:
    shutil.copytree(root / "ori_imgs", root / name, ignore=shutil.ignore_patterns("*.lms"))


def _teeth(root: Path, count: int) -> None:
    (root / "teeth_mask").mkdir()
    for i in range(count):
        np.save(root / "teeth_mask" / f"{i}.npy", np.zeros((4, 4), bool))


def ad_nerf(source: Path, root: Path) -> None:
    """Training images composed per part, config files, a face rectangle in the JSON; no torso images, no blinks."""
    count = _base(source, root, vertices=False)
    _audio(root, "aud.npy", count, 16, 29)
    shutil.rmtree(root / "torso_imgs")
    for name in ("head_imgs", "com_imgs"):
        _images(root, name)
    for name in ("HeadNeRF_config.txt", "TorsoNeRF_config.txt", "TorsoNeRFTest_config.txt"):
        (root / name).write_text(f"expname = {root.name}_head\ndatadir = dataset/{root.name}\n")
    for split in ("train", "val"):
        path = root / f"transforms_{split}.json"
        content = json.loads(path.read_text())
        for frame in content["frames"]:
            frame["face_rect"] = [4, 4, 30, 30]
        path.write_text(json.dumps(content))


def rad_nerf(source: Path, root: Path) -> None:
    """wav2vec features beside DeepSpeech's, no action units."""
    count = _base(source, root, vertices=False)
    _audio(root, "aud_eo.npy", count, 16, 44)
    _audio(root, "aud.npy", count, 16, 29)
    _images(root, "gt_imgs")


def er_nerf(source: Path, root: Path) -> None:
    """HuBERT features in two rows a frame and one frame longer than the video; OpenFace one row short."""
    count = _base(source, root, vertices=False)
    _audio(root, "aud_hu.npy", count + 1, 2, 1024)
    _images(root, "gt_imgs")
    _openface(root, count - 1, " ")


def gaussiantalker(source: Path, root: Path) -> None:
    """A mesh for every frame, OpenFace's older header."""
    count = _base(source, root, vertices=True)
    _audio(root, "aud_ds.npy", count, 16, 29)
    _images(root, "gt_imgs")
    _openface(root, count, " ")


def egstalker(source: Path, root: Path) -> None:
    """The same with OpenFace's newer header."""
    count = _base(source, root, vertices=True)
    _audio(root, "aud_ds.npy", count, 16, 29)
    _openface(root, count, "")


def talking_gaussian(source: Path, root: Path) -> None:
    """Teeth masks, all action units, no mesh."""
    count = _base(source, root, vertices=False)
    _audio(root, "aud_ds.npy", count, 16, 29)
    _images(root, "gt_imgs")
    _openface(root, count, " ")
    _teeth(root, count)


def instag(source: Path, root: Path) -> None:
    """As TalkingGaussian's, with Esperanto wav2vec features."""
    count = _base(source, root, vertices=False)
    _audio(root, "aud_eo.npy", count, 16, 44)
    _openface(root, count, " ")
    _teeth(root, count)


def synctalk(source: Path, root: Path) -> None:
    """One audio vector a frame, blendshapes in place of action units, a rough track in millimetres and refined JSON."""
    count = _base(source, root, vertices=False)
    _audio(root, "aud_ave.npy", count, 512)
    _audio(root, "bs.npy", count, 52)
    _images(root, "gt_imgs")
    track = torch.load(root / "track_params.pt", weights_only=True)
    shake = torch.from_numpy(np.random.default_rng(0).normal(0, 0.03, (count, 3))).float()
    torch.save({**track, "euler": track["euler"] + shake, "trans": 100 * track["trans"]}, root / "track_params.pt")


NO_MESH, NO_BLINK = "were carved from the head masks", "no au.csv"
LAYOUTS = {
    "ad_nerf": Layout(ad_nerf, features("aud.npy", 29), [NO_MESH, NO_BLINK, "no torso_imgs"]),
    "rad_nerf": Layout(rad_nerf, features("aud_eo.npy", 44), [NO_MESH, NO_BLINK]),
    "er_nerf": Layout(er_nerf, features("aud_hu.npy", 1024), [NO_MESH, "au.csv lacks 1 of", "two rows a frame"]),
    "gaussiantalker": Layout(gaussiantalker, features("aud_ds.npy", 29)),
    "egstalker": Layout(egstalker, features("aud_ds.npy", 29)),
    "talking_gaussian": Layout(talking_gaussian, features("aud_ds.npy", 29), [NO_MESH]),
    "instag": Layout(instag, features("aud_eo.npy", 44), [NO_MESH]),
    "synctalk": Layout(
        synctalk, features("aud_ave.npy", 512, 1), [NO_MESH, "bs.npy is not read", "millimetres", "tells SyncTalk"]
    ),
}
