"""What each cached step computes: from files in a folder to files in a folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from threadpoolctl import threadpool_limits

from talksplat.errors import UserError
from talksplat.files import write_bytes
from talksplat.media.video import read_frames
from talksplat.preprocess import plates, start_points
from talksplat.preprocess.alignment.base import Alignment
from talksplat.preprocess.clip_plan import FPS, ClipPlan, frame_list
from talksplat.preprocess.face_tracker.base import FaceTracker, HeadTrack
from talksplat.preprocess.faces import FaceStream, watch
from talksplat.preprocess.segmentation.base import ClipImages, Segmenter
from talksplat.preprocess.source import Source
from talksplat.progress_bars import ProgressBars
from talksplat.subject_format.labels import Label

LARGE_ERROR = 10.0  # pixels at 512; 99 % of the frames of real clips stay below 2
PLATE_FRAMES, POINT_FRAMES = 60, 40  # frames that plate and start points are made from


def write_png(path: Path, image: np.ndarray) -> None:
    """Lossless; RGB or one channel. OpenCV's own settings: any compression level takes it twice the time."""
    picture = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise UserError(f"cannot encode {path}")
    write_bytes(path, data.tobytes())


def read_png(path: Path) -> np.ndarray:
    """What `write_png` wrote."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise UserError(f"{path} is missing or damaged: remove the work folder {path.parents[1]} and run again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def detect_faces(folder: Path, source: Source, model: Path, bars: ProgressBars) -> dict:
    """faces.npz of the whole video; parts finished before an interruption are kept."""
    notes: list[str] = []
    frames = read_frames(source.video, FPS, track=source.picture, say=notes.append)
    stream = watch(bars(frames, "faces", total=round(source.info.duration * FPS)), model, FPS, kept=folder)
    stream.save(folder / "faces.npz")
    for part in folder.glob("part-*.npz"):
        part.unlink()
    return {"frames": len(stream.light), "with_face": int(stream.found.sum()), "notes": notes}


def cut_frames(folder: Path, source: Source, plan: ClipPlan, workers: int, bars: ProgressBars) -> dict:
    """{frame_id}.png of every used frame, cropped and scaled; those written before an interruption are kept."""
    wanted = set(plan.frame_ids.tolist())
    x, y, side = plan.crop
    shrink = plan.resolution < side

    def used() -> Iterator[tuple[int, np.ndarray]]:
        frames = read_frames(source.video, FPS, track=source.picture, say=lambda sentence: None)
        for frame_id, frame in enumerate(frames):
            if frame_id > plan.frame_ids[-1]:
                break
            if frame_id in wanted:
                yield frame_id, frame

    def cut(item: tuple[int, np.ndarray]) -> None:
        frame_id, frame = item
        path = folder / f"{frame_id}.png"
        if path.is_file():
            return
        part = frame[y : y + side, x : x + side]
        if plan.resolution != side:
            size = (plan.resolution, plan.resolution)
            part = cv2.resize(part, size, interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)
        write_png(path, part)

    for _ in bars(in_threads(cut, used(), workers), "frames", total=len(wanted)):
        pass
    return {"frames": len(wanted), "crop": list(plan.crop), "resolution": plan.resolution}


def track_head(folder: Path, plan: ClipPlan, faces: FaceStream, tracker: FaceTracker) -> dict:
    """track.npz with poses, focal length, mesh and errors."""
    track = tracker(plan.frame_ids, plan.landmarks(faces), plan.resolution, plan.resolution)
    check_track(track, plan.resolution)
    save_track(folder, track)
    return {
        "focal": round(track.focal, 1),
        "rigid_error_px": {
            "mean": _round(track.rigid_error.mean()),
            "p99": _round(np.percentile(track.rigid_error, 99)),
        },
        "full_error_px": {"mean": _round(track.full_error.mean()), "p99": _round(np.percentile(track.full_error, 99))},
        "distance_dm": _round(track.viewmats[:, 2, 3].mean()),
    }


def check_track(track: HeadTrack, resolution: int) -> None:
    """Raise UserError where more than one frame in a hundred has a pose that misses its face: one that is not the clip's."""
    error = track.rigid_error * 512 / resolution
    missed = track.frame_ids[error > LARGE_ERROR]
    if len(missed) > 0.01 * len(error):
        raise UserError(
            f"the head track misses the face by up to {error.max():.1f} pixels (at 512) in {len(missed)} of {len(error)} "
            f"frames ({frame_list(missed.tolist())}): is that another person, another zoom or no face? Cut these parts out"
        )


def _round(value: float) -> float:
    return round(float(value), 3)


