"""What drives each frame of a video: new speech along a camera path, or the frames of the clip itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from talksplat.audio import VIDEO_FPS
from talksplat.errors import UserError
from talksplat.geometry.head_motion import head_motion
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.rendering.camera_paths import Camera, CameraPath
from talksplat.rendering.drive import Drive
from talksplat.rendering.scene import Scene
from talksplat.subject_format.audio_windows import audio_windows
from talksplat.types import Conditions

SPLITS = ("test", "train", "val")


@dataclass
class Plan:
    """A video to render, frame by frame, without its images."""

    scene: Scene
    path: CameraPath
    features: Float[Tensor, "row window width"]
    rows: Int[Tensor, " frame"]  # row of `features` that belongs to each frame: its number
    context: int  # windows around a frame
    ahead: int | None  # of them after it, see `subject_format.audio_windows`
    sound: Float[np.ndarray, " sample"] | None
    sound_rate: int
    fps: float
    motion: Float[Tensor, "frame lag 6"]  # of the head along the path, see `head_motion`

    def __len__(self) -> int:
        return len(self.rows)

    def chunks(self, size: int) -> list[slice]:
        """Consecutive frames, `size` at a time."""
        return [slice(start, min(start + size, len(self))) for start in range(0, len(self), size)]

    def conditions(self, chunk: slice, device: torch.device) -> Conditions:
        """What drives the frames of a chunk, on `device`."""
        viewmats = torch.as_tensor(self.path.viewmats[chunk], dtype=torch.float32)
        conditions = Conditions(
            audio=audio_windows(self.features, self.rows[chunk], self.context, self.ahead),
            eye=torch.as_tensor(self.scene.eye[self.path.eyes[chunk]], dtype=torch.float32),
            viewmats=viewmats,
            Ks=torch.as_tensor(self.scene.K).expand(len(viewmats), 3, 3).contiguous(),
            motion=self.motion[chunk],
            action_units=torch.as_tensor(self.scene.action_units[self.path.eyes[chunk]], dtype=torch.float32),
            frames=self.rows[chunk],
        )
        return conditions.to(device)


def plan_speech(
    scene: Scene,
    drive: Drive,
    camera: Camera,
    context: int,
    motion_lags: Sequence[float] = (),
    ahead: int | None = None,
) -> Plan:
    """New speech along a camera path, 25 frames a second."""
    if scene.subject is None:
        camera = camera.at(scene.plate_frame)
    path = camera(len(drive), VIDEO_FPS, scene.frame_ids, scene.viewmats)
    return Plan(
        scene=scene,
        path=path,
        features=torch.from_numpy(drive.features),
        rows=torch.arange(len(drive)),
        context=context,
        ahead=ahead,
        sound=drive.sound,
        sound_rate=drive.sound_rate,
        fps=VIDEO_FPS,
        motion=_motion(path.viewmats, np.arange(len(drive)) / VIDEO_FPS, motion_lags),
    )


def plan_split(
    scene: Scene,
    split: str,
    context: int,
    audio_across_split: bool = True,
    motion_lags: Sequence[float] = (),
    ahead: int | None = None,
) -> Plan:
    """The clip's own "test" (held-out), "train" or "val" frames with their own sound.

    `audio_across_split` as for `FrameStore`: whether the audio of the other split may be heard at the border.

    Raises:
        UserError: unknown or empty split, or a clip whose folder is gone.
    """
    if split not in SPLITS:
        raise UserError(f"split={split} must be test (held-out frames), train or val")
    if scene.subject is None:
        raise UserError(f"split={split} compares with the frames of the clip: give its folder as subject=FOLDER")
    positions = scene.splits[split]
    if not len(positions):
        raise UserError(f"the clip has no {split} frames")
    frame_ids = scene.frame_ids[positions]
    features = torch.from_numpy(scene.subject.audio)
    if not audio_across_split:
        rows = torch.arange(len(features))
        inside = (rows >= int(frame_ids.min())) & (rows <= int(frame_ids.max()))
        features = torch.where(inside[:, None, None], features, 0)
    return Plan(
        scene=scene,
        path=CameraPath(scene.viewmats[positions], positions, positions),
        features=features,
        rows=torch.from_numpy(frame_ids),
        context=context,
        ahead=ahead,
        sound=_sound_of(scene, frame_ids),
        sound_rate=SAMPLE_RATE,
        fps=scene.fps,
        # along the whole clip: the head was moving before the split began
        motion=_motion(scene.viewmats, scene.frame_ids / scene.fps, motion_lags)[positions],
    )


def _motion(viewmats: np.ndarray, times: np.ndarray, lags: Sequence[float]) -> Tensor:
    return head_motion(torch.as_tensor(viewmats, dtype=torch.float32), torch.as_tensor(times), lags)


def _sound_of(scene: Scene, frame_ids: np.ndarray) -> np.ndarray | None:
    """The stretch of `aud.wav` that belongs to each frame, joined, so that gaps in the frame numbers stay in step."""
    path = scene.subject.root / "aud.wav"
    if not path.is_file():
        return None
    samples = read_audio(path)
    starts = np.round(frame_ids * SAMPLE_RATE / scene.fps).astype(np.int64)
    index = starts[:, None] + np.arange(round(SAMPLE_RATE / scene.fps))
    return np.where(index < len(samples), samples[np.minimum(index, len(samples) - 1)], 0).ravel()
