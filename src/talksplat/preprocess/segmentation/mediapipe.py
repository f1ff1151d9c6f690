"""Labels from MediaPipe's multiclass selfie segmenter, with head, neck and torso told apart by the head pose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from enum import IntEnum
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.errors import UserError
from talksplat.media.assets import multiclass_segmenter_path
from talksplat.media.face_landmarker import load_mediapipe, quiet_mediapipe
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.filtered import FilteredSegmenter
from talksplat.preprocess.segmentation.keyframes import View
from talksplat.subject_format.labels import Label
from talksplat.system_errors import missing_library

LEAST = 1e-4  # probability below which a class counts as impossible
HAT_UP = 0.3  # dm above the head's centre (the brows), from where on cloth is a hat
WORN_UP = -0.95  # dm, above which accessories are worn on the head (glasses, ear rings, headphones)
NECK_WIDE, NECK_LOW = 0.75, -1.7  # dm from the head's axis and above its centre: further away, bare skin is torso


class Category(IntEnum):
    """Classes of `selfie_multiclass_256x256`, in the order of its masks."""

    BACKGROUND = 0
    HAIR = 1
    BODY_SKIN = 2
    FACE_SKIN = 3
    CLOTHES = 4
    OTHERS = 5


def label_scores(
    confidences: Float[np.ndarray, "height width category"], view: View
) -> Float[np.ndarray, "height width label"]:
    """Log probability of each `Label` from those of the categories.

    Hair and face are head, also below the chin. Skin of the body below the jaw line is neck, beside it an ear, far from it a
    shoulder or a hand (torso). Cloth is torso and, above the brows, a hat. Other things belong to what they are worn on.
    """
    shape = view.shape
    shares = np.zeros((*view.size, len(Label)), np.float32)
    shares[..., Label.BACKGROUND] = confidences[..., Category.BACKGROUND]
    shares[..., Label.HEAD] = confidences[..., Category.HAIR] + confidences[..., Category.FACE_SKIN]
    across = np.abs(shape.across)
    under_jaw = view.below_jaw > 0
    neck = under_jaw & (across < NECK_WIDE) & (shape.up > NECK_LOW)
    ear = ~under_jaw & (across < 1.2) & (shape.up > WORN_UP)
    on_head = shape.up > WORN_UP
    for category, masks in (
        (Category.BODY_SKIN, {Label.NECK: neck, Label.HEAD: ear, Label.TORSO: ~neck & ~ear}),
        (Category.CLOTHES, {Label.HEAD: shape.up > HAT_UP, Label.TORSO: shape.up <= HAT_UP}),
        (Category.OTHERS, {Label.HEAD: on_head, Label.TORSO: ~on_head}),
    ):
        for label, mask in masks.items():
            shares[..., label] += confidences[..., category] * mask
    return np.log(np.maximum(shares, LEAST))


class MediapipeSegmenter(FilteredSegmenter):
    """A `Segmenter` with MediaPipe's multiclass selfie segmenter (Apache-2.0), whose file is looked for, or downloaded once.

    Args:
        assets: folder with `selfie_multiclass_256x256.tflite`; None: TALKSPLAT_ASSETS, the user's cache, one download.
        size, edge_radius, edge_epsilon, smallest_part, neighbours: see `FilteredSegmenter`.
    """

    title = "MediaPipe's multiclass selfie segmenter"

    def __init__(
        self,
        assets: str | None = None,
        size: int = 256,
        edge_radius: int = 6,
        edge_epsilon: float = 60.0,
        smallest_part: float = 0.0005,
        neighbours: int = 2,
    ) -> None:
        super().__init__(size, edge_radius, edge_epsilon, smallest_part, neighbours)
        self._assets = None if assets is None else Path(assets)
        self._network = None
        self._lock = threading.Lock()  # the network serves one thread at a time

    def ready(self) -> MediapipeSegmenter:
        """See `Segmenter`."""
        multiclass_segmenter_path(self._assets)
        return self

    def _fit(self, clip: ClipImages, progress: Callable[[Iterable], Iterable]) -> None:
        self._network = open_network(multiclass_segmenter_path(self._assets))

    def _score(self, view: View) -> Float[np.ndarray, "height width label"]:
        if self._network is None:
            raise RuntimeError("call fit first")
        with self._lock:
            confidences = confidences_of(self._network, view.image)
        return label_scores(confidences, view)

    def _may_be_hair(self, view: View, where: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
        return np.zeros(view.size, bool)  # the network knows hair from background


def open_network(path: Path):
    """MediaPipe's image segmenter with this model. Raises UserError if it is none."""
    BaseOptions, vision = load_mediapipe()
    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_buffer=path.read_bytes()), output_confidence_masks=True
    )
    try:
        with quiet_mediapipe():
            return vision.ImageSegmenter.create_from_options(options)
    except Exception as error:
        wrong = UserError(f"{path} cannot be opened as an image segmentation model: {error}")
        raise missing_library(error) or wrong from error


def confidences_of(network, image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width category"]:
    """Probability of each category by pixel. Raises UserError for a model of other categories."""
    import mediapipe

    picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
    masks = [np.squeeze(mask.numpy_view()) for mask in network.segment(picture).confidence_masks]
    if len(masks) != len(Category):
        raise UserError(
            f"the segmentation model gives {len(masks)} classes instead of {len(Category)}: use "
            "selfie_multiclass_256x256.tflite, or segmentation=color_models"
        )
    return np.stack(masks, axis=-1).astype(np.float32)
