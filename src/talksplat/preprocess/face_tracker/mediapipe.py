"""Head poses from MediaPipe landmarks by bundle adjustment over the whole clip.

One focal length and one mesh of the subject for all frames, one pose a frame. MediaPipe's own face matrix is not used: it
fits an average face and reprojects to more than ten pixels.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from talksplat.errors import UserError
from talksplat.geometry.rotations import rotvec_to_matrix
from talksplat.preprocess.face_tracker import bundle
from talksplat.preprocess.face_tracker.base import HeadTrack
from talksplat.preprocess.face_tracker.canonical import canonicalize, initialize
from talksplat.preprocess.face_tracker.face_regions import rigid_mask
from talksplat.preprocess.face_tracker.mesh_fit import Priors, choose_keyframes, fit_mesh, fit_points

logger = logging.getLogger(__name__)

REFERENCE_SIZE = 512  # image size that pixel settings refer to
FLIP = np.diag([1.0, -1.0, -1.0])
RIGID_SPREAD = 1.2  # a landmark's median error over that of all candidates, up to which it counts as rigid
LEAST_RIGID = 40


class MediapipeTracker:
    """Bundle adjustment of MediaPipe's 478 landmarks; a `FaceTracker`.

    Args:
        focal: expected focal length in pixels at an image size of 512. The lineage of methods finds 600 to 1,400.
        focal_deviation: standard deviation of its logarithm; 0 keeps it. Clips of talking heads hardly show it, and the
            small systematic errors of landmarks pull it far down if they may.
        mesh_deviation: dm by which the mesh may differ from MediaPipe's mean depth where the clip does not show it.
        keyframes: frames that determine mesh and focal length; all frames get a pose.
        huber: pixels at 512 beyond which a landmark counts as an outlier.
        smoothing_hz: motion above this frequency is damped by half or more; 0 turns smoothing off. Nods and shakes of a
            talking head stay below 4 Hz; on real clips the skin's colours are steadiest over time with 10 to 12 Hz.
        max_error: mean reprojection error of skull landmarks in pixels at 512 above which tracking has failed.
    """

    def __init__(
        self,
        focal: float = 1200.0,
        focal_deviation: float = 0.0,
        mesh_deviation: float = 0.1,
        keyframes: int = 60,
        huber: float = 2.0,
        smoothing_hz: float = 10.0,
        max_error: float = 4.0,
    ) -> None:
        if not 0 <= smoothing_hz <= 12.5:
            raise UserError(f"face_tracker.smoothing_hz={smoothing_hz} is outside 0 to 12.5 (half the frame rate)")
        self.focal = focal
        self.focal_deviation = focal_deviation
        self.mesh_deviation = mesh_deviation
        self.keyframes = keyframes
        self.huber = huber
        self.smoothing_hz = smoothing_hz
        self.max_error = max_error

    @property
    def smoothness(self) -> float:
        """Weight of second differences that halves a motion of `smoothing_hz` at 25 fps."""
        if self.smoothing_hz == 0:
            return 0.0
        return (2 - 2 * math.cos(2 * math.pi * self.smoothing_hz / 25)) ** -2

    def __call__(
        self,
        frame_ids: Int[np.ndarray, " frame"],
        landmarks: Float[np.ndarray, "frame 478 3"],
        width: int,
        height: int,
    ) -> HeadTrack:
        """Poses of frames whose landmarks are in pixels. Raises UserError on a failed track."""
        unit = max(width, height) / REFERENCE_SIZE
        focal = self.focal * unit
        mesh, rotations, translation = initialize(landmarks, focal, width, height)
        poses = np.concatenate([Rotation.from_matrix(rotations).as_rotvec(), translation], axis=1)
        observed = _Observed(
            landmarks[..., :2].astype(np.float64) - np.array([width / 2, height / 2]), self.huber, unit
        )
        rigid = rigid_mask(mesh)
        fit = self._fit(frame_ids, observed, rigid, mesh, poses, focal)
        rigid = _really_rigid(rigid, observed.distances(fit))
        fit = self._fit(frame_ids, observed, rigid, fit.mesh.numpy(), fit.poses.numpy(), focal)
        return self._result(frame_ids, fit, observed.distances(fit), rigid, unit)

    def _fit(self, frame_ids, observed: _Observed, rigid: np.ndarray, mesh, poses, focal: float) -> _Fit:
        """Mesh and focal length from keyframes, then all poses."""
        keys = choose_keyframes(poses, self.keyframes)
        priors = Priors(torch.as_tensor(mesh), self.mesh_deviation, math.log(focal), max(self.focal_deviation, 1e-6))
        skull, every = observed.problem(keys, rigid), observed.problem(keys)
        fitted, key_poses, log_focal = fit_mesh(skull, priors, torch.as_tensor(poses[keys]), iterations=12)
        loose = fit_points(every, priors, fitted, key_poses, log_focal)
        fitted = torch.where(torch.as_tensor(rigid)[:, None], fitted, loose)
        centered, poses = _recenter(fitted.numpy(), poses)
        mesh, poses = torch.as_tensor(centered), torch.as_tensor(poses)
        problem = observed.problem(slice(None), rigid)
        solved = bundle.solve_poses(problem, frame_ids, mesh, poses, log_focal, self.smoothness, iterations=9)
        return _Fit(mesh, solved, log_focal)

    def _result(self, frame_ids, fit: _Fit, distances: np.ndarray, rigid: np.ndarray, unit: float) -> HeadTrack:
        rigid_error = distances[:, rigid].mean(1)
        if not np.isfinite(distances).all() or rigid_error.mean() > self.max_error * unit:
            raise UserError(
                f"the head track failed: its poses miss the face landmarks by {rigid_error.mean():.1f} pixels on average, "
                f"more than face_tracker.max_error={self.max_error} (at {REFERENCE_SIZE} pixels). Is one face visible, "
                "sharp and not in profile? Cut the clip to such a part"
            )
        viewmats = np.tile(np.eye(4), (len(fit.poses), 1, 1))
        viewmats[:, :3, :3] = FLIP @ rotvec_to_matrix(fit.poses[:, :3]).numpy()
        viewmats[:, :3, 3] = fit.poses[:, 3:].numpy() @ FLIP
        return HeadTrack(
            frame_ids=np.asarray(frame_ids, np.int64),
            viewmats=viewmats.astype(np.float32),
            focal=float(fit.log_focal.exp()),
            mesh=fit.mesh.numpy().astype(np.float32),
            rigid_error=rigid_error.astype(np.float32),
            full_error=distances.mean(1).astype(np.float32),
            rigid=rigid,
        )


@dataclass
class _Fit:
    """Mesh (dm), poses (OpenGL axes) and logarithm of the focal length."""

    mesh: torch.Tensor
    poses: torch.Tensor
    log_focal: torch.Tensor


@dataclass
class _Observed:
    """Detected landmarks in pixels from the image's centre."""

    pixels: Float[np.ndarray, "frame 478 2"]
    huber: float  # pixels at 512
    unit: float  # pixels at 512

    def problem(self, rows: np.ndarray | slice, rigid: np.ndarray | None = None) -> bundle.Problem:
        """Only the rigid landmarks; or all, whose lips are not outliers, only moving."""
        weights = np.ones(self.pixels.shape[1]) if rigid is None else rigid.astype(np.float64)
        huber = self.huber * (10 if rigid is None else 1) * self.unit
        return bundle.Problem(torch.as_tensor(self.pixels[rows]), torch.as_tensor(weights), huber, noise=self.unit)

    def distances(self, fit: _Fit) -> Float[np.ndarray, "frame 478"]:
        """Reprojection errors in pixels."""
        everything = self.problem(slice(None))
        return bundle.residuals(everything, slice(None), fit.mesh, fit.poses, fit.log_focal).norm(dim=-1).numpy()


def _really_rigid(candidates: np.ndarray, distances: Float[np.ndarray, "frame 478"]) -> np.ndarray:
    """Candidates whose own error is usual. On a face that moves its brows or lies partly under hair, many are off for
    most of the time, and pull the poses along."""
    own = np.median(distances, axis=0)
    kept = candidates & (own <= RIGID_SPREAD * np.median(own[candidates]))
    return kept if kept.sum() >= LEAST_RIGID else candidates


def _recenter(mesh: np.ndarray, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put the fitted mesh upright, centred and at its real size again, and move the poses with it."""
    scale, rotation, offset = canonicalize(mesh)
    moved = scale * mesh @ rotation.T + offset
    old = Rotation.from_rotvec(poses[:, :3])
    new = old * Rotation.from_matrix(rotation).inv()
    translation = scale * poses[:, 3:] - new.apply(offset)
    return moved, np.concatenate([new.as_rotvec(), translation], axis=1)
