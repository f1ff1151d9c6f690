"""Where each landmark lies on the head, once the poses are known."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from talksplat.preprocess.face_tracker import bundle
from talksplat.preprocess.face_tracker.mesh_fit import Priors, fit_points
from talksplat.preprocess.segmentation.base import ClipImages

MOST_FRAMES = 300
HUBER = 20.0  # pixels at 512; lips are not outliers, only moving
MESH_DEVIATION = 0.1  # dm from the tracker's mesh
FLIP = np.diag([1.0, -1.0, -1.0])


def refit_landmarks(
    clip: ClipImages, viewmats: Float[np.ndarray, "frame 4 4"]
) -> tuple[Float[np.ndarray, "478 3"], Float[np.ndarray, " frame"], Float[np.ndarray, " frame"]]:
    """Mesh (dm) for these poses, and the mean distance of detected from projected landmarks in each frame, pixels: of
    the skull's landmarks, and of all."""
    track = clip.track
    unit = max(clip.width, clip.height) / 512
    rotation = Rotation.from_matrix(FLIP @ viewmats[:, :3, :3]).as_rotvec()
    poses = torch.as_tensor(np.concatenate([rotation, viewmats[:, :3, 3] @ FLIP], axis=1))
    pixels = torch.as_tensor(clip.landmarks.astype(np.float64) - np.array([clip.width / 2, clip.height / 2]))
    ones = torch.ones(pixels.shape[1], dtype=torch.float64)
    log_focal = torch.tensor(math.log(track.focal), dtype=torch.float64)
    start = torch.as_tensor(track.mesh.astype(np.float64))
    some = torch.linspace(0, len(poses) - 1, min(len(poses), MOST_FRAMES)).long()
    priors = Priors(start, MESH_DEVIATION, float(log_focal), 1e-6)
    problem = bundle.Problem(pixels[some], ones, HUBER * unit, noise=unit)
    mesh = fit_points(problem, priors, start, poses[some], log_focal)
    everything = bundle.Problem(pixels, ones, HUBER * unit, noise=unit)
    distances = bundle.residuals(everything, slice(None), mesh, poses, log_focal).norm(dim=-1).numpy()
    return mesh.numpy(), distances[:, track.skull].mean(1).astype(np.float32), distances.mean(1).astype(np.float32)
