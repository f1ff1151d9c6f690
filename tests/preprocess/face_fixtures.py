"""A made-up face: 478 points in MediaPipe's order of the landmarks that matter, and clips of it."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from talksplat.preprocess.face_tracker import face_regions as regions
from talksplat.preprocess.face_tracker.base import HeadTrack
from talksplat.preprocess.face_tracker.canonical import canonicalize

SIZE, FOCAL = 512, 1200.0


def _ring(indices, center, radii, start=0.0):
    angle = start + np.linspace(0, 2 * np.pi, len(indices), endpoint=False)
    return {i: (center[0] + radii[0] * np.sin(a), center[1] + radii[1] * np.cos(a)) for i, a in zip(indices, angle)}


def face_mesh() -> np.ndarray:
    """Canonical mesh [478, 3] in dm."""
    generator = np.random.default_rng(3)
    radius, angle = np.sqrt(generator.random(478)), 2 * np.pi * generator.random(478)
    places = dict(enumerate(np.stack([0.7 * radius * np.cos(angle), 0.8 * radius * np.sin(angle)], 1).tolist()))
    places |= _ring(regions.FACE_OVAL, (0, 0), (0.75, 0.86))
    places |= _ring([i for i in regions.LIPS if i not in regions.INNER_LIP], (0, -0.42), (0.25, 0.12))
    places |= _ring(regions.INNER_LIP, (0, -0.42), (0.18, 0.04), start=-np.pi / 2)
    for side, eye, outer, pupil in ((1, regions.LEFT_EYE, 263, 473), (-1, regions.RIGHT_EYE, 33, 468)):
        places |= _ring(eye, (0.315 * side, 0.3), (0.14, 0.06))
        places |= {outer: (0.45 * side, 0.3), pupil: (0.315 * side, 0.3)}
    places |= {regions.NOSE_TIP: (0, -0.05), regions.NOSE_BASE: (0, -0.15)}
    xy = np.array([places[i] for i in range(478)])
    z = 0.9 * np.sqrt(np.clip(1.2 - (xy[:, 0] / 0.9) ** 2 - (xy[:, 1] / 1.1) ** 2, 0, None)) - 0.3
    z += 0.25 * np.exp(-((xy[:, 0] / 0.12) ** 2) - ((xy[:, 1] + 0.05) / 0.2) ** 2)
    mesh = np.column_stack([xy, z])
    scale, rotation, offset = canonicalize(mesh)
    return scale * mesh @ rotation.T + offset


def make_track(count: int, size: int = SIZE) -> HeadTrack:
    """A head that nods at 1 Hz, shakes at 0.4 Hz and drifts."""
    time = np.arange(count) / 25
    angles = np.stack([0.12 * np.sin(2 * np.pi * time), 0.25 * np.sin(0.8 * np.pi * time), 0.05 * np.sin(time)], 1)
    viewmats = np.tile(np.eye(4), (count, 1, 1))
    viewmats[:, :3, :3] = np.diag([1.0, -1, -1]) @ Rotation.from_euler("XYZ", angles).as_matrix()
    viewmats[:, 0, 3] = 0.1 * np.sin(time)
    viewmats[:, 1, 3] = 0.1
    viewmats[:, 2, 3] = 7.0 + 0.2 * np.cos(time)
    zeros = np.zeros(count)
    return HeadTrack(np.arange(count), viewmats.astype(np.float32), FOCAL * size / SIZE, face_mesh(), zeros, zeros)


def landmarks_of(track: HeadTrack, size: int = SIZE, noise: float = 0.0, speech: float = 0.0) -> np.ndarray:
    """MediaPipe-like landmarks [F, 478, 3]: pixels, and a depth in pixels that is 10 % too flat."""
    generator = np.random.default_rng(5)
    count = len(track.frame_ids)
    mesh = np.repeat(track.mesh[None], count, axis=0)
    moving = regions.pose_weights(track.mesh) == 0
    lower = moving & (track.mesh[:, 1] < track.mesh[regions.NOSE_BASE, 1])
    mesh[:, lower, 1] -= speech * (0.5 - 0.5 * np.cos(2 * np.pi * 3 * np.arange(count) / 25))[:, None]
    camera = mesh @ track.viewmats[:, :3, :3].transpose(0, 2, 1) + track.viewmats[:, None, :3, 3]
    pixels = track.focal * camera[..., :2] / camera[..., 2:] + size / 2
    depth = 0.9 * track.focal * (camera[..., 2] / track.viewmats[:, None, 2, 3] - 1)
    points = np.concatenate([pixels, depth[..., None]], axis=-1)
    points[..., :2] += generator.normal(0, noise, points[..., :2].shape) if noise else 0
    return points.astype(np.float32)
