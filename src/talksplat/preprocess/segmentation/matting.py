"""Labels from a person matte of a network; colour models only part head, neck and torso inside it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.errors import UserError
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.color_models import learn
from talksplat.preprocess.segmentation.keyframes import View, view_of
from talksplat.preprocess.segmentation.segmenter import LEARNING_SIZE, ColorModelSegmenter

CERTAIN = 6.0  # log odds that a matte may give
FREE_SIZE = 512  # side of the picture where a network takes any
GET = 'pip install "talksplat[matting]"'

Matte = Callable[[UInt8[np.ndarray, "height width 3"]], Float[np.ndarray, "height width"]]


@dataclass(frozen=True)
class Kind:
    """How a family of networks takes pictures and gives mattes (their own code, and rembg's)."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    logits: bool  # the output wants a sigmoid
    stretched: bool  # the lowest value is background and the highest the person


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KINDS = {
    "isnet": Kind((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), logits=False, stretched=True),
    "u2net": Kind(*IMAGENET, logits=False, stretched=True),
    "modnet": Kind((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), logits=False, stretched=False),
    "birefnet": Kind(*IMAGENET, logits=True, stretched=False),
}


class MattingSegmenter(ColorModelSegmenter):
    """A `Segmenter` with a network that tells persons from anything behind them.

    Args:
        model: an ONNX file, or the name of a model of rembg, which downloads it once.
        kind: family of an ONNX file, one of `KINDS`; None: as its name says.
        keyframes, size, edge_radius, edge_epsilon, smallest_part, neighbours: see `ColorModelSegmenter`.

    Raises:
        UserError: no such file, or one of unknown kind.
    """

    title = "matte of a network, parted by colour models"

    def __init__(
        self,
        model: str,
        kind: str | None = None,
        keyframes: int = 24,
        size: int = 384,
        edge_radius: int = 6,
        edge_epsilon: float = 60.0,
        smallest_part: float = 0.0005,
        neighbours: int = 2,
    ) -> None:
        super().__init__(keyframes, size, edge_radius, edge_epsilon, smallest_part, neighbours)
        self.model = model
        self._path = Path(model).expanduser()
        if self._path.suffix == ".onnx" and not self._path.is_file():
            raise UserError(f"segmentation.model={model}: there is no such file")
        self.kind = _kind_of(self._path, kind) if self._path.is_file() else None
        self.content = hashlib.sha256(self._path.read_bytes()).hexdigest() if self._path.is_file() else ""
        self._matte: Matte | None = None
        self._lock = threading.Lock()  # the network uses all cores for one picture

    def ready(self) -> MattingSegmenter:
        """See `Segmenter`."""
        self._matte = open_onnx(self._path, KINDS[self.kind]) if self.kind else open_rembg(self.model)
        return self

    def _fit(self, clip: ClipImages, progress: Callable[[Iterable], Iterable]) -> None:
        if self._matte is None:
            self.ready()
        views, persons = [], []
        for position in progress(self._positions(clip)):
            picture = clip.load(position)
            views.append(view_of(clip, position, LEARNING_SIZE, picture))
            height, width = views[-1].size
            persons.append(cv2.resize(self._matte(picture), (width, height), interpolation=cv2.INTER_AREA) > 0.5)
        covered = np.array([mask[view.face].mean() if view.face.any() else 1.0 for view, mask in zip(views, persons)])
        if covered.mean() < 0.8 or all(mask.mean() > 0.99 for mask in persons):
            raise UserError(
                f"the matte of {self.model} covers {covered.mean():.0%} of the faces and {np.mean(persons):.0%} of the frames: this is no "
                "person matte; check segmentation.model and segmentation.kind, or use segmentation=auto"
            )
        self._models = learn(views, persons=persons)

    def _score(self, view: View) -> Float[np.ndarray, "height width label"]:
        if self._matte is None:
            raise RuntimeError("call fit first")
        with self._lock:
            alpha = np.clip(self._matte(view.image), 1e-6, 1 - 1e-6)
        odds = np.clip(np.log(alpha / (1 - alpha)), -CERTAIN, CERTAIN)
        parts = super()._score(view)[..., 1:]
        parts = parts - parts.max(-1, keepdims=True)
        return np.concatenate([-odds[..., None], parts], axis=-1).astype(np.float32)

    def _may_be_hair(self, view: View, where: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
        return np.zeros(view.size, bool)  # the network knows hair from background


def _kind_of(path: Path, kind: str | None) -> str:
    name = path.stem.lower().replace("-", "").replace("_", "")
    found = kind or next((key for key in KINDS if key in name), None)
    if found not in KINDS:
        raise UserError(f"segmentation.kind={kind} of {path}: say what it is, one of {', '.join(KINDS)}")
    return found


def open_onnx(path: Path, kind: Kind) -> Matte:
    """The matte of an ONNX file. Raises UserError: no onnxruntime, a damaged file, or a network of other inputs and outputs."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"an ONNX matte needs onnxruntime ({error}): {GET}") from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=onnxruntime.get_available_providers())
    except Exception as error:
        raise UserError(f"{path} cannot be opened as an ONNX network: {str(error).splitlines()[0]}") from error
    entry = session.get_inputs()[0]
    number = {"tensor(float)": np.float32, "tensor(float16)": np.float16}.get(entry.type)
    channels = entry.shape[1] if len(entry.shape) == 4 else 0
    if number is None or len(session.get_inputs()) != 1 or (isinstance(channels, int) and channels != 3):
        raise UserError(
            f"{path} takes no single picture of three channels (its first input: {entry.name}, {entry.type}, {entry.shape})"
        )
    sides = [side if isinstance(side, int) and side > 0 else FREE_SIZE for side in entry.shape[2:]]
    mean, deviation = (np.array(values, np.float32) for values in (kind.mean, kind.deviation))

    def matte(image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width"]:
        shrinks = cv2.INTER_AREA if image.shape[0] > sides[0] else cv2.INTER_LINEAR
        small = cv2.resize(image, (sides[1], sides[0]), interpolation=shrinks).astype(np.float32)
        batch = ((small / max(small.max(), 1.0) - mean) / deviation).transpose(2, 0, 1)[None]
        try:
            result = np.squeeze(session.run(None, {entry.name: batch.astype(number)})[0]).astype(np.float32)
        except Exception as error:
            raise UserError(
                f"{path} cannot work on a picture of {sides[1]}x{sides[0]}: {str(error).splitlines()[0]}"
            ) from error
        if result.ndim != 2:
            raise UserError(f"{path} gives {result.shape} instead of one matte: it is no network of segmentation.kind")
        if kind.logits:
            result = 1 / (1 + np.exp(-result))
        if kind.stretched:
            result = (result - result.min()) / max(np.ptp(result), 1e-6)
        return np.clip(cv2.resize(result, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), 0, 1)

    return matte


def open_rembg(name: str) -> Matte:
    """The matte of a model that rembg knows. Raises UserError: no rembg, no such model, or it could not be downloaded."""
    try:
        import rembg
        from PIL import Image
    except ImportError as error:
        raise UserError(f"segmentation.model={name} is a name for rembg, which is not here ({error}): {GET}") from error
    try:
        session = rembg.new_session(name)
    except Exception as error:
        raise UserError(
            f"rembg has no model {name}, or could not get it ({type(error).__name__}: {str(error)[:200]}): names are in its "
            "README, e.g. isnet-general-use, u2net_human_seg, birefnet-portrait; a file of your own goes as segmentation.model=PATH.onnx"
        ) from error

    def matte(image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width"]:
        return np.asarray(session.predict(Image.fromarray(image))[0], np.float32) / 255

    return matte
