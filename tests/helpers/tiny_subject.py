"""A complete subject folder in a fraction of a second: a textured ellipsoid head that turns, talks and blinks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from talksplat.geometry.cameras import intrinsics, project, viewmat_from_euler_trans
from talksplat.subject_format.labels import Label
from talksplat.subject_format.writer import SubjectWriter

RADII = np.array([0.8, 1.0, 0.9])  # dm
DISTANCE = 10.0  # dm
NUM_POINTS = 400
AUDIO_FILE, AUDIO_WIDTH, AUDIO_WINDOW = "aud_mel.npy", 8, 16


def write_tiny_subject(root: Path | str, num_frames: int = 22, size: int = 48, seed: int = 0) -> Path:
    """Write the folder with SubjectWriter and return it.

    The head is NUM_POINTS coloured points on an ellipsoid, drawn as discs from far to near, so poses, start points,
    colours, masks and pictures agree. `aud_mel.npy` is [num_frames, 16, 8] and follows the mouth, `true_signals.csv`
    has mouth and blink, `aud.wav` is a tone that is loud where the mouth is open.
    """
    rng = np.random.default_rng(seed)
    points, colors = _head(rng)
    mouth, blink = _signals(num_frames, rng)
    viewmats, focal = _poses(num_frames, rng), 1.5 * size * DISTANCE / 5
    K = intrinsics(focal, size, size)
    rows, columns = np.mgrid[:size, :size] / size
    plate = (np.stack([0.3 + 0.2 * rows, 0.5 + 0.3 * columns, 0.7 - 0.2 * rows], -1) * 255).astype(np.uint8)
    frame_ids = np.arange(num_frames)
    with SubjectWriter(Path(root), size, size) as writer:
        for i in frame_ids.tolist():
            pixels, depths = project(torch.from_numpy(points).float(), viewmats[i], K)
            shown = _face_colors(points, colors, mouth[i], blink[i])
            image, labels, torso = _draw(pixels.numpy(), depths.numpy(), shown, plate)
            face, _ = project(_landmark_points(mouth[i]), viewmats[i], K)
            writer.write_frame(i, image, labels, torso, face.numpy())
        writer.write_background(plate)
        writer.write_track(frame_ids, viewmats.numpy(), focal, points, colors)
        writer.write_audio(_tone(mouth))
        writer.write_features("mel", _features(mouth, rng))
        writer.write_action_units(frame_ids, {"AU45_r": 2 * blink})
        writer.write_true_signals(frame_ids, {"mouth_opening": mouth, "blink": blink})
        writer.write_manifest({"source": "tests.helpers.tiny_subject", "seed": seed})
        return writer.finish()


def _head(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points spread evenly over the ellipsoid (a Fibonacci spiral), with a smooth texture."""
    k = np.arange(NUM_POINTS) + 0.5
    polar, turn = np.arccos(1 - 2 * k / NUM_POINTS), np.pi * (1 + 5**0.5) * k
    unit = np.stack([np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], -1)
    texture = 0.55 + 0.15 * np.sin(4 * unit @ rng.normal(size=(3, 3)))
    colors = (255 * np.clip(texture + [0.2, 0.05, -0.05], 0, 1)).astype(np.uint8)
    return (unit * RADII).astype(np.float32), colors


