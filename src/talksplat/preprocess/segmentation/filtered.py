"""From scores of labels at working resolution to a clean map: filtered over time, sharpened along image edges, tidied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.errors import UserError
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.keyframes import View, view_of
from talksplat.preprocess.segmentation.temporal import ScoredView, SharedResults, filtered_scores, results_to_keep
from talksplat.subject_format.labels import Label

NOTCH = 0.45  # dm, radius of what fits into a notch of the crown; islands so near are of the head
CROWN = 0.8  # dm, the same once islands further away, which are not of the head, are gone
NO_HOLES = 0.3  # dm above the head's centre (the brows), from where on background cannot be seen through hair
PART_BORDER = 10  # pixels at 512 over which the border between head, neck and torso is straightened


class FilteredSegmenter(ABC):
    """What all `Segmenter`s that score labels have in common.

    Args:
        size: longer side in pixels at which labels are scored; the result has full resolution.
        edge_radius: radius of the guided filter in pixels at a frame size of 512.
        edge_epsilon: its regulariser in squared grey levels; smaller follows fainter edges.
        smallest_part: share of the frame below which an island of a label is merged into what surrounds it.
        neighbours: frames on either side whose scores are averaged along the motion; 0: none.
    """

    def __init__(
        self,
        size: int = 256,
        edge_radius: int = 6,
        edge_epsilon: float = 60.0,
        smallest_part: float = 0.0005,
        neighbours: int = 2,
    ) -> None:
        if size < 64 or neighbours < 0:
            raise UserError(f"segmentation needs size >= 64 and neighbours >= 0, not {size} and {neighbours}")
        self.size = size
        self.edge_radius = edge_radius
        self.edge_epsilon = edge_epsilon
        self.smallest_part = smallest_part
        self.neighbours = neighbours
        self._scored: SharedResults[ScoredView] = SharedResults(results_to_keep(neighbours))

    def ready(self) -> FilteredSegmenter:
        """See `Segmenter`: nothing is needed."""
        return self

    def fit(self, clip: ClipImages, progress: Callable[[Iterable], Iterable] = iter) -> None:
        """Learn what is to be learned of a clip, and forget the last one."""
        self._scored = SharedResults(results_to_keep(self.neighbours))
        self._fit(clip, progress)

    @abstractmethod
    def _fit(self, clip: ClipImages, progress: Callable[[Iterable], Iterable]) -> None: ...

    @abstractmethod
    def _score(self, view: View) -> Float[np.ndarray, "height width label"]:
        """Log posterior of each label up to a constant, by pixel."""

    @abstractmethod
    def _may_be_hair(self, view: View, where: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
        """Pixels of `where` that may be hair although they were not labelled head."""

    def __call__(self, clip: ClipImages, position: int) -> UInt8[np.ndarray, "height width"]:
        """`Label` values of a frame at full resolution."""
        own = self._scored_view(clip, position)
        around = range(max(position - self.neighbours, 0), min(position + self.neighbours + 1, len(clip)))
        numbers = {i: int(clip.track.frame_ids[i]) - int(clip.track.frame_ids[position]) for i in around}
        near = {i: apart for i, apart in numbers.items() if 0 < abs(apart) <= self.neighbours}
        scores = filtered_scores(own, {apart: self._scored_view(clip, i) for i, apart in near.items()})
        parts = np.ascontiguousarray(scores[..., 1:] - scores[..., :1])  # background is 0: one channel less to filter
        parts = cv2.resize(parts, (clip.width, clip.height), interpolation=cv2.INTER_LINEAR)
        radius = max(2, round(self.edge_radius * max(clip.width, clip.height) / 512))
        parts = cv2.ximgproc.createGuidedFilter(own.picture, radius, self.edge_epsilon).filter(parts)
        labels = np.where(parts.max(-1) > 0, 1 + parts.argmax(-1), int(Label.BACKGROUND)).astype(np.uint8)
        labels[_full_size(crown_notches(own.view, _at_view(labels, own.view)) & own.hair, clip)] = Label.HEAD
        return clean(labels, _full_size(own.view.face, clip), round(self.smallest_part * labels.size))

    def _scored_view(self, clip: ClipImages, position: int) -> ScoredView:
        def compute(position: int) -> ScoredView:
            picture = clip.load(position)
            view = view_of(clip, position, self.size, picture)
            return ScoredView.of(view, self._score(view), picture, self._may_be_hair(view, view.shape.up > NO_HOLES))

        return self._scored.get(position, compute)


def _full_size(mask: Bool[np.ndarray, "h w"], clip: ClipImages) -> Bool[np.ndarray, "height width"]:
    return cv2.resize(mask.astype(np.uint8), (clip.width, clip.height), interpolation=cv2.INTER_NEAREST) > 0


def _at_view(labels: UInt8[np.ndarray, "height width"], view: View) -> UInt8[np.ndarray, "h w"]:
    height, width = view.size
    return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)


def _with_face(person: Bool[np.ndarray, "height width"], face: Bool[np.ndarray, "height width"]) -> np.ndarray:
    """The parts of a mask in which the face is."""
    _, components = cv2.connectedComponents(person.astype(np.uint8), connectivity=4)
    return np.isin(components, np.unique(components[face & (person > 0)]))


def _close(mask: UInt8[np.ndarray, "height width"], radius: float) -> UInt8[np.ndarray, "height width"]:
    """Closing by a disk, as if nothing were beyond the picture; by distances, since large disks are slow."""
    edge = int(radius) + 2
    padded = cv2.copyMakeBorder(1 - mask, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=1)
    wide = (cv2.distanceTransform(padded, cv2.DIST_L2, 5) <= radius).astype(np.uint8)
    closed = (cv2.distanceTransform(wide, cv2.DIST_L2, 5) > radius)[edge:-edge, edge:-edge]
    return (closed | (mask > 0)).astype(np.uint8)


def crown_notches(view: View, labels: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Holes and narrow notches in the top of the head, where hair has the background's colour: heads are round there."""
    unit = 1 / max(abs(float(view.shape.up[1, 0] - view.shape.up[0, 0])), 1e-3)  # pixels in a dm
    person = ((labels != Label.BACKGROUND) & (view.shape.up > NO_HOLES)).astype(np.uint8)
    closed = _with_face(_close(person, NOTCH * unit), view.face)
    closed = _close(closed.astype(np.uint8), CROWN * unit)
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
    labels[~_with_face(labels != Label.BACKGROUND, face)] = Label.BACKGROUND
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
