"""Audio feature windows around a frame to one vector (GaussianTalker section 3.3)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError

SLOPE = 0.02  # of every LeakyReLU here


class AudioEncoder(nn.Module):
    """Strided convolutions over each window, then a learned weighting of the windows around the frame.

    Any feature fits: as many convolutions of stride 2 are stacked as it takes to shorten the window to one row (4 for
    16 rows, as in the original).

    Args:
        width: numbers in a feature row (29 DeepSpeech, 32 mel, 44 wav2vec2 logits, 1024 HuBERT).
        window: rows in a window.
        context: windows around a frame.
        channels: of the later convolutions; the earlier ones have half.
        out_features: length of the vector.
        smoothing: weight the windows by softmax attention over them; off, the frame's own window counts alone.
    """

    def __init__(
        self,
        width: int,
        window: int,
        context: int = 8,
        channels: int = 64,
        out_features: int = 32,
        smoothing: bool = True,
    ):
        super().__init__()
        if min(width, window, context) < 1:
            raise UserError(f"audio: width={width}, window={window} and context={context} must be positive")
        self.width, self.window, self.context, self.out_features = width, window, context, out_features
        depth = max((window - 1).bit_length(), 1)
        sizes = [width] + [channels // 2] * (depth // 2) + [channels] * (depth - depth // 2)
        layers: list[nn.Module] = []
        for before, after in zip(sizes, sizes[1:]):
            layers += [nn.Conv1d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        self.convolutions = nn.Sequential(*layers)
        self.projection = nn.Sequential(
            nn.Linear(channels, channels), nn.LeakyReLU(SLOPE), nn.Linear(channels, out_features)
        )
        self.smoothing = WindowSmoothing(out_features, context) if smoothing else None

    def forward(self, audio: Float[Tensor, "frame context window feature"]) -> Float[Tensor, "frame out"]:
        """All windows of all frames in one pass.

        Raises:
            UserError: the audio has another width, window or context than the model was built for.
        """
        if audio.shape[1:] != (self.context, self.window, self.width):
            raise UserError(
                f"audio windows are {tuple(audio.shape[1:])} (context, window, width), the model was built for "
                f"{(self.context, self.window, self.width)}; choose the audio group it was trained with"
            )
        if self.smoothing is None:
            return self._encode(audio[:, self.context // 2])
        return self.smoothing(self._encode(audio.flatten(0, 1)).unflatten(0, audio.shape[:2]))

    def _encode(self, windows: Float[Tensor, "item window feature"]) -> Float[Tensor, "item out"]:
        return self.projection(self.convolutions(windows.mT).squeeze(-1))


class WindowSmoothing(nn.Module):
    """Softmax weights over the context windows from their own vectors; returns the weighted sum."""

    def __init__(self, features: int, context: int):
        super().__init__()
        sizes = [features]
        while sizes[-1] > 1:
            sizes.append(sizes[-1] // 2)
        layers: list[nn.Module] = []
        for before, after in zip(sizes, sizes[1:]):
            layers += [nn.Conv1d(before, after, 3, padding=1), nn.LeakyReLU(SLOPE)]
        self.convolutions = nn.Sequential(*layers)
        self.scores = nn.Linear(context, context)

    def forward(self, vectors: Float[Tensor, "frame context feature"]) -> Float[Tensor, "frame feature"]:
        """Weighted sum over the context."""
        scores = self.scores(self.convolutions(vectors.mT).squeeze(1))
        return (torch.softmax(scores, dim=-1)[..., None] * vectors).sum(dim=1)
