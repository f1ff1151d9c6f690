"""Fit of one stage: its Lightning module, trainer and callbacks."""

from __future__ import annotations

import logging
import shlex
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl

from talksplat import __version__
from talksplat.callbacks.checkpointing import KeepCheckpoints
from talksplat.callbacks.history import History, RunOffset
from talksplat.callbacks.preview import Preview
from talksplat.callbacks.progress import StageProgress
from talksplat.checkpoint import FORMAT, read_checkpoint
from talksplat.command_line import setting, train_command
from talksplat.config import to_yaml, trusted_by
from talksplat.errors import Interrupted, UserError
from talksplat.parallel.distributed import is_first, rank, world_size
from talksplat.parallel.strategy import UnwrappedDDP, leave_signals_alone
from talksplat.provenance import git_state
from talksplat.training.console import stop_between_steps
from talksplat.training.module import TalkingHeadModule
from talksplat.training.nan_guard import NonFiniteError
from talksplat.training.random_state import seed_of
from talksplat.training.stage import Stage
from talksplat.training.subject import subject_entry

if TYPE_CHECKING:
    from talksplat.training.run import TrainingRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageContext:
    """Stage context: number, name and folder of a stage in a run, with steps and seconds of the stages before it."""

    index: int
    name: str
    stage: Stage
    folder: Path
    step_offset: int
    seconds_offset: float

    @property
    def checkpoint(self) -> Path:
        """Newest checkpoint of the stage."""
        return self.folder / "last.ckpt"


def fit_stage(run: TrainingRun, context: StageContext) -> float:
    """Train a stage to its end, resuming where it was interrupted.

    Returns:
        seconds of the stage, including those before an interruption.

    Raises:
        UserError: a loss or gradient is not finite.
        Interrupted: by Ctrl-C; the newest checkpoint is of the last step.
    """
    name, stage = context.name, context.stage
    context.folder.mkdir(parents=True, exist_ok=True)
    resumed = read_checkpoint(context.checkpoint, trust=trusted_by(run.config)) if context.checkpoint.exists() else None
    start = resumed["talksplat"]["step"] if resumed else 0
    if resumed:
        logger.info("stage %s resumes at step %d", name, start)
    run.model.restrict(stage.deforms)
    module = _module(run, context)
    trainer = _trainer(run, context, start)
    seed, steps = _seed(run, context), stage.steps - start
    pl.seed_everything(seed_of(seed, rank()), verbose=False)
    batches = run.data.train_batches(stage.batch_size, seed, start, steps, run.device, rank(), world_size())
    run.model.train()
    try:
        with stop_between_steps(module.request_stop):
            trainer.fit(module, batches, ckpt_path=str(context.checkpoint) if resumed else None, weights_only=True)
    except NonFiniteError as error:
        path = context.folder / "last_good.ckpt"
        KeepCheckpoints.save(trainer, path)
        raise UserError(
            f"{error} of stage {name}; the last good state is {path}. Lower stage.stages.{name}.learning_rates or "
            f"switch that term off (loss.NAME=null)"
        ) from error
    if trainer.global_step < stage.steps:
        raise Interrupted(
            f"interrupted in stage {name} at step {trainer.global_step}; resume with: {resume_command(run)}"
        )
    seconds = module.seconds
    if is_first():
        facts = {"stage": name, "steps": stage.steps, "resumed_at": start, "seconds": seconds}
        run.folder.finish_stage(context.folder, facts)
    if module.stop_wanted:  # in the last step or what follows it: the next stage must not begin
        raise Interrupted(f"interrupted after stage {name}; resume with: {resume_command(run)}")
    return seconds


def resume_command(run: TrainingRun) -> str:
    """The command of a run, for a shell, that resumes it; of one that another program began, that of its settings."""
    started = Path(sys.argv[0]).name == "train.py"
    given = sys.argv[1:] if started else list(run.config.chosen.overrides)
    kept = [argument for argument in given if argument.lstrip("+").partition("=")[0] not in ("resume", "hydra.run.dir")]
    return f"{train_command()} {shlex.join([*kept, 'resume=true'])} {setting('hydra.run.dir', run.folder.path)}"


def _seed(run: TrainingRun, context: StageContext) -> int:
    """Seed per stage, so that a stage does not depend on whether the one before ran in the same process, and shares its
    random numbers and order of frames with no stage of another seed."""
    return run.config.seed + 1000 * (context.index + 1)


def _module(run: TrainingRun, context: StageContext) -> TalkingHeadModule:
    subjects = [subject_entry(data) for data in run.data.portraits.values()]
    description = {
        "format": FORMAT,
        "version": __version__,
        "git": git_state(),
        "config_yaml": to_yaml(run.config),
        "subject": subjects[0],
        "subjects": {} if len(subjects) == 1 else dict(zip(run.data.portraits, subjects)),
    }
    return TalkingHeadModule(
        run.model,
        run.rasterizer,
        run.losses,
        context.stage,
        context.name,
        run.table,
        run.spread,
        run.spread if context.stage.density_scale == "camera_spread" else run.scene_scale,
        description,
        _seed(run, context),
        run.autocast,
        run.poses,
    )


def _trainer(run: TrainingRun, context: StageContext, start: int) -> pl.Trainer:
    several = {} if world_size() == 1 else {"strategy": UnwrappedDDP(rank()), "use_distributed_sampler": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="gpu" if run.device.type == "cuda" else "cpu",
            devices=world_size(),
            max_steps=context.stage.steps,
            max_epochs=-1,
            logger=run.open_tracker(context.step_offset + start),
            callbacks=_callbacks(run, context),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            log_every_n_steps=10**9,
            **several,
        )
    leave_signals_alone(trainer)
    return trainer


def _callbacks(run: TrainingRun, context: StageContext) -> list[pl.Callback]:
    settings = run.settings
    offset = RunOffset(context.step_offset, context.seconds_offset)
    preview = Preview(run.data, context.folder, settings.preview_every, offset)
    keep = KeepCheckpoints(run.folder.path, context.folder, settings.checkpoint_every, preview, context.step_offset)
    if not is_first():
        return [keep]
    return [
        StageProgress(run.progress, context.name),
        History(settings.log_every, offset),
        preview,
        keep,
        *run.callbacks,
    ]
