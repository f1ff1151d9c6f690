"""A training run: its folder, its stages in order, its measurements."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from talksplat.callbacks.backup import Backup
from talksplat.callbacks.progress import RunProgress
from talksplat.checkpoint import load_part, load_weights, read_checkpoint, with_architectures
from talksplat.command_line import setting
from talksplat.config import instantiate, to_yaml, trusted_by
from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.open import open_subject
from talksplat.data.subjects import SubjectCollection
from talksplat.evaluation.measure import evaluate_run
from talksplat.evaluation.people import evaluate_people
from talksplat.locks import locked
from talksplat.metrics.open import build_metrics, nodes_of_run
from talksplat.parallel.distributed import is_first
from talksplat.parallel.launcher import LocalLauncher
from talksplat.provenance import RunInfo
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.trackers.base import Outcome, Tracker
from talksplat.trackers.open import open_trackers
from talksplat.training.checks import build_losses
from talksplat.training.console import end_on_sigterm, outcome_of, quiet_libraries
from talksplat.training.fit import StageContext, fit_stage
from talksplat.training.folder import RunFolder, files_of
from talksplat.training.overview import check_stages, overview
from talksplat.training.parameter_table import ParameterTable
from talksplat.training.pose_refinement import open_pose_refinement
from talksplat.training.settings import with_devices
from talksplat.training.stage import Stage, camera_spread, check_absgrad, check_batches
from talksplat.training.subject import head_size, subject_statistics
from talksplat.training.time_estimate import run_parts

logger = logging.getLogger(__name__)


class TrainingRun:
    """Builds all parts of a configuration, then trains the stages and measures the result.

    Building is cheap and complete, so that errors are found here, before the first step.

    Args:
        config: checked configuration of `train.py`.
        run_dir: folder of the run.
        callbacks: of Lightning, in addition to the run's own, in every stage.
        rank: of this process among those that train together; the first one opened the folder.
    """

    def __init__(self, config: DictConfig, run_dir: Path, callbacks: Sequence[pl.Callback] = (), rank: int = 0) -> None:
        self.config = config = with_devices(with_architectures(config))
        self.callbacks = list(callbacks)
        self.settings = instantiate(config.trainer)
        self.device = self.settings.device(rank)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # libraries allocate on the current device
        self.autocast = self.settings.autocast(self.device)
        self.settings.apply()
        self.folder = RunFolder(run_dir, config, opened=rank > 0)
        self.plan = instantiate(config.stage)
        self.losses = build_losses(config)
        build_metrics(nodes_of_run(config))  # finds a wrong setting before the first step
        self.backup: Backup = instantiate(config.backup) or Backup()
        self.backup.check_available(run_dir)
        pl.seed_everything(config.seed, verbose=False)
        self.data: PortraitDataModule | SubjectCollection = open_subject(config)
        if names := self.folder.check_data(self.data.describe()):
            self.data.rename(names)
        for portrait in self.data.portraits.values():
            check_batches(self.plan, self.settings.devices, len(portrait.subject.train))
        self.rasterizer = instantiate(config.rasterizer)
        check_absgrad(self.plan, self.rasterizer, self.device)
        self.model = instantiate(config.model)
        self.poses = open_pose_refinement(config, self.data.subject, self.device)
        self.tracker: Tracker | None = None if config.tracker is None else instantiate(config.tracker)
        if self.tracker is not None and rank == 0:
            self.tracker.check()
        self.trackers: list[Tracker] | None = None  # opened when the first stage begins
        self.info: RunInfo | None = None  # of the first process only
        self._initialize_model()
        for root in config.chosen.best_audio_missing if rank == 0 else ():
            logger.warning(
                "audio=%s: %s has no Whisper features, on which lips follow the sound better: make them with "
                "python -m talksplat.preprocess %s audio=whisper",
                *(config.audio.name, root, setting("features", root)),
            )

    def _initialize_model(self) -> None:
        statistics = [subject_statistics(data.subject, name) for name, data in self.data.portraits.items()]
        self.model.setup_subjects(statistics)
        self.spread = {one.name: camera_spread(one.viewmats) for one in statistics}
        self.scene_scale = {one.name: head_size(one.vertices) for one in statistics}
        self.table = ParameterTable(self.model, self.poses)
        check_stages(self.plan, self.model, self.table, self.scene_scale, self.data)
        start, parts = self.config.checkpoint, self.config.checkpoint_parts
        if start is not None and parts is None:
            load_weights(self.model, read_checkpoint(start, trust=trusted_by(self.config)), str(start))
        elif start is not None:
            count = load_part(self.model, read_checkpoint(start, trust=trusted_by(self.config)), str(start), parts)
            logger.info("%d tensors from %s: %s", count, start, ", ".join(parts))

    def run(self) -> dict[str, Any]:
        """Train all stages that are not finished yet, measure, and write `metrics.json`."""
        with self.opened():
            metrics = self._measure(self.train())
            num_steps = sum(stage.steps for _, stage in self.plan)
            for tracker in self.open_tracker(num_steps):
                tracker.log_results(metrics, self._test_folder(), num_steps)
            self.info.update(finished=True, fps=metrics["fps"], num_gaussians=metrics["num_gaussians"])
        return metrics

    @contextmanager
    def opened(self) -> Iterator[None]:
        """While this lasts, the run's folder is open, progress is shown and backups run; then all is closed."""
        self.folder.open()
        self.info = RunInfo(self.folder.path, self.config.seed, self.settings.devices)
        self.info.update(subject=self.data.describe(), files=files_of(self.config), model=self.config.model["_target_"])
        self._announce()
        parts = run_parts(self.plan, self.data.portraits, self.config)
        self.progress = RunProgress(parts, len(self.plan.order), self.folder.path)
        outcome = Outcome.FAILED
        with self.backup.of(self.folder.path):
            try:
                with end_on_sigterm(), self.progress:
                    yield
                outcome = Outcome.FINISHED
            except BaseException as error:
                outcome = outcome_of(error)
                raise
            finally:
                for tracker in self.trackers or ():
                    tracker.finish(outcome)

    def _test_folder(self) -> Path:
        """Folder of the video and the picture of the results; of several people, of the first."""
        people = list(self.data.portraits)
        return self.folder.path / ("test" if len(people) == 1 else f"subjects/{people[0]}/test")

    def _measure(self, last: Stage) -> dict[str, Any]:
        if len(self.data.portraits) == 1:
            return evaluate_run(self.config, self.renderer(last), self.data, self.folder.path, self.progress)
        return evaluate_people(self.config, partial(self.renderer, last), self.data, self.folder.path, self.progress)

    def renderer(self, last: Stage, person: str | None = None) -> AvatarRenderer:
        """Renderer of the avatar after its last stage, ready for inference; of several people, of `person`."""
        self.model.bind(person)
        self.model.restrict(last.deforms)
        self.model.to(self.device).freeze_for_inference()
        degree = last.sh_degree(last.steps - 1, self.model.sh_degree)
        data = self.data if person is None else self.data.portraits[person]
        size = (data.subject.width, data.subject.height)
        return AvatarRenderer(self.model, self.rasterizer, last.final_mode, degree, *size)

    def train(self) -> Stage:
        """Train, with one further process per further device.

        Returns:
            the last stage.
        """
        with LocalLauncher(self.folder.path, to_yaml(self.config), self.settings.devices, self.device):
            last = self.train_stages()
        if self.poses is not None:
            subject = self.data.subject
            viewmats, train = torch.as_tensor(subject.viewmats), torch.as_tensor(subject.train)
            self.data.use_poses(self.poses.refine(viewmats, train).numpy())
        return last

    def train_stages(self) -> Stage:
        """Train, as one of the processes, all stages that are not finished yet.

        Returns:
            the last stage.
        """
        step_offset, seconds_offset = 0, 0.0
        for index, (name, stage) in enumerate(self.plan):
            context = StageContext(index, name, stage, self.folder.stage_dir(index, name), step_offset, seconds_offset)
            if self.folder.is_finished(context.folder):
                logger.info("stage %s is finished already", name)
                finished = read_checkpoint(context.checkpoint, trust=trusted_by(self.config))
                load_weights(self.model, finished, str(context.folder))
                if self.poses is not None:
                    self.poses.take(finished["state_dict"])
            else:
                seconds = fit_stage(self, context)
                if self.info is not None:
                    self.info.data["timings"][name] = seconds
                    self.info.write()
            step_offset += stage.steps
            if is_first():  # which has marked the stage as finished
                seconds_offset += self.folder.seconds_of(context.folder)
        return stage

    def _announce(self) -> None:
        logger.info("run folder %s", self.folder.path)
        logger.info("%s", self.plan.purpose)
        if self.settings.devices > 1:
            batches = ", ".join(f"{stage.batch_size * self.settings.devices} in {name}" for name, stage in self.plan)
            logger.info("%d devices, each with its own batch: frames per step %s", self.settings.devices, batches)
        for name, loss in self.losses.items():
            if loss.stages is not None and not set(loss.stages) & set(self.plan.order):
                logger.warning(
                    "loss.%s is used in no stage of stage.order: loss.%s.stages=%s", name, name, list(loss.stages)
                )
        if not self.plan.quality:
            logger.warning("this stage preset is for trials, not for quality: do not report its results")

    def open_tracker(self, step: int) -> list[Tracker]:
        """The trackers of all stages of a run, opened at its first step, in the first process only."""
        if not is_first():
            return []
        if self.trackers is None:
            stages, before = {}, 0
            for name, stage in self.plan:
                stages[name] = before
                before += stage.steps
            self.trackers = open_trackers(self.tracker, self.config, self.folder.path, self.info.data, stages, step)
        return self.trackers


def train(config: DictConfig, run_dir: Path, callbacks: Sequence[pl.Callback] = ()) -> dict[str, Any] | None:
    """Train as configured; with `dry_run` only build and check.

    Args:
        config, run_dir, callbacks: as of `TrainingRun`.

    Returns:
        the content of `metrics.json`, or None for a dry run.
    """
    quiet_libraries()
    with locked(run_dir, "give another hydra.run.dir", inside=True):
        run = TrainingRun(config, run_dir, callbacks)
        if not config.dry_run:
            return run.run()
    logger.info("%s", overview(run.plan, run.model, run.table, config.audio.name, run.settings.devices))
    logger.info("dry run: everything is built and checked, nothing is trained")
    return None
