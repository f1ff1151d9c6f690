"""Rasteriser: interface, and the constants of gsplat 1.5.3 that all share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.types import Gaussians, RenderOutput

ALPHA_MAX = 0.999  # no Gaussian is fully opaque, so that the transmittance never reaches zero
ALPHA_MIN = 1 / 255  # fainter contributions are skipped
STOP_TRANSMITTANCE = 1e-4  # a pixel stops before the Gaussian that would reduce its transmittance to this or below
EXTENT_SIGMAS = 3.33  # radius of the bounding box; sqrt(2 ln 255), where even an opaque Gaussian falls below ALPHA_MIN
TILE_SIZE = 16


@runtime_checkable
class Rasterizer(Protocol):
    """Draws Gaussians with the semantics of gsplat 1.5.3: EWA projection and front to back alpha compositing."""

    def __call__(
        self,
        gaussians: Gaussians,
        viewmats: Float[Tensor, "frame 4 4"],
        Ks: Float[Tensor, "frame 3 3"],
        width: int,
        height: int,
        backgrounds: Float[Tensor, "frame height width channel"] | None = None,
        absgrad: bool = False,
    ) -> RenderOutput:
        """Render one image of `width` x `height` pixels a frame.

        Gradients flow to all five tensors of `gaussians`, to `viewmats` and to `backgrounds`. `means2d` of the result
        is a non-leaf tensor: call `retain_grad()` on it before the backward pass to read its gradient afterwards. With
        `absgrad` the backward pass also fills its attribute `absgrad` [frame, gaussian, 2], as gsplat does: the sum over
        pixels of the absolute values of their gradients.
        On the CPU a Gaussian that holds a NaN or an infinity is not drawn and gets no gradient.
        """
        ...

    def has_absgrad(self, device: torch.device) -> bool:
        """Whether a call with `absgrad` works for tensors on this device."""
        ...


def check_inputs(
    gaussians: Gaussians,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    backgrounds: Tensor | None,
) -> None:
    """Raise `ValueError` naming the tensor whose shape does not fit the others."""
    if width < 1 or height < 1:
        raise ValueError(f"image size must be at least 1 x 1 pixels, not {width} x {height}")
    frames, count, channels = gaussians.colors.shape
    expected = {
        "means": (gaussians.means, (frames, count, 3)),
        "quats": (gaussians.quats, (frames, count, 4)),
        "scales": (gaussians.scales, (frames, count, 3)),
        "opacities": (gaussians.opacities, (frames, count)),
        "viewmats": (viewmats, (frames, 4, 4)),
        "Ks": (Ks, (frames, 3, 3)),
    }
    if backgrounds is not None:
        expected["backgrounds"] = (backgrounds, (frames, height, width, channels))
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} must have shape {shape} to fit colors, but has {tuple(tensor.shape)}")


def composite(
    image: Float[Tensor, "frame height width channel"],
    transmittance: Float[Tensor, "frame height width"],
    backgrounds: Float[Tensor, "frame height width channel"] | None,
) -> Float[Tensor, "frame height width channel"]:
    """Composite `image` over `backgrounds`, weighted by `transmittance`."""
    return image if backgrounds is None else image + transmittance[..., None] * backgrounds
