"""Reads a subject folder: the layout that AD-NeRF, RAD-NeRF, ER-NeRF, GaussianTalker, EGSTalker and others share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from talksplat.errors import UserError
from talksplat.geometry.cameras import intrinsics
from talksplat.lips import lip_measures
from talksplat.subject_format import (
    action_units,
    audio_windows,
    images,
    landmarks,
    poses,
    subject_files,
    track,
    transforms,
)
from talksplat.subject_format.labels import Label, label_mask

DEFAULT_FPS = 25.0
MIN_FRAMES = 2


@dataclass
class Subject:
    """Everything about a subject but its images, as NumPy arrays on the CPU. `train`, `val` and `test` hold positions."""

    root: Path
    frame_ids: Int[np.ndarray, " frame"]  # rising numbers of the frames in the video
    viewmats: Float[np.ndarray, "frame 4 4"]  # world-to-camera, OpenCV axes, dm
    K: Float[np.ndarray, "3 3"]  # pixels
    width: int
    height: int
    fps: float
    train: Int[np.ndarray, " train"]  # positions into frame_ids
    test: Int[np.ndarray, " test"]  # positions into frame_ids of the frames that the papers hold out and report
    landmarks: Float[np.ndarray, "frame 68 2"]  # pixels; NaN where the folder has none
    lip_boxes: Int[np.ndarray, "frame 4"]  # x0, y0, x1, y1, ends exclusive; zeros where unknown
    eye: Float[np.ndarray, " frame"]  # 0 open, 1 shut
    action_units: Float[np.ndarray, "frame unit"]  # of the columns that were asked for, 0 to 1
    vertices: Float[np.ndarray, "vertex 3"]  # start points, dm; none if the folder has none (see `head_cloud`)
    vertex_colors: UInt8[np.ndarray, "vertex 3"] | None
    audio: Float[np.ndarray, "row window feature"]  # by frame number: also for frames without a pose
    audio_file: str
    audio_fingerprint: Float[np.ndarray, " size"] | None  # of the features; None where the folder does not tell
    true_signals: dict[str, Float[np.ndarray, " frame"]]
    manifest: dict
    swapped_parsing: bool = False  # red and blue of the semantic maps are exchanged
    notes: list[str] = field(default_factory=list)  # what was missing or odd, and what the reader did about it
    soft_masks: bool = False  # heads are cut out along `alpha/` and not along `parsing/`
    val: Int[np.ndarray, " val"] = field(
        default_factory=lambda: np.zeros(0, np.int64)
    )  # none as long as nothing is cut

    @property
    def chosen_on(self) -> str:
        """Split that previews, best checkpoints and searches look at: "val", or "test" where nothing is kept for it."""
        return "val" if len(self.val) else "test"

    @property
    def choosing(self) -> Int[np.ndarray, " part"]:
        """Positions of that split."""
        return getattr(self, self.chosen_on)

    @property
    def features(self) -> Float[np.ndarray, "frame window feature"]:
        """Audio window of each frame."""
        return self.audio[self.frame_ids]

    @property
    def lip_measures(self) -> Float[np.ndarray, "frame 43"]:
        """Lips of the training frames as `lips.lip_measures` has them; NaN in other frames and without landmarks."""
        measures = np.full((len(self.frame_ids), 43), np.nan, dtype=np.float32)
        measures[self.train] = lip_measures(self.landmarks[self.train])
        return measures

    def subset(self, positions: Int[np.ndarray, " kept"]) -> Subject:
        """The same subject with some of its frames only; `positions` must rise."""
        names = ("frame_ids", "viewmats", "landmarks", "lip_boxes", "eye", "action_units")
        kept = {name: getattr(self, name)[positions] for name in names}
        signals = {name: values[positions] for name, values in self.true_signals.items()}
        split = {name: np.flatnonzero(np.isin(positions, getattr(self, name))) for name in ("train", "val", "test")}
        return replace(self, **kept, **split, true_signals=signals, notes=list(self.notes))


def read_subject(
    root: Path | str,
    audio_files: Sequence[str],
    audio_width: int,
    audio_window: int,
    action_unit_names: Sequence[str] = (),
    soft_masks: bool = False,
) -> Subject:
    """Read and check a subject folder; the audio features come from the first of `audio_files` that it has.

    `soft_masks`: cut heads out along `alpha/` where the folder has that (other projects' have not). Images are only looked for here, not decoded (FrameStore does). Raises UserError naming the file, or the setting,
    for whatever cannot be used; what can be made up for goes into `Subject.notes`.
    """
    root = Path(root).expanduser()
    notes: list[str] = []
    if not root.is_dir():
        raise UserError(
            f"there is no subject folder {root}: set dataset.root, or make one from a video with preprocess"
        )
    manifest = _read_manifest(root, notes)
    listed = transforms.read_transforms(root)
    tracked = poses.read_poses(root, listed, notes)
    frame_ids, rows = _frames(root, tracked, listed, notes)
    soft_masks = soft_masks and (root / "alpha").is_dir()
    height, width = subject_files.check_files(root, frame_ids, notes, soft_masks)
    points = landmarks.read_all_landmarks(root / "ori_imgs", frame_ids, notes)
    audio_file = audio_windows.find_audio_file(root, audio_files)
    train, test = transforms.resolve_split(frame_ids, listed, notes)
    return Subject(
        root=root,
        frame_ids=frame_ids,
        viewmats=tracked.viewmats(rows),
        K=_camera_matrix(root, tracked, listed, width, height),
        width=width,
        height=height,
        fps=float(manifest.get("fps", DEFAULT_FPS)),
        train=train,
        test=test,
        landmarks=points,
        lip_boxes=np.stack([landmarks.lip_box(row, width, height) for row in points]),
        eye=action_units.read_eye(root / "au.csv", frame_ids, notes),
        action_units=action_units.read_units(root / "au.csv", action_unit_names, frame_ids, notes),
        vertices=tracked.vertices,
        vertex_colors=tracked.vertex_colors,
        audio=audio_windows.read_audio_features(audio_file, audio_width, audio_window, int(frame_ids[-1]) + 1, notes),
        audio_file=audio_file.name,
        audio_fingerprint=audio_windows.read_fingerprint(audio_file),
        true_signals=action_units.read_signals(root / "true_signals.csv", frame_ids),
        manifest=manifest,
        swapped_parsing=subject_files.parsing_is_swapped(root, frame_ids, points, notes),
        notes=notes,
        soft_masks=soft_masks,
    )


def _read_manifest(root: Path, notes: list[str]) -> dict:
    path = root / "manifest.json"
    if not path.is_file():
        notes.append(f"no manifest.json (not made by this project): taken as {DEFAULT_FPS:g} frames a second")
        return {}
    try:
        manifest = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}): remove it, or preprocess the video again") from error
    if not isinstance(manifest, dict):
        raise UserError(f"{path} is not a JSON object: remove it, or preprocess the video again")
    return manifest


def _frames(root: Path, tracked: track.Track, listed: transforms.Transforms, notes: list[str]):
    with_landmarks = np.array(sorted(landmarks.landmark_ids(root / "ori_imgs")), dtype=np.int64)
    num_poses = len(tracked.euler)
    found = transforms.resolve_frames(num_poses, tracked.frame_ids, listed.all_ids, with_landmarks, notes)
    if found is None:
        raise UserError(
            f"cannot tell which frames the {num_poses} poses of {root / 'track_params.pt'} belong to: the transforms "
            f"files list {len(listed.all_ids)} frames and {len(with_landmarks)} have a .lms file; add `frame_ids` to it"
        )
    if len(found[0]) < MIN_FRAMES:
        raise UserError(f"{root} has {len(found[0])} tracked frame: at least {MIN_FRAMES} are needed to train and test")
    return found


def _camera_matrix(
    root: Path, tracked: track.Track, listed: transforms.Transforms, width: int, height: int
) -> Float[np.ndarray, "3 3"]:
    focal = listed.focal if tracked.focal is None else tracked.focal
    if focal is None or not np.isfinite(focal) or focal <= 0:
        raise UserError(f"{root / 'track_params.pt'} has no usable `focal` (found {focal}): {track.MEND}")
    if listed.center is not None and max(abs(2 * listed.center[0] - width), abs(2 * listed.center[1] - height)) > 2:
        tracked_size = f"{2 * listed.center[0]:g}x{2 * listed.center[1]:g}"
        raise UserError(
            f"the frames in {root} are {width}x{height} but their poses were found at {tracked_size} (cx, cy of the "
            "transforms files): use frames of that size, or track again"
        )
    return intrinsics(focal, width, height).numpy()


def load_background(subject: Subject) -> UInt8[np.ndarray, "height width 3"]:
    """The clean plate `bc.jpg`, brought to the size of the frames."""
    plate = images.decode_image(subject.root / "bc.jpg")
    if plate.shape[:2] != (subject.height, subject.width):
        plate = cv2.resize(plate, (subject.width, subject.height), interpolation=cv2.INTER_AREA)
    return plate


def read_parsing(subject: Subject, frame_id: int) -> UInt8[np.ndarray, "height width 3"]:
    """Colour-coded map of a frame in BGR, as `labels` has the codes. Raises UserError naming the file."""
    parsing = images.read_image(subject.root / "parsing" / f"{frame_id}.png", subject.width, subject.height, 3)
    return parsing if subject.swapped_parsing else parsing[..., ::-1]


def load_frame(
    subject: Subject, frame_id: int, plate: UInt8[np.ndarray, "height width 3"] | None = None
) -> dict[str, UInt8[np.ndarray, "height width 3"] | Bool[np.ndarray, "height width"]]:
    """Images of one frame, RGB: `original`, `background` = torso*A + bc*(1-A), and the bool `head_mask`.

    With `subject.soft_masks` also `head_alpha`, 0 to 255 (uint8 [H, W]). `plate` saves reading
    `bc.jpg` again. Where the folder has no torso images, the pixels of neck and torso in the original stand for them.
    Raises UserError naming the file that cannot be used.
    """
    root, size = subject.root, (subject.width, subject.height)
    plate = load_background(subject) if plate is None else plate
    original = images.read_image(images.original_path(root, frame_id), *size, 3)
    parsing = read_parsing(subject, frame_id)
    if (root / "torso_imgs").is_dir():
        torso = images.read_image(root / "torso_imgs" / f"{frame_id}.png", *size, 4)
        alpha = torso[..., 3:].astype(np.uint16)
        background = ((torso[..., :3] * alpha + plate * (255 - alpha) + 127) // 255).astype(np.uint8)
    else:
        below = label_mask(parsing, Label.NECK) | label_mask(parsing, Label.TORSO)
        background = np.where(below[..., None], original, plate)
    frame = {"original": original, "background": background, "head_mask": label_mask(parsing, Label.HEAD)}
    if subject.soft_masks:
        frame["head_alpha"] = images.read_image(root / "alpha" / f"{frame_id}.png", *size, 3)[..., 0]
    return frame
