"""Labels of every frame from colour models that are learned from the clip itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from talksplat.data.labels import Label
from talksplat.errors import UserError
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.color_models import ColorModels, learn
from talksplat.preprocess.segmentation.keyframes import View, view_of
from talksplat.preprocess.segmentation.temporal import ScoredView, SharedResults, filtered_scores, results_to_keep

LEARNING_SIZE = 128  # longer side of the keyframes
NOTCH = 0.45  # dm, radius of what fits into a notch of the crown
NO_HOLES = 0.3  # dm above the head's centre (the brows), from where on background cannot be seen through hair
PART_BORDER = 10  # pixels at 512 over which the border between head, neck and torso is straightened


class ColorModelSegmenter:
    """A `Segmenter` without trained weights: colour and place models of one clip, sharpened along image edges.

    Args:
        keyframes: frames, evenly spread, that the models are learned from.
        size: longer side in pixels at which models are evaluated; the result has full resolution.
        edge_radius: radius of the guided filter in pixels at a frame size of 512.
        edge_epsilon: its regulariser in squared grey levels; smaller follows fainter edges.
        smallest_part: share of the frame below which an island of a label is merged into what surrounds it.
        neighbours: frames on either side whose scores are averaged along the motion; 0: none.
    """

    def __init__(
        self,
        keyframes: int = 24,
        size: int = 256,
        edge_radius: int = 6,
        edge_epsilon: float = 60.0,
        smallest_part: float = 0.0005,
        neighbours: int = 2,
    ) -> None:
        if keyframes < 2 or size < 64 or neighbours < 0:
            raise UserError(
                f"segmentation needs keyframes >= 2, size >= 64 and neighbours >= 0, not {keyframes}, {size}, {neighbours}"
            )
        self.keyframes = keyframes
        self.size = size
        self.edge_radius = edge_radius
        self.edge_epsilon = edge_epsilon
        self.smallest_part = smallest_part
        self.neighbours = neighbours
        self._models: ColorModels | None = None
        self._scored: SharedResults[ScoredView] = SharedResults(results_to_keep(neighbours))

    def fit(self, clip: ClipImages, progress: Callable[[Iterable], Iterable] = iter) -> None:
        """Learn the models of a clip."""
        positions = np.unique(np.linspace(0, len(clip) - 1, self.keyframes).round().astype(int))
        self._scored = SharedResults(results_to_keep(self.neighbours))
        self._models = learn([view_of(clip, int(position), LEARNING_SIZE) for position in progress(positions)])

    def __call__(self, clip: ClipImages, position: int) -> UInt8[np.ndarray, "height width"]:
        """`Label` values of a frame at full resolution."""
        if self._models is None:
            raise RuntimeError("call fit first")
        own = self._scores(clip, position)
        around = range(max(position - self.neighbours, 0), min(position + self.neighbours + 1, len(clip)))
        numbers = {i: int(clip.track.frame_ids[i]) - int(clip.track.frame_ids[position]) for i in around}
        near = {i: apart for i, apart in numbers.items() if 0 < abs(apart) <= self.neighbours}
        scores = filtered_scores(own, {apart: self._scores(clip, i) for i, apart in near.items()})
        image, view = own.picture, own.view
        parts = np.ascontiguousarray(scores[..., 1:] - scores[..., :1])  # background is 0: one channel less to filter
        parts = cv2.resize(parts, (clip.width, clip.height), interpolation=cv2.INTER_LINEAR)
        radius = max(2, round(self.edge_radius * max(clip.width, clip.height) / 512))
        parts = cv2.ximgproc.createGuidedFilter(image, radius, self.edge_epsilon).filter(parts)
        labels = np.where(parts.max(-1) > 0, 1 + parts.argmax(-1), int(Label.BACKGROUND)).astype(np.uint8)
        labels[_full_size(crown_notches(view, _at_view(labels, view)) & own.hair, clip)] = Label.HEAD
        return clean(labels, _full_size(view.face, clip), round(self.smallest_part * labels.size))

    def _scores(self, clip: ClipImages, position: int) -> ScoredView:
        def compute(position: int) -> ScoredView:
            picture = clip.load(position)
            view = view_of(clip, position, self.size, picture)
            hair = self._models.hair.may_be_hair(view, view.shape.up > NO_HOLES)
            return ScoredView.of(view, self._models.scores(view), picture, hair)

        return self._scored.get(position, compute)


def _full_size(mask: Bool[np.ndarray, "h w"], clip: ClipImages) -> Bool[np.ndarray, "height width"]:
    return cv2.resize(mask.astype(np.uint8), (clip.width, clip.height), interpolation=cv2.INTER_NEAREST) > 0


def _at_view(labels: UInt8[np.ndarray, "height width"], view: View) -> UInt8[np.ndarray, "h w"]:
    height, width = view.size
    return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)


def crown_notches(view: View, labels: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Holes and narrow notches in the top of the head, where hair has the background's colour: heads are round there."""
    unit = 1 / max(abs(float(view.shape.up[1, 0] - view.shape.up[0, 0])), 1e-3)  # pixels in a dm
    radius = max(1, round(NOTCH * unit))
    person = ((labels != Label.BACKGROUND) & (view.shape.up > NO_HOLES)).astype(np.uint8)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = cv2.copyMakeBorder(person, radius, radius, radius, radius, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disk)[radius:-radius, radius:-radius]
    closed = np.where(view.shape.up > 0.8, closed, person)
    _, components = cv2.connectedComponents(np.pad(1 - closed, 1, constant_values=1).astype(np.uint8), connectivity=4)
    holes = (components[1:-1, 1:-1] != components[0, 0]) & (view.shape.up > NO_HOLES)
    return ((closed > 0) | holes) & (person == 0)


def clean(
    labels: UInt8[np.ndarray, "height width"], face: Bool[np.ndarray, "height width"], smallest: int
) -> UInt8[np.ndarray, "height width"]:
    """Straighten borders between parts and remove islands: persons without a face, small patches of any label.

    Islands below `smallest` pixels (parts of neck and torso: four times as many) take the label that is most frequent
    around them. The person's silhouette stays as sharp as it was.
    """
    labels = labels.copy()
    side = 2 * round(PART_BORDER * max(labels.shape) / 512 / 2) + 1
    parts = [cv2.blur((labels == label).astype(np.float32), (side, side)) for label in list(Label)[1:]]
    labels = np.where(labels == Label.BACKGROUND, labels, 1 + np.argmax(parts, axis=0).astype(np.uint8))
    person = (labels != Label.BACKGROUND).astype(np.uint8)
    _, components = cv2.connectedComponents(person, connectivity=4)
    with_face = np.unique(components[face & (person > 0)])
    labels[~np.isin(components, with_face)] = Label.BACKGROUND
    for label in Label:
        count, components, stats, _ = cv2.connectedComponentsWithStats(
            (labels == label).astype(np.uint8), connectivity=4
        )
        limit = 4 * smallest if label in (Label.NECK, Label.TORSO) else smallest
        for island in np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] < limit) + 1:
            x, y, w, h = stats[island, :4]
            box = np.s_[max(y - 1, 0) : y + h + 1, max(x - 1, 0) : x + w + 1]
            inside = components[box] == island
            ring = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~inside
            if ring.any():
                labels[box][inside] = np.bincount(labels[box][ring], minlength=4).argmax()
    return labels
