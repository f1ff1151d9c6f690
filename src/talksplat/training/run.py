"""A training run: its folder, its stages in order, its measurements."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from talksplat.callbacks.backup import Backup
from talksplat.callbacks.progress import RunProgress
from talksplat.config import instantiate
from talksplat.data.datamodule import PortraitDataModule
from talksplat.errors import Interrupted, Pruned
from talksplat.trackers.base import Outcome, Tracker
from talksplat.trackers.open import open_trackers
from talksplat.training.checkpoint import load_weights, read_checkpoint, with_architectures
from talksplat.training.console import end_on_sigterm, quiet_libraries
from talksplat.training.evaluate import evaluate_run
from talksplat.training.fit import Place, fit_stage
from talksplat.training.folder import RunFolder
from talksplat.training.parameter_groups import unfreeze_audio_layers
from talksplat.training.parts import run_parts
from talksplat.training.pose_refinement import open_pose_refinement
from talksplat.training.preflight import build_losses
from talksplat.training.provenance import RunInfo
from talksplat.training.stage import camera_spread
from talksplat.training.subject import open_subject, subject_statistics

logger = logging.getLogger(__name__)


class TrainingRun:
    """Builds everything a configuration names, then trains the stages and measures the result.

    Building is cheap and complete: whatever can be wrong is found here, before the first step.

    Args:
        config: checked configuration of `train.py`.
        run_dir: folder of the run.
        callbacks: of Lightning, beside the run's own, in every stage.
    """

    def __init__(self, config: DictConfig, run_dir: Path, callbacks: Sequence[pl.Callback] = ()) -> None:
        self.config = config = with_architectures(config)
        self.callbacks = list(callbacks)
        self.settings = instantiate(config.trainer)
        self.device = self.settings.device()
        self.autocast = self.settings.autocast(self.device)
        self.settings.apply()
        self.folder = RunFolder(run_dir, config)
        self.plan = instantiate(config.stage)
        self.losses = build_losses(config)
        self.backup: Backup = instantiate(config.backup) or Backup()
        self.backup.check_available(run_dir)
        pl.seed_everything(config.seed, verbose=False)
        self.data: PortraitDataModule = open_subject(config)
        self.rasterizer = instantiate(config.rasterizer)
        self.model = instantiate(config.model)
        for _, stage in self.plan:
            unfreeze_audio_layers(self.model, stage.unfreeze_audio_layers)  # finds what is wrong before the first step
        self.poses = open_pose_refinement(config, self.data.subject, self.device)
        self.tracker: Tracker | None = None if config.tracker is None else instantiate(config.tracker)
        if self.tracker is not None:
            self.tracker.check()
        self.trackers: list[Tracker] | None = None  # opened when the first stage begins
        self._initialize_model()

    def _initialize_model(self) -> None:
        statistics = subject_statistics(self.data.subject)
        self.model.setup_subject(statistics)
        self.spread = camera_spread(statistics.viewmats)
        vertices = statistics.vertices
        self.scene_scale = float((vertices - vertices.mean(0)).norm(dim=-1).quantile(0.95))
        if self.config.checkpoint is not None:
            load_weights(self.model, read_checkpoint(self.config.checkpoint), str(self.config.checkpoint))

    def run(self) -> dict[str, Any]:
        """Train all stages that are not finished yet, measure, and write `metrics.json`."""
        self.folder.open()
        self.info = RunInfo(self.folder.path, self.config.seed)
        self.info.update(subject=self.data.describe(), model=self.config.model["_target_"])
        self._announce()
        parts = run_parts(self.plan, self.data.subject, self.config)
        self.progress = RunProgress(parts, len(self.plan.order), self.folder.path)
        with self.backup.of(self.folder.path):
            metrics = self._tracked()
            self.info.update(finished=True, fps=metrics["fps"], num_gaussians=self.model.gaussians.num_gaussians)
        return metrics

    def _tracked(self) -> dict[str, Any]:
        outcome = Outcome.FAILED
        try:
            with end_on_sigterm(), self.progress:
                metrics = self._train_and_measure()
            outcome = Outcome.FINISHED
        except BaseException as error:
            outcome = _outcome_of(error)
            raise
        finally:
            for tracker in self.trackers or ():
                tracker.finish(outcome)
        return metrics

    def _train_and_measure(self) -> dict[str, Any]:
        step_offset, seconds_offset = 0, 0.0
        for index, (name, stage) in enumerate(self.plan):
            place = Place(index, name, stage, self.folder.stage_dir(index, name), step_offset, seconds_offset)
            if self.folder.is_finished(place.folder):
                logger.info("stage %s is finished already", name)
                finished = read_checkpoint(place.checkpoint)
                load_weights(self.model, finished, str(place.folder))
                if self.poses is not None:
                    self.poses.take(finished["state_dict"])
            else:
                self.info.data["timings"][name] = fit_stage(self, place)
                self.info.write()
            step_offset += stage.steps
            seconds_offset += self.folder.seconds_of(place.folder)
        if self.poses is not None:
            subject = self.data.subject
            viewmats, train = torch.as_tensor(subject.viewmats), torch.as_tensor(subject.train)
            self.data.use_poses(self.poses.refine(viewmats, train).numpy())
        parts = (self.config, self.model, self.rasterizer, self.data, self.device)
        metrics = evaluate_run(*parts, self.folder.path, stage, self.progress)
        for tracker in self.open_tracker(step_offset):
            tracker.log_results(metrics, self.folder.path / "test", step_offset)
        return metrics

    def _announce(self) -> None:
        logger.info("run folder %s", self.folder.path)
        logger.info("%s", self.plan.purpose)
        for name, loss in self.losses.items():
            if loss.stages is not None and not set(loss.stages) & set(self.plan.order):
                logger.warning(
                    "loss.%s counts in no stage of stage.order: loss.%s.stages=%s", name, name, list(loss.stages)
                )
        if not self.plan.quality:
            logger.warning(
                "this stage preset is for trying things out: it is no quality preset, do not report its numbers"
            )

    def open_tracker(self, step: int) -> list[Tracker]:
        """The trackers of all stages of a run, opened at its first step."""
        if self.trackers is None:
            stages, before = {}, 0
            for name, stage in self.plan:
                stages[name] = before
                before += stage.steps
            self.trackers = open_trackers(self.tracker, self.config, self.folder.path, self.info.data, stages, step)
        return self.trackers


def _outcome_of(error: BaseException) -> Outcome:
    """Interrupted where the user pressed Ctrl-C, or a search gave the run up; Lightning turns a second one into SystemExit."""
    stopped = (Interrupted, Pruned, KeyboardInterrupt)
    interrupted = isinstance(error, stopped) or isinstance(error.__context__, KeyboardInterrupt)
    return Outcome.INTERRUPTED if interrupted else Outcome.FAILED


def train(config: DictConfig, run_dir: Path, callbacks: Sequence[pl.Callback] = ()) -> dict[str, Any] | None:
    """Train as configured; with `dry_run` only build and check.

    Args:
        config, run_dir, callbacks: as of `TrainingRun`.

    Returns:
        the content of `metrics.json`, or None for a dry run.
    """
    quiet_libraries()
    run = TrainingRun(config, run_dir, callbacks)
    if config.dry_run:
        size = sum(parameter.numel() for parameter in run.model.parameters())
        stages = ", ".join(f"{name} {stage.steps:,} steps of {stage.batch_size}" for name, stage in run.plan)
        tokens = ", ".join(run.model.token_names) or "none"
        logger.info("%s, %s parameters, tokens: %s; %s", type(run.model).__name__, f"{size:,}", tokens, stages)
        logger.info("dry run: everything is built and checked, nothing is trained")
        return None
    return run.run()
