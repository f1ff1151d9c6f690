"""Photometric bundle adjustment of the head: poses and depths that make face and hair look the same in all frames.

Landmarks of a face model move with expression and view by two to three pixels, so poses from them alone blur an avatar's
hair and make its held-out frames miss. Here points on face and hair keep a median look over keyframes; poses, then depths,
are moved to meet it, coarse to fine (direct methods: Lucas and Kanade 1981; Engel et al., Direct Sparse Odometry, 2018).
What does not stay the same (mouth, lids, loose hair) has a wide spread over the keyframes and hardly counts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from talksplat.errors import UserError
from talksplat.preprocess.alignment.base import Aligned
from talksplat.preprocess.alignment.landmark_fit import refit_landmarks
from talksplat.preprocess.alignment.pixels import band_pass, grey, sample
from talksplat.preprocess.alignment.pose_step import Landmarks, Look, align_pose, residuals, seen_on_head
from talksplat.preprocess.alignment.surface import Camera, follow_depth, neighbor_laplacian, smooth_depth_step
from talksplat.preprocess.face_tracker.mesh_fit import choose_keyframes

logger = logging.getLogger(__name__)

LEAST_POINTS = 200
LEAST_SEEN = 0.3  # share of keyframes in which a point must be seen
LEAST_DEVIATION = 1.0  # grey levels
JAW = -0.9  # dm; further down, hair and neck do not move with the skull


class PhotometricAlignment:
    """An `Alignment` on pixels; see the module.

    Args:
        points: surface points that are compared.
        keyframes: frames that look and depth are learned from.
        sigmas: blur of each round in pixels at 512, coarse to fine.
        landmark_deviation: of the skull's landmarks, pixels at 512; they only keep the frame of reference in place.
        depth_smoothness: weight of differences between neighbouring depths, relative to the pixels.
    """

    def __init__(
        self,
        points: int = 12000,
        keyframes: int = 60,
        sigmas: Sequence[float] = (3, 3, 2, 2, 2, 2, 1.5, 1.5, 1.5, 1, 1, 1, 1),
        landmark_deviation: float = 10.0,
        depth_smoothness: float = 5.0,
    ) -> None:
        if points < 500 or keyframes < 2 or not sigmas or min(sigmas) <= 0:
            raise UserError(
                f"alignment: points={points} must be at least 500, keyframes={keyframes} at least 2, and "
                f"sigmas={list(sigmas)} positive"
            )
        if landmark_deviation <= 0 or depth_smoothness < 0:
            raise UserError("alignment: landmark_deviation must be positive and depth_smoothness not negative")
        self.points = points
        self.keyframes = keyframes
        self.sigmas = tuple(float(sigma) for sigma in sigmas)
        self.landmark_deviation = landmark_deviation
        self.depth_smoothness = depth_smoothness

    def __call__(self, clip, head, points, progress, workers=1) -> Aligned:
        """See `Alignment`. Leaves the poses as they are, with a warning, where the head shows too little of the surface.

        Raises:
            UserError: too few start points.
        """
        surface = self._surface(points)
        start = surface.copy()
        work = _Clip(clip, head, self.landmark_deviation)
        viewmats = clip.track.viewmats.astype(np.float64)
        poses = np.concatenate([_rotation_vectors(viewmats), viewmats[:, :3, 3]], axis=1)
        keys = choose_keyframes(poses, self.keyframes).tolist()
        # threads of matrix products within these threads would only wait for each other
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
            images = dict(zip(keys, pool.map(work.load, keys)))
            look = work.look(_filtered(images, min(self.sigmas)), surface, viewmats)
            if look.known.sum() < LEAST_POINTS:
                logger.warning(
                    "the heads' masks show too little of the head: its poses stay as the face tracker found them"
                )
                return Aligned(clip.track, points, {"aligned": False})
            surface, viewmats = self._align_keyframes(work, images, surface, viewmats, pool, progress)
            final = {sigma: work.look(_filtered(images, sigma), surface, viewmats) for sigma in self._ends()}
            every = [int(k) for k in np.setdiff1d(np.arange(len(clip)), keys)]
            found = pool.map(lambda k: work.follow(k, final, surface, viewmats[k]), every)
            for k, viewmat in zip(every, progress(found, "aligning frames", total=len(every))):
                viewmats[k] = viewmat
        brightness = (look.spread, final[min(self.sigmas)].spread)
        return self._result(clip, viewmats, points, start, surface, brightness)

    def _ends(self) -> list[float]:
        """The coarsest and the finest blur: what frames between the keyframes need."""
        return list(dict.fromkeys((max(self.sigmas), min(self.sigmas))))

    def _align_keyframes(self, work, images, surface, viewmats, pool, progress):
        """Surface and poses of the keyframes, poses and depths in turn."""
        surface, viewmats, keys = surface.copy(), viewmats.copy(), list(images)
        laplacian = neighbor_laplacian(surface)
        for index, sigma in enumerate(progress(self.sigmas, "aligning keyframes")):
            frames = _filtered(images, sigma)
            look = work.look(frames, surface, viewmats)
            step = partial(work.align_key, frames, look, surface, viewmats)
            viewmats[keys] = np.stack(list(pool.map(step, keys)))
            if 0 < index < len(self.sigmas) - 1:
                surface[:, 2] += self._depth_step(work, frames, look, surface, viewmats, laplacian)
        return surface, viewmats

    def _surface(self, points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, "point 3"]:
        points = np.asarray(points, np.float64)
        points = points[points[:, 1] > JAW]
        if len(points) < LEAST_POINTS:
            raise UserError(
                f"alignment needs {LEAST_POINTS} start points above the jaw, not {len(points)}: raise points="
            )
        return points[np.random.default_rng(0).permutation(len(points))[: self.points]]

    def _depth_step(self, work, frames, look, surface, viewmats, laplacian) -> Float[np.ndarray, " point"]:
        curvature, gradient = np.zeros(len(surface)), np.zeros(len(surface))
        for key, (pixels, mask) in frames.items():
            residual, weight, derivative = residuals(pixels, mask, look, surface, viewmats[key], work.camera)
            by_depth = derivative @ viewmats[key][:3, 2]
            curvature += weight * by_depth**2
            gradient += weight * by_depth * residual
        return smooth_depth_step(curvature, gradient, laplacian, self.depth_smoothness)

    def _result(self, clip, viewmats, points, start, surface, brightness) -> Aligned:
        mesh, rigid_error, full_error = refit_landmarks(clip, viewmats)
        track = replace(
            clip.track,
            viewmats=viewmats.astype(np.float32),
            mesh=mesh.astype(np.float32),
            rigid_error=rigid_error,
            full_error=full_error,
        )
        depth = surface[:, 2] - start[:, 2]
        summary = {
            "brightness_error": {"before": round(brightness[0], 2), "after": round(brightness[1], 2)},
            "rigid_error_px": {
                "mean": round(float(rigid_error.mean()), 3),
                "p99": round(float(np.percentile(rigid_error, 99)), 3),
            },
            "depth_moved_dm": round(float(np.abs(depth).mean()), 4),
        }
        return Aligned(track, follow_depth(points, start, depth).astype(np.float32), summary)


class _Clip:
    """Frames of the clip as the alignment needs them."""

    def __init__(self, clip, head, landmark_deviation: float) -> None:
        self.clip, self.head = clip, head
        self.camera = Camera(clip.track.focal, clip.width, clip.height)
        self.unit = max(clip.width, clip.height) / 512
        self.deviation = landmark_deviation * self.unit
        mesh = clip.track.mesh.astype(np.float64)
        self.skull = clip.track.skull
        self.mesh = mesh[self.skull]

    def load(self, position: int):
        """Brightness and head mask."""
        return grey(self.clip.load(position)), self.head(position)

    def look(self, frames, surface, viewmats) -> Look:
        """Median over the frames that show a point, and the spread around it."""
        values = np.full((len(frames), len(surface)), np.nan, np.float32)
        for row, (key, (pixels, mask)) in zip(values, frames.items()):
            placed, image = self.camera.place(surface, viewmats[key])
            use = seen_on_head(placed, image, mask, self.camera)
            row[use] = sample(pixels.value, image[use])
        known = np.isfinite(values).mean(0) >= LEAST_SEEN
        value, deviation = np.zeros(len(surface)), np.full(len(surface), 1e6)
        value[known] = np.nanmedian(values[:, known], axis=0)
        spread = 1.4826 * np.nanmedian(np.abs(values[:, known] - value[known]), axis=0)
        deviation[known] = np.maximum(spread, LEAST_DEVIATION)
        return Look(value, deviation, known)

    def align_key(self, frames, look: Look, surface, viewmats, position: int):
        """Pose of a keyframe."""
        return self.align(position, frames[position], look, surface, viewmats[position])

    def align(self, position: int, frame, look: Look, surface, viewmat, iterations: int = 3):
        """Pose of one frame."""
        pixels, mask = frame
        hold = Landmarks(self.mesh, self.clip.landmarks[position][self.skull], self.deviation, self.unit)
        return align_pose(pixels, mask, look, surface, viewmat, self.camera, hold, iterations)

    def follow(self, position: int, looks: dict[float, Look], surface, viewmat):
        """Pose of a frame that is no keyframe, coarse to fine."""
        image, mask = self.load(position)
        for sigma, look in looks.items():
            viewmat = self.align(position, (band_pass(image, sigma), mask), look, surface, viewmat)
        return viewmat


def _rotation_vectors(viewmats: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return (Rotation.from_matrix(viewmats[:, :3, :3]) * Rotation.from_matrix(viewmats[0, :3, :3]).inv()).as_rotvec()


def _filtered(images, sigma: float):
    """Band-passed keyframes with their head masks."""
    return {key: (band_pass(image, sigma), mask) for key, (image, mask) in images.items()}
