"""From a video to a subject folder: checks first, then cached steps, then the folder in one move."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from talksplat.audio import AudioFeatures
from talksplat.errors import UserError
from talksplat.fingerprints import settings_of
from talksplat.lips.sync import SoundOffset
from talksplat.locks import locked
from talksplat.media.assets import FACE_LANDMARKER_SHA256, face_landmarker_path
from talksplat.media.opencv import check_opencv
from talksplat.media.video import probe
from talksplat.preprocess import steps
from talksplat.preprocess.alignment.base import Alignment
from talksplat.preprocess.cache import StepCache, StepResult
from talksplat.preprocess.clip_plan import FPS, ClipPlan, plan_clip
from talksplat.preprocess.face_tracker.base import FaceTracker
from talksplat.preprocess.faces import FaceStream
from talksplat.preprocess.feature_step import keep_features
from talksplat.preprocess.image_transfer import Imported
from talksplat.preprocess.segmentation.base import ClipImages, Segmenter
from talksplat.preprocess.segmentation.choose import BestSegmenter
from talksplat.preprocess.sound_sync import SoundSync, load_offset, move_earlier, save_offset, shift_for
from talksplat.preprocess.source import AUTO, Source, open_source, track_number, with_followed_track
from talksplat.preprocess.subject_folder import Made, write_subject
from talksplat.progress_bars import ProgressBars

logger = logging.getLogger(__name__)
MOST_SHIFT = 2000  # ms
LEAST_POINTS = 1500  # the face alone has 468 landmarks

# Raised whenever a step's code gives other results; kept results of older versions are made again.
VERSIONS = {"faces": 4, "frames": 2, "track": 3, "labels": 8, "plate": 3, "points": 2, "align": 1, "sync": 1}


class Preprocessor:
    """Makes subject folders.

    Args:
        face_tracker: finds head poses.
        segmenter: labels head, neck, torso and background, or a choice of such.
        alignment: refines the poses on the pixels.
        features: computes audio windows; written as `aud_{feature_name}.npy`.
        feature_name: name of those features.
        resolution: side of the square frames in pixels.
        min_seconds: shortest usable clip.
        on_cut: "longest" takes the longest scene of a clip with cuts, "keep" all of them, "fail" refuses it.
        sound_shift_ms: move the sound earlier by so much; "auto": by what is found, where that is certain.
        video_track: number of the video track, from 1; "auto": the one that shows a face.
        sound_track: number of the sound track, from 1; "auto": the one that the lips follow, or that is most like speech.
        points: number of start points.
        composites: also write `gt_imgs`, which only other projects read.
        workers: threads for segmentation; None: one for each processor.
        assets: folder with the face landmarker model.
        bars: progress bars.
    """

    def __init__(
        self,
        face_tracker: FaceTracker,
        segmenter: Segmenter | BestSegmenter,
        alignment: Alignment,
        features: AudioFeatures,
        feature_name: str = "mel",
        resolution: int = 512,
        min_seconds: float = 2.0,
        on_cut: Literal["longest", "keep", "fail"] = "longest",
        sound_shift_ms: str | int = "auto",
        video_track: str | int = "auto",
        sound_track: str | int = "auto",
        points: int = 30000,
        composites: bool = False,
        workers: int | None = None,
        assets: Path | None = None,
        bars: ProgressBars | None = None,
    ) -> None:
        if resolution < 64 or resolution % 2:
            raise UserError(f"resolution={resolution} must be even and at least 64")
        if points < LEAST_POINTS:
            raise UserError(f"points={points} must be at least {LEAST_POINTS}: fewer make a poor avatar")
        if on_cut not in ("longest", "keep", "fail"):
            raise UserError(f"clip.on_cut={on_cut!r}: use longest, keep or fail")
        if sound_shift_ms != AUTO and not (type(sound_shift_ms) is int and abs(sound_shift_ms) <= MOST_SHIFT):
            raise UserError(
                f"clip.sound_shift_ms={sound_shift_ms!r}: use auto, or milliseconds from -{MOST_SHIFT} to {MOST_SHIFT}"
            )
        self.face_tracker = face_tracker
        self.segmenter = segmenter
        self.alignment = alignment
        self.features = features
        self.feature_name = feature_name
        self.resolution = resolution
        self.min_seconds = min_seconds
        self.on_cut = on_cut
        self.sound_shift_ms = sound_shift_ms
        self.video_track = track_number("clip.video_track", video_track)
        self.sound_track = track_number("clip.sound_track", sound_track)
        self.points = points
        self.composites = composites
        self.workers = workers or os.cpu_count() or 1
        self.assets = assets
        self.bars = bars or ProgressBars()

    def run(self, video: Path, subject: Path, audio: Path | None = None, work: Path | None = None) -> dict[str, Any]:
        """Make the folder `subject` from `video`; returns the manifest.

        Args:
            audio: sound of the clip if it is a separate file.
            work: folder of kept steps; by default `<subject>.work` next to the subject.

        Raises:
            UserError: anything wrong with the input, before or after looking at the pictures; `subject` is then not made.
        """
        video, subject = Path(video).expanduser(), Path(subject).expanduser()
        work = work or subject.with_name(subject.name + ".work")
        with locked(subject, "give another subject=FOLDER"), locked(work, "give another work_dir=FOLDER", inside=True):
            return self._run(video, subject, audio, work)

    def _run(self, video: Path, subject: Path, audio: Path | None, work: Path) -> dict[str, Any]:
        self._check(video, subject, audio)
        source = open_source(
            video, audio, partial(face_landmarker_path, self.assets), self.video_track, self.sound_track
        )
        model = face_landmarker_path(self.assets)
        segmenter = self.segmenter.ready()
        cache = StepCache(work)
        done: list[StepResult] = []

        def step(name: str, inputs: dict[str, Any], compute) -> StepResult:
            done.append(cache.run(name, VERSIONS[name.partition("-")[0]], inputs, compute))
            return done[-1]

        seen = {
            "video": source.sha256,
            "track": source.picture,
            "model": FACE_LANDMARKER_SHA256,
            "mediapipe": importlib.metadata.version("mediapipe"),
        }
        found = step("faces", seen, lambda f: steps.detect_faces(f, source, model, self.bars))
        faces = FaceStream.load(found.folder / "faces.npz")
        plan = plan_clip(faces, self.resolution, self.min_seconds, self.on_cut, str(video))
        source, sync, shift = self._synchronise(step, source, plan, faces, found.key)
        plan.notes[:0] = [*source.notes, *found.summary["notes"]]
        source = replace(source, samples=move_earlier(source.samples, shift))
        heard = keep_features(cache, self.feature_name, self.features, source.samples, len(faces.light), source.sound)
        done.append(heard)
        for part in (self.face_tracker, segmenter):
            if isinstance(part, Imported):
                part.follow(plan, tuple(faces.size))

        area = {
            "video": source.sha256,
            "track": source.picture,
            "crop": list(plan.crop),
            "size": plan.resolution,
            "ids": [int(plan.frame_ids[0]), int(plan.frame_ids[-1]), *sorted(plan.lost + plan.covered)],
        }
        frames = step("frames", area, lambda f: steps.cut_frames(f, source, plan, self.workers, self.bars))
        posed = {"faces": found.key, "frames": frames.key, "tracker": settings_of(self.face_tracker)}
        tracked = step("track", posed, lambda f: steps.track_head(f, plan, faces, self.face_tracker))
        track = steps.load_track(tracked.folder)
        clip = steps.clip_images(frames.folder, track, plan, faces)
        inputs = {"frames": frames.key, "track": tracked.key, "segmenter": settings_of(segmenter)}
        labels = step("labels", inputs, lambda f: steps.segment(f, clip, segmenter, self.workers, self.bars))
        plate = step("plate", {"labels": labels.key}, lambda f: steps.make_plate(f, clip, labels.folder))
        inputs = {"labels": labels.key, "plate": plate.key, "count": self.points}
        points = step("points", inputs, lambda f: steps.make_points(f, clip, labels.folder, plate.folder, self.points))
        inputs = {"points": points.key, "alignment": settings_of(self.alignment)}
        aligned = step("align", inputs, lambda f: self._align(f, clip, labels.folder, points.folder))
        clip = steps.clip_images(frames.folder, steps.load_track(aligned.folder), plan, faces)
        folders = (labels.folder, plate.folder, aligned.folder, heard.folder)
        made = Made(source, plan, faces, clip, *folders, done, segmenter.title)
        settings = {
            "face_tracker": settings_of(self.face_tracker),
            "segmenter": settings_of(segmenter),
            "alignment": settings_of(self.alignment),
        }
        return write_subject(
            subject,
            made,
            self.features,
            self.feature_name,
            settings,
            self.workers,
            self.bars,
            self.composites,
            sync,
            shift,
        )

    def _synchronise(
        self, step: Callable[..., StepResult], source: Source, plan: ClipPlan, faces: FaceStream, faces_key: str
    ) -> tuple[Source, SoundOffset, int]:
        """Source with the right sound track, offset of its sound as it came, and the milliseconds by which it is moved
        earlier."""
        finder = SoundSync(self.features, self.assets)
        frames = hashlib.sha256(plan.frame_ids.tobytes()).hexdigest()

        def find(samples: np.ndarray, number: int) -> SoundOffset:
            sound = hashlib.sha256(np.ascontiguousarray(samples, np.float32).tobytes()).hexdigest()
            inputs = {"sound": sound, "faces": faces_key, "frames": frames, "finder": finder.identity()}
            name = f"sync-{number}" if source.tracks else "sync"
            return load_offset(step(name, inputs, lambda f: save_offset(f, finder.find(samples, plan, faces))).folder)

        source = with_followed_track(source, find)
        offset = find(source.samples, 0)
        shift = shift_for(self.sound_shift_ms, offset)
        if shift:
            logger.info("the sound is moved %d ms %s", abs(shift), "earlier" if shift > 0 else "later")
        return source, offset, shift

    def _align(self, folder: Path, clip: ClipImages, labels: Path, points: Path) -> dict[str, Any]:
        return steps.align(folder, clip, labels, points, self.alignment, self.workers, self.bars)

    def _check(self, video: Path, subject: Path, audio: Path | None) -> None:
        """Refuse what cannot work before anything is looked for or downloaded."""
        check_opencv()
        info = probe(video, self.video_track)
        if subject.exists() and (not subject.is_dir() or any(subject.iterdir())):
            raise UserError(f"{subject} exists and is not empty: remove it, or choose another subject=FOLDER")
        if audio is None and not info.has_audio:
            raise UserError(f"{video} has no audio track: give the sound as audio_file=FILE")
        if 0 < info.duration < self.min_seconds - 1 / FPS:
            raise UserError(
                f"{video} is too short: {info.duration:.2f} s, at least clip.min_seconds={self.min_seconds:g} s are needed"
            )
