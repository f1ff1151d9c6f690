"""Scores of neighbouring frames, brought along the motion and averaged: labels stop flickering, fast motion stays."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from talksplat.preprocess.segmentation.keyframes import View

SAME_COLOR = 14.0  # grey levels; a neighbour that looks different by so much has the weight 1/e
DISTANT = 0.8  # weight of a neighbour k frames away: this to the power k

Value = TypeVar("Value")


class SharedResults(Generic[Value]):
    """Results by number, computed once even if several threads ask at the same time; the oldest are forgotten."""

    def __init__(self, capacity: int) -> None:
        self._kept: OrderedDict[int, Future[Value]] = OrderedDict()
        self._capacity = capacity
        self._lock = threading.Lock()

    def get(self, number: int, compute: Callable[[int], Value]) -> Value:
        """The kept result, or that of `compute(number)`, which must not ask for other results itself."""
        with self._lock:
            future = self._kept.get(number)
            mine = future is None
            if mine:
                future = self._kept[number] = Future()
                while len(self._kept) > self._capacity:
                    self._kept.popitem(last=False)
        if mine:
            try:
                future.set_result(compute(number))
            except BaseException as error:
                future.set_exception(error)
        return future.result()


@dataclass
class ScoredView:
    """A frame at working resolution and its log posteriors."""

    view: View
    scores: Float[np.ndarray, "height width label"]
    picture: UInt8[np.ndarray, "rows columns 3"]  # the frame at full resolution
    hair: Bool[np.ndarray, "height width"]  # at the top of the head: coloured like hair

    @classmethod
    def of(cls, view: View, scores: np.ndarray, picture: np.ndarray, hair: np.ndarray) -> ScoredView:
        """Without the features of the colour models, which nobody needs any more; scores relative to the best label."""
        best = np.maximum.reduce([scores[..., k] for k in range(scores.shape[-1])])
        scores = np.clip(scores - best[..., None], -20, 0).astype(np.float32)
        none = np.zeros((0, 5), np.float32)
        return cls(replace(view, by_image=none, by_head=none), scores, picture, hair)


def results_to_keep(reach: int) -> int:
    """How many scored views threads need at once that work on consecutive frames."""
    return 4 * reach + 3 * (os.cpu_count() or 1) + 4


def filtered_scores(own: ScoredView, neighbours: dict[int, ScoredView]) -> Float[np.ndarray, "height width label"]:
    """Mean log posteriors of a frame and its neighbours (by distance in frames), each moved to where the frame shows it.

    Motion is dense optical flow (DIS, Kroeger et al. 2016). A neighbour counts where it shows the same colour after that:
    neither what is hidden there nor what moves too fast for the flow enters the mean.
    """
    height, width = own.scores.shape[:2]
    total, weight = own.scores.copy(), np.ones((height, width, 1), np.float32)
    image, grey = own.view.image.astype(np.float32), cv2.cvtColor(own.view.image, cv2.COLOR_RGB2GRAY)
    grid = np.mgrid[:height, :width].astype(np.float32)
    for distance, other in neighbours.items():
        flow = _flow(grey, cv2.cvtColor(other.view.image, cv2.COLOR_RGB2GRAY))
        x, y = grid[1] + flow[..., 0], grid[0] + flow[..., 1]
        seen = cv2.remap(other.view.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        scores = cv2.remap(other.scores, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        change = np.abs(cv2.blur(seen.astype(np.float32) - image, (3, 3)))
        change = np.maximum(np.maximum(change[..., 0], change[..., 1]), change[..., 2])
        share = DISTANT ** abs(distance) * np.exp(-((change / SAME_COLOR) ** 2))
        share = (share * ((x > -1) & (x < width) & (y > -1) & (y < height)))[..., None]
        total += share * scores
        weight += share
    return total / weight


def _flow(first: UInt8[np.ndarray, "height width"], second: UInt8[np.ndarray, "height width"]) -> np.ndarray:
    """Where each pixel of `first` went. A new solver each time: they must not be shared between threads."""
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(first, second, None)
