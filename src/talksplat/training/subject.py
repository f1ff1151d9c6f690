"""Subject of a run: its checkpoint entry and its statistics."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from talksplat.data.datamodule import PortraitDataModule
from talksplat.geometry.cameras import project
from talksplat.models.subject_states import FIRST
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.subject_format.subject import Subject

logger = logging.getLogger(__name__)
MOUTH_FRAMES, MOUTH_POINTS = 40, 20  # from which its position is computed


def subject_entry(data: PortraitDataModule) -> dict[str, Any]:
    """Checkpoint entry of a subject, from which an avatar can be rendered without the folder.

    `plate` is the background with the torso of the first training frame, uint8 [H, W, 3].
    """
    subject = data.subject
    first = data.store.batch(torch.as_tensor(subject.train[:1]), "cpu")
    return {
        "root": str(Path(subject.root).resolve()),
        "frames_hash": data.identity["frames"],
        "frame_ids": torch.as_tensor(subject.frame_ids),
        "viewmats": torch.as_tensor(subject.viewmats),
        "K": torch.as_tensor(subject.K),
        "eye": torch.as_tensor(subject.eye),
        "action_units": torch.as_tensor(subject.action_units),
        "train": torch.as_tensor(subject.train),
        "val": torch.as_tensor(subject.val),
        "test": torch.as_tensor(subject.test),
        "width": subject.width,
        "height": subject.height,
        "fps": float(subject.fps),
        "audio_fingerprint": _tensor(subject.audio_fingerprint),
        "plate": first.background_u8[0].cpu(),
    }


def subject_statistics(subject: Subject, name: str = FIRST) -> SubjectStatistics:
    """Statistics that an avatar is initialised with, of the training frames only."""
    mouth = mouth_center(subject)
    return SubjectStatistics(
        vertices=torch.as_tensor(subject.vertices),
        viewmats=torch.as_tensor(subject.viewmats[subject.train]),
        vertex_colors=None if subject.vertex_colors is None else torch.as_tensor(subject.vertex_colors),
        audio=torch.as_tensor(subject.features[subject.train]),
        frames=torch.as_tensor(subject.frame_ids[subject.train]),
        lip_measures=torch.as_tensor(subject.lip_measures[subject.train]),
        audio_fingerprint=_tensor(subject.audio_fingerprint),
        mouth=_tensor(mouth),
        name=name,
    )


def head_size(vertices: Float[torch.Tensor, "vertex 3"]) -> float:
    """Radius (dm) around the middle of the start points in which 95 % of them lie."""
    return float((vertices - vertices.mean(0)).norm(dim=-1).quantile(0.95))


def _tensor(array: np.ndarray | None) -> torch.Tensor | None:
    return None if array is None else torch.as_tensor(array)


def mouth_center(subject: Subject) -> Float[np.ndarray, 3] | None:
    """Middle of the lips in dm: the start points that project nearest to the lip boxes' centres on average over training frames.

    None where the folder has no landmarks or no start points.
    """
    frames = subject.train[np.linspace(0, len(subject.train) - 1, min(len(subject.train), MOUTH_FRAMES)).astype(int)]
    boxes = subject.lip_boxes[frames]
    known = boxes[:, 2] > boxes[:, 0]
    if not known.any() or len(subject.vertices) < MOUTH_POINTS:
        return None
    centers = torch.as_tensor((boxes[known, :2] + boxes[known, 2:]) / 2).float()
    viewmats = torch.as_tensor(subject.viewmats[frames][known])
    Ks = torch.as_tensor(subject.K).expand(len(viewmats), 3, 3)
    pixels, _ = project(torch.as_tensor(subject.vertices), viewmats, Ks)
    distance = (pixels - centers[:, None]).norm(dim=-1).mean(0)
    return subject.vertices[distance.argsort()[:MOUTH_POINTS].numpy()].mean(0)
