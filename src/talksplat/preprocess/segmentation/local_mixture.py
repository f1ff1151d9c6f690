"""Gaussian mixtures over colour and place: what a region looks like where."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

FEATURES = 5  # L, a, b, x, y
_I, _J = np.triu_indices(FEATURES)


def color_place_features(
    image: Float[np.ndarray, "height width 3"],
    x: Float[np.ndarray, "height width"],
    y: Float[np.ndarray, "height width"],
) -> Float[np.ndarray, "pixel 5"]:
    """CIE Lab colour and place of each pixel, scaled so that one unit weighs about the same in each.

    `image` is RGB uint8; x and y are in dm. Lightness counts less than hue since shading changes it; 1 dm counts as much
    as 25 units of colour.
    """
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    channels = [0.6 * (lab[..., 0] - 50), lab[..., 1], lab[..., 2], 25 * x, 25 * y]
    return np.stack(channels, axis=-1).reshape(-1, FEATURES).astype(np.float32)


class LocalMixture:
    """Mixture of full Gaussians, fitted by expectation maximisation after k-means.

    Args:
        components: number of Gaussians.
        floor: added to each variance, in squared feature units: camera noise and compression.
        samples: pixels used for the fit.
        iterations: of expectation maximisation.
        place: weight of places against colours; 1 as in the features, 0 for colours alone.
    """

    def __init__(
        self,
        components: int = 20,
        floor: float = 2.0,
        samples: int = 8000,
        iterations: int = 12,
        place: float = 1.0,
    ) -> None:
        self.components = components
        self.floor = floor
        self.samples = samples
        self.iterations = iterations
        self._scale = np.array([1, 1, 1, place, place], np.float32)
        self._weights: np.ndarray | None = None  # [21, components]: log density as a linear map of monomials

    def fit(self, features: Float[np.ndarray, "pixel 5"], seed: int = 0) -> LocalMixture:
        """Fit to pixels; fewer pixels than 10 a component lower the number of components."""
        generator = np.random.default_rng(seed)
        if len(features) > self.samples:
            features = features[generator.choice(len(features), self.samples, replace=False)]
        count = int(np.clip(len(features) // 10, 1, self.components))
        features = np.ascontiguousarray(features * self._scale, np.float32)
        cv2.setRNGSeed(seed)
        criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
        _, labels, _ = cv2.kmeans(features, count, None, criteria, 1, cv2.KMEANS_PP_CENTERS)
        responsibility = np.eye(count, dtype=np.float32)[labels[:, 0]]
        for _ in range(self.iterations):
            self._maximize(features.astype(np.float64), responsibility.astype(np.float64))
            parts = _monomials(features) @ self._weights
            responsibility = np.exp(parts - _log_sum_exp(parts)[:, None])
        return self

    def _maximize(self, features: np.ndarray, responsibility: np.ndarray) -> None:
        mass = responsibility.sum(0) + 1e-6
        means = responsibility.T @ features / mass[:, None]
        weights = np.empty((1 + FEATURES + len(_I), len(mass)))
        for k, mean in enumerate(means):
            centred = features - mean
            covariance = (responsibility[:, k, None] * centred).T @ centred / mass[k] + self.floor * np.eye(FEATURES)
            precision = np.linalg.inv(covariance)
            log_scale = np.log(mass[k] / mass.sum()) - 0.5 * np.linalg.slogdet(covariance)[1]
            weights[0, k] = log_scale - 0.5 * mean @ precision @ mean
            weights[1 : 1 + FEATURES, k] = precision @ mean
            weights[1 + FEATURES :, k] = -0.5 * precision[_I, _J] * np.where(_I == _J, 1, 2)
        self._weights = weights.astype(np.float32)

    def log_density(self, features: Float[np.ndarray, "pixel 5"]) -> Float[np.ndarray, " pixel"]:
        """Log density up to a constant that all mixtures share."""
        # a row for each Gaussian: maxima and sums over the first axis run several times faster than over the last
        parts = self._weights.T @ _monomials(features * self._scale).T
        top = parts.max(0)
        parts -= top
        return top + np.log(np.exp(parts, out=parts).sum(0))


def _monomials(features: np.ndarray) -> np.ndarray:
    ones = np.ones((len(features), 1), features.dtype)
    return np.concatenate([ones, features, features[:, _I] * features[:, _J]], axis=1)


def _log_sum_exp(values: np.ndarray) -> np.ndarray:
    top = values.max(1)
    return top + np.log(np.exp(values - top[:, None]).sum(1))
