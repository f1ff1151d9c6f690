"""Synthetic people whose lips are a known linear function of what is heard around a frame."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from talksplat.lips import LipClip, Recipe

FIRST, LAST = -6, 5
RECIPE = Recipe("mel", np.arange(4, dtype=np.float32), per_clip=False, first_row=FIRST, last_row=LAST)


class World:
    """One law for all people: `weights` [9, taps, width], equal for the two rows of a pair as a prior's are."""

    def __init__(self, width: int = 6, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        taps = LAST - FIRST + 1
        self.width = width
        self.mixing = self.random.normal(size=(min(width, 12), width))  # wide rows have 12 degrees of freedom
        sources = np.repeat(self.random.normal(size=(9, taps // 2, len(self.mixing))), 2, axis=1)
        self.weights = sources @ np.linalg.pinv(self.mixing).T
        self.basis = np.linalg.qr(self.random.normal(size=(40, 6)))[0].T

    def rows(self, seconds: float) -> np.ndarray:
        """Features with the rhythm of speech."""
        noise = self.random.normal(size=(round(50 * seconds), len(self.mixing)))
        return (gaussian_filter1d(noise, 1.5, axis=0) @ self.mixing).astype(np.float32)

    def measures(self, rows: np.ndarray, frames: np.ndarray, noise: float = 0.0) -> np.ndarray:
        """What `lip_measures` would find."""
        seen = np.clip(2 * frames[:, None] + np.arange(FIRST, LAST + 1), 0, len(rows) - 1)
        numbers = np.einsum("ftw,ntw->fn", rows[seen], self.weights)
        numbers = 0.02 * (numbers + noise * numbers.std(0) * self.random.normal(size=numbers.shape))
        sizes = np.array([6, 5, 4, 3, 2, 1])  # so that the components have an order
        return np.concatenate([0.3 + numbers[:, :3], (numbers[:, 3:] / numbers[:, 3:].std(0) * sizes) @ self.basis], 1)

    def clip(self, name: str, seconds: float = 12.0, late: int = 0, noise: float = 0.3) -> LipClip:
        """A clip whose sound comes `late` rows late, with a few frames missing."""
        rows = self.rows(seconds)
        frames = np.delete(np.arange(round(25 * seconds)), [3, 40, 41])
        return LipClip(name, np.roll(rows, late, axis=0), frames, self.measures(rows, frames, noise))

    def people(self, count: int = 3, **kwargs) -> dict[str, list[LipClip]]:
        """Several people of one clip each."""
        return {name: [self.clip(name, **kwargs)] for name in "abcdefgh"[:count]}
