"""Compositors: from layers to one image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from talksplat.errors import UserError
from talksplat.types import Conditions, Gaussians, RenderOutput

Draw = Callable[[Gaussians, Tensor | None], RenderOutput]  # Gaussians over backgrounds [frame, height, width, channel]


def drawing(
    rasterizer: Callable[..., RenderOutput], conditions: Conditions, width: int, height: int, absgrad: bool = False
) -> Draw:
    """Rasteriser with the cameras and the size of a batch; `absgrad` as of `Rasterizer`."""
    views, Ks = conditions.viewmats, conditions.Ks
    return lambda gaussians, backgrounds: rasterizer(gaussians, views, Ks, width, height, backgrounds, absgrad)


@dataclass
class LayerView:
    """Part of a rendering that belongs to one layer."""

    output: RenderOutput
    part: slice  # of its Gaussians

    def retain_grad(self) -> None:
        """Keep the gradients of the projected means for density control."""
        self.output.means2d.retain_grad()

    def seen(self) -> RenderOutput:
        """The rendering, after the backward pass, with the projected means, gradients and radii of this layer only."""
        means2d = self.output.means2d.detach()[:, self.part]
        means2d.grad = self.output.means2d.grad[:, self.part]
        if hasattr(self.output.means2d, "absgrad"):  # gsplat's way to return absolute gradients
            means2d.absgrad = self.output.means2d.absgrad[:, self.part]
        output = self.output
        return RenderOutput(output.image, output.transmittance, means2d, output.radii[:, self.part])


class Together:
    """All layers in one rasterisation, sorted by depth."""

    def __call__(
        self, draw: Draw, gaussians: Gaussians, parts: Mapping[str, slice], background: Tensor | None
    ) -> tuple[RenderOutput, dict[str, LayerView]]:
        """Image, and the view of each layer."""
        output = draw(gaussians, background)
        return output, {name: LayerView(output, part) for name, part in parts.items()}


class Over:
    """Layers rendered in order, each over the image of those before it.

    Args:
        order: names of all layers, from back to front.
    """

    def __init__(self, order: Sequence[str]):
        self.order = list(order)

    def __call__(
        self, draw: Draw, gaussians: Gaussians, parts: Mapping[str, slice], background: Tensor | None
    ) -> tuple[RenderOutput, dict[str, LayerView]]:
        """Image with the transmittance of all layers, and the rendering of each layer over those behind it.

        Raises:
            UserError: `order` names other layers than the avatar has.
        """
        if sorted(self.order) != sorted(parts):
            raise UserError(f"model.compositor.order={self.order} must name each of the layers {', '.join(parts)} once")
        image, left, views = background, None, {}
        for name in self.order:
            layer = gaussians.part(parts[name])
            output = draw(layer, image)
            image, left = output.image, _through(left, output.transmittance)
            views[name] = LayerView(output, slice(None))
        last = views[self.order[-1]].output
        return RenderOutput(image, left, last.means2d, last.radii), views


def _through(
    left: Float[Tensor, "frame height width"] | None, transmittance: Float[Tensor, "frame height width"]
) -> Float[Tensor, "frame height width"]:
    return transmittance if left is None else left * transmittance
