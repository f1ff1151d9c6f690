"""Lightning module of one stage: the training step, and the checkpoint entries for a bit-exact resume."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch

from talksplat.losses.base import Loss, total_loss
from talksplat.losses.pixel import box_mask
from talksplat.metrics.image import psnr
from talksplat.models.avatar import Avatar
from talksplat.models.compositor import LayerView, drawing
from talksplat.models.layer import PREDICTED_MODES
from talksplat.older_checkpoints import renamed
from talksplat.parallel.distributed import all_reduce, gather, mean_over_processes, rank, world_size
from talksplat.rasterizer.base import Rasterizer
from talksplat.training.density.layers import LayerDensity
from talksplat.training.nan_guard import NanGuard
from talksplat.training.optimizers import Optimizers
from talksplat.training.parameter_table import ParameterTable
from talksplat.training.pose_refinement import PoseRefinement
from talksplat.training.random_state import random_state, restore_random_state
from talksplat.training.stage import Stage
from talksplat.types import FrameBatch, RenderOutput


class TalkingHeadModule(pl.LightningModule):
    """Training of an avatar for one stage.

    Args:
        model: the avatar.
        rasterizer: draws its Gaussians.
        losses: loss terms by name.
        stage: settings of the stage named `stage_name`.
        table: parameters of the avatar and of `poses`, of which the stage selects those to train.
        spread: camera spread (dm) of each subject, for learning rates that follow it.
        scene_scale: size of the head (dm) of each subject, for density control.
        description: checkpoint entry "talksplat" (configuration, subject, versions).
        seed: of the stage, for random numbers of density control.
        autocast: dtype of the networks; None: float32.
        poses: corrections of the training frames' poses, trained with the avatar; None: the tracker's poses.
    """

    def __init__(
        self,
        model: Avatar,
        rasterizer: Rasterizer,
        losses: Mapping[str, Loss],
        stage: Stage,
        stage_name: str,
        table: ParameterTable,
        spread: Mapping[str, float],
        scene_scale: Mapping[str, float],
        description: dict[str, Any],
        seed: int,
        autocast: torch.dtype | None = None,
        poses: PoseRefinement | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.rasterizer = rasterizer
        self.losses = torch.nn.ModuleDict(losses)
        self.stage = stage
        self.stage_name = stage_name
        self.table = table
        self.spread = dict(spread)
        self.density = LayerDensity(model, stage, table.apply(stage), scene_scale, seed)
        self.description = description
        self.seed = seed
        self.autocast = autocast
        self.poses = poses
        self.guard = NanGuard()
        self._resumed: dict[str, Any] | None = None
        self._stop_wanted = False
        self._began, self._seconds_before = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """Time of this stage so far; of a resumed one including the time up to its checkpoint."""
        return self._seconds_before + time.perf_counter() - self._began

    @property
    def images_per_step(self) -> int:
        """Frames per step, over all processes."""
        return self.stage.batch_size * world_size()

    @property
    def stop_wanted(self) -> bool:
        """Whether an early end was requested."""
        return self._stop_wanted

    def request_stop(self) -> None:
        """End the fit after this step; with several processes after the next all-reduce, so that all stop at the same one."""
        self._stop_wanted = True
        if world_size() == 1 and self._trainer is not None:
            self.trainer.should_stop = True

    def render(self, batch: FrameBatch, sh_degree: int | None = None) -> RenderOutput:
        """Frames of the avatar over the batch's background."""
        return self.render_layers(batch, sh_degree)[0]

    def render_layers(
        self, batch: FrameBatch, sh_degree: int | None = None, absgrad: bool = False
    ) -> tuple[RenderOutput, dict[str, LayerView]]:
        """Frames, and the view of each layer; `absgrad` as of `Rasterizer`."""
        degree = self.sh_degree() if sh_degree is None else sh_degree
        with torch.autocast(self.device.type, self.autocast or torch.bfloat16, enabled=self.autocast is not None):
            gaussians = self.model(batch.conditions, self.stage.mode, degree)
        if self.poses is not None and self.model.training:  # previews show held-out frames
            gaussians = self.poses(gaussians, batch.frame_ids)
        height, width = batch.original_u8.shape[1:3]
        draw = drawing(self.rasterizer, batch.conditions, width, height, absgrad)
        return self.model.compositor(draw, gaussians, self.model.parts(), batch.background)

    def sh_degree(self) -> int:
        """Active spherical-harmonics degree at the current step."""
        return self.stage.sh_degree(self.global_step, self.model.sh_degree)

    def training_step(self, batch: FrameBatch, batch_idx: int) -> dict[str, torch.Tensor]:
        step = self.global_step
        self.model.bind(batch.conditions.subject)
        self.all_optimizers.set_learning_rates(step)
        if world_size() > 1:
            pixels = box_mask(batch.lip_boxes, *batch.original_u8.shape[1:3]).sum().float()
            batch = replace(batch, lip_pixels=mean_over_processes(pixels))
        output, views = self.render_layers(batch, absgrad=self.density.wants_absgrad(step))
        for name in self.density.active(step):
            views[name].retain_grad()
        loss, terms = total_loss(self.losses, output, batch, self.stage_name, step)
        self.manual_backward(self._penalized(loss))
        means = {"loss": loss.detach(), "psnr": psnr(output.image.detach(), batch.target).mean(), **terms}
        height, width = batch.original_u8.shape[1:3]
        statistics = self.density.statistics(views, step, width, height)
        if world_size() > 1:
            means, statistics = self._all_reduce(means, statistics)
        optimizers = self.all_optimizers
        self.guard.check(step, {name: means[name] for name in terms}, optimizers.parameters(), optimizers.all())
        self.density.observe(self.guard.without_bad(statistics), step)
        self.optimizers().step()
        self.all_optimizers.step_gaussians()
        self.density.act(self.all_optimizers, step, self.sh_degree(), self.device)
        self.all_optimizers.zero_grad()
        return means

    def _penalized(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss with the penalties of pose refinement and density control."""
        penalties = [] if self.poses is None else [self.poses.penalty()]
        return sum([*penalties, *self.density.penalties()], start=loss)

    def _all_reduce(
        self, means: dict[str, torch.Tensor], statistics: dict[str, torch.Tensor]
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Average gradients and scalars and sum statistics over the processes."""
        groups = self.all_optimizers.parameters().values()
        parameters = [parameter for group in groups for parameter in group if parameter.requires_grad]
        shared = all_reduce(parameters, means, statistics, self._stop_wanted)
        if shared.stop:
            self.trainer.should_stop = True
        return shared.means, shared.sums

    def finish_stage(self) -> None:
        """After the last step: bake predicted attributes into the explicit ones, for the next stage."""
        self.guard.read()
        if self.stage.mode in PREDICTED_MODES and self.global_step >= self.stage.steps:
            entries = self.table.apply(self.stage)
            trained = {entry.layer for entry in entries if entry.layer}  # frozen layers keep what they have
            self.model.bake_canonical(self.stage.sh_degree(self.stage.steps - 1, self.model.sh_degree), trained)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        entries = self.table.apply(self.stage)  # again, since loading a checkpoint replaces the Gaussians
        self.all_optimizers = Optimizers(entries, self.stage, self.spread, self.device)
        if self._resumed is not None:
            self.all_optimizers.load_gaussian_state_dict(self._resumed["gaussian_optimizers"])
            self.density.load_state_dict(self._resumed["density"], self.device)
        return self.all_optimizers.networks

    def on_train_start(self) -> None:
        if self._stop_wanted and world_size() == 1:
            self.trainer.should_stop = True  # requested before the trainer existed
        if self._resumed is not None:
            states = [self._resumed["random"], *self._resumed.get("random_of_others", [])]
            restore_random_state(states[rank()])
            self._resumed = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.guard.read()
        checkpoint["talksplat"] = {
            **self.description,
            "stage": self.stage_name,
            "mode": self.stage.final_mode if self.global_step >= self.stage.steps else self.stage.mode,
            "active_sh_degree": self.stage.sh_degree(max(self.global_step - 1, 0), self.model.sh_degree),
            "num_gaussians": self.model.num_gaussians,
            "layers": self.model.layer_sizes(),
            "deforms": self.stage.deforms,
            "step": self.global_step,
            "seconds": self.seconds,
        }
        if self.poses is not None:
            subject = self.description["subject"]
            refined = self.poses.refine(subject["viewmats"], subject["train"])
            checkpoint["talksplat"]["subject"] = {**subject, "viewmats": refined}
        first, *others = gather(random_state())
        checkpoint["training"] = {
            "gaussian_optimizers": self.all_optimizers.gaussian_state_dict(),
            "density": self.density.state_dict(),
            "random": first,
            "random_of_others": others,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.model.resize(renamed(checkpoint)["talksplat"]["layers"])
        self._resumed = checkpoint["training"]
        self._seconds_before = checkpoint["talksplat"].get("seconds", 0.0)  # absent in older checkpoints
