"""Evaluation of a run from one of its checkpoints, in addition to its own results."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from talksplat.callbacks.progress import RunProgress
from talksplat.callbacks.time_left import Part
from talksplat.checkpoint import build_model, checkpoint_config, read_checkpoint, subject_of
from talksplat.command_line import escape_interpolations, setting
from talksplat.config import to_yaml, trusted_by
from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.open import open_subject
from talksplat.data.splits import PAPER
from talksplat.errors import UserError
from talksplat.evaluation.measure import ALIGNED, about, aligned, measure, spread
from talksplat.evaluation.speed import measure_speed
from talksplat.files import now, write_json, write_text
from talksplat.fingerprints import same_features
from talksplat.locks import locked
from talksplat.metrics.open import build_metrics, nodes_to_measure
from talksplat.provenance import describe_machine
from talksplat.rasterizer.trained import trained_rasterizer
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.rendering.request import choose_device
from talksplat.rendering.source_clip import check_frames
from talksplat.trackers.wandb_checkpoint import is_address

logger = logging.getLogger(__name__)
SPLITS = {"test": "held-out frames", "val": "validation frames", "train": "training frames", "all": "frames"}


def evaluate(config: DictConfig) -> tuple[dict[str, Any], Path]:
    """Evaluate as a checked configuration of the command says.

    Returns:
        the results, as in `metrics.json`, and the folder that has them.

    Raises:
        UserError: whatever is wrong with the settings or the files they name, before anything is measured.
    """
    check_settings(config)
    device = choose_device(config.device)
    try:
        checkpoint = read_checkpoint(config.run, trust=trusted_by(config))
        config = with_present_split(config, checkpoint)
        out = output_folder(config)
    except OSError as error:  # a name that is too long, a folder without permission
        raise UserError(f"{error.filename} cannot be used ({error.strerror})") from error
    trained = settings_for(checkpoint, config)
    data = open_subject(trained)
    entry = subject_of(checkpoint, config.person)
    check_features(data, entry, trained.audio.name)
    if config.subject is None:
        check_frames(data.subject.root, entry)
    renderer = renderer_of(checkpoint, trained, data, device, config.person)
    positions = frames_of(data, config)
    parts = [Part(name_of(config), "measured", len(positions), 1.0)]
    parts += [Part(ALIGNED, "aligned", len(positions), config.align_steps)] if config.align_steps else []
    with locked(out, "give another out=FOLDER"), new_folder(out) as made:
        with RunProgress(parts, 0, None) as progress:
            progress.begin(name_of(config))
            found = measure(trained, renderer, data, positions, made / "test", progress)
            facts = {"split": config.split, "chosen_on": chosen_on(checkpoint)}
            metrics = {**facts, **about(renderer, data, positions), "fps": renderer.clock.fps, **found}
            if config.align_steps:
                metrics["aligned"] = aligned(trained, renderer, data, positions, progress)
        if config.speed:
            metrics["speed"] = measure_speed(renderer, data, config.speed)
        metrics["checkpoint"] = {key: checkpoint["talksplat"].get(key) for key in ("stage", "mode", "step", "version")}
        write_json(made / "run_info.json", info_of(config, data))
        write_text(made / "config.yaml", to_yaml(trained))
        write_json(made / "metrics.json", metrics)
    return metrics, out


def check_settings(config: DictConfig) -> None:
    """Raise UserError for values out of range."""
    if config.split not in SPLITS:
        raise UserError(f"split={config.split}: choose one of {', '.join(SPLITS)}")
    for name, least in (("batch_size", 1), ("align_steps", 0), ("speed", 0)):
        if config[name] < least:
            raise UserError(f"{name}={config[name]} must be at least {least}")
    if config.frames is not None and config.frames < 1:
        raise UserError(f"frames={config.frames} must be at least 1, or null for all")


def chosen_on(checkpoint: dict[str, Any]) -> str:
    """Split on which previews, best checkpoints and a search of the run are chosen."""
    subject = checkpoint["talksplat"]["subject"]
    return "val" if "test" in subject and len(subject["val"]) else "test"


def with_present_split(config: DictConfig, checkpoint: dict[str, Any]) -> DictConfig:
    """The configuration with split=test for split=val, its name in older versions, for a run without validation frames."""
    if config.split != "val" or chosen_on(checkpoint) == "val":
        return config
    logger.warning("split=val is now split=test: this run has no validation frames (dataset.split=three keeps some)")
    return OmegaConf.merge(config, {"split": "test"})


def run_folder(config: DictConfig) -> Path | None:
    """Run folder of the checkpoint, the nearest one above it; None for a checkpoint that lies elsewhere or is remote."""
    if is_address(config.run):
        return None
    path = Path(config.run).expanduser().resolve()
    return next((folder for folder in (path, *path.parents[:3]) if (folder / "run_info.json").is_file()), None)


def output_folder(config: DictConfig) -> Path:
    """Folder of the results. Raises UserError if it exists, or if there is no run folder and no `out`."""
    run = run_folder(config)
    if config.out is not None:
        out = Path(config.out).expanduser().resolve()
    elif run is None:
        raise UserError(f"run={config.run} lies in no run folder here: give out=FOLDER for the results")
    else:
        path = Path(config.run).expanduser().resolve()
        checkpoint = path / "last" if path.is_dir() else path.with_suffix("")
        parts = [part for part in checkpoint.relative_to(run).parts if part != "stages"]
        parts += [config.split, *([] if config.person is None else [config.person])]
        parts += [*([] if config.subject is None else [Path(config.subject).expanduser().resolve().name])]
        out = run / "evaluation" / "_".join(parts)
    check_absent(out)
    return out


def check_absent(out: Path) -> None:
    """Raise UserError if the folder of the results exists."""
    if out.exists():
        raise UserError(f"{out} exists already, and nothing is overwritten: give another out=FOLDER, or remove it")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Folder, with one for video and picture, that becomes `out` at the end of the block; of a failure, or a killed process,
    nothing stays there. Raises UserError if `out` is there."""
    made = out.with_name(f".{out.name}.part")
    check_absent(out)
    shutil.rmtree(made, ignore_errors=True)  # of a killed process
    try:
        (made / "test").mkdir(parents=True)
        yield made
        made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def settings_for(checkpoint: dict[str, Any], config: DictConfig) -> DictConfig:
    """The configuration of the run, overridden by that of the command."""
    trained = checkpoint_config(checkpoint)
    evaluation = {"lpips_net": config.lpips_net, "batch_size": config.batch_size, "align_steps": config.align_steps}
    known = subject_of(checkpoint, config.person)["root"]  # wherever the command is given
    changes: dict[str, Any] = {"evaluation": evaluation}
    changes["dataset"] = {"root": known, "roots": None, "loader": {"root": known}}
    if config.paths.assets is not None:
        changes["paths"] = {"assets": config.paths.assets}
    if config.subject is not None:
        root = str(Path(config.subject).expanduser())
        loader = {"root": root, "max_frames": None, "train_seconds": None}
        if config.split != "val":
            loader["split"] = PAPER  # so that a clip too short for validation frames can be measured
        changes["dataset"] = {"root": root, "roots": None, "sample": None, "loader": loader}
    elif not Path(known).is_dir() and trained.dataset.get("sample") is None:
        raise UserError(f"the subject folder {known} is not there any more: give subject=FOLDER, where it is now")
    nodes = nodes_to_measure(trained, config, config.metrics)
    build_metrics(nodes)  # finds a wrong setting before anything is measured
    settings = OmegaConf.merge(trained, escape_interpolations(changes))
    settings.evaluation.metrics = nodes
    return settings