def save_track(folder: Path, track: HeadTrack) -> None:
    """Write track.npz."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: value for name, value in vars(track).items() if value is not None})
    write_bytes(folder / "track.npz", buffer.getvalue())


def load_track(folder: Path) -> HeadTrack:
    """What `save_track` wrote."""
    with np.load(folder / "track.npz") as content:
        values = {name: content[name] for name in content.files}
    return HeadTrack(**{**values, "focal": float(values["focal"])})


def clip_images(frames: Path, track: HeadTrack, plan: ClipPlan, faces: FaceStream) -> ClipImages:
    """Frames of the clip as segmenters take them."""
    ids = track.frame_ids
    return ClipImages(
        load=lambda position: read_png(frames / f"{ids[position]}.png"),
        track=track,
        landmarks=plan.landmarks(faces)[..., :2],
        width=plan.resolution,
        height=plan.resolution,
    )


def in_threads(function: Callable, items: Iterable, workers: int) -> Iterator:
    """Results in order; a few are computed ahead, so memory stays bounded. OpenCV and numpy release the lock.

    Matrix products stay in their thread: threads within threads cost twice the processor time.
    """
    with ThreadPoolExecutor(workers) as pool, threadpool_limits(1, user_api="blas"):
        pending = []
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > 2 * workers:
                yield pending.pop(0).result()
        for future in pending:
            yield future.result()


def segment(folder: Path, clip: ClipImages, segmenter: Segmenter, workers: int, bars: ProgressBars) -> dict:
    """{frame_id}.png with `Label` values of every frame; frames labelled before an interruption are kept."""
    ids = clip.track.frame_ids
    todo = [i for i in range(len(clip)) if not (folder / f"{ids[i]}.png").is_file()]
    if todo:
        segmenter.fit(clip, lambda items: bars(items, "colour models"))

        def label(position: int) -> None:
            write_png(folder / f"{ids[position]}.png", segmenter(clip, position))

        for _ in bars(in_threads(label, todo, workers), "segmentation", total=len(todo)):
            pass
    counts = np.zeros(4)
    for frame_id in ids[:: max(1, len(ids) // 50)]:
        counts += np.bincount(read_png(folder / f"{frame_id}.png").ravel(), minlength=4)
    names = ("background", "head", "neck", "torso")
    return {"share": {name: _round(count) for name, count in zip(names, counts / counts.sum())}}


def spread(count: int, most: int) -> np.ndarray:
    """At most `most` positions spread evenly over `count`."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def make_plate(folder: Path, clip: ClipImages, labels: Path) -> dict:
    """plate.png and hole.png, the pixels of the plate that no frame shows."""
    ids = clip.track.frame_ids
    chosen = spread(len(clip), PLATE_FRAMES)
    plate, hole = plates.background_plate((clip.load(int(i)), read_png(labels / f"{ids[i]}.png")) for i in chosen)
    write_png(folder / "plate.png", plate)
    write_png(folder / "hole.png", hole.astype(np.uint8) * 255)
    return {"never_seen": _round(hole.mean())}


def make_points(folder: Path, clip: ClipImages, labels: Path, plate: Path, count: int) -> dict:
    """points.npz with start points and their colours; `labels` and `plate` are folders of those steps."""
    chosen = spread(len(clip), POINT_FRAMES)
    images = np.stack([clip.load(int(i)) for i in chosen])
    maps: UInt8[np.ndarray, "key height width"] = np.stack(
        [read_png(labels / f"{clip.track.frame_ids[i]}.png") for i in chosen]
    )
    background, seen = read_png(plate / "plate.png"), read_png(plate / "hole.png") == 0
    points, colors = start_points.start_points(clip.track, chosen, images, maps, count, plate=background, seen=seen)
    save_points(folder, points, colors)
    return {"points": len(points), "low": points.min(0).round(2).tolist(), "high": points.max(0).round(2).tolist()}


def align(
    folder: Path, clip: ClipImages, labels: Path, points: Path, alignment: Alignment, workers: int, bars: ProgressBars
) -> dict:
    """track.npz and points.npz as the alignment leaves them."""
    ids = clip.track.frame_ids

    def head(position: int) -> np.ndarray:
        return read_png(labels / f"{ids[position]}.png") == Label.HEAD

    with np.load(points / "points.npz") as content:
        start, colors = content["points"], content["colors"]
    aligned = alignment(clip, head, start, bars, workers)
    if aligned.track is not clip.track:
        chosen = spread(len(clip), POINT_FRAMES)
        images, masks = np.stack([clip.load(int(i)) for i in chosen]), np.stack([head(int(i)) for i in chosen])
        colors = start_points.point_colors(aligned.points, aligned.track, chosen, images, masks)
    save_track(folder, aligned.track)
    save_points(folder, aligned.points, colors)
    return aligned.summary


def save_points(folder: Path, points: np.ndarray, colors: np.ndarray) -> None:
    """Write points.npz."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, points=points, colors=colors)
    write_bytes(folder / "points.npz", buffer.getvalue())
