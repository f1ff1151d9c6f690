"""Typed tensor bundles that are passed between packages.

Axis words: frame (B), gaussian (N), height, width, context (audio windows around a frame), window (feature rows in one
audio window), feature (width of the audio feature). Images are RGB; stored as uint8, in [0, 1] as float. World = head
frame in decimetres, cameras in OpenCV axes, `viewmats` world-to-camera, quaternions wxyz, pixel centres at +0.5.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor


class TensorBundle:
    """Moves a dataclass of tensors (and nested bundles) between devices; `index` selects along the first axis."""

    def _map(self, function):
        def mapped(value):
            if isinstance(value, TensorBundle):
                return value._map(function)
            return function(value) if isinstance(value, Tensor) else value

        return replace(self, **{field.name: mapped(getattr(self, field.name)) for field in fields(self)})

    def to(self, device: torch.device | str, non_blocking: bool = False):
        """Same bundle with every tensor on `device`."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def index(self, item: slice | Tensor):
        """Same bundle restricted to `item` of the first axis of every tensor."""
        return self._map(lambda tensor: tensor[item])


@dataclass
class Conditions(TensorBundle):
    """Conditions of an avatar in each of B frames."""

    audio: Float[Tensor, "frame context window feature"]
    eye: Float[Tensor, " frame"]  # AU45 blink intensity, clipped to [0, 2] and halved: 0 open, 1 shut
    viewmats: Float[Tensor, "frame 4 4"]
    Ks: Float[Tensor, "frame 3 3"]
    motion: Float[Tensor, "frame lag 6"] | None = None  # to poses that lag behind the head (geometry.head_motion)
    action_units: Float[Tensor, "frame unit"] | None = None  # intensities / 5 of `dataset.action_units`
    frames: Int[Tensor, " frame"] | None = None  # numbers in the video, or in the new speech: time at 25 a second
    lip_measures: Float[Tensor, "frame 43"] | None = None  # of training frames (lips.measures), NaN in others
    subject: str | None = None  # name of the subject, where there are several

    def __len__(self) -> int:
        return self.viewmats.shape[0]


def frames_before(context: int, ahead: int | None) -> int:
    """Number of a frame's audio windows before its own; `ahead` are after it (None: the original, one less than half)."""
    return context // 2 if ahead is None else context - 1 - ahead


@dataclass
class FrameBatch(TensorBundle):
    """B frames of a subject. `target` is what the losses compare with, `original` what the metrics compare with."""

    frame_ids: Int[Tensor, " frame"]  # numbers of the frames in the video, not positions in a list
    conditions: Conditions
    original_u8: UInt8[Tensor, "frame height width 3"]
    background_u8: UInt8[Tensor, "frame height width 3"]  # torso over the clean plate, without the head
    head_mask: Bool[Tensor, "frame height width"]
    lip_boxes: Int[Tensor, "frame 4"]  # x0, y0, x1, y1; x1 and y1 exclusive; an empty box where no lips were found
    head_alpha_u8: UInt8[Tensor, "frame height width"] | None = None  # soft head mask; None: `head_mask` as it is
    lip_pixels: Float[Tensor, ""] | None = None  # in lip boxes, mean over the processes; None: those of this batch

    @property
    def original(self) -> Float[Tensor, "frame height width 3"]:
        """The video's own pixels in [0, 1]."""
        return self.original_u8.float() / 255

    @property
    def background(self) -> Float[Tensor, "frame height width 3"]:
        """Background without the head, in [0, 1]."""
        return self.background_u8.float() / 255

    @property
    def head_alpha(self) -> Float[Tensor, "frame height width"]:
        """Head coverage of each pixel, in [0, 1]."""
        return self.head_mask.float() if self.head_alpha_u8 is None else self.head_alpha_u8.float() / 255

    @property
    def head_pixels(self) -> Bool[Tensor, "frame height width"]:
        """Pixels that the head covers at least in part: elsewhere `target` is the background."""
        return self.head_mask if self.head_alpha_u8 is None else self.head_alpha_u8 > 0

    @property
    def target(self) -> Float[Tensor, "frame height width 3"]:
        """Image of a perfect head layer over the background.

        With a hard mask, the original's head pixels over the background (GaussianTalker: ori*M + BG*(1-M)).
        With a soft one, the colour nearest to the original that some head colour F in [0, 1] can give as
        F*alpha + BG*(1-alpha). Plain ori*alpha + BG*(1-alpha) would count the old background twice, since it is
        mixed into the original's soft pixels already; this is that formula with F unmixed, and the hard mask's at 0 and 1.
        """
        if self.head_alpha_u8 is None:
            return torch.where(self.head_mask[..., None], self.original_u8, self.background_u8).float() / 255
        alpha = self.head_alpha[..., None]
        behind = (1 - alpha) * self.background
        return torch.minimum(torch.maximum(self.original, behind), behind + alpha)


@dataclass
class Gaussians(TensorBundle):
    """Activated Gaussians of B frames, ready to rasterise."""

    means: Float[Tensor, "frame gaussian 3"]  # dm, head frame
    quats: Float[Tensor, "frame gaussian 4"]  # wxyz, need not be normalised
    scales: Float[Tensor, "frame gaussian 3"]  # dm, standard deviations
    opacities: Float[Tensor, "frame gaussian"]  # [0, 1]
    colors: Float[Tensor, "frame gaussian channel"]

    def part(self, gaussians: slice) -> Gaussians:
        """Some of the Gaussians of all frames."""
        return self._map(lambda tensor: tensor[:, gaussians])


@dataclass
class RenderOutput(TensorBundle):
    """Rasterised frames. `means2d` keeps its gradient (`retain_grad`) for density control."""

    image: Float[Tensor, "frame height width channel"]  # composited over the background where one was given
    transmittance: Float[
        Tensor, "frame height width"
    ]  # share of the background that is visible; alpha = 1 - transmittance
    means2d: Float[Tensor, "frame gaussian 2"]  # pixels
    radii: Int[Tensor, "frame gaussian 2"]  # pixels per axis; 0 where culled

    @property
    def alpha(self) -> Float[Tensor, "frame height width"]:
        """Accumulated opacity."""
        return 1 - self.transmittance
