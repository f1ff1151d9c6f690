"""Attribution maps: quantities per Gaussian, rasterised over the face (attention per token, deformation magnitude)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from talksplat.errors import UserError
from talksplat.models.avatar import Avatar
from talksplat.rendering.attribution import AttentionAttribution, DeformationAttribution, Quantity
from talksplat.rendering.color_scale import ColorScale, round_up
from talksplat.rendering.panels import Panel
from talksplat.rendering.render_sequence import RenderSequence
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.types import Conditions, Gaussians

logger = logging.getLogger(__name__)

LEAST_ALPHA = 0.1  # pixels below it show the rendering, since a mean over almost no alpha is noise
DIMMED = 0.35  # brightness of the rendering around the map
SCALE_FRAMES = 16  # sampled to choose the ends of the colour scales
SCALE_QUANTILE = 0.999  # of a frame's pixels; lips and lids are a few per cent of a face


@runtime_checkable
class Source(Protocol):
    """Values per Gaussian, one channel per quantity."""

    quantities: list[Quantity]

    def __call__(self, conditions: Conditions, gaussians: Gaussians) -> Float[Tensor, "frame gaussian quantity"]: ...


def check_attribution(model: Avatar, mode: str, attention: bool, deformation: bool) -> None:
    """Raise a UserError where the avatar lacks the requested attribution."""
    if attention and (mode == "canonical" or not model.token_names):
        raise UserError("attention=true: the avatar of this checkpoint has no attention; leave it out")
    if attention and not model.has_attention:
        raise UserError(
            f"attention=true: {type(model).__name__} joins its conditions without attention weights; leave it out"
        )
    if deformation and (mode == "canonical" or not model.has_deformation):
        raise UserError("deformation=true: the avatar of this checkpoint is not deformed; leave it out")


class AttributionMaps:
    """One image per quantity: its mean over the Gaussians of a pixel, with the weights of alpha blending.

    Args:
        renderer: draws the avatar.
        sources: quantities to show.
        samples: representative conditions of the video, from which the fixed colour scales are chosen.
    """

    def __init__(self, renderer: AvatarRenderer, sources: Sequence[Source], samples: Sequence[Conditions]) -> None:
        self.renderer, self.sources = renderer, list(sources)
        quantities = [quantity for source in self.sources for quantity in source.quantities]
        fixed = all(quantity.high is not None for quantity in quantities)
        highs = [0.0] * len(quantities) if fixed else self._highs(samples, len(quantities))
        self.panels = [
            Panel(q.name, q.meaning, ColorScale(q.high or round_up(high), q.unit, q.palette))
            for q, high in zip(quantities, highs)
        ]

    @torch.inference_mode()
    def __call__(
        self,
        conditions: Conditions,
        gaussians: Gaussians,
        rendered: Float[Tensor, "frame height width 3"],
    ) -> list[Float[Tensor, "frame height width 3"]]:
        """The pictures, in the order of `panels`; around the head, the rendering in dark grey."""
        values, alpha = self.values(conditions, gaussians)
        around = DIMMED * rendered.mean(-1, keepdim=True).expand_as(rendered)
        covered = (alpha >= LEAST_ALPHA)[..., None]
        painted = [panel.scale.paint(channel) for panel, channel in zip(self.panels, values.unbind(-1))]
        return [torch.where(covered, picture, around) for picture in painted]

    @torch.inference_mode()
    def values(
        self, conditions: Conditions, gaussians: Gaussians
    ) -> tuple[Float[Tensor, "frame height width quantity"], Float[Tensor, "frame height width"]]:
        """Means of the quantities in their units (0 where nothing is drawn), and the accumulated alpha."""
        numbers = torch.cat([source(conditions, gaussians) for source in self.sources], dim=-1)
        return self.renderer.average(conditions, gaussians, numbers)

    def _highs(self, samples: Sequence[Conditions], count: int) -> list[float]:
        """Ends of the colour scales: of each frame the value that a thousandth of the head exceeds, and of these the
        largest, so that a blink in one sample counts in full and a stray pixel does not."""
        highest = [torch.zeros(count)]
        for conditions in samples:
            values, alpha = self.values(conditions, self.renderer.gaussians(conditions))
            for frame, covered in zip(values, alpha >= LEAST_ALPHA):
                head = frame[covered].sort(dim=0).values
                if len(head):
                    highest.append(head[int(SCALE_QUANTILE * (len(head) - 1))].cpu())
        return torch.stack(highest).amax(0).tolist()


def make_attribution(
    renderer: AvatarRenderer,
    sequence: RenderSequence,
    device: torch.device,
    batch_size: int,
    attention: bool,
    deformation: bool,
) -> AttributionMaps | None:
    """Maps requested by `attention` and `deformation`, with colour scales for the video of `sequence`; None: neither."""
    sources: list[Source] = [AttentionAttribution(renderer.model)] if attention else []
    samples = []
    if deformation:
        spread = sequence.conditions(slice(None, None, math.ceil(len(sequence) / SCALE_FRAMES)), device)
        samples = [spread.index(slice(i, i + batch_size)) for i in range(0, len(spread), batch_size)]
        logger.info("choosing the colour scales of the deformation from %d frames", len(spread))
        sources.append(
            DeformationAttribution(renderer.model, renderer.mode, renderer.sh_degree, samples[0].index(slice(0, 1)))
        )
    return AttributionMaps(renderer, sources, samples) if sources else None
