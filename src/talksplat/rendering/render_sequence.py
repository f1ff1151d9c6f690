"""Render sequence: the conditions of each frame, of new speech along a camera path or of the source clip itself."""

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
from talksplat.rendering.driving_audio import DrivingAudio
from talksplat.rendering.source_clip import SourceClip
from talksplat.subject_format.audio_windows import audio_windows
from talksplat.types import Conditions

SPLITS = ("test", "train", "val")


@dataclass
class RenderSequence:
    """Conditions, poses and sound of a video to render; images are read separately."""

    clip: SourceClip
    path: CameraPath
    features: Float[Tensor, "row window width"]
    rows: Int[Tensor, " frame"]  # row of `features` of each frame: its frame number
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
        """Conditions of the frames of a chunk, on `device`."""
        viewmats = torch.as_tensor(self.path.viewmats[chunk], dtype=torch.float32)
        conditions = Conditions(
            audio=audio_windows(self.features, self.rows[chunk], self.context, self.ahead),
            eye=torch.as_tensor(self.clip.eye[self.path.eyes[chunk]], dtype=torch.float32),
            viewmats=viewmats,
            Ks=torch.as_tensor(self.clip.K).expand(len(viewmats), 3, 3).contiguous(),
            motion=self.motion[chunk],
            action_units=torch.as_tensor(self.clip.action_units[self.path.eyes[chunk]], dtype=torch.float32),
            frames=self.rows[chunk],
        )
        return conditions.to(device)


def speech_sequence(
    clip: SourceClip,
    driving: DrivingAudio,
    camera: Camera,
    context: int,
    motion_lags: Sequence[float] = (),
    ahead: int | None = None,
) -> RenderSequence:
    """New speech along a camera path, 25 frames a second."""
    if clip.subject is None:
        camera = camera.at(clip.plate_frame)
    path = camera(len(driving), VIDEO_FPS, clip.frame_ids, clip.viewmats)
    return RenderSequence(
        clip=clip,
        path=path,
        features=torch.from_numpy(driving.features),
        rows=torch.arange(len(driving)),
        context=context,
        ahead=ahead,
        sound=driving.sound,
        sound_rate=driving.sound_rate,
        fps=VIDEO_FPS,
        motion=_motion(path.viewmats, np.arange(len(driving)) / VIDEO_FPS, motion_lags),
    )


def split_sequence(
    clip: SourceClip,
    split: str,
    context: int,
    audio_across_split: bool = True,
    motion_lags: Sequence[float] = (),
    ahead: int | None = None,
) -> RenderSequence:
    """The clip's own "test" (held-out), "train" or "val" frames with their own sound.

    `audio_across_split` as for `FrameStore`: whether windows at the border include audio of the other split.

    Raises:
        UserError: unknown or empty split, or a clip whose folder is missing.
    """
    if split not in SPLITS:
        raise UserError(f"split={split} must be test (held-out frames), train or val")
    if clip.subject is None:
        raise UserError(f"split={split} compares with the frames of the clip: give its folder as subject=FOLDER")
    positions = clip.splits[split]
    if not len(positions):
        raise UserError(f"the clip has no {split} frames")
    frame_ids = clip.frame_ids[positions]
    features = torch.from_numpy(clip.subject.audio)
    if not audio_across_split:
        rows = torch.arange(len(features))
        inside = (rows >= int(frame_ids.min())) & (rows <= int(frame_ids.max()))
        features = torch.where(inside[:, None, None], features, 0)
    return RenderSequence(
        clip=clip,
        path=CameraPath(clip.viewmats[positions], positions, positions),
        features=features,
        rows=torch.from_numpy(frame_ids),
        context=context,
        ahead=ahead,
        sound=_sound_of(clip, frame_ids),
        sound_rate=SAMPLE_RATE,
        fps=clip.fps,
        # along the whole clip, as the head was moving before the split began
        motion=_motion(clip.viewmats, clip.frame_ids / clip.fps, motion_lags)[positions],
    )


def _motion(viewmats: np.ndarray, times: np.ndarray, lags: Sequence[float]) -> Tensor:
    return head_motion(torch.as_tensor(viewmats, dtype=torch.float32), torch.as_tensor(times), lags)


def _sound_of(clip: SourceClip, frame_ids: np.ndarray) -> np.ndarray | None:
    """Samples of `aud.wav` of each frame, concatenated, so that sound stays in sync across gaps in the frame numbers."""
    path = clip.subject.root / "aud.wav"
    if not path.is_file():
        return None
    samples = read_audio(path)
    starts = np.round(frame_ids * SAMPLE_RATE / clip.fps).astype(np.int64)
    index = starts[:, None] + np.arange(round(SAMPLE_RATE / clip.fps))
    return np.where(index < len(samples), samples[np.minimum(index, len(samples) - 1)], 0).ravel()
