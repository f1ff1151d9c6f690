"""Measures a foreign video on the held-out frames of a run. Imported late: torch takes seconds."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf

from talksplat import __version__
from talksplat.compare.foreign_frames import frames_of
from talksplat.compare.run_result import RunResult
from talksplat.data.frame_store import FrameStore
from talksplat.errors import UserError
from talksplat.files import write_json, write_text
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.media.video_writer import VideoWriter
from talksplat.metrics.open import nodes_of_run, open_suite
from talksplat.metrics.suite import MetricSuite
from talksplat.provenance import git_state
from talksplat.subject_format.subject import read_subject

BATCH = 4
CRF = 12  # as the runs' own videos


class HeldOutFrames:
    """The frames that a run was measured on, read from its subject folder; those alone are decoded.

    Args:
        run: says where the folder is, what was measured and how.

    Raises:
        UserError: the folder is not there any more, or has other frames by now.
    """

    def __init__(self, run: RunResult) -> None:
        self.run = run
        dataset: dict[str, Any] = run.config.get("dataset") or {}
        root, loader = dataset.get("root"), dataset.get("loader") or {}
        if root is None or not Path(root).expanduser().is_dir() or "audio_files" not in loader:
            raise UserError(
                f"foreign= needs the frames of {run.name}, but its subject folder {root} (dataset.root in its config.yaml) is "
                "not there: run the command where that path leads to it"
            )
        audio = [loader[key] for key in ("audio_files", "audio_width", "audio_window")]
        subject = read_subject(root, *audio, soft_masks=loader.get("soft_masks", True))
        self.clip_ids = subject.frame_ids.tolist()
        if not set(run.frame_ids) <= set(self.clip_ids):
            raise UserError(
                f"{root} has not the frames any more that {run.name} was measured on: preprocess its video again"
            )
        self.audio = read_audio(subject.root / "aud.wav") if (subject.root / "aud.wav").is_file() else None
        self.subject = subject.subset(np.flatnonzero(np.isin(subject.frame_ids, run.frame_ids)))
        if [self.subject.width, self.subject.height] != run.metrics["resolution"]:
            raise UserError(f"{root} is not of {run.metrics['resolution']} pixels any more as {run.name} is")
        self.store = FrameStore(self.subject)

    def suite(self) -> MetricSuite:
        """The metrics as the run was measured."""
        assets = (self.run.config.get("paths") or {}).get("assets")
        return open_suite(nodes_of_run(self.run.config), assets, subject=self.subject)

    def sound(self) -> np.ndarray | None:
        """What is heard from the first frame on."""
        if self.audio is None:
            return None
        return self.audio[round(int(self.subject.frame_ids[0]) / self.subject.fps * SAMPLE_RATE) :]


def measure_video(name: str, source: Path, stamp: str, held_out: HeldOutFrames, folder: Path) -> None:
    """Measure a video and write it as a run folder; an older one of this name is replaced when all is done.

    Raises:
        UserError: the video does not fit the frames.
    """
    subject, run = held_out.subject, held_out.run
    frames = frames_of(source, subject.frame_ids.tolist(), held_out.clip_ids, subject.width, subject.height)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f".{name}.{os.getpid()}.part")
    try:
        size = (subject.width, subject.height)
        with VideoWriter(
            made / "test" / "render.mp4", *size, subject.fps, held_out.sound(), SAMPLE_RATE, crf=CRF
        ) as writer:
            result = _measure(frames, held_out, writer)
        known = {key: run.metrics[key] for key in ("subject", "resolution")}
        metrics = {"split": run.split, "chosen_on": None, **known}
        write_json(made / "metrics.json", {**metrics, "fps": None, **result})
        write_json(made / "run_info.json", _info(source, held_out))
        foreign = {"name": name, "source": str(source.resolve()), "stamp": stamp}
        config = {"foreign": foreign, **{key: run.config.get(key) for key in ("dataset", "evaluation", "paths")}}
        write_text(made / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        with contextlib.suppress(OSError):  # nothing stays of a comparison that was refused
            folder.parent.rmdir()
            folder.parent.parent.rmdir()


def _measure(frames: Iterator[np.ndarray], held_out: HeldOutFrames, writer: VideoWriter) -> dict[str, Any]:
    suite = held_out.suite()
    for positions in torch.arange(len(held_out.subject.frame_ids)).split(BATCH):
        pictures = [next(frames) for _ in positions]
        for picture in pictures:
            writer.write(picture)
        rendered = torch.from_numpy(np.stack(pictures)).float() / 255
        suite.update(rendered, held_out.store.batch(positions, "cpu"))
    return suite.compute()


def _info(source: Path, held_out: HeldOutFrames) -> dict[str, Any]:
    subject = {"root": str(held_out.subject.root), "head_masks": "alpha" if held_out.subject.soft_masks else "parsing"}
    foreign = str(source.resolve())
    return {
        "talksplat": __version__,
        "git": git_state(),
        "command": " ".join(sys.argv),
        "foreign": foreign,
        "subject": subject,
    }