def check_features(data: PortraitDataModule, entry: dict[str, Any], audio: str) -> None:
    """Raise UserError unless a subject's features are of the kind that the avatar was trained with."""
    known, here = entry.get("audio_fingerprint"), data.subject.audio_fingerprint
    if known is not None and here is not None and not same_features(here, known.cpu().numpy()):
        raise UserError(
            f"{data.subject.root} has audio features of another model than those that this avatar was trained with: recompute "
            f"them with python -m talksplat.preprocess {setting('features', data.subject.root)} audio={audio} overwrite=true"
        )


def renderer_of(
    checkpoint: dict[str, Any],
    trained: DictConfig,
    data: PortraitDataModule,
    device: torch.device,
    person: str | None = None,
) -> AvatarRenderer:
    """Renderer of a checkpoint, with the rasteriser of its training where that works on the device."""
    entry, model = checkpoint["talksplat"], build_model(checkpoint, device, person)
    model.freeze_for_inference()
    rasterizer = trained_rasterizer(trained.rasterizer, device)
    size = (data.subject.width, data.subject.height)
    return AvatarRenderer(model, rasterizer, entry["mode"], entry["active_sh_degree"], *size)


def frames_of(data: PortraitDataModule, config: DictConfig) -> np.ndarray:
    """Positions of the frames that are measured."""
    subject = data.subject
    every = np.arange(len(subject.frame_ids)) if config.split == "all" else getattr(subject, config.split)
    return every if config.frames is None else spread(every, config.frames)


def name_of(config: DictConfig) -> str:
    """Name of the measured frames for display."""
    return SPLITS[config.split]


def info_of(config: DictConfig, data: PortraitDataModule) -> dict[str, Any]:
    """`run_info.json` of a measurement: that of the run, with subject and machine of the measurement. Times of training
    are kept only if that is the machine of the run."""
    run, machine = run_folder(config), describe_machine()
    known = {} if run is None else json.loads((run / "run_info.json").read_text())
    if any(known.get(key) != machine[key] for key in ("host", "gpu", "cpu_count")):
        known.pop("timings", None)
    return {**known, **machine, "subject": data.describe(), "measured": now()}
