"""Measures a foreign video on the held-out frames of a run. Imported late: torch takes seconds."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from omegaconf import OmegaConf

from talksplat import __version__
from talksplat.compare.external.videos import IMAGE_SUFFIXES
from talksplat.compare.load.run import RunResult
from talksplat.config.from_files import check_classes, check_resolved
from talksplat.data.frame_store import FrameStore
from talksplat.errors import UserError
from talksplat.files import write_json, write_text
from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.media.video import probe, read_frames
from talksplat.media.video_writer import VideoWriter
from talksplat.metrics.open import nodes_of_run, open_suite
from talksplat.provenance import git_state
from talksplat.subject_format.identity import identity
from talksplat.subject_format.images import decode_image
from talksplat.subject_format.subject import read_subject

BATCH = 4
CRF = 12  # as the runs' own videos


class HeldOutFrames:
    """The frames that a run was measured on, read from its subject folder; those alone are decoded. Raises UserError where the
    folder is not there any more, or has other frames by now, or the run names metrics of others than `trust`."""

    def __init__(self, run: RunResult, trust: Sequence[str] = ()) -> None:
        self.run = run
        check_resolved(run.config, run.path)
        check_classes({"evaluation": run.config.get("evaluation")}, run.path, trust)
        dataset: dict[str, Any] = run.config.get("dataset") or {}
        root, loader = run.subject_root, dataset.get("loader") or {}
        if root is None or not root.is_dir() or "audio_files" not in loader:
            raise UserError(
                f"foreign= needs the frames of {run.name}, but its subject folder {root} (dataset.root in its config.yaml) is "
                "not there: run the command where that path leads to it"
            )
        audio = [loader[key] for key in ("audio_files", "audio_width", "audio_window")]
        subject = read_subject(root, *audio, soft_masks=loader.get("soft_masks", True))
        self.clip_ids = subject.frame_ids.tolist()
        self.subject = subject.subset(np.flatnonzero(np.isin(subject.frame_ids, run.frame_ids)))
        now = identity(self.subject)
        same = all(now[part] == known for part, known in run.identity.items() if part in ("frames", "masks"))
        if not set(run.frame_ids) <= set(self.clip_ids) or not same:
            raise UserError(
                f"{root} has not the frames any more that {run.name} was measured on: preprocess its video again"
            )
        if [self.subject.width, self.subject.height] != run.metrics["resolution"]:
            raise UserError(f"{root} is not of {run.metrics['resolution']} pixels any more as {run.name} is")
        self.store = FrameStore(self.subject)
        sound = subject.root / "aud.wav"
        start = round(int(self.subject.frame_ids[0]) / subject.fps * SAMPLE_RATE)
        self.sound = read_audio(sound)[start:] if sound.is_file() else None

    def measure(self, frames: Iterator[np.ndarray], path: Path) -> dict[str, Any]:
        """Write frames as a video, with the sound of the clip, and measure them as the run was."""
        assets = (self.run.config.get("paths") or {}).get("assets")
        subject = self.subject
        suite = open_suite(nodes_of_run(self.run.config), assets, subject=subject)
        size = (subject.width, subject.height)
        with VideoWriter(path, *size, subject.fps, self.sound, SAMPLE_RATE, crf=CRF) as writer:
            for positions in torch.arange(len(subject.frame_ids)).split(BATCH):
                pictures = [next(frames) for _ in positions]
                for picture in pictures:
                    writer.write(picture)
                suite.update(torch.from_numpy(np.stack(pictures)).float() / 255, self.store.batch(positions, "cpu"))
        return suite.compute()


def measure_video(name: str, source: Path, stamp: str, held_out: HeldOutFrames, folder: Path) -> None:
    """Measure a video and write it as a run folder; an older one of this name is replaced when all is done. Raises UserError for
    a video that does not fit the frames."""
    subject, run = held_out.subject, held_out.run
    frames = frames_of(source, subject.frame_ids.tolist(), held_out.clip_ids, subject.width, subject.height)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f".{name}.{os.getpid()}.part")
    foreign = {"name": name, "source": str(source.resolve()), "stamp": stamp}
    try:
        known = {key: run.metrics[key] for key in ("subject", "resolution", "identity") if key in run.metrics}
        metrics = {"split": run.split, "chosen_on": None, **known, "fps": None}
        metrics |= held_out.measure(frames, made / "test" / "render.mp4")
        masks = {"root": str(subject.root), "head_masks": "alpha" if subject.soft_masks else "parsing"}
        made_by = {"talksplat": __version__, "git": git_state(), "command": shlex.join(sys.argv)}
        config = {"foreign": foreign, **{key: run.config.get(key) for key in ("dataset", "evaluation", "paths")}}
        write_json(made / "metrics.json", metrics)
        write_json(made / "run_info.json", {**made_by, "foreign": foreign["source"], "subject": masks})
        write_text(made / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        with contextlib.suppress(OSError):  # nothing stays of a comparison that was refused
            folder.parent.rmdir()
            folder.parent.parent.rmdir()


def frames_of(
    source: Path, frame_ids: Sequence[int], clip_ids: Sequence[int], width: int, height: int
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Frames of an MP4 file or a folder of numbered images, one for each of `frame_ids`, in this order; `clip_ids` are those of
    all frames of the subject.

    As many as `frame_ids`: taken in their order. As many as the whole clip: those of the split are cut out. More images than
    the split, numbered by frame: found by their number. One row or column more than width and height is cut off: encoders pad
    odd sizes. Raises UserError for another number of frames, another size, or what cannot be read, when reading comes to it.
    """
    found = _from_folder(source, frame_ids, clip_ids) if source.is_dir() else _from_video(source, frame_ids, clip_ids)
    for path, picture in found:
        tall, wide = picture.shape[:2]
        if not (0 <= wide - width <= 1 and 0 <= tall - height <= 1):
            raise UserError(
                f"{path} is {wide}x{tall}, but the runs are {width}x{height}: rescale it so that the face covers the same "
                f"pixels, e.g. ffmpeg -i IN -vf scale={width}:{height}:flags=lanczos -crf 12 OUT"
            )
        yield picture[:height, :width]


