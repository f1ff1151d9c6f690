"""Where pretrained files come from: a folder given by the user first, then one checked download."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pooch

from talksplat.errors import UserError

FACE_LANDMARKER_NAME = "face_landmarker.task"
FACE_LANDMARKER_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
)
FACE_LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"


def face_landmarker_path(assets: Path | None = None) -> Path:
    """Path of MediaPipe's face landmarker (float16 model, version 1, Apache-2.0).

    Looked for in `assets`, then in the folder that TALKSPLAT_ASSETS names, then in the user's cache, into which it is
    downloaded once.

    Raises:
        UserError: a found file is not that model, or there is none and no network.
    """
    path = find_face_landmarker(assets)
    return path if path is not None else _download(_folders(assets))


def find_face_landmarker(assets: Path | None = None) -> Path | None:
    """Like `face_landmarker_path`, but only looks: None where the model is not on this machine."""
    for folder in (*_folders(assets), Path(pooch.os_cache("talksplat"))):
        path = folder / FACE_LANDMARKER_NAME
        if path.is_file():
            _check_hash(path)
            return path
    return None


def _folders(assets: Path | None) -> list[Path]:
    return [Path(folder) for folder in (assets, os.environ.get("TALKSPLAT_ASSETS")) if folder]


def _check_hash(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != FACE_LANDMARKER_SHA256:
        raise UserError(
            f"{path} is not the face landmarker this version was built for (sha256 {digest[:12]}..., expected "
            f"{FACE_LANDMARKER_SHA256[:12]}...): delete it, or replace it by {FACE_LANDMARKER_URL}"
        )


def _download(folders: list[Path]) -> Path:
    try:
        return Path(
            pooch.retrieve(
                FACE_LANDMARKER_URL,
                known_hash=f"sha256:{FACE_LANDMARKER_SHA256}",
                fname=FACE_LANDMARKER_NAME,
                path=pooch.os_cache("talksplat"),
            )
        )
    except Exception as error:
        place = folders[0] if folders else "a folder, and set TALKSPLAT_ASSETS (or paths.assets) to it"
        raise UserError(
            f"the face landmarker model is missing and could not be downloaded ({type(error).__name__}): get "
            f"{FACE_LANDMARKER_URL} and put it into {place}"
        ) from error
