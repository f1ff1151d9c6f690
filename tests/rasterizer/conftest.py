"""Renders a scene and collects the gradient of everything that gets one."""

from __future__ import annotations

import pytest
import torch

from talksplat.types import Gaussians

NAMES = ("means", "quats", "scales", "opacities", "colors", "viewmats", "backgrounds", "means2d")


def _render_with_gradients(rasterizer, scene, width, height, dtype=torch.float32, seed=5, background=True):
    """(RenderOutput, {name: gradient}) for a random linear functional of image and transmittance."""
    gaussians, viewmats, Ks = scene
    generator = torch.Generator().manual_seed(seed)
    frames, channels = len(viewmats), gaussians.colors.shape[-1]
    v_image, backgrounds = (
        torch.randn(frames, height, width, channels, generator=generator, dtype=torch.float64).to(dtype)
        for _ in range(2)
    )
    v_transmittance = torch.randn(frames, height, width, generator=generator, dtype=torch.float64).to(dtype)
    leaves = [getattr(gaussians, name) for name in NAMES[:5]] + [viewmats, backgrounds]
    leaves = [leaf.to(dtype).detach().clone().requires_grad_() for leaf in leaves]
    output = rasterizer(
        Gaussians(*leaves[:5]), leaves[5], Ks.to(dtype), width, height, leaves[6] if background else None
    )
    output.means2d.retain_grad()
    ((output.image * v_image).sum() + (output.transmittance * v_transmittance).sum()).backward()
    return output, dict(zip(NAMES, [leaf.grad for leaf in leaves] + [output.means2d.grad]))


@pytest.fixture
def render_with_gradients():
    return _render_with_gradients


@pytest.fixture
def relative_error():
    """Relative L2 distance; the plain norm where the reference is zero."""
    return lambda value, reference: ((value - reference).norm() / reference.norm().clamp(min=1e-12)).item()
