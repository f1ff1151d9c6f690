"""Renderer of an avatar: conditions to images, per chunk of frames, with its speed."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from talksplat.models.avatar import Avatar
from talksplat.models.compositor import drawing
from talksplat.rasterizer.base import Rasterizer
from talksplat.types import Conditions, Gaussians, RenderOutput


class AvatarRenderer:
    """Model, rasteriser and compositor as one function.

    Args:
        model: an avatar in eval mode.
        rasterizer: draws its Gaussians.
        mode: of the model, see `GaussianLayer`.
        sh_degree: spherical harmonics in use.
        width, height: pixels.
        autocast: dtype of the networks; None: float32.
    """

    def __init__(
        self,
        model: Avatar,
        rasterizer: Rasterizer,
        mode: str,
        sh_degree: int,
        width: int,
        height: int,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.model, self.rasterizer = model, rasterizer
        self.mode, self.sh_degree = mode, sh_degree
        self.width, self.height = width, height
        self.autocast = autocast
        self.clock = Clock()

    @property
    def device(self) -> torch.device:
        """Device of the avatar."""
        return self.model.device

    @torch.inference_mode()
    def render(
        self, conditions: Conditions, background: UInt8[Tensor, "frame height width 3"]
    ) -> tuple[Float[Tensor, "frame height width 3"], Gaussians]:
        """Images in [0, 1] over `background`, and the Gaussians that were drawn; all on the model's device.

        `clock` counts the time of model and rasteriser, with the device synchronised before and after.
        """
        device = conditions.viewmats.device
        synchronize(device)
        began = time.perf_counter()
        gaussians = self.gaussians(conditions)
        image = self._draw(gaussians, conditions, background.float() / 255).image.clamp(0, 1)
        synchronize(device)
        self.clock.add(len(conditions), time.perf_counter() - began)
        return image, gaussians

    @torch.inference_mode()
    def gaussians(self, conditions: Conditions) -> Gaussians:
        """The activated Gaussians, without rasterisation."""
        device = conditions.viewmats.device
        with torch.autocast(device.type, self.autocast or torch.bfloat16, enabled=self.autocast is not None):
            return self.model(conditions, self.mode, self.sh_degree)

    @torch.inference_mode()
    def average(
        self, conditions: Conditions, gaussians: Gaussians, values: Float[Tensor, "frame gaussian channel"]
    ) -> tuple[Float[Tensor, "frame height width channel"], Float[Tensor, "frame height width"]]:
        """Means of `values` over the Gaussians of each pixel, with the weights of alpha blending, and the accumulated alpha.
        They are divided by alpha, so a partly covered pixel is not darker; one without Gaussians is 0."""
        drawn = self._draw(replace(gaussians, colors=values.contiguous()), conditions, None)
        alpha = drawn.alpha
        return drawn.image / alpha.clamp_min(1e-6)[..., None], alpha

    def _draw(self, gaussians: Gaussians, conditions: Conditions, background: Tensor | None) -> RenderOutput:
        draw = drawing(self.rasterizer, conditions, self.width, self.height)
        return self.model.compositor(draw, gaussians, self.model.parts(), background)[0]


class Clock:
    """Frames per second over timed calls without the first, which compiles and fills caches."""

    def __init__(self) -> None:
        self.frames, self.seconds = 0, 0.0
        self._warm = False

    def add(self, frames: int, seconds: float) -> None:
        """Count a chunk."""
        if self._warm:
            self.frames += frames
            self.seconds += seconds
        self._warm = True

    @property
    def fps(self) -> float | None:
        """None where there was only one chunk."""
        return self.frames / self.seconds if self.frames else None


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read next includes its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def to_uint8(image: Float[Tensor, "*frame height width channel"]) -> UInt8[Tensor, "*frame height width channel"]:
    """[0, 1] to 0..255, rounded."""
    return (image * 255).round().to(torch.uint8)
