"""Run folders as a finished training leaves them, with made values."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import yaml

from talksplat.compare.data import ComparisonData
from talksplat.compare.document import Section, Table
from talksplat.compare.load.run import RunResult, read_run
from talksplat.compare.report.render import render
from talksplat.media.sound import write_wav
from talksplat.media.video_writer import VideoWriter
from talksplat.subject_format.images import encode_image
from tests.helpers.metrics import metric_definitions

FRAMES = [20, 21, 22, 25]
SIZE = 64

BASE = {
    "metrics": {
        "split": "val",
        "subject": "someone",
        "resolution": [SIZE, SIZE],
        "num_gaussians": 12345,
        "fps": 50.0,
        "definitions": metric_definitions("alex"),
        "mean": {"psnr": 20.0, "ssim": 0.9, "lpips": 0.1, "psnr_head": 18.0, "psnr_mouth": 17.0, "lmd": 2.0},
        "reasons": {"mouth_correlation": "no truth for this clip", "psnr_composite": "not asked for"},
        "frames": [{"frame_id": i, "psnr": 20.0, "psnr_head": 18.0} for i in FRAMES],
    },
    "info": {
        "seed": 0,
        "timings": {"coarse": 10.0, "fine": 30.5},
        "cpu_count": 2,
        "host": "here",
        "command": "train.py",
    },
    "config": {
        "seed": 0,
        "model": {"_target_": "talksplat.models.gaussiantalker.GaussianTalker"},
        "stage": {"purpose": "quick: a first look"},
        "loss": {"lip": {"weight": 0.4}},
        "paths": {"outputs": "outputs"},
        "dataset": {"root": "nowhere"},
    },
}


def make_run(folder: Path, **changes) -> Path:
    """Write a run folder; `changes` are dotted paths with "__" for the dot, e.g. metrics__mean__psnr=21."""
    content = copy.deepcopy(BASE)
    for path, value in changes.items():
        *parents, last = path.split("__")
        if not parents:
            content[last] = value
            continue
        node = content
        for parent in parents:
            node = node[parent]
        node[last] = value
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(content["metrics"]))
    (folder / "run_info.json").write_text(json.dumps(content["info"]))
    (folder / "config.yaml").write_text(yaml.safe_dump(content["config"]))
    return folder


def runs_of(folder: Path, *changes: dict) -> list[RunResult]:
    """Runs r0, r1, ... below a folder, read."""
    return [read_run(make_run(folder / f"r{i}", **change), f"r{i}") for i, change in enumerate(changes)]


def data_of(folder: Path, *changes: dict) -> ComparisonData:
    """The same, as they are compared."""
    return ComparisonData(runs_of(folder, *changes))


def markdown_page(section: Section) -> str:
    """A section as the page has it."""
    return render("comparison.md.j2", sections=[section])


def markdown_of(table: Table) -> str:
    """A table as the page has it."""
    return markdown_page(Section("", [table]))


def chosen(model: str, *experiments: str, overrides: tuple[str, ...] = ()) -> dict:
    """`config__chosen` of a run."""
    return {"groups": {"model": model}, "experiments": list(experiments), "overrides": list(overrides)}


def seeded(seed: int, **changes) -> dict:
    """Changes of a run with a seed."""
    return {"config__seed": seed, "info__seed": seed, **changes}


def add_video(run: Path, level: int) -> None:
    """A flat grey `test/render.mp4`."""
    (run / "test").mkdir()
    with VideoWriter(run / "test" / "render.mp4", SIZE, SIZE) as writer:
        for _ in FRAMES:
            writer.write(np.full((SIZE, SIZE, 3), level, np.uint8))


def add_history(run: Path, points: dict[int, tuple[float, float]], stage: str = "fine") -> None:
    """`metrics.csv` as training leaves it: {step: (seconds, held-out composite PSNR)} among rows of other names."""
    lines = ["step,name,value"]
    for step, (seconds, psnr) in points.items():
        lines += [f"{step},{stage}/loss,0.1", f"{step},{stage}/seconds,{seconds}"]
        lines += [f"{step},{stage}/val_psnr_composite,{psnr}", f"{step},{stage}/images_per_second,3"]
    (run / "metrics.csv").write_text("\r\n".join(lines) + "\r\n")


def frames(*values: float, **more: float) -> list[dict]:
    """`metrics__frames` with these values of PSNR, of the head and of the frame."""
    return [{"frame_id": i, "psnr": value, "psnr_head": value, **more} for i, value in enumerate(values)]


def write_originals(folder: Path, pictures: dict[int, np.ndarray], sound: np.ndarray | None = None) -> Path:
    """What is left of a subject folder: frames by number, and its sound at 16 kHz."""
    (folder / "ori_imgs").mkdir(parents=True)
    for frame_id, picture in pictures.items():
        (folder / "ori_imgs" / f"{frame_id}.jpg").write_bytes(encode_image(picture, ".jpg"))
    if sound is not None:
        write_wav(folder / "aud.wav", sound)
    return folder
