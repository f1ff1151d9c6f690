"""The lip prior: a linear map from rows of audio features to the lips, learned from other people (`lips.learn`)."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from talksplat.errors import UserError
from talksplat.files import replacing
from talksplat.fingerprints import same_features

FORMAT = 1  # raised when an older reader would misunderstand a file
ROWS_PER_FRAME = 2  # 50 rows, 25 frames a second
ARRAYS = ("fingerprint", "weights", "bias", "lip_basis")
FACTS = ("feature", "first_row", "per_clip", "targets", "people", "scores", "card")


@dataclass(frozen=True, eq=False)
class LipPrior:
    """Lip numbers of a frame from rows of audio features; numbers have mean 0 and variance 1 for each person.

    Frame k sees rows 2k + first_row to 2k + first_row + taps - 1, where row r is the sound from r/50 s to (r+1)/50 s.
    """

    feature: str  # name of the audio group, e.g. "whisper"
    fingerprint: Float[np.ndarray, " size"]  # float32, response of the features to a fixed sound
    first_row: int
    weights: Float[np.ndarray, "9 tap width"]  # float32
    bias: Float[np.ndarray, " 9"]  # float32
    per_clip: bool  # rows are standardised by the recording's own mean and deviation first
    targets: tuple[str, ...]  # what the nine numbers are
    lip_basis: Float[np.ndarray, "6 40"]  # float32, shape components in the 20 lip points
    people: tuple[str, ...]  # who it was learned from
    scores: dict[str, Any]  # of each person by the prior of the others
    card: str  # data, licence, how it was made

    @property
    def width(self) -> int:
        """Numbers in a row of features."""
        return self.weights.shape[2]

    def predict(
        self, rows: Float[np.ndarray, "row width"], num_frames: int, shift: int = 0
    ) -> Float[np.ndarray, "frame 9"]:
        """Lip numbers of frames 0 to num_frames - 1, if the sound came `shift` rows later."""
        return self.at_rows(rows, ROWS_PER_FRAME * np.arange(num_frames) + shift)

    def at_rows(
        self, rows: Float[np.ndarray, "row width"], moments: Int[np.ndarray, " moment"]
    ) -> Float[np.ndarray, "moment 9"]:
        """Lip numbers at moments counted in rows; rows outside the recording repeat its first or last."""
        rows = standardized(rows) if self.per_clip else rows
        numbers, taps, width = self.weights.shape
        parts = (rows @ self.weights.reshape(-1, width).T).reshape(len(rows), numbers, taps)
        seen = window_rows(moments, self.first_row, taps, len(rows))
        return self.bias + sum(parts[seen[:, tap], :, tap] for tap in range(taps))

    def check_features(self, name: str, fingerprint: Float[np.ndarray, " size"], width: int) -> None:
        """Raise UserError unless the features are those the prior was learned with."""
        remedy = (
            f"choose audio={self.feature}, do without a prior (audio.lip_prior=null), or learn one for these: python -m "
            f"talksplat.learn_lips audio={name}"
        )
        if name != self.feature:
            raise UserError(f"the lip prior is for audio={self.feature} features, not audio={name}: {remedy}")
        if width != self.width:
            raise UserError(f"the lip prior reads {self.feature} rows of width {self.width}, not {width}: {remedy}")
        if not same_features(fingerprint, self.fingerprint):
            raise UserError(
                f"these {name} features are of another model or setting than the lip prior was learned with (a test sound "
                f"gives other numbers): choose the same model; if an older version computed them, recompute them (preprocess "
                f"features=SUBJECT audio={name} overwrite=true); do without a prior (audio.lip_prior=null); or learn one: python -m "
                f"talksplat.learn_lips audio={name}"
            )

    def save(self, path: Path) -> None:
        """Write one `.npz` without pickles, weights as float16, as a whole or not at all. Raises UserError if it cannot."""
        arrays = {name: getattr(self, name).astype(np.float32) for name in ARRAYS}
        arrays["weights"] = arrays["weights"].astype(np.float16)
        facts = {name: getattr(self, name) for name in FACTS}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, lip_prior=np.array(FORMAT), facts=np.array(json.dumps(facts)), **arrays)
        with replacing(path) as temporary:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> LipPrior:
        """Read what `save` wrote. Raises UserError: no file, damaged, no lip prior, or one of another format."""
        content = _read(Path(path))
        again = "learn it again with python -m talksplat.learn_lips"
        if "lip_prior" not in content:
            raise UserError(f"{path} is no lip prior: give a file that python -m talksplat.learn_lips has written")
        if int(content["lip_prior"]) != FORMAT:
            raise UserError(f"{path} is a lip prior of format {int(content['lip_prior'])}, not {FORMAT}: {again}")
        try:
            facts = json.loads(str(content["facts"]))
            arrays = {name: content[name].astype(np.float32) for name in ARRAYS}
            names = {name: tuple(facts.pop(name)) for name in ("targets", "people")}
            return cls(**arrays, **names, **facts)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"the lip prior {path} is incomplete ({error}): {again}") from error


def standardized(rows: Float[np.ndarray, "row width"]) -> Float[np.ndarray, "row width"]:
    """Rows with the mean and spread of their recording removed; almost constant columns are not amplified."""
    return (rows - rows.mean(0)) / np.maximum(rows.std(0), 1e-3 * np.abs(rows).max() + 1e-9)


def window_rows(
    moments: Int[np.ndarray, " moment"], first: int, taps: int, num_rows: int
) -> Int[np.ndarray, "moment tap"]:
    """Input rows of each moment, with the ends of the recording repeated."""
    return np.clip(moments[:, None] + first + np.arange(taps), 0, num_rows - 1)


def _read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz, read here so that damage raises here."""
    if not path.is_file():
        raise UserError(f"there is no lip prior {path}: give the file that python -m talksplat.learn_lips has written")
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read as a lip prior ({str(error).splitlines()[0] if str(error) else type(error).__name__}): "
            "it is damaged, cut short or another kind of file; copy it again"
        ) from error