def places(count: int, frame_ids: Sequence[int], clip_ids: Sequence[int], source: Path) -> list[int]:
    """Positions of the split's frames among `count` frames in their order."""
    if count == len(frame_ids):
        return list(range(count))
    if count == len(clip_ids):
        position = {frame_id: place for place, frame_id in enumerate(clip_ids)}
        return [position[frame_id] for frame_id in frame_ids]
    if count == max(clip_ids) + 1:  # the whole video, with the frames that the subject left out
        return list(frame_ids)
    raise UserError(
        f"{source} has {count} frames, but the split has {len(frame_ids)} ({frame_ids[0]} to {frame_ids[-1]}) and the whole "
        f"clip {len(clip_ids)}: render one of the two, at the clip's frame rate"
    )


def _from_video(source: Path, frame_ids: Sequence[int], clip_ids: Sequence[int]) -> Iterator[tuple[Path, np.ndarray]]:
    info = probe(source)
    wanted = set(places(info.num_frames, frame_ids, clip_ids, source))
    for index, picture in enumerate(islice(read_frames(source, info.fps), max(wanted) + 1)):
        if index in wanted:
            wanted.remove(index)
            yield source, picture
    if wanted:
        raise UserError(
            f"{source} says that it has {info.num_frames} frames, but {len(wanted)} of those that belong to the split cannot be "
            "decoded: it is cut off, or its frame rate varies; write it again at a constant rate"
        )


def _from_folder(source: Path, frame_ids: Sequence[int], clip_ids: Sequence[int]) -> Iterator[tuple[Path, np.ndarray]]:
    numbered = _numbered(source)
    chosen = [numbered[frame_id] for frame_id in frame_ids if frame_id in numbered]
    if len(numbered) in (len(frame_ids), len(clip_ids)) or len(chosen) < len(frame_ids):
        paths = [numbered[number] for number in sorted(numbered)]
        chosen = [paths[place] for place in places(len(paths), frame_ids, clip_ids, source)]
    return ((path, decode_image(path)) for path in chosen)


def _numbered(folder: Path) -> dict[int, Path]:
    """Images by the last number in their name."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            digits = re.findall(r"\d+", path.stem)
            if not digits:
                raise UserError(f"{path} has no number: name the images by their frame, e.g. 00012.png")
            if int(digits[-1]) in found:
                raise UserError(f"{path} and {found[int(digits[-1])].name} have the same number: leave one of them out")
            found[int(digits[-1])] = path
    if not found:
        raise UserError(
            f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)}): give a folder of numbered images or an MP4 file"
        )
    return found
