"""Audio encoder: feature windows around a frame to one vector (GaussianTalker)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.types import frames_before

SLOPE = 0.02  # of every LeakyReLU here
MIN_DEVIATION = 1e-2  # floor, for features that are almost constant in the clip


class AudioEncoder(nn.Module):
    """Strided convolutions over each window, then a learned weighting of the windows around the frame.

    The number of convolutions of stride 2 follows from the window, which they shorten to one row (4 for 16 rows, as in
    the original).

    Args:
        width: numbers in a feature row (29 DeepSpeech, 32 mel, 44 wav2vec2 logits, 1024 HuBERT).
        window: rows in a window.
        context: windows around a frame.
        channels: of the later convolutions; the earlier ones have half.
        out_features: length of the vector.
        smoothing: weight the windows by softmax attention over them; off, only the frame's own window is used.
        normalize: standardise each feature by its mean and deviation over the training frames (`fit`); original: off.
        he_init: variance-preserving initial weights and zero biases, so that the vector varies with the sound from the
            first step; original: off, where its initial variation is a thousandth of the null token.
        center_bias: added to the initial score of the frame's own window; original 0, which starts as a mean over all
            windows, i.e. over 0.6 s of sound.
        ahead: windows of the context after the frame's own; None: one less than half of them.
        components: number of principal components of the training frames' rows, whitened, to use instead of the rows,
            since wide features of a few seconds invite overfitting. None: the rows.
    """

    PERSONAL = ("mean", "deviation")

    def __init__(
        self,
        width: int,
        window: int,
        context: int = 8,
        channels: int = 64,
        out_features: int = 32,
        smoothing: bool = True,
        normalize: bool = True,
        he_init: bool = True,
        center_bias: float = 3.0,
        ahead: int | None = None,
        components: int | None = None,
    ):
        super().__init__()
        if min(width, window, context) < 1:
            raise UserError(f"audio: width={width}, window={window} and context={context} must be positive")
        self.width, self.window, self.context, self.out_features = width, window, context, out_features
        if components is not None and not (normalize and 1 <= components <= width):
            raise UserError(f"audio.components={components} must be 1 to audio.width={width}, and normalize must be on")
        self.center = frames_before(context, ahead)
        self.components = components
        depth = max((window - 1).bit_length(), 1)
        sizes = [components or width] + [channels // 2] * (depth // 2) + [channels] * (depth - depth // 2)
        layers: list[nn.Module] = []
        for before, after in zip(sizes, sizes[1:]):
            layers += [nn.Conv1d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        self.convolutions = nn.Sequential(*layers)
        self.projection = nn.Sequential(
            nn.Linear(channels, channels), nn.LeakyReLU(SLOPE), nn.Linear(channels, out_features)
        )
        self.smoothing = WindowSmoothing(out_features, context, self.center, center_bias) if smoothing else None
        self.normalize = normalize
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        if components is not None:
            self.register_buffer("basis", torch.eye(width, components))
        if he_init:
            _he_init(self.convolutions)
            _he_init(self.projection)

    def fit(self, features: Float[Tensor, "frame window feature"]) -> None:
        """Set mean and deviation of each feature, and the principal components, from the training frames' windows."""
        if not self.normalize:
            return
        rows = features.flatten(0, 1).float()
        self.mean.copy_(rows.mean(0))
        self.deviation.copy_(rows.std(0).clamp_min(MIN_DEVIATION))
        self.fit_common([features])

    def fit_common(self, features: Sequence[Float[Tensor, "_ window feature"]]) -> None:
        """Set the principal components, which all subjects share, from the windows of all of them."""
        if self.components is None:
            return
        rows = [part.flatten(0, 1).float() for part in features]
        rows = torch.cat([(part - part.mean(0)) / part.std(0).clamp_min(MIN_DEVIATION) for part in rows])
        variances, axes = torch.linalg.eigh((rows.mT @ rows / len(rows)).double())
        kept = slice(-self.components, None)
        self.basis.copy_(axes[:, kept] / variances[kept].clamp_min(MIN_DEVIATION**2).sqrt())

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
            return self._encode(audio[:, self.center])
        return self.smoothing(self._encode(audio.flatten(0, 1)).unflatten(0, audio.shape[:2]))

    def _encode(self, windows: Float[Tensor, "item window feature"]) -> Float[Tensor, "item out"]:
        windows = (windows - self.mean) / self.deviation
        if self.components is not None:
            windows = windows @ self.basis
        return self.projection(self.convolutions(windows.mT).squeeze(-1))


class WindowSmoothing(nn.Module):
    """Weighted sum of the context windows' vectors, with softmax weights computed from them."""

    def __init__(self, features: int, context: int, center: int, center_bias: float = 0.0):
        super().__init__()
        sizes = [features]
        while sizes[-1] > 1:
            sizes.append(sizes[-1] // 2)
        layers: list[nn.Module] = []
        for before, after in zip(sizes, sizes[1:]):
            layers += [nn.Conv1d(before, after, 3, padding=1), nn.LeakyReLU(SLOPE)]
        self.convolutions = nn.Sequential(*layers)
        self.scores = nn.Linear(context, context)
        with torch.no_grad():
            self.scores.bias[center] += center_bias

    def forward(self, vectors: Float[Tensor, "frame context feature"]) -> Float[Tensor, "frame feature"]:
        """Weighted sum over the context."""
        scores = self.scores(self.convolutions(vectors.mT).squeeze(1))
        return (torch.softmax(scores, dim=-1)[..., None] * vectors).sum(dim=1)


def _he_init(layers: nn.Sequential) -> None:
    """He et al. 2015 for these leaky ReLUs; a last layer without one preserves the variance too."""
    for layer, follower in zip(layers, [*layers[1:], None]):
        if isinstance(layer, (nn.Conv1d, nn.Linear)):
            nonlinearity = "linear" if follower is None else "leaky_relu"
            nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity=nonlinearity)
            nn.init.zeros_(layer.bias)
