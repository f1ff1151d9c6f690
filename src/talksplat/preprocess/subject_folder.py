"""The subject folder and its manifest, from the results of the steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import talksplat
from talksplat.data.writer import SubjectWriter
from talksplat.preprocess import report, steps
from talksplat.preprocess.action_units import action_units
from talksplat.preprocess.audio_features import AudioFeatures
from talksplat.preprocess.cache import StepResult, settings_of
from talksplat.preprocess.clip_plan import FPS, ClipPlan
from talksplat.preprocess.faces import FaceStream
from talksplat.preprocess.feature_step import FEATURES_FILE
from talksplat.preprocess.landmarks import DLIB68
from talksplat.preprocess.progress import ProgressBars
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.matte import head_alpha
from talksplat.preprocess.torso_plate import torso_image
from talksplat.preprocess.verdicts import judge
from talksplat.preprocess.video import VideoInfo

REPORT_NAME = "report.png"


@dataclass(frozen=True)
class Source:
    """The checked input."""

    video: Path
    info: VideoInfo
    sha256: str
    samples: np.ndarray  # sound at 16 kHz


@dataclass(frozen=True)
class Made:
    """What the steps made of it; folders hold `{frame_id}.png`, `plate.png`, `points.npz` and `features.npy`."""

    source: Source
    plan: ClipPlan
    faces: FaceStream
    clip: ClipImages
    labels: Path
    plate: Path
    points: Path
    features: Path
    steps: list[StepResult]

    def label(self, position: int) -> np.ndarray:
        """`Label` values of a frame, uint8 [H, W]."""
        return steps.read_png(self.labels / f"{self.clip.track.frame_ids[position]}.png")


def write_subject(
    subject: Path,
    made: Made,
    features: AudioFeatures,
    feature_name: str,
    settings: dict[str, Any],
    workers: int,
    bars: ProgressBars,
    composites: bool = True,
) -> dict[str, Any]:
    """Write the folder and return its manifest; nothing is left behind if that fails.

    Audio windows are written for every frame number of the video, so that row k belongs to frame k.
    """
    clip, track, size = made.clip, made.clip.track, made.plan.resolution
    ids = track.frame_ids
    plate, seen = steps.read_png(made.plate / "plate.png"), steps.read_png(made.plate / "hole.png") == 0
    with np.load(made.points / "points.npz") as content:
        points, colors = content["points"], content["colors"]
    shapes = {str(name): made.faces.blendshapes[ids, k] for k, name in enumerate(made.faces.blendshape_names)}

    def prepare(position: int) -> tuple:
        image, label = clip.load(position), made.label(position)
        return position, image, label, torso_image(image, label), head_alpha(image, label, plate, seen)

    with SubjectWriter(subject, size, size, FPS) as writer:
        prepared = steps.in_threads(prepare, range(len(ids)), workers)
        for position, image, label, torso, alpha in bars(prepared, "writing", total=len(ids)):
            points68 = clip.landmarks[position][list(DLIB68)]
            writer.write_frame(int(ids[position]), image, label, torso, points68, alpha)
            if composites:
                writer.write_composite(int(ids[position]), image, label, plate)
        writer.write_track(ids, track.viewmats, track.focal, points, colors)
        writer.write_background(plate)
        writer.write_audio(made.source.samples)
        writer.write_features(feature_name, np.load(made.features / FEATURES_FILE))
        writer.write_action_units(ids, action_units(shapes))
        shown = [int(i) for i in report.chosen_positions(len(ids))]
        maps = [made.label(i) for i in shown]
        backdrops = [_over(torso_image(clip.load(i), label), plate) for i, label in zip(shown, maps)]
        report.picture(writer.folder / REPORT_NAME, clip, maps, backdrops, shown, points, colors)
        manifest = _manifest(subject, made, {**settings, "features": {feature_name: settings_of(features)}})
        writer.write_manifest(manifest)
        writer.finish()
    return manifest


def _over(rgba: np.ndarray, plate: np.ndarray) -> np.ndarray:
    return np.where(rgba[..., 3:] > 0, rgba[..., :3], plate)


def _manifest(subject: Path, made: Made, settings: dict[str, Any]) -> dict[str, Any]:
    source, plan, faces, track = made.source, made.plan, made.faces, made.clip.track
    ids, info = track.frame_ids, made.source.info
    verdicts = judge(
        seconds=len(ids) / FPS,
        source_fps=info.fps,
        face_height=np.ptp(made.clip.landmarks[..., 1], axis=1) / plan.resolution,
        viewmats=track.viewmats,
        sharpness=faces.sharpness[ids],
        light=faces.light[ids],
        samples=source.samples,
    )
    return {
        "talksplat": talksplat.__version__,
        "subject": str(subject),
        "source": {
            "name": source.video.name,
            "sha256": source.sha256,
            "size": [info.width, info.height],
            "fps": info.fps,
            "rotation": info.rotation,
        },
        "crop": list(plan.crop),
        "cuts": plan.cuts,
        "lost_frames": plan.lost,
        "second_person_frames": plan.second_person,
        "notes": plan.notes,
        "verdicts": verdicts,
        "steps": [report.step_record(result) for result in made.steps],
        **settings,
        "track": report.track_record(track),
        "missing": [],
    }
