"""Condition tokens: one vector per source of a frame's conditions (GaussianTalker).

A source outputs a vector of `out_features` values; a separate network per source projects it to a token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.types import Conditions


class TokenMLP(nn.Sequential):
    """Linear-ReLU-Linear to the width of a token, without biases in the original."""

    def __init__(self, in_features: int, width: int = 64, bias: bool = False):
        super().__init__(nn.Linear(in_features, width, bias=bias), nn.ReLU(), nn.Linear(width, width, bias=bias))


class AudioToken(nn.Module):
    """Vector of the audio windows by `encoder`."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.out_features = encoder.out_features

    def forward(self, conditions: Conditions) -> Float[Tensor, "frame out"]:
        """One vector a frame."""
        return self.encoder(conditions.audio)


class EyeToken(nn.Module):
    """Blink intensity as sines and cosines.

    Args:
        features: sines and cosines together.
        frequency: "multiply" (the original: frequencies 1 to about 5,600, of which most alias), or "divide" (the usual
            position code: frequencies 1 down to 1/5,600, smooth in the intensity).
    """

    def __init__(self, features: int = 32, frequency: str = "divide"):
        super().__init__()
        if frequency not in ("multiply", "divide"):
            raise UserError(f"tokens.eye.frequency={frequency!r} must be 'multiply' or 'divide'")
        exponent = torch.arange(0, features, 2) / features
        self.register_buffer("rates", 10000.0 ** (exponent if frequency == "multiply" else -exponent), persistent=False)
        self.out_features = features

    def forward(self, conditions: Conditions) -> Float[Tensor, "frame feature"]:
        """One vector a frame."""
        angle = conditions.eye.float()[:, None] * self.rates
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


class CameraToken(nn.Module):
    """Head pose: camera-to-world rotation (9, row-major) and world-to-camera translation (3, dm).

    Args:
        normalize: subtract the mean and divide by the standard deviation over the training cameras (the original uses
            raw values, which the distance of 7 to 20 dm dominates).
        min_std: floor of the standard deviation (rotation entries, dm), so that tracker noise is not amplified where the
            head hardly moves.
        limit: normalised values are clamped to this many deviations, so that a camera path beyond the training poses
            (an orbit) deforms like the outermost of them; null for none.
        noise: standard deviation (normalised) of Gaussian noise added in training, so that the network cannot identify
            the frames of a short clip by their poses and memorise each mouth shape.
    """

    PERSONAL = ("mean", "std")
    mean: Float[Tensor, 12]
    std: Float[Tensor, 12]
    out_features = 12

    def __init__(
        self,
        normalize: bool = True,
        min_std: float = 0.05,
        limit: float | None = 3.0,
        noise: float = 0.2,
    ):
        super().__init__()
        if not normalize and (limit is not None or noise):
            raise UserError(
                "tokens.camera: limit and noise count deviations; with normalize=false set limit=null noise=0"
            )
        self.normalize, self.min_std, self.limit, self.noise = normalize, min_std, limit, noise
        self.register_buffer("mean", torch.zeros(12))
        self.register_buffer("std", torch.ones(12))

    @torch.no_grad()
    def fit(self, viewmats: Float[Tensor, "frame 4 4"]) -> None:
        """Set mean and deviation from the training cameras."""
        if self.normalize:
            pose = self._pose(viewmats)
            self.mean.copy_(pose.mean(0))
            self.std.copy_(pose.std(0, unbiased=False).clamp_min(self.min_std))

    def forward(self, conditions: Conditions) -> Float[Tensor, "frame 12"]:
        """Pose of each frame."""
        pose = (self._pose(conditions.viewmats) - self.mean) / self.std
        if self.training and self.noise:
            pose = pose + self.noise * torch.randn_like(pose)
        if self.limit is not None:
            pose = pose.clamp(-self.limit, self.limit)
        return pose

    @staticmethod
    def _pose(viewmats: Float[Tensor, "frame 4 4"]) -> Float[Tensor, "frame 12"]:
        return torch.cat([viewmats[:, :3, :3].mT.flatten(1), viewmats[:, :3, 3]], dim=1).float()


class NullToken(nn.Module):
    """Learned vector, the same in every frame: target of the attention where no condition affects a Gaussian.

    Args:
        width: of a token.
        init_std: of its initial values; with the original's 1 it starts several times as long as the audio token.
    """

    def __init__(self, width: int = 64, init_std: float = 0.1):
        super().__init__()
        self.vector = nn.Parameter(init_std * torch.randn(width))

    def forward(self, conditions: Conditions) -> Float[Tensor, "frame width"]:
        """One token a frame."""
        return self.vector.expand(len(conditions), -1)


class ConditionTokens(nn.Module):
    """The tokens of a frame, in the order audio, lips, eye, expression, camera, null. A token set to null in the
    configuration is omitted (ablation).

    Args:
        network: makes the network of a source from its `out_features`; the null token needs none.
        position_code: module (tokens [frame, token, width], numbers of the frames [frame]) to tokens; null for none.

    Raises:
        UserError: there is no token.
    """

    def __init__(
        self,
        network: Callable[[int], nn.Module],
        audio: nn.Module | None = None,
        lips: nn.Module | None = None,
        eye: nn.Module | None = None,
        expression: nn.Module | None = None,
        camera: nn.Module | None = None,
        null_token: nn.Module | None = None,
        position_code: nn.Module | None = None,
    ):
        super().__init__()
        sources = {
            "audio": audio,
            "lips": None if lips is None or lips.prior is None else lips,
            "eye": eye,
            "expression": expression,
            "camera": camera,
            "null": null_token,
        }
        self.sources = nn.ModuleDict({name: source for name, source in sources.items() if source is not None})
        if not self.sources:
            raise UserError(
                "model.tokens: every token is switched off; for a model without conditions use model=static"
            )
        self.networks = nn.ModuleDict(
            {name: network(source.out_features) for name, source in self.sources.items() if name != "null"}
        )
        self.position_code = position_code

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tokens, in order."""
        return tuple(self.sources)

    def fit(self, subject: SubjectStatistics) -> None:
        """Fit the sources to the training cameras, and to audio windows where there are any."""
        if "camera" in self.sources:
            self.sources["camera"].fit(subject.viewmats)
        if subject.audio is None:
            return
        if "audio" in self.sources:
            self.sources["audio"].encoder.fit(subject.audio)
        if "lips" in self.sources:
            self.sources["lips"].fit(subject)

    def fit_common(self, subjects: Sequence[SubjectStatistics]) -> None:
        """Fit what several subjects share, after `fit` of each."""
        windows = [subject.audio for subject in subjects if subject.audio is not None]
        if "audio" in self.sources and windows:
            self.sources["audio"].encoder.fit_common(windows)

    def forward(self, conditions: Conditions) -> Float[Tensor, "frame token width"]:
        """Tokens of B frames."""
        tokens = []
        for name, source in self.sources.items():
            numbers = source(conditions)
            tokens.append((self.networks[name](numbers) if name in self.networks else numbers).float())
        stacked = torch.stack(tokens, dim=1)
        return stacked if self.position_code is None else self.position_code(stacked, conditions.frames)