def _signals(num_frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    time = np.arange(num_frames) / 25
    mouth = 0.5 - 0.5 * np.cos(2 * np.pi * (3 * time + rng.uniform()))
    blink = np.exp(-(((time[:, None] - np.arange(0.3, 600, 1.7)) / 0.06) ** 2)).max(1)
    return mouth.astype(np.float32), blink.astype(np.float32)


def _poses(num_frames: int, rng: np.random.Generator) -> torch.Tensor:
    time = torch.arange(num_frames)[:, None] / 25
    phase = torch.from_numpy(rng.uniform(0, 6.28, 6)).float()
    waves = torch.sin(2 * torch.pi * torch.tensor([0.7, 0.9, 0.6, 0.8, 0.5, 0.4]) * time + phase)
    euler = waves[:, :3] * torch.tensor([0.10, 0.20, 0.06])
    trans = waves[:, 3:] * torch.tensor([0.10, 0.06, 0.15]) - torch.tensor([0, 0, DISTANCE])
    return viewmat_from_euler_trans(euler, trans)


def _face_colors(points: np.ndarray, colors: np.ndarray, mouth: float, blink: float) -> np.ndarray:
    """Lips and eyes painted onto the points of the front."""
    x, y, z = (points / RADII).T
    shown = colors.copy()
    lips = (z > 0) & ((x / 0.35) ** 2 + ((y + 0.45) / 0.22) ** 2 < 1)
    shown[lips] = (np.array([170, 60, 60]) * (1 - 0.8 * mouth)).astype(np.uint8)
    eyes = (z > 0) & (((np.abs(x) - 0.4) / 0.2) ** 2 + ((y - 0.3) / 0.2) ** 2 < 1)
    shown[eyes] = (np.array([240, 240, 255]) * (1 - blink) + shown[eyes] * blink).astype(np.uint8)
    return shown


def _draw(pixels, depths, colors, plate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = len(plate)
    labels = np.full((size, size), Label.BACKGROUND, np.uint8)
    cv2.rectangle(labels, (size // 4, size * 4 // 5), (size * 3 // 4, size), int(Label.TORSO), -1)
    cv2.rectangle(labels, (size * 2 // 5, size * 7 // 10), (size * 3 // 5, size * 4 // 5), int(Label.NECK), -1)
    torso = np.zeros((size, size, 4), np.uint8)
    torso[labels == Label.TORSO] = (60, 70, 120, 255)
    torso[labels == Label.NECK] = (190, 140, 120, 255)
    image = np.where(torso[..., 3:] > 0, torso[..., :3], plate)
    radius = max(1, round(size / 16))
    for index in np.argsort(-depths):
        center = tuple(int(value) for value in np.floor(pixels[index]))
        cv2.circle(image, center, radius, colors[index].tolist(), -1)
        cv2.circle(labels, center, radius, int(Label.HEAD), -1)
    return image, labels, torso


def _landmark_points(mouth: float) -> torch.Tensor:
    """68 points on the front of the ellipsoid in dlib's order; only jaw, outer and inner lips are where they belong."""
    face = np.zeros((68, 2))
    jaw = np.linspace(-np.pi, 0, 17)
    face[:17] = np.stack([0.9 * np.cos(jaw), 0.9 * np.sin(jaw)], -1)
    face[17:48] = np.stack([np.linspace(-0.6, 0.6, 31), 0.3 + 0.2 * np.sin(np.arange(31))], -1)
    for first, count, width, height in ((48, 12, 0.35, 0.10 + 0.12 * mouth), (60, 8, 0.25, 0.02 + 0.12 * mouth)):
        turn = np.pi - 2 * np.pi * np.arange(count) / count
        face[first : first + count] = np.stack([width * np.cos(turn), -0.45 + height * np.sin(turn)], -1)
    z = np.sqrt(np.clip(1 - (face**2).sum(1), 0, 1))
    return torch.from_numpy(np.concatenate([face, z[:, None]], 1) * RADII).float()


def _tone(mouth: np.ndarray) -> np.ndarray:
    time = np.arange(len(mouth) * 640) / 16000
    return (0.5 * np.sin(2 * np.pi * 220 * time) * np.interp(time * 25, np.arange(len(mouth)), mouth)).astype(
        np.float32
    )


def _features(mouth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Windows of 16 rows, 50 rows a second, of a feature that is a fixed function of the mouth opening."""
    rows = np.interp(np.arange(2 * len(mouth) + 16) / 2 - 4, np.arange(len(mouth)), mouth)
    rows = np.sin(rows[:, None] * np.arange(1, AUDIO_WIDTH + 1) + rng.uniform(0, 1, AUDIO_WIDTH))
    return np.stack([rows[2 * k : 2 * k + AUDIO_WINDOW] for k in range(len(mouth))]).astype(np.float32)
