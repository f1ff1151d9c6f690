"""Where pretrained files come from: a folder given by the user first, then one checked download."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pooch

from talksplat.errors import UserError

FACE_LANDMARKER_NAME = "face_landmarker.task"
FACE_LANDMARKER_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
)
FACE_LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"


SEGMENTER_URL = (
    "https://storage.googleapis.com/mediapipe-models/image_segmenter/selfie_multiclass_256x256/float32/latest/"
    "selfie_multiclass_256x256.tflite"
)
SEGMENTER_SHA256 = "c6748b1253a99067ef71f7e26ca71096cd449baefa8f101900ea23016507e0e0"


@dataclass(frozen=True)
class Model:
    """A pretrained file that is known by its hash."""

    title: str  # in messages
    name: str
    url: str
    sha256: str


FACE_LANDMARKER = Model("face landmarker", FACE_LANDMARKER_NAME, FACE_LANDMARKER_URL, FACE_LANDMARKER_SHA256)
SEGMENTER = Model("multiclass selfie segmenter", "selfie_multiclass_256x256.tflite", SEGMENTER_URL, SEGMENTER_SHA256)


def face_landmarker_path(assets: Path | None = None) -> Path:
    """Path of MediaPipe's face landmarker (float16 model, version 1, Apache-2.0).

    Looked for in `assets`, then in the folder that TALKSPLAT_ASSETS names, then in the user's cache, into which it is
    downloaded once.

    Raises:
        UserError: a found file is not that model, or there is none and no network.
    """
    return _find(FACE_LANDMARKER, assets) or _download(FACE_LANDMARKER, assets)


def find_face_landmarker(assets: Path | None = None) -> Path | None:
    """Like `face_landmarker_path`, but only looks: None where the model is not on this machine."""
    return _find(FACE_LANDMARKER, assets)


def multiclass_segmenter_path(assets: Path | None = None) -> Path:
    """Path of MediaPipe's multiclass selfie segmenter (float32 model, Apache-2.0); places and errors as above."""
    return _find(SEGMENTER, assets) or _download(SEGMENTER, assets)


def find_multiclass_segmenter(assets: Path | None = None) -> Path | None:
    """Like `multiclass_segmenter_path`, but only looks."""
    return _find(SEGMENTER, assets)


def _find(model: Model, assets: Path | None) -> Path | None:
    for folder in (*_folders(assets), Path(pooch.os_cache("talksplat"))):
        path = folder / model.name
        if path.is_file():
            _check_hash(path, model)
            return path
    return None


def _folders(assets: Path | None) -> list[Path]:
    return [Path(folder) for folder in (assets, os.environ.get("TALKSPLAT_ASSETS")) if folder]


def _check_hash(path: Path, model: Model) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != model.sha256:
        raise UserError(
            f"{path} is not the {model.title} this version was built for (sha256 {digest[:12]}..., expected "
            f"{model.sha256[:12]}...): delete it, or replace it by {model.url}"
        )


def _download(model: Model, assets: Path | None) -> Path:
    try:
        return retrieve(model.url, model.name, model.sha256, Path(pooch.os_cache("talksplat")))
    except Exception as error:
        folders = _folders(assets)
        place = folders[0] if folders else "a folder, and set TALKSPLAT_ASSETS (or paths.assets) to it"
        raise UserError(
            f"the {model.title} model is missing and could not be downloaded ({type(error).__name__}): get "
            f"{model.url} and put it into {place}"
        ) from error


def retrieve(url: str, name: str, sha256: str, folder: Path) -> Path:
    """Download a file into a folder, where it appears whole and checked or not at all.

    Raises:
        OSError: no connection, no such file on the server, or a folder that cannot be written; it came damaged.
    """
    try:
        return Path(pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name, path=folder))
    except ValueError as error:
        raise OSError(f"{url} came damaged: {error}") from error
