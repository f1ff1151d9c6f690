"""Colour models of background, head, neck and torso, learned from a clip without any labels.

Seeds come from the head pose (inside the skull, far from any hair), from what a still camera sees behind a moving person,
and from skin below the jaw. Local mixtures are then fitted and pixels relabelled in turn, as in GrabCut (Rother et al.
2004), but for all keyframes together, with places in the models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float

from talksplat.preprocess.segmentation.hair import HairColor, learn_hair
from talksplat.preprocess.segmentation.head_shape import SHOULDER_Y
from talksplat.preprocess.segmentation.keyframes import View
from talksplat.preprocess.segmentation.local_mixture import LocalMixture
from talksplat.preprocess.segmentation.placement import LabelPlacement
from talksplat.preprocess.segmentation.still import CLOSE, still_background, still_edges
from talksplat.subject_format.labels import Label

NEVER = -30.0  # log prior of what cannot be
STILL_SUPPORT = 0.35  # share of frames that must agree on a background colour
FIRST_PLACES = (0.15, 0.4)  # weights of places in the first rounds
LIMIT = 6.0  # log odds that colours alone may give
UNDER_JAW = (0.03, 0.25)  # dm below the jaw line, between which a pixel that is no hair ceases to be head
LOBES, BELONGS = -0.3, 8.0  # dm above the head's centre: lobes of the ears; log odds
STILL_EDGE, ABOVE_SHOULDERS = 6.0, 0.2  # log odds; dm
MOTION = 1.5  # pixels of a keyframe, standard deviation
EARS = (-0.25, 0.15)  # dm above the head's centre: lobes and tops
DEEP = 0.15  # dm inside the outline of a head with little hair, where no colour makes a pixel background


@dataclass
class StillPlate:
    """Background that a still camera saw, at the resolution of the keyframes."""

    color: Float[np.ndarray, "height width 3"]
    support: Float[np.ndarray, "height width"]

    def log_odds(self, view: View, skull: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
        """Evidence for a person: positive where the frame differs from the plate, 0 where the plate is not known."""
        height, width = view.size
        color = cv2.resize(self.color, (width, height), interpolation=cv2.INTER_LINEAR)
        support = cv2.resize(self.support, (width, height), interpolation=cv2.INTER_LINEAR)
        difference = np.abs(view.image - color).max(-1)
        known = (support > STILL_SUPPORT) & (view.shape.up > SHOULDER_Y + 0.1)
        # inside a skull the plate cannot be background; hair that hardly moves gets into it
        odds = np.clip((difference - 24) / 6, 4 * (skull - 1), 4)
        return np.where(known, odds, 0.0).astype(np.float32)


@dataclass
class StillEdges:
    """Edges of the background that a still camera saw, at the resolution of the keyframes."""

    edges: Float[np.ndarray, "height width"]  # of `still_edges`; 0 everywhere if the person hardly moves
    color: Float[np.ndarray, "height width 3"]

    def log_odds(self, view: View, skull: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
        """Evidence against a person, 0 where the person is before them, and where a coat's own edges may be as still."""
        height, width = view.size
        edges = cv2.resize(self.edges, (width, height), interpolation=cv2.INTER_LINEAR)
        there = cv2.resize(self.color, (width, height), interpolation=cv2.INTER_LINEAR)
        seen = np.abs(view.image - there).max(-1) < CLOSE
        where = seen & (view.shape.above_shoulders > ABOVE_SHOULDERS) & (skull < 0.5) & ~view.face
        return (-STILL_EDGE * edges * where).astype(np.float32)


@dataclass
class ColorModels:
    """One mixture for each `Label`, the still plate, hair, and where on the head labels were found."""

    mixtures: dict[Label, LocalMixture]
    plate: StillPlate
    hair: HairColor
    edges: StillEdges
    placement: LabelPlacement | None = None

    def scores(self, view: View) -> Float[np.ndarray, "height width label"]:
        """Log posterior of each label up to a constant, by pixel; labels in the order of `Label`."""
        height, width = view.size
        colors = np.stack(
            [
                self.mixtures[label].log_density(_features(view, label)).reshape(height, width)
                if label in self.mixtures
                else np.full((height, width), NEVER, np.float32)
                for label in Label
            ],
            axis=-1,
        )
        person = colors[..., 1:].max(-1)
        odds = np.clip(person - colors[..., Label.BACKGROUND], -LIMIT, LIMIT)
        parts = np.maximum(colors[..., 1:] - person[..., None], -LIMIT)
        sure = skull(view, self.hair)
        odds = odds + self.plate.log_odds(view, sure) + self.edges.log_odds(view, sure) + person_prior(view, sure)
        scores = np.concatenate([-odds[..., None], parts + part_prior(view, self.hair)], axis=-1)
        if self.placement is not None:
            scores = scores + self.placement.log_prior(view.shape)
        return scores.astype(np.float32)


