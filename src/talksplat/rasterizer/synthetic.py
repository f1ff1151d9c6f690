"""A random scene the shape of a head, for tests and benchmarks."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.types import Gaussians

DISTANCE = 13.0  # dm from the camera to the head's centre
SEMI_AXES = (0.75, 1.0, 0.8)  # dm


def shell_scene(
    num_gaussians: int,
    width: int,
    height: int,
    channels: int = 3,
    frames: int = 1,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> tuple[Gaussians, Float[Tensor, "frame 4 4"], Float[Tensor, "frame 3 3"]]:
    """Gaussians, viewmats and Ks: an ellipsoid shell over the centre 60 % of the image, splats of 2 to 6 pixels radius.

    Every frame has its own Gaussians and a slightly turned camera.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    focal = 4 * min(width, height)
    directions = torch.nn.functional.normalize(normal(frames, num_gaussians, 3), dim=-1)
    means = directions * torch.tensor(SEMI_AXES) * (1 + 0.05 * normal(frames, num_gaussians, 1))
    sizes = 0.3 + 1.2 * torch.rand(frames, num_gaussians, 3, generator=generator, dtype=torch.float64)
    gaussians = Gaussians(
        means=means,
        quats=normal(frames, num_gaussians, 4),
        scales=sizes * DISTANCE / focal,
        opacities=torch.sigmoid(0.5 + 1.5 * normal(frames, num_gaussians)),
        colors=torch.rand(frames, num_gaussians, channels, generator=generator, dtype=torch.float64),
    )
    viewmats = torch.stack([_turned_view(0.1 + 0.2 * frame) for frame in range(frames)])
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    return gaussians._map(lambda tensor: tensor.to(dtype)), viewmats.to(dtype), K.to(dtype).repeat(frames, 1, 1)


def _turned_view(angle: float) -> Float[Tensor, "4 4"]:
    """Camera in front of the head (which looks along z), turned by `angle` radians around the vertical."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return torch.tensor(
        [[cosine, 0, sine, 0], [0, -1, 0, 0], [sine, 0, -cosine, DISTANCE], [0, 0, 0, 1]], dtype=torch.float64
    )
