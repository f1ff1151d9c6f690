"""What preprocessing found: a table on the console, a picture, and the manifest's content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from talksplat.data.labels import Label
from talksplat.preprocess.cache import StepResult
from talksplat.preprocess.face_tracker.base import HeadTrack
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.head_shape import project_points
from talksplat.preprocess.steps import spread

COLUMNS, TILE = 5, 256
TINT = np.array([[60, 170, 60], [0, 0, 0], [70, 70, 255], [255, 60, 60]], np.float32)  # background, -, neck, torso


def print_report(console: Console, manifest: dict[str, Any]) -> None:
    """One table: steps with their times, then what was found."""
    table = Table(title=f"{manifest['source']['name']} -> {manifest['subject']}")
    table.add_column("step")
    table.add_column("time", justify="right")
    table.add_column("result")
    for step in manifest["steps"]:
        time = "kept" if step["cached"] else f"{step['seconds']:.1f} s"
        table.add_row(step["name"], time, ", ".join(f"{key} {_short(value)}" for key, value in step["summary"].items()))
    console.print(table)
    for note in manifest["notes"]:
        console.print(f"note: {note}")
    for verdict in manifest["verdicts"]:
        console.print(f"advice: {verdict}")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_short(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "(" + ", ".join(_short(item) for item in value) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


def step_record(result: StepResult) -> dict[str, Any]:
    """What the manifest keeps of a step."""
    return {
        "name": result.name,
        "key": result.key,
        "seconds": result.seconds,
        "cached": result.cached,
        "summary": result.summary,
    }


def track_record(track: HeadTrack) -> dict[str, Any]:
    """Errors of the head track, each frame's in pixels."""
    return {
        "focal_px": round(track.focal, 2),
        "frames": track.frame_ids.tolist(),
        "rigid_error_px": np.round(track.rigid_error, 3).tolist(),
        "full_error_px": np.round(track.full_error, 3).tolist(),
    }


def picture(
    path: Path,
    clip: ClipImages,
    labels: Sequence[np.ndarray],
    backdrops: Sequence[np.ndarray],
    positions: Sequence[int],
    points: np.ndarray,
    colors: np.ndarray,
) -> None:
    """A PNG with, for a few frames: landmarks against the track, labels, what stands behind the head, start points."""
    rows = []
    for position, label, backdrop in zip(positions, labels, backdrops):
        image = clip.load(int(position))
        cells = [
            _tracked(image, clip, int(position)),
            _labelled(image, label),
            backdrop,
            _points(clip, int(position), points, colors),
        ]
        rows.append(np.concatenate([_tile(cell) for cell in cells], axis=0))
    sheet = np.concatenate(rows, axis=1)
    done, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if done:
        path.write_bytes(data.tobytes())


def chosen_positions(count: int) -> np.ndarray:
    """Frames that the picture shows."""
    return spread(count, COLUMNS)


def _tile(image: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(image), (TILE, TILE), interpolation=cv2.INTER_AREA)


def _tracked(image: np.ndarray, clip: ClipImages, position: int) -> np.ndarray:
    image = image.copy()
    track = clip.track
    projected = project_points(track.mesh, track.viewmats[position], track.focal, clip.width, clip.height)
    radius = max(1, clip.width // 400)
    for place, color in ((clip.landmarks[position], (0, 255, 0)), (projected, (255, 0, 0))):
        for x, y in place:
            cv2.circle(image, (round(float(x)), round(float(y))), radius, color, -1)
    return image


def _labelled(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    tinted = 0.45 * image + 0.55 * TINT[labels]
    return np.where((labels == Label.HEAD)[..., None], image, tinted).astype(np.uint8)


def _points(clip: ClipImages, position: int, points: np.ndarray, colors: np.ndarray) -> np.ndarray:
    canvas = np.zeros((clip.height, clip.width, 3), np.uint8)
    viewmat = clip.track.viewmats[position]
    depth = (points @ viewmat[:3, :3].T + viewmat[:3, 3])[:, 2]
    places = project_points(points, viewmat, clip.track.focal, clip.width, clip.height).round().astype(int)
    size = max(1, clip.width // 170)
    for index in np.argsort(-depth):
        x, y = places[index]
        if 0 <= x < clip.width and 0 <= y < clip.height:
            canvas[y : y + size, x : x + size] = colors[index]
    return canvas
