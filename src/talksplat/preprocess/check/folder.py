"""A look at a subject folder that survives whatever is wrong with it."""

from __future__ import annotations

import csv
import wave
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int

from talksplat.errors import UserError
from talksplat.subject_format import transforms
from talksplat.subject_format.images import ORIGINAL_SUFFIXES, original_path
from talksplat.subject_format.track import Track, read_track

SAMPLED = 40  # frames whose images are opened


@dataclass
class Folder:
    """What lies in a folder; what cannot be read is None, with the reason in `errors`."""

    root: Path
    errors: list[str] = field(default_factory=list)

    def numbers(self, name: str, suffixes: tuple[str, ...]) -> Int[np.ndarray, " file"]:
        """Rising frame numbers of the files in a sub-folder."""
        folder = self.root / name
        paths = folder.iterdir() if folder.is_dir() else []
        found = {int(path.stem) for path in paths if path.suffix in suffixes and path.stem.isdecimal()}
        return np.array(sorted(found), dtype=np.int64)

    @cached_property
    def frames(self) -> Int[np.ndarray, " file"]:
        """Frames that have an image."""
        return self.numbers("ori_imgs", ORIGINAL_SUFFIXES)

    @cached_property
    def with_landmarks(self) -> Int[np.ndarray, " file"]:
        """Frames that have a `.lms`."""
        return self.numbers("ori_imgs", (".lms",))

    @cached_property
    def sample(self) -> list[int]:
        """Frames spread over the clip that have an image and a semantic map."""
        both = np.intersect1d(self.frames, self.numbers("parsing", (".png",)))
        return both[np.unique(np.linspace(0, len(both) - 1, SAMPLED).round().astype(int))].tolist() if len(both) else []

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the first frame."""
        image = None if not len(self.frames) else cv2.imread(str(original_path(self.root, int(self.frames[0]))))
        return None if image is None else (image.shape[1], image.shape[0])

    @cached_property
    def track(self) -> Track | None:
        """`track_params.pt`."""
        return self._try(lambda: read_track(self.root / "track_params.pt", [])) if self.has("track_params.pt") else None

    @cached_property
    def listed(self) -> transforms.Transforms | None:
        """Both transforms files."""
        return self._try(lambda: transforms.read_transforms(self.root))

    @cached_property
    def audio(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the audio feature files, without loading them; () for what is no array of numbers."""
        shapes = {}
        for path in sorted(self.root.glob("aud*.npy")):
            try:
                array = np.load(path, mmap_mode="r", allow_pickle=False)
                shapes[path.name] = array.shape if np.issubdtype(array.dtype, np.number) else ()
            except (OSError, ValueError, EOFError):
                shapes[path.name] = ()
        return shapes

    @cached_property
    def au_header(self) -> list[str] | None:
        """Names of au.csv as they are written, with their spaces."""
        try:
            with (self.root / "au.csv").open(newline="") as file:
                return next(csv.reader(file), None)
        except (OSError, UnicodeDecodeError, csv.Error):
            return None

    @cached_property
    def sound(self) -> tuple[float, int, int] | None:
        """Seconds, samples a second and channels of `aud.wav`."""
        try:
            with wave.open(str(self.root / "aud.wav")) as file:
                return file.getnframes() / file.getframerate(), file.getframerate(), file.getnchannels()
        except (OSError, EOFError, wave.Error):
            return None

    def has(self, *names: str) -> bool:
        """Whether all of these files or folders are there."""
        return all((self.root / name).exists() for name in names)

    def image(self, name: str, frame_id: int) -> np.ndarray | None:
        """A PNG of a sub-folder as it is stored, BGR or BGRA."""
        return cv2.imread(str(self.root / name / f"{frame_id}.png"), cv2.IMREAD_UNCHANGED)

    def _try(self, read):
        try:
            return read()
        except UserError as error:
            self.errors.append(str(error))
            return None
