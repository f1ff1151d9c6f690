"""Lips as other people move them to this sound: a condition token from a prior (`talksplat.lips`)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.lips.prior import LipPrior
from talksplat.lips.shipped import find_prior
from talksplat.types import Conditions, frames_before

NUMBERS = 9  # gap, width, jaw and six components of the lips' shape


class LipToken(nn.Module):
    """Nine lip numbers of a frame, linear in the rows of audio features around it; the weights are fixed.

    They are learned on other people (`python -m talksplat.learn_lips`) and become part of the avatar's checkpoint.

    Args:
        prior: file, or name of one that comes with the project.
        feature: name of the audio group.
        width, window, context, ahead: of the audio features, as of `AudioEncoder`.
        noise: deviations of normal noise added while training, so that nine numbers cannot serve as a frame's name.
    """

    out_features = NUMBERS

    def __init__(
        self,
        prior: str,
        feature: str,
        width: int,
        window: int,
        context: int,
        ahead: int | None = None,
        noise: float = 0.0,
    ):
        super().__init__()
        self.prior, self.feature, self.width, self.noise = prior, feature, width, noise
        before = frames_before(context, ahead)
        self.first_row = -2 * before - window // 2
        rows = 2 * (context - 1) + window
        # A row lies in the windows of several frames: it is taken from the first of them.
        owner = np.clip((np.arange(rows) - window + 2) // 2, 0, context - 1)
        place = np.stack([owner, np.arange(rows) - 2 * owner])
        self.register_buffer("place", torch.from_numpy(place), persistent=False)
        self.register_buffer("weights", torch.zeros(NUMBERS, rows, width))
        self.register_buffer("bias", torch.zeros(NUMBERS))

    @torch.no_grad()
    def fit(
        self, features: Float[Tensor, "frame window feature"], fingerprint: Float[np.ndarray, " width"] | None
    ) -> None:
        """Load the prior.

        Args:
            features: of the training frames, by which a prior that wants it standardises them.
            fingerprint: of the features; None: unknown, only their name and width are checked.

        Raises:
            UserError: no such prior, one of other features, or one that looks further than the audio windows reach.
        """
        prior = LipPrior.load(find_prior(self.prior))
        prior.check_features(self.feature, prior.fingerprint if fingerprint is None else fingerprint, self.width)
        skipped, taps = prior.first_row - self.first_row, prior.weights.shape[1]
        if skipped < 0 or skipped + taps > self.weights.shape[1]:
            raise UserError(
                f"the lip prior {self.prior} looks at rows {prior.first_row:+d} to {prior.first_row + taps - 1:+d} of 20 ms around a "
                f"frame, but the audio windows reach from {self.first_row:+d} to {self.first_row + self.weights.shape[1] - 1:+d}: "
                "choose larger audio.context and audio.ahead, or a prior made for them"
            )
        weights, bias = torch.from_numpy(prior.weights).float(), torch.from_numpy(prior.bias).float()
        if prior.per_clip:
            rows = features.flatten(0, 1).float().cpu()
            weights = weights / rows.std(0).clamp_min(1e-3 * rows.abs().max())
            bias = bias - torch.einsum("ntf,f->n", weights, rows.mean(0))
        self.weights.zero_()
        self.weights[:, skipped : skipped + taps] = weights.to(self.weights)
        self.bias.copy_(bias)

    def forward(self, conditions: Conditions) -> Float[Tensor, "frame 9"]:
        """Numbers in deviations of a person's own."""
        rows = conditions.audio[:, self.place[0], self.place[1]]
        numbers = torch.einsum("brf,nrf->bn", rows.float(), self.weights) + self.bias
        return numbers + self.noise * torch.randn_like(numbers) if self.training and self.noise else numbers
