"""Which pixels below the chin are hair: coloured like the hair above, on a side where hair comes down past the chin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.preprocess.segmentation.keyframes import View
from talksplat.preprocess.segmentation.local_mixture import LocalMixture
from talksplat.subject_format.labels import Label

CHIN_BAND = (-0.80, -0.45)  # dm above the head's centre: beside the jaw
FOREIGN = 6.0  # log density below that of most hair, from where on a colour is foreign to it
COLORS_ONLY = np.array([1, 1, 1, 0, 0], np.float32)
LONG_HAIR = 0.12  # dm of hair that count as hair coming down, where it is narrowest beside the jaw
BAND_ROWS = 5  # into which the band is divided


@dataclass
class HairColor:
    """Colours of the hair above the chin; `sides` says whether it comes down at image-left and image-right."""

    mixture: LocalMixture | None
    limit: float  # log density that most hair exceeds
    sides: tuple[bool, bool]

    def likeness(self, view: View) -> Float[np.ndarray, "height width"]:
        """0 to 1: coloured like hair, where hair can be."""
        if self.mixture is None or not any(self.sides):
            return np.zeros(view.size, np.float32)
        density = self.mixture.log_density(_colors(view)).reshape(view.size)
        return (self.comes_down(view) * np.clip((density - self.limit) / 2 + 0.5, 0, 1)).astype(np.float32)

    def comes_down(self, view: View) -> Float[np.ndarray, "height width"]:
        """1 on the sides of the head where hair comes down past the chin."""
        return np.where(view.shape.across < 0, float(self.sides[0]), float(self.sides[1])).astype(np.float32)

    def may_be_hair(self, view: View, where: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
        """Pixels of `where` whose colour is not foreign to the hair; all of them if no hair was learned."""
        if self.mixture is None:
            return where
        result = np.zeros(view.size, bool)
        features = view.by_head[where.ravel()] * COLORS_ONLY
        result[where] = self.mixture.log_density(features) > self.limit - FOREIGN
        return result


def _colors(view: View) -> Float[np.ndarray, "pixel 5"]:
    """Features without place."""
    return view.by_head * COLORS_ONLY


def learn_hair(views: list[View], labels: list[UInt8[np.ndarray, "height width"]]) -> HairColor:
    """Hair of a clip, from keyframes whose person is labelled (head, neck and torso may still be wrong below the chin)."""
    samples = []
    for view, label in zip(views, labels):
        crown = (view.shape.up > 0.95) | ((view.shape.up > -0.2) & (np.abs(view.shape.across) > 0.9))
        crown &= (label == Label.HEAD) & ~view.face
        samples.append(_colors(view)[crown.ravel()])
    samples = np.concatenate(samples)
    if len(samples) < 20 * len(views):
        return HairColor(None, 0.0, (False, False))
    mixture = LocalMixture(components=6).fit(samples)
    limit = float(np.percentile(mixture.log_density(samples[:20000]), 20))
    hair = HairColor(mixture, limit, (True, True))
    widths = np.zeros((2, BAND_ROWS))
    for view, label in zip(views, labels):
        shape = view.shape
        beside = (label != Label.BACKGROUND) & (shape.up > CHIN_BAND[0]) & (shape.up < CHIN_BAND[1]) & ~view.face
        like = beside & (hair.likeness(view) > 0.5)
        cell = abs(float(shape.up[1, 0] - shape.up[0, 0])) or 1e-6
        for side, half in enumerate((shape.across < 0, shape.across >= 0)):
            # area of hair in each row of the band over the height of the row
            pixels, _ = np.histogram(shape.up[like & half], BAND_ROWS, CHIN_BAND)
            widths[side] += pixels * cell**2 * BAND_ROWS / (CHIN_BAND[1] - CHIN_BAND[0]) / len(views)
    # hair comes down without a gap; a dark shelf or collar beside the jaw has rows of another colour above it
    left, right = widths.min(1) > LONG_HAIR
    return HairColor(mixture, limit, (bool(left), bool(right)))
