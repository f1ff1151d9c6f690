"""A training run: its folder, its stages in order, its measurements."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from talksplat import __version__
from talksplat.callbacks.checkpointing import KeepNewest
from talksplat.callbacks.history import History
from talksplat.callbacks.preview import Preview
from talksplat.callbacks.progress import StageProgress
from talksplat.callbacks.trackers import finish_tracker
from talksplat.config import instantiate, to_yaml
from talksplat.data.datamodule import PortraitDataModule
from talksplat.errors import UserError
from talksplat.training.checkpoint import FORMAT, load_weights, read_checkpoint, with_architectures
from talksplat.training.console import quiet_libraries, stop_between_steps
from talksplat.training.evaluate import evaluate_run
from talksplat.training.finite import NonFiniteError
from talksplat.training.folder import RunFolder
from talksplat.training.module import TalkingHeadModule
from talksplat.training.parameter_groups import unfreeze_audio_layers
from talksplat.training.pose_refinement import open_pose_refinement
from talksplat.training.provenance import RunInfo, git_state
from talksplat.training.stage import Stage, camera_spread
from talksplat.training.subject import open_subject, subject_entry, subject_statistics

logger = logging.getLogger(__name__)


class TrainingRun:
    """Builds everything a configuration names, then trains the stages and measures the result.

    Building is cheap and complete: whatever can be wrong is found here, before the first step.

    Args:
        config: checked configuration of `train.py`.
        run_dir: folder of the run.
    """

    def __init__(self, config: DictConfig, run_dir: Path) -> None:
        self.config = config = with_architectures(config)
        self.settings = instantiate(config.trainer)
        self.device = self.settings.device()
        self.autocast = self.settings.autocast(self.device)
        self.settings.apply()
        self.folder = RunFolder(run_dir, config)
        self.plan = instantiate(config.stage)
        self.losses = {name: instantiate(node) for name, node in config.loss.items() if node is not None}
        if not self.losses:
            raise UserError("no loss is switched on: choose a loss group, e.g. loss=default")
        for loss in self.losses.values():
            loss.check_available()
        pl.seed_everything(config.seed, verbose=False)
        self.data: PortraitDataModule = open_subject(config)
        self.rasterizer = instantiate(config.rasterizer)
        self.model = instantiate(config.model)
        for _, stage in self.plan:
            unfreeze_audio_layers(self.model, stage.unfreeze_audio_layers)  # finds what is wrong before the first step
        self.poses = open_pose_refinement(config, self.data.subject, self.device)
        self.tracker: Logger | Literal[False] | None = None  # made when the first stage begins
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
        succeeded = False
        try:
            metrics = self._train_and_measure()
            succeeded = True
        finally:
            finish_tracker(self.tracker, succeeded)
        self.info.update(finished=True, fps=metrics["fps"], num_gaussians=self.model.gaussians.num_gaussians)
        return metrics

    def _train_and_measure(self) -> dict[str, Any]:
        step_offset = 0
        for index, (name, stage) in enumerate(self.plan):
            stage_dir = self.folder.stage_dir(index, name)
            if self.folder.is_finished(stage_dir):
                logger.info("stage %s is finished already", name)
                finished = read_checkpoint(stage_dir / "last.ckpt")
                load_weights(self.model, finished, str(stage_dir))
                if self.poses is not None:
                    self.poses.take(finished["state_dict"])
            else:
                self._fit(index, name, stage, stage_dir, step_offset)
            step_offset += stage.steps
        if self.poses is not None:
            subject = self.data.subject
            viewmats, train = torch.as_tensor(subject.viewmats), torch.as_tensor(subject.train)
            self.data.use_poses(self.poses.refine(viewmats, train).numpy())
        return evaluate_run(self.config, self.model, self.rasterizer, self.data, self.device, self.folder.path, stage)

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

    def _fit(self, index: int, name: str, stage: Stage, stage_dir: Path, step_offset: int) -> None:
        stage_dir.mkdir(parents=True, exist_ok=True)
        checkpoint = stage_dir / "last.ckpt"
        resumed = read_checkpoint(checkpoint) if checkpoint.exists() else None
        start = resumed["talksplat"]["step"] if resumed else 0
        if resumed:
            logger.info("stage %s goes on at step %d", name, start)
        unfreeze_audio_layers(self.model, stage.unfreeze_audio_layers)
        module = self._module(name, stage)
        trainer = self._trainer(index, name, stage, stage_dir, step_offset, start)
        # Each stage has its own seed, so that a stage begun in a new process is the same as in an old one.
        pl.seed_everything(self.config.seed + 1000 * (index + 1), verbose=False)
        batches = self.data.train_batches(
            stage.batch_size, self.config.seed + index, start, stage.steps - start, self.device
        )
        self.model.train()
        try:
            with stop_between_steps(trainer):
                trainer.fit(module, batches, ckpt_path=str(checkpoint) if resumed else None, weights_only=True)
        except NonFiniteError as error:
            path = stage_dir / "last_good.ckpt"
            KeepNewest.save(trainer, path)
            raise UserError(
                f"{error} of stage {name}; the last good state is {path}. Lower stage.stages.{name}.learning_rates or "
                f"switch that term off (loss.NAME=null)"
            ) from error
        if trainer.global_step < stage.steps:
            raise UserError(
                f"interrupted in stage {name} at step {trainer.global_step}; go on with: "
                f"python train.py ... resume=true hydra.run.dir={self.folder.path}"
            )
        seconds = module.seconds
        self.folder.finish_stage(
            stage_dir, {"stage": name, "steps": stage.steps, "resumed_at": start, "seconds": seconds}
        )
        self.info.data["timings"][name] = seconds
        self.info.write()

    def _module(self, name: str, stage: Stage) -> TalkingHeadModule:
        subject = self.data.subject
        description = {
            "format": FORMAT,
            "version": __version__,
            "git": git_state(),
            "config_yaml": to_yaml(self.config),
            "subject": subject_entry(self.data),
        }
        return TalkingHeadModule(
            self.model,
            self.rasterizer,
            self.losses,
            stage,
            name,
            subject.width,
            subject.height,
            self.spread,
            self.spread if stage.density_scale == "camera_spread" else self.scene_scale,
            description,
            self.autocast,
            self.poses,
        )

    def _build_tracker(self, step: int) -> Logger | Literal[False]:
        """One tracker for all stages of a run; False, as Lightning wants it, for none."""
        if self.config.tracker is None:
            return False
        tracker = instantiate(self.config.tracker, save_dir=str(self.folder.path), resume_step=step)()
        if tracker is None:
            return False
        tracker.log_hyperparams(OmegaConf.to_container(self.config))
        return tracker

    def _trainer(
        self, index: int, name: str, stage: Stage, stage_dir: Path, step_offset: int, start: int
    ) -> pl.Trainer:
        settings = self.settings
        if self.tracker is None:
            self.tracker = self._build_tracker(step_offset + start)
        callbacks = [
            StageProgress(f"stage {index + 1}/{len(self.plan.order)} {name}"),
            History(settings.log_every, step_offset),
            Preview(self.data, stage_dir, settings.preview_every, step_offset),
            KeepNewest(self.folder.path, stage_dir, settings.checkpoint_every),
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pl.Trainer(
                accelerator="gpu" if self.device.type == "cuda" else "cpu",
                devices=1,
                max_steps=stage.steps,
                max_epochs=-1,
                logger=self.tracker,
                callbacks=callbacks,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                limit_val_batches=0,
                log_every_n_steps=10**9,
            )


def train(config: DictConfig, run_dir: Path) -> dict[str, Any] | None:
    """Train as configured; with `dry_run` only build and check.

    Returns:
        the content of `metrics.json`, or None for a dry run.
    """
    quiet_libraries()
    run = TrainingRun(config, run_dir)
    if config.dry_run:
        size = sum(parameter.numel() for parameter in run.model.parameters())
        stages = ", ".join(f"{name} {stage.steps:,} steps of {stage.batch_size}" for name, stage in run.plan)
        tokens = ", ".join(run.model.token_names) or "none"
        logger.info("%s, %s parameters, tokens: %s; %s", type(run.model).__name__, f"{size:,}", tokens, stages)
        logger.info("dry run: everything is built and checked, nothing is trained")
        return None
    return run.run()
