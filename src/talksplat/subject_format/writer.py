"""Writes a subject folder in the shared layout, all of it or nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from talksplat.errors import UserError
from talksplat.subject_format import action_units, landmarks, track, transforms
from talksplat.subject_format.images import encode_image
from talksplat.subject_format.labels import Label, encode_parsing
from talksplat.system_errors import write_error

AUDIO_RATE = 16000
HALF = ".half"  # end of the name of a file that is being written
OPAQUE = 128  # torso alpha from here on counts as 255: the layout knows only 0 and 255


class SubjectWriter:
    """Builds the folder under a temporary name next to `root`; `finish` moves it into place.

    A context manager: an exception inside removes what was written. Images are RGB. Every method raises UserError
    naming the file if it cannot be written (a full disk), after removing the temporary folder.

    With `key`, which stands for everything that the frames are made of, frames written before a kill (or Ctrl-C) are
    found again: `has_frame`. `write_frame` may be called from several threads.
    """

    def __init__(self, root: Path | str, width: int, height: int, fps: float = 25.0, key: str | None = None):
        """Raises UserError if `root` exists and is not an empty folder."""
        self.root = Path(root).expanduser()
        self.width, self.height, self.fps = width, height, fps
        if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise UserError(f"{self.root} exists and is not empty: remove it, or choose another folder")
        self.folder = self.root.parent / f".{self.root.name}.partial-{os.getpid() if key is None else key}"
        self._resumable = key is not None
        self._frame_ids: set[int] = set()
        self._tracked: list[int] | None = None
        try:
            self._clear_leftovers()
            for name in ("ori_imgs", "parsing", "torso_imgs"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failure(self.folder, error) from error

    def __enter__(self) -> SubjectWriter:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if kind is not None and not (self._resumable and issubclass(kind, KeyboardInterrupt)):
            self.abort()

    def abort(self) -> None:
        """Remove what was written so far."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clear_leftovers(self) -> None:
        if not self._resumable:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        for other in self.root.parent.glob(f".{self.root.name}.partial-*"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)
        for half in self.folder.rglob(f"*{HALF}"):
            half.unlink(missing_ok=True)

    def has_frame(self, frame_id: int) -> bool:
        """Whether an earlier run with the same key wrote this frame; if so, it counts as written."""
        names = (f"ori_imgs/{frame_id}.jpg", f"parsing/{frame_id}.png", f"torso_imgs/{frame_id}.png")
        if not self._resumable or not all((self.folder / n).is_file() for n in (*names, f"ori_imgs/{frame_id}.lms")):
            return False
        self._frame_ids.add(int(frame_id))
        return True

    def write_frame(
        self,
        frame_id: int,
        image: UInt8[np.ndarray, "height width 3"],
        parsing: UInt8[np.ndarray, "height width"],
        torso_rgba: UInt8[np.ndarray, "height width 4"],
        landmarks68: Float[np.ndarray, "68 2"],
        head_alpha: UInt8[np.ndarray, "height width"] | None = None,
    ) -> None:
        """Images and landmarks (pixels) of one frame; `parsing` holds `Label` values, `head_alpha` the soft head mask.

        `head_alpha` is for all frames of a subject or for none: it makes a folder `alpha` that other projects ignore.
        Torso alpha is made 0 or 255 and its colours 0 where it is 0. Raises ValueError for wrong shapes or NaN.
        """
        size = (self.height, self.width)
        for name, array, shape in (
            ("image", image, (*size, 3)),
            ("parsing", parsing, size),
            ("torso", torso_rgba, (*size, 4)),
            *([] if head_alpha is None else [("head alpha", head_alpha, size)]),
        ):
            if array.shape != shape or array.dtype != np.uint8:
                raise ValueError(f"{name} of frame {frame_id} is {array.dtype} {array.shape} instead of uint8 {shape}")
        opaque = torso_rgba[..., 3:] >= OPAQUE
        torso = np.where(opaque, torso_rgba, np.uint8(0))
        torso[..., 3:] = np.where(opaque, 255, 0)
        # imencode counts in BGR; the colour codes are BGR already, so they are turned round once more.
        self._write(f"ori_imgs/{frame_id}.jpg", encode_image(image, ".jpg"))
        self._write(f"parsing/{frame_id}.png", encode_image(encode_parsing(parsing)[..., ::-1], ".png"))
        self._write(f"torso_imgs/{frame_id}.png", encode_image(torso, ".png"))
        if head_alpha is not None:
            self._write(f"alpha/{frame_id}.png", encode_image(head_alpha, ".png"))
        # the last file: where it is, the frame is complete (`has_frame`)
        self._write(f"ori_imgs/{frame_id}.lms", landmarks.format_landmarks(landmarks68).encode())
        self._frame_ids.add(int(frame_id))

    def write_track(
        self,
        frame_ids: Int[np.ndarray, " frame"],
        viewmats: Float[np.ndarray, "frame 4 4"],
        focal: float,
        vertices: Float[np.ndarray, "vertex 3"],
        vertex_colors: UInt8[np.ndarray, "vertex 3"] | None = None,
    ) -> None:
        """Head poses (world-to-camera, dm), focal length (pixels), start points (dm), and the 10/11 split by time."""
        frame_ids, viewmats = np.asarray(frame_ids, dtype=np.int64), np.asarray(viewmats)
        if (
            viewmats.shape != (len(frame_ids), 4, 4)
            or (np.diff(frame_ids) <= 0).any()
            or not np.isfinite(viewmats).all()
        ):
            raise ValueError(f"expected a finite 4x4 pose for each of {len(frame_ids)} rising frames: {viewmats.shape}")
        self._write("track_params.pt", track.track_bytes(frame_ids, viewmats, focal, vertices, vertex_colors))
        for split, rows in zip(transforms.SPLITS, transforms.split_positions(len(frame_ids))):
            text = transforms.transforms_json(frame_ids[rows], viewmats[rows], focal, self.width, self.height)
            self._write(f"transforms_{split}.json", text.encode())
        self._tracked = frame_ids.tolist()

    def write_background(self, plate: UInt8[np.ndarray, "height width 3"]) -> None:
        """Clean background plate."""
        if plate.shape != (self.height, self.width, 3):
            raise ValueError(f"the background plate has shape {plate.shape}")
        self._write("bc.jpg", encode_image(plate, ".jpg"))

    def write_composite(
        self,
        frame_id: int,
        image: UInt8[np.ndarray, "height width 3"],
        parsing: UInt8[np.ndarray, "height width"],
        plate: UInt8[np.ndarray, "height width 3"],
    ) -> None:
        """The person of a frame over the clean plate, as `gt_imgs`: what RAD-NeRF, ER-NeRF, TalkingGaussian and SyncTalk
        train on. Not read here."""
        (self.folder / "gt_imgs").mkdir(exist_ok=True)
        shown = np.where((parsing == Label.BACKGROUND)[..., None], plate, image)
        self._write(f"gt_imgs/{frame_id}.jpg", encode_image(shown, ".jpg"))

    def write_audio(self, samples: Float[np.ndarray, " sample"]) -> None:
        """Mono sound in [-1, 1] at 16 kHz, as 16-bit `aud.wav`; its first 10/11 and the rest once more on their own, as
        `aud_train.wav` and `aud_novel.wav` (GaussianTalker)."""
        samples = np.asarray(samples)
        border = len(samples) * 10 // 11
        for name, part in (("aud", samples), ("aud_train", samples[:border]), ("aud_novel", samples[border:])):
            self._write_sound(f"{name}.wav", part)

    def _write_sound(self, name: str, samples: Float[np.ndarray, " sample"]) -> None:
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(AUDIO_RATE)
            file.writeframes((samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
        self._write(name, buffer.getvalue())

    def write_features(
        self, name: str, features: Float[np.ndarray, "row window feature"], about: bytes | None = None
    ) -> None:
        """Audio windows by frame number, as `aud_{name}.npy` (float32), and what made them as `aud_{name}.json`."""
        if features.ndim != 3 or not np.isfinite(features).all():
            raise ValueError(f"features {name} have shape {features.shape} or values that are no numbers")
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(features, dtype=np.float32))
        self._write(f"aud_{name}.npy", buffer.getvalue())
        if about is not None:
            self._write(f"aud_{name}.json", about)

    def write_action_units(self, frame_ids: Int[np.ndarray, " frame"], columns: Mapping[str, np.ndarray]) -> None:
        """`au.csv` with OpenFace's column names and scale (intensities 0 to 5; an eye is shut at AU45_r = 2)."""
        self._write("au.csv", action_units.action_units_csv(frame_ids, columns, self.fps).encode())

    def write_true_signals(self, frame_ids: Int[np.ndarray, " frame"], columns: Mapping[str, np.ndarray]) -> None:
        """What is exactly known of each frame of a synthetic subject (`mouth_opening`, `blink`), each in [0, 1]."""
        self._write("true_signals.csv", action_units.signals_csv(frame_ids, columns).encode())

    def write_manifest(self, manifest: Mapping) -> None:
        """`manifest.json`, the last file: fps, size and frame numbers are added to `manifest`."""
        known = {"fps": self.fps, "width": self.width, "height": self.height, "frame_ids": self._tracked}
        self._write("manifest.json", (json.dumps({**known, **manifest}, indent=1) + "\n").encode())

    def finish(self) -> Path:
        """Move the finished folder to `root` and return that. Raises ValueError if something was not written."""
        needed = ("track_params.pt", "bc.jpg", "manifest.json")
        missing = [name for name in needed if not (self.folder / name).is_file()]
        frameless = sorted(set(self._tracked or []) - self._frame_ids)
        if missing or frameless:
            self.abort()
            raise ValueError(f"subject incomplete: no {', '.join(missing) or f'images of frame {frameless[0]}'}")
        try:
            os.replace(self.folder, self.root)
        except OSError as error:
            raise self._failure(self.root, error) from error
        return self.root

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        half = path.with_name(path.name + HALF)
        try:
            path.parent.mkdir(exist_ok=True)
            half.write_bytes(data)
            os.replace(half, path)
        except OSError as error:
            raise self._failure(path, error) from error

    def _failure(self, path: Path, error: OSError) -> UserError:
        self.abort()
        return UserError(f"{write_error(error, path)}; nothing was kept")
