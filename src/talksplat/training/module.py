"""The Lightning module of one stage: a training step, and what a checkpoint must hold to go on exactly."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from talksplat.losses.base import Loss, total_loss
from talksplat.metrics.image import psnr
from talksplat.models.talking_head import PREDICTED_MODES, TalkingHead
from talksplat.parallel.exchange import exchange
from talksplat.parallel.group import check_equal, gather, rank, take_from_first, world_size
from talksplat.rasterizer.base import Rasterizer
from talksplat.training.finite import check_finite
from talksplat.training.optimizers import Optimizers
from talksplat.training.parameter_groups import parameter_groups
from talksplat.training.pose_refinement import PoseRefinement
from talksplat.training.random_state import drawn_alike, random_state, restore_random_state
from talksplat.training.stage import Stage
from talksplat.types import FrameBatch, RenderOutput


class TalkingHeadModule(pl.LightningModule):
    """Trains a talking head for one stage.

    Args:
        model: the avatar.
        rasterizer: draws its Gaussians.
        losses: loss terms by name.
        stage: what to train, its name is `stage_name`.
        width, height: size of the frames in pixels.
        spread: camera spread (dm) for learning rates that follow it.
        scene_scale: size of the head (dm) for density control.
        description: checkpoint entry "talksplat" (configuration, subject, versions).
        seed: of the stage, for what density control draws.
        autocast: dtype in which the networks run; None: float32.
        poses: corrections of the training frames' poses, trained along; None: the tracker's count.
    """

    def __init__(
        self,
        model: TalkingHead,
        rasterizer: Rasterizer,
        losses: Mapping[str, Loss],
        stage: Stage,
        stage_name: str,
        width: int,
        height: int,
        spread: float,
        scene_scale: float,
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
        self.width, self.height = width, height
        self.spread = spread
        self.density = stage.density
        if self.density is not None:
            self.density.initialize(scene_scale)
        self.description = description
        self.seed = seed
        self.autocast = autocast
        self.poses = poses
        self._resumed: dict[str, Any] | None = None
        self._stop_wanted = False
        self._began, self._seconds_before = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """Time of this stage so far; of an interrupted one also the time up to the checkpoint it goes on from."""
        return self._seconds_before + time.perf_counter() - self._began

    @property
    def images_per_step(self) -> int:
        """Frames that all processes together see in a step."""
        return self.stage.batch_size * world_size()

    @property
    def stop_wanted(self) -> bool:
        """Whether the fit was asked to end early."""
        return self._stop_wanted

    def request_stop(self) -> None:
        """End the fit after this step; with several processes after the next exchange, so that all stop at the same one."""
        self._stop_wanted = True
        if world_size() == 1 and self._trainer is not None:
            self.trainer.should_stop = True

    def render(self, batch: FrameBatch, sh_degree: int | None = None) -> RenderOutput:
        """Frames of the avatar over the batch's background."""
        degree = self.sh_degree() if sh_degree is None else sh_degree
        with torch.autocast(self.device.type, self.autocast or torch.bfloat16, enabled=self.autocast is not None):
            gaussians = self.model(batch.conditions, self.stage.mode, degree)
        if self.poses is not None and self.model.training:  # previews show held-out frames
            gaussians = self.poses(gaussians, batch.frame_ids)
        conditions = batch.conditions
        return self.rasterizer(
            gaussians, conditions.viewmats, conditions.Ks, self.width, self.height, backgrounds=batch.background
        )

    def sh_degree(self) -> int:
        """Active spherical-harmonics degree at the current step."""
        return self.stage.sh_degree(self.global_step, self.model.gaussians.sh_degree)

    def training_step(self, batch: FrameBatch, batch_idx: int) -> dict[str, torch.Tensor]:
        step = self.global_step
        observing = self.density is not None and self.density.is_active(step)
        self.all_optimizers.set_learning_rates(step)
        output = self.render(batch)
        if observing:
            output.means2d.retain_grad()
        loss, terms = total_loss(self.losses, output, batch, self.stage_name, step)
        self.manual_backward(loss if self.poses is None else loss + self.poses.penalty())
        means = {"loss": loss.detach(), "psnr": psnr(output.image.detach(), batch.target).mean(), **terms}
        statistics = self.density.statistics(output, self.width, self.height) if observing else {}
        if world_size() > 1:
            means, statistics = self._exchange(means, statistics)
        check_finite(step, {name: means[name] for name in terms}, self.all_optimizers.parameters())
        if observing:
            self.density.observe(self.model.gaussians.params, statistics)
        self.optimizers().step()
        self.all_optimizers.step_gaussians()
        if observing and self.density.refines_at(step):
            self._refine(step)
        self.all_optimizers.zero_grad()
        return means

    def _exchange(
        self, means: dict[str, torch.Tensor], statistics: dict[str, torch.Tensor]
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Gradients, numbers and statistics of the whole batch from those of this process's part."""
        groups = self.all_optimizers.parameters().values()
        parameters = [parameter for group in groups for parameter in group if parameter.requires_grad]
        shared = exchange(parameters, means, statistics, self._stop_wanted)
        if shared.stop:
            self.trainer.should_stop = True
        return shared.means, shared.sums

    def _refine(self, step: int) -> None:
        params = self.model.gaussians.params
        if self.stage.mode in PREDICTED_MODES:
            # Pruning must see the opacities that were just drawn, not the ones the stage began with.
            self.model.bake_canonical(self.sh_degree())
            take_from_first(params.values())  # a network need not round alike on every device
        with drawn_alike(self.seed, step, self.device):
            self.density.refine(params, self.all_optimizers.gaussians, step)
        check_equal(params, f"after density control at step {step}")

    def finish_stage(self) -> None:
        """Once the last step is done: what the canonical networks predict becomes explicit, for the next stage."""
        if self.stage.mode in PREDICTED_MODES and self.global_step >= self.stage.steps:
            self.model.bake_canonical(self.stage.sh_degree(self.stage.steps - 1, self.model.gaussians.sh_degree))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        groups = parameter_groups(self.model)
        if self.poses is not None:
            groups["poses"] = list(self.poses.parameters())
        self.all_optimizers = Optimizers(groups, self.model.gaussians.params, self.stage, self.spread)
        if self._resumed is not None:
            self.all_optimizers.load_gaussian_state_dict(self._resumed["gaussian_optimizers"])
            if self.density is not None:
                state = self._resumed["density"]
                self.density.load_state_dict(_to_device(state, self.device))
        return self.all_optimizers.networks

    def on_train_start(self) -> None:
        if self._stop_wanted and world_size() == 1:
            self.trainer.should_stop = True  # asked before the trainer was there to be told
        if self._resumed is not None:
            states = [self._resumed["random"], *self._resumed.get("random_of_others", [])]
            restore_random_state(states[rank()])
            self._resumed = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["talksplat"] = {
            **self.description,
            "stage": self.stage_name,
            "mode": self.stage.final_mode if self.global_step >= self.stage.steps else self.stage.mode,
            "active_sh_degree": self.stage.sh_degree(max(self.global_step - 1, 0), self.model.gaussians.sh_degree),
            "num_gaussians": self.model.gaussians.num_gaussians,
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
            "density": None if self.density is None else self.density.state_dict(),
            "random": first,
            "random_of_others": others,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.model.gaussians.resize(checkpoint["talksplat"]["num_gaussians"])
        self._resumed = checkpoint["training"]
        self._seconds_before = checkpoint["talksplat"].get("seconds", 0.0)  # absent in older checkpoints


def _to_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {key: _to_device(item, device) for key, item in value.items()}
    return value.to(device) if isinstance(value, torch.Tensor) else value
