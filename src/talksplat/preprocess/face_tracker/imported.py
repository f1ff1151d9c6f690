"""Head poses that another project, or an earlier run, found for the same video."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int

from talksplat.errors import UserError
from talksplat.files import content_hash
from talksplat.preprocess.clip_plan import frame_list
from talksplat.preprocess.face_tracker.base import HeadTrack
from talksplat.preprocess.face_tracker.canonical import canonicalize
from talksplat.preprocess.face_tracker.face_regions import rigid_mask
from talksplat.preprocess.face_tracker.posed_mesh import mesh_of_poses, reproject
from talksplat.preprocess.image_transfer import ImageTransfer, Imported, find_transfer
from talksplat.subject_format.images import decode_image, original_path
from talksplat.subject_format.landmarks import landmark_ids
from talksplat.subject_format.poses import read_poses
from talksplat.subject_format.transforms import read_transforms, resolve_frames

logger = logging.getLogger(__name__)

REFERENCE_SIZE = 512  # image size that pixel settings refer to
POSE_FILES = ("track_params.pt", "transforms_train.json", "transforms_val.json")


class ImportTracker(Imported):
    """A `FaceTracker` that looks poses up by frame number.

    The poses may have been found at another size or crop of the video (see `find_transfer`). Our camera looks through the middle of the frame; where theirs does not after cropping, each pose is fitted again to where its
    own face points lie, and refused if that costs more than `max_shift_error`. The face mesh is triangulated from our
    landmarks and their poses; then mesh and poses are moved into the head frame that the other steps expect.

    Args:
        source: a subject folder, its `track_params.pt`, or one of its transforms files.
        max_error: mean reprojection error of skull landmarks in pixels at 512 above which the poses count as those of
            another video, or of other frames.
        max_shift_error: pixels at 512.

    Raises:
        UserError: no such file.
    """

    def __init__(self, source: str, max_error: float = 6.0, max_shift_error: float = 1.0) -> None:
        path = Path(source).expanduser()
        self.root = path if path.is_dir() else path.parent
        files = [self.root / name for name in POSE_FILES if (self.root / name).is_file()]
        if not path.exists() or not files:
            raise UserError(f"face_tracker.source={source} has no {' or '.join(POSE_FILES)}: give a subject folder")
        self.source = str(source)
        self.source_sha256 = " ".join(content_hash(file) for file in files)  # part of the step's key
        self.max_error = max_error
        self.max_shift_error = max_shift_error

    def __call__(
        self,
        frame_ids: Int[np.ndarray, " frame"],
        landmarks: Float[np.ndarray, "frame 478 3"],
        width: int,
        height: int,
    ) -> HeadTrack:
        """Poses of these frames. Raises UserError where frames have none, or the poses do not fit the landmarks."""
        viewmats, focal, theirs = self._read(frame_ids)
        images, ours = self.root / "ori_imgs", (width, height)
        transfer = find_transfer(images, frame_ids, landmarks[..., :2], theirs, ours, self.crop_of_clip)
        if transfer is None:
            raise UserError(
                f"the poses of {self.source} were found at {theirs[0]}x{theirs[1]}, the frames here are {width}x{height}, "
                "and no .lms files tell how the one lies in the other: put their ori_imgs beside the poses"
            )
        logger.info("imported poses of %s: %s", self.source, transfer.reason)
        unit = max(width, height) / REFERENCE_SIZE
        focal = focal * transfer.scale
        center = transfer(np.array(theirs, dtype=np.float64) / 2)
        mesh = mesh_of_poses(landmarks.astype(np.float64), viewmats, focal, center, (width, height))
        viewmats = self._recentered(mesh, viewmats, focal, center, np.array([width, height]) / 2, unit, transfer)
        mesh, viewmats = to_head_frame(mesh, viewmats)
        projected = reproject(mesh, viewmats, focal, np.array([width, height]) / 2)
        distances = np.linalg.norm(projected - landmarks[..., :2], axis=-1)
        rigid_error = distances[:, rigid_mask(mesh)].mean(1)
        if not np.isfinite(distances).all() or rigid_error.mean() > self.max_error * unit:
            raise UserError(
                f"the poses of {self.source} miss the face landmarks by {rigid_error.mean():.1f} pixels on average, more "
                f"than face_tracker.max_error={self.max_error:g} (at {REFERENCE_SIZE} pixels): are they of this video, at "
                "25 frames a second, with the same frame numbers?"
            )
        return HeadTrack(
            frame_ids=np.asarray(frame_ids, np.int64),
            viewmats=viewmats.astype(np.float32),
            focal=focal,
            mesh=mesh.astype(np.float32),
            rigid_error=rigid_error.astype(np.float32),
            full_error=distances.mean(1).astype(np.float32),
        )

    def _read(self, frame_ids: np.ndarray) -> tuple[np.ndarray, float, tuple[int, int]]:
        """Their poses of our frames, their focal length, and width and height of their frames."""
        notes: list[str] = []
        listed = read_transforms(self.root)
        tracked = read_poses(self.root, listed, notes)
        count = len(tracked.euler)
        present = np.array(sorted(landmark_ids(self.root / "ori_imgs")), dtype=np.int64)
        found = resolve_frames(count, tracked.frame_ids, listed.all_ids, present, notes)
        if found is None:
            notes.append(f"nothing tells which frames its {count} poses belong to: taken as 0 to {count - 1}")
            found = np.arange(count), np.arange(count)
        for note in notes:
            logger.warning("%s: %s", self.source, note)
        ids, rows = found
        missing = np.setdiff1d(frame_ids, ids)
        if len(missing):
            raise UserError(
                f"{self.source} has poses of frames {frame_list(ids.tolist())}, but none of frames "
                f"{frame_list(missing.tolist())} of the video: cut the video to the frames that were tracked, or use "
                "face_tracker=mediapipe"
            )
        focal = listed.focal if tracked.focal is None else tracked.focal
        if focal is None or not focal > 0:
            raise UserError(f"{self.source} has no usable focal length (found {focal}): use face_tracker=mediapipe")
        viewmats = tracked.viewmats(rows[np.searchsorted(ids, frame_ids)]).astype(np.float64)
        return viewmats, float(focal), self._image_size(listed.center, int(ids[0]))

    def _image_size(self, center: tuple[float, float] | None, frame_id: int) -> tuple[int, int]:
        if center is not None:
            return round(2 * center[0]), round(2 * center[1])
        path = original_path(self.root, frame_id)
        if not path.is_file():
            raise UserError(
                f"nothing tells the image size at which the poses of {self.source} were found: put their transforms files "
                "(cx, cy) or ori_imgs beside them"
            )
        height, width = decode_image(path).shape[:2]
        return width, height

    def _recentered(self, mesh, viewmats, focal, theirs, ours, unit, transfer: ImageTransfer) -> np.ndarray:
        """Poses under which a camera that looks through `ours` sees the mesh where one through `theirs` does."""
        if np.abs(theirs - ours).max() < 0.5:
            return viewmats
        K = np.array([[focal, 0, ours[0]], [0, focal, ours[1]], [0, 0, 1]])
        target = reproject(mesh, viewmats, focal, theirs)
        moved = viewmats.copy()
        for viewmat, points in zip(moved, target):
            start = cv2.Rodrigues(viewmat[:3, :3])[0], viewmat[:3, 3:].copy()
            rotation, translation = cv2.solvePnPRefineLM(mesh, points, K, None, *start)
            viewmat[:3, :3], viewmat[:3, 3] = cv2.Rodrigues(rotation)[0], translation[:, 0]
        error = float(np.linalg.norm(reproject(mesh, moved, focal, ours) - target, axis=-1).mean())
        shift = np.linalg.norm(theirs - ours)
        if error > self.max_shift_error * unit:
            raise UserError(
                f"the poses of {self.source} cannot be carried over: their camera looks through a point {shift:.0f} pixels "
                f"off the middle of this crop, which costs {error:.2f} pixels, more than face_tracker.max_shift_error="
                f"{self.max_shift_error:g} (at {REFERENCE_SIZE} pixels); preprocess the square video that they were found on"
            )
        logger.warning(
            "%s: their camera looks %.0f pixels off the middle of this crop (%s): poses fitted again, which costs %.2f "
            "pixels on average",
            *(self.source, shift, transfer.reason, error),
        )
        return moved


def to_head_frame(
    mesh: Float[np.ndarray, "478 3"], viewmats: Float[np.ndarray, "frame 4 4"]
) -> tuple[Float[np.ndarray, "478 3"], Float[np.ndarray, "frame 4 4"]]:
    """Mesh upright, centred and in real decimetres, with poses that project it to the same pixels."""
    scale, rotation, offset = canonicalize(mesh)
    moved = viewmats.copy()
    moved[:, :3, :3] = viewmats[:, :3, :3] @ rotation.T
    moved[:, :3, 3] = scale * viewmats[:, :3, 3] - moved[:, :3, :3] @ offset
    return scale * mesh @ rotation.T + offset, moved
