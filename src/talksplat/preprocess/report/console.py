"""The table on the console, and what the manifest keeps of steps and track."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from talksplat.errors import printable
from talksplat.preprocess.cache import StepResult
from talksplat.preprocess.face_tracker.base import HeadTrack


def print_report(console: Console, manifest: dict[str, Any]) -> None:
    """One table: steps with their times, then what was found."""
    table = Table(title=escape(printable(f"{manifest['source']['name']} -> {manifest['subject']}")))
    table.add_column("step")
    table.add_column("time", justify="right")
    table.add_column("result")
    for step in manifest["steps"]:
        time = "kept" if step["cached"] else f"{step['seconds']:.1f} s"
        found = (f"{key} {_short(value)}" for key, value in step["summary"].items() if key != "notes")
        table.add_row(step["name"], time, ", ".join(found))
    console.print(table)
    for note in manifest["notes"]:
        console.print(printable(f"note: {note}"), markup=False, soft_wrap=True)
    for verdict in manifest["verdicts"]:
        console.print(printable(f"advice: {verdict}"), markup=False, soft_wrap=True)


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


def track_record(track: HeadTrack, confidence: Float[np.ndarray, " frame"]) -> dict[str, Any]:
    """Each frame's confidence (are its landmarks on a bare face, 0 to 1) and reprojection errors in pixels."""
    return {
        "focal_px": round(track.focal, 2),
        "frames": track.frame_ids.tolist(),
        "confidence": np.round(confidence, 3).tolist(),
        "rigid_error_px": np.round(track.rigid_error, 3).tolist(),
        "full_error_px": np.round(track.full_error, 3).tolist(),
    }