def _features(view: View, label: Label) -> np.ndarray:
    return view.by_head if label in (Label.HEAD, Label.NECK) else view.by_image


def skull(view: View, hair: HairColor | None) -> Float[np.ndarray, "height width"]:
    """1 in the outline of a head with little hair. On a side where no hair comes down it fades out from the tops of the ears to
    their lobes, below which only the detected face is sure. `hair`: None while it is not known."""
    head = view.shape.head.astype(np.float32)
    if hair is None:
        return head
    return head * np.maximum(hair.comes_down(view), np.clip((view.shape.up - EARS[0]) / (EARS[1] - EARS[0]), 0, 1))


def person_prior(view: View, skull: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
    """Log odds of a person at each pixel, from the head pose."""
    shape = view.shape
    unit = abs(float(shape.up[1, 0] - shape.up[0, 0]))  # dm of a pixel
    depth = cv2.distanceTransform(shape.head.astype(np.uint8), cv2.DIST_L2, 3) * unit
    odds = np.where(shape.far, -5.0, skull * (5.0 + 4.0 * np.clip(depth / DEEP, 0, 1)))
    shoulders = shape.up < SHOULDER_Y - 0.45 * np.maximum(np.abs(shape.across) - 0.6, 0)
    odds[shoulders & (np.abs(shape.across) < 2.2)] += 2.0
    odds[shape.inside | view.face] = 12.0
    return odds.astype(np.float32)


def part_prior(view: View, hair: HairColor) -> Float[np.ndarray, "height width 3"]:
    """Log prior of head, neck and torso for a pixel of the person, from the head pose, the jaw line and hair colour.

    On a side where no hair comes down, nothing below the jaw is head: skin there is neck, anything else torso, wherever
    shoulders and collar begin.
    """
    likeness, short = hair.likeness(view), 1.0 - hair.comes_down(view)
    across, up, below = np.abs(view.shape.across), view.shape.up, view.below_jaw
    under_chin = (below > 0.02) & (across < 0.5)
    deep = np.clip((below - UNDER_JAW[0]) / (UNDER_JAW[1] - UNDER_JAW[0]), 0, 1)
    lower = deep * np.clip((LOBES - up) / 0.15, 0, 1)  # the jaw line ends at the ears
    head = np.where(under_chin, -2.0, 0.0) - 2.0 * np.clip(across - 1.2, 0, 2)
    head = head - short * BELONGS * lower - (1 - short) * 1.5 * np.clip(-1.1 - up, 0, 2)
    neck = np.where((below < 0.02) | (across > 0.9) | (up > -0.35), NEVER, 0.0) + np.where(under_chin, 1.0, -1.0)
    neck = neck - 4.0 * np.clip((across - 0.5) / 0.2, 0, 1)
    neck = neck - np.minimum(6.0 * np.clip(view.unlike_skin - 1.0, 0, 2), BELONGS)
    beside_hair = np.where(up > -0.95, NEVER, -3.0 + 3.0 * np.clip((-1.0 - up) / 0.4, 0, 1)) - 5.0 * likeness
    torso = np.where(short > 0, np.where(lower > 0, -3.0 + 3.0 * lower, NEVER), beside_hair)
    head = np.where(view.face, -NEVER, head)
    return np.stack([head, neck, torso], axis=-1).astype(np.float32)


def learn(
    views: list[View], rounds: int = 3, persons: list[Bool[np.ndarray, "height width"]] | None = None
) -> ColorModels:
    """Models of a clip from some of its frames; `persons`: where the person is, if that is known."""
    images = np.stack([view.image for view in views]).astype(np.float32)
    weights = np.stack([np.where(v.shape.inside | v.face, 0.0, np.where(v.shape.possible, 0.3, 1.0)) for v in views])
    plate = StillPlate(*still_background(images, weights.astype(np.float32)))
    edges, color = still_edges(images)
    edges = StillEdges(edges * _moves(views), color)
    if persons is None:
        person, back_model, plate = _tell_person(views, images, plate, edges, rounds)
    else:
        person, back_model = persons, LocalMixture()
        back_model.fit(np.concatenate([v.by_image[~m.ravel()] for v, m in zip(views, person)]))
    labels = [_first_parts(view, mask) for view, mask in zip(views, person)]
    hair = learn_hair(views, labels)
    for view, label in zip(views, labels):
        label[(label == Label.TORSO) & (hair.likeness(view) > 0.5)] = Label.HEAD
    models = None
    for _ in range(rounds):
        mixtures = {}
        for label in (Label.HEAD, Label.NECK, Label.TORSO):
            pixels = np.concatenate([_features(v, label)[(m == label).ravel()] for v, m in zip(views, labels)])
            if len(pixels) > 15 * len(views):
                mixtures[label] = LocalMixture().fit(pixels)
        models = ColorModels({Label.BACKGROUND: back_model, **mixtures}, plate, hair, edges)
        scores = [smooth(view, models.scores(view)) for view in views]
        labels = [score.argmax(-1) for score in scores]
        if persons is not None:
            labels = [np.where(mask, 1 + score[..., 1:].argmax(-1), 0) for mask, score in zip(persons, scores)]
    certain = [np.eye(len(Label), dtype=np.float32)[label] for label in labels]
    return replace(models, placement=LabelPlacement.learn([view.shape for view in views], certain))


def _tell_person(views: list[View], images: np.ndarray, plate: StillPlate, edges: StillEdges, rounds: int):
    """Person masks of the keyframes, the background's mixture, and a better plate."""
    person, background = _seeds(views, plate)
    hair = back_model = None
    for place in (*FIRST_PLACES, *[1.0] * (rounds - 1)):
        if place == 1 and hair is None:
            hair = learn_hair(views, [_first_parts(view, mask) for view, mask in zip(views, person)])
        # seeds cover only the core of either region, so at first colours must carry further than places
        person_model, back_model = LocalMixture(place=place), LocalMixture(place=place)
        person_model.fit(np.concatenate([v.by_head[m.ravel()] for v, m in zip(views, person)]))
        back_model.fit(np.concatenate([v.by_image[m.ravel()] for v, m in zip(views, background)]))
        odds = [_person_odds(view, person_model, back_model, plate, edges, hair) for view in views]
        person, background = [o > 1 for o in odds], [o < -1 for o in odds]
        if place < 1:  # a better plate now that more background is known
            plate = StillPlate(*still_background(images, np.stack(background).astype(np.float32)))
    return person, back_model, plate


def _moves(views: list[View]) -> bool:
    """Whether the head moves enough for nothing on it to stay in its place."""
    centers = np.array([np.argwhere(view.face).mean(0) for view in views if view.face.any()])
    return len(centers) > 1 and float(centers.std(0).max()) > MOTION


def _seeds(views: list[View], plate: StillPlate) -> tuple[list[Bool[np.ndarray, "h w"]], list[Bool[np.ndarray, "h w"]]]:
    person, background = [], []
    for view in views:
        shape, odds = view.shape, plate.log_odds(view, skull(view, None))
        chest = (shape.up < SHOULDER_Y) & (np.abs(shape.across) < 0.5)
        inside = shape.inside | view.face
        person.append(inside | chest | ((odds >= 3) & ~shape.far))
        background.append(~inside & ((shape.far & (odds <= 0)) | (odds <= -2)))
    return person, background


def _person_odds(
    view: View,
    person: LocalMixture,
    background: LocalMixture,
    plate: StillPlate,
    edges: StillEdges,
    hair: HairColor | None,
) -> np.ndarray:
    color = person.log_density(view.by_head) - background.log_density(view.by_image)
    sure = skull(view, hair)
    still = plate.log_odds(view, sure) + edges.log_odds(view, sure)
    odds = np.clip(color, -LIMIT, LIMIT).reshape(view.size) + still + person_prior(view, sure)
    return smooth(view, odds.astype(np.float32))


def smooth(view: View, values: np.ndarray, radius: int = 3, epsilon: float = 60.0) -> np.ndarray:
    """Guided filter (He et al. 2013): smooth within regions, keeps the image's edges."""
    guide = cv2.ximgproc.createGuidedFilter(view.image, radius, epsilon)
    return guide.filter(np.ascontiguousarray(values))


def _first_parts(view: View, person: Bool[np.ndarray, "height width"]) -> np.ndarray:
    """Labels from place and skin colour alone."""
    shape = view.shape
    skin = view.unlike_skin < 1.2
    neck = skin & (view.below_jaw > 0.03) & (np.abs(shape.across) < 0.7) & (shape.up < -0.35)
    labels = np.where(person, int(Label.HEAD), int(Label.BACKGROUND))
    labels[person & (shape.up < -1.15)] = Label.TORSO  # long hair is taken back from it next
    labels[person & neck] = Label.NECK
    return labels
