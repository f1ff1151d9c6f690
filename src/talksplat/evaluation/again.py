"""Measures a run again, from one of its checkpoints, beside the results that it has."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from talksplat.callbacks.progress import RunProgress
from talksplat.callbacks.time_left import Part
from talksplat.checkpoint import build_model, checkpoint_config, read_checkpoint
from talksplat.config import instantiate, to_yaml
from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.open import open_subject
from talksplat.errors import UserError
from talksplat.evaluation.measure import ALIGNED, about, aligned, measure, spread
from talksplat.evaluation.speed import measure_speed
from talksplat.files import write_json, write_text
from talksplat.fingerprints import same_features
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.rendering.request import choose_device
from talksplat.trackers.wandb_checkpoint import is_address

logger = logging.getLogger(__name__)
SPLITS = ("val", "train", "all")


def evaluate(config: DictConfig) -> tuple[dict[str, Any], Path]:
    """Measure what a checked configuration of the command asks for.

    Returns:
        the results, as in `metrics.json`, and the folder that has them.

    Raises:
        UserError: whatever is wrong with the settings or the files they name, before anything is measured.
    """
    check_settings(config)
    device = choose_device(config.device)
    checkpoint = read_checkpoint(config.run)
    out = output_folder(config)
    trained = settings_for(checkpoint, config)
    data = open_subject(trained)
    check_features(data, checkpoint)
    renderer = renderer_of(checkpoint, trained, data, device)
    positions = frames_of(data, config)
    parts = [Part(name_of(config), "measured", len(positions), 1.0)]
    parts += [Part(ALIGNED, "aligned", len(positions), config.align_steps)] if config.align_steps else []
    make_folder(out)
    try:
        with RunProgress(parts, 0, None) as progress:
            progress.begin(name_of(config))
            found = measure(trained, renderer, data, positions, out / "test", progress)
            metrics = {"split": config.split, **about(renderer, data), "fps": renderer.clock.fps, **found}
            if config.align_steps:
                metrics["aligned"] = aligned(trained, renderer, data, positions, progress)
        if config.speed:
            metrics["speed"] = measure_speed(renderer, data, config.speed)
        metrics["checkpoint"] = {key: checkpoint["talksplat"].get(key) for key in ("stage", "mode", "step", "version")}
        write_results(out, metrics, trained, run_folder(config))
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return metrics, out


def check_settings(config: DictConfig) -> None:
    """Raise UserError for values that cannot be."""
    if config.split not in SPLITS:
        raise UserError(f"split={config.split}: choose one of {', '.join(SPLITS)}")
    for name, least in (("batch_size", 1), ("align_steps", 0), ("speed", 0)):
        if config[name] < least:
            raise UserError(f"{name}={config[name]} must be at least {least}")
    if config.frames is not None and config.frames < 1:
        raise UserError(f"frames={config.frames} must be at least 1, or null for all")


def run_folder(config: DictConfig) -> Path | None:
    """The folder of the run on this machine; None for one that came over the network."""
    if is_address(config.run):
        return None
    path = Path(config.run).expanduser()
    return path if path.is_dir() else path.parent


def output_folder(config: DictConfig) -> Path:
    """Where results go. Raises UserError if something is there, or if there is no place for them."""
    if config.out is not None:
        out = Path(config.out).expanduser()
    elif run_folder(config) is None:
        raise UserError(f"run={config.run} has no folder here: give out=FOLDER for the results")
    else:
        path = Path(config.run).expanduser()
        name = f"{'last' if path.is_dir() else path.stem}_{config.split}"
        name += "" if config.subject is None else f"_{Path(config.subject).expanduser().resolve().name}"
        out = run_folder(config) / "evaluation" / name
    if out.exists():
        raise UserError(f"{out} is there already, and nothing is overwritten: give another out=FOLDER, or remove it")
    return out


def make_folder(out: Path) -> None:
    """The folder of the results, with one for video and picture."""
    try:
        (out / "test").mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot make {out} ({error.strerror or error}): give another out=FOLDER") from error


def settings_for(checkpoint: dict[str, Any], config: DictConfig) -> DictConfig:
    """The configuration of the run, with what is asked for now in its place."""
    trained = checkpoint_config(checkpoint)
    evaluation = {"lpips_net": config.lpips_net, "batch_size": config.batch_size, "align_steps": config.align_steps}
    changes: dict[str, Any] = {"evaluation": evaluation, "paths": {"assets": config.paths.assets}}
    if config.subject is not None:
        root = str(Path(config.subject).expanduser())
        loader = {"root": root, "max_frames": None, "train_seconds": None}
        changes["dataset"] = {"root": root, "sample": None, "loader": loader}
    return OmegaConf.merge(trained, changes)


def check_features(data: PortraitDataModule, checkpoint: dict[str, Any]) -> None:
    """Raise UserError unless a subject's features are of the kind that the avatar learned from."""
    known, here = checkpoint["talksplat"]["subject"].get("audio_fingerprint"), data.subject.audio_fingerprint
    if known is not None and here is not None and not same_features(here, known.cpu().numpy()):
        raise UserError(
            f"{data.subject.root} has audio features of another model than those that this avatar was trained with: make "
            f"them again with python -m talksplat.preprocess features={data.subject.root} overwrite=true"
        )


def renderer_of(
    checkpoint: dict[str, Any], trained: DictConfig, data: PortraitDataModule, device: torch.device
) -> AvatarRenderer:
    """The avatar as its checkpoint draws it, with the rasteriser of its training."""
    entry, model = checkpoint["talksplat"], build_model(checkpoint, device)
    model.freeze_for_inference()
    size = (data.subject.width, data.subject.height)
    return AvatarRenderer(model, instantiate(trained.rasterizer), entry["mode"], entry["active_sh_degree"], *size)


def frames_of(data: PortraitDataModule, config: DictConfig) -> np.ndarray:
    """Positions of the frames that are measured."""
    subject = data.subject
    every = {"val": subject.val, "train": subject.train, "all": np.arange(len(subject.frame_ids))}[config.split]
    return every if config.frames is None else spread(every, config.frames)


def name_of(config: DictConfig) -> str:
    """What is measured, in words."""
    return {"val": "held-out frames", "train": "training frames", "all": "frames"}[config.split]


def write_results(out: Path, metrics: dict[str, Any], trained: DictConfig, run: Path | None) -> None:
    """`metrics.json`, `config.yaml` and `run_info.json`: what `talksplat.compare` reads of a run."""
    write_text(out / "config.yaml", to_yaml(trained))
    if run is not None and (run / "run_info.json").is_file():
        shutil.copyfile(run / "run_info.json", out / "run_info.json")
    write_json(out / "metrics.json", metrics)
