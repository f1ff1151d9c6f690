"""The subject folder and its manifest, from the results of the steps."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import talksplat
from talksplat.audio import AudioFeatures
from talksplat.fingerprints import settings_of
from talksplat.lips.sync import SoundOffset
from talksplat.media.face_landmarker import DLIB68
from talksplat.media.sound import fit_to_length
from talksplat.preprocess import report, sound_sync, steps
from talksplat.preprocess.action_units import action_units
from talksplat.preprocess.cache import StepResult
from talksplat.preprocess.clip_plan import FPS, ClipPlan
from talksplat.preprocess.faces import FaceStream
from talksplat.preprocess.feature_step import ABOUT_FILE, FEATURES_FILE
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.segmentation.matte import head_alpha
from talksplat.preprocess.source import Source
from talksplat.preprocess.torso_plate import torso_edge, torso_image
from talksplat.preprocess.verdicts import Check
from talksplat.progress_bars import ProgressBars
from talksplat.subject_format.labels import Label
from talksplat.subject_format.writer import SubjectWriter

REPORT_NAME = report.HTML_NAME
WRITING_VERSION = 3  # raised whenever the files of a frame come out differently from the same steps


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
    masks: str  # what labelled the frames

    @property
    def key(self) -> str:
        """Stands for everything that the frames of the folder are made of."""
        text = f"{talksplat.__version__} {WRITING_VERSION} " + " ".join(result.key for result in self.steps)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

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
    composites: bool,
    sync: SoundOffset,
    shift: int,
) -> dict[str, Any]:
    """Write the folder and return its manifest; nothing is left behind if that fails, all frames if it is killed.

    `sync` is the offset of the sound as it came, `shift` the milliseconds by which that of `made` is earlier.
    Audio windows are written for every frame number of the video, so that row k belongs to frame k.
    """
    clip, track, size = made.clip, made.clip.track, made.plan.resolution
    ids, start = track.frame_ids, time.perf_counter()
    plate, seen = steps.read_png(made.plate / "plate.png"), steps.read_png(made.plate / "hole.png") == 0
    with np.load(made.points / "points.npz") as content:
        points, colors = content["points"], content["colors"]
    shapes = {str(name): made.faces.blendshapes[ids, k] for k, name in enumerate(made.faces.blendshape_names)}
    units = action_units(shapes)
    num_frames = len(made.faces.light)
    samples, note = fit_to_length(made.source.samples, num_frames / FPS)

    with SubjectWriter(subject, size, size, FPS, key=f"{made.key}{int(composites)}") as writer:

        def write(position: int) -> None:
            if not writer.has_frame(int(ids[position])):
                image, label = clip.load(position), made.label(position)
                landmarks = clip.landmarks[position][list(DLIB68)]
                edge = torso_edge(image, label, plate)
                if composites:
                    shown = np.where(edge, np.uint8(Label.TORSO), label)
                    writer.write_composite(int(ids[position]), image, shown, plate)
                torso, alpha = torso_image(image, label, edge=edge), head_alpha(image, label, plate, seen)
                writer.write_frame(int(ids[position]), image, label, torso, landmarks, alpha)

        for _ in bars(steps.in_threads(write, range(len(ids)), workers), "writing", total=len(ids)):
            pass
        writer.write_track(ids, track.viewmats, track.focal, points, colors)
        writer.write_background(plate)
        writer.write_audio(samples)
        about = (made.features / ABOUT_FILE).read_bytes()
        writer.write_features(feature_name, np.load(made.features / FEATURES_FILE), about)
        writer.write_action_units(ids, units)
        durations = {result.name: result.seconds for result in made.steps}
        durations["writing"] = round(time.perf_counter() - start, 2)
        checks = report.run_checks(made, sync, shift)
        notes = [*made.plan.notes, *([note] if note else [])]
        settings = {
            **settings,
            "features": {feature_name: settings_of(features)},
            "writing_seconds": durations["writing"],
        }
        manifest = _manifest(subject, made, settings, checks, notes, sync, shift)
        facts = report.gather(
            made, checks, notes, sync, units["AU45_r"] / 2, sound_sync.loudness(samples, num_frames), durations
        )
        report.write_report(writer.folder, facts, report.take_pictures(clip, made.label, plate, points, colors))
        writer.write_manifest(manifest)
        writer.finish()
    return manifest


def _manifest(
    subject: Path,
    made: Made,
    settings: dict[str, Any],
    checks: list[Check],
    notes: list[str],
    sync: SoundOffset,
    shift: int,
) -> dict[str, Any]:
    source, plan, track, info = made.source, made.plan, made.clip.track, made.source.info
    return {
        "talksplat": talksplat.__version__,
        "subject": subject.name,
        "source": {
            "name": source.video.name,
            "sha256": source.sha256,
            "size": [info.width, info.height],
            "fps": info.fps,
            "rotation": info.rotation,
        },
        "masks": made.masks,
        "crop": list(plan.crop),
        "cuts": plan.cuts,
        "lost_frames": plan.lost,
        "covered_frames": plan.covered,
        "second_person_frames": plan.second_person,
        "notes": notes,
        "checks": [asdict(check) for check in checks],
        "verdicts": [check.sentence for check in checks if check.good is False],
        "sound_late_ms": None if sync.offset is None else round(1000 * sync.offset),
        "sound_late_is_certain": sync.confident,
        "sound_shift_ms": shift,
        "steps": [report.step_record(result) for result in made.steps],
        **settings,
        "track": report.track_record(track, plan.confidence),
        "missing": [],
    }
