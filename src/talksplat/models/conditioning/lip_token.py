"""Lip token: lip measures as a condition, predicted from sound by a prior (`talksplat.lips`) or measured."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.errors import UserError
from talksplat.lips import LipClip, LipPrior, fit_person
from talksplat.lips.shipped import find_prior
from talksplat.models.heads import without_autocast
from talksplat.models.subject_statistics import SubjectStatistics
from talksplat.types import Conditions, frames_before

GAP = 25  # frames; longer gaps are shortened, since their filled rows would count like sound
STILL = 1e-3  # heights of a face: least deviation of a mouth
CLOSED = 10  # per cent of the frames, in which the lips count as closed
AROUND, SILENCE, SPEECH = 4, 0.2, 0.5  # rows before and after; shares of a row's norm in speech (pauses: 0.7)
NUMBERS, MEASURES = 9, 43  # gap, width, jaw, six components of the lips' shape; and what these are computed from


class LipToken(nn.Module):
    """Nine lip values of a frame, linear in the rows of audio features around it, with fixed weights.

    The weights are learned on other people (`python -m talksplat.learn_lips`), and fitted to the person's own lips before
    training if `personal` is set. In silence the lips are closed. All buffers are part of the avatar's checkpoint.

    Args:
        prior: file, or name of one that is part of the project; null: `ConditionTokens` omits this token.
        feature: name of the audio group.
        width, window, context, ahead: of the audio features, as of `AudioEncoder`.
        personal: strength of the ridge regression from rows to the residuals of the prior on the person's own lips, in
            shares of the rows' variance; null: the prior unchanged.
        measured: train on the lips measured in each frame instead of predicted ones, so that lips to image is learned
            separately from sound to lips, as in GeneFace (Ye et al., ICLR 2023).
        noise: standard deviation of Gaussian noise added in training, so that nine values cannot identify a frame.
    """

    out_features = NUMBERS
    PERSONAL = ("weights", "bias", "measure_weights", "measure_mean", "rest", "size")
    NEWER_BUFFERS = ("measure_weights", "measure_mean", "rest", "size")  # missing in checkpoints of the first version

    def __init__(
        self,
        prior: str | None,
        feature: str,
        width: int,
        window: int,
        context: int,
        ahead: int | None = None,
        personal: float | None = None,
        measured: bool = False,
        noise: float = 0.0,
    ):
        super().__init__()
        self.prior, self.feature, self.width = prior, feature, width
        self.personal, self.measured, self.noise = personal, measured, noise
        before = frames_before(context, ahead)
        self.first_row = -2 * before - window // 2
        rows = 2 * (context - 1) + window
        # A row is contained in the windows of several frames; the first of them is read.
        owner = np.clip((np.arange(rows) - window + 2) // 2, 0, context - 1)
        place = np.stack([owner, np.arange(rows) - 2 * owner])
        self.register_buffer("place", torch.from_numpy(place), persistent=False)
        self.register_buffer("weights", torch.zeros(NUMBERS, rows, width))
        self.register_buffer("bias", torch.zeros(NUMBERS))
        self.register_buffer("measure_weights", torch.zeros(NUMBERS, MEASURES))
        self.register_buffer("measure_mean", torch.zeros(MEASURES))
        self.register_buffer("rest", torch.zeros(NUMBERS))  # lips in silence
        self.register_buffer("size", torch.zeros(()))  # of a row in speech

    @torch.no_grad()
    def fit(self, subject: SubjectStatistics) -> None:
        """Load the prior, and fit it to the person.

        Features of unknown origin are checked by name and width only.

        Raises:
            UserError: no such prior, one of other features, or one that needs rows beyond the audio windows; no measured
                lips where `measured` or `personal` need them.
        """
        prior = LipPrior.load(find_prior(self.prior))
        fingerprint = subject.audio_fingerprint
        fingerprint = prior.fingerprint if fingerprint is None else fingerprint.cpu().numpy()
        prior.check_features(self.feature, fingerprint, self.width)
        skipped, taps = prior.first_row - self.first_row, prior.weights.shape[1]
        if skipped < 0 or skipped + taps > self.weights.shape[1]:
            raise UserError(
                f"the lip prior {self.prior} reads rows {prior.first_row:+d} to {prior.first_row + taps - 1:+d} of 20 ms around a "
                f"frame, but the audio windows reach from {self.first_row:+d} to {self.first_row + self.weights.shape[1] - 1:+d}: "
                "choose larger audio.context and audio.ahead, a prior made for them, or none (audio.lip_prior=null)"
            )
        clip = _clip_of(subject)
        if (self.measured or self.personal is not None) and not np.isfinite(clip.measures).any():
            raise UserError(
                "model.tokens.lips needs the person's own lips, but no training frame has landmarks (ori_imgs/*.lms): set "
                "model.tokens.lips.measured=false model.tokens.lips.personal=null"
            )
        if self.personal is not None:
            prior = fit_person(prior, clip, self.personal)
        if np.isfinite(clip.measures).any():
            self._fit_measures(prior, clip)
        weights, bias = torch.from_numpy(prior.weights).float(), torch.from_numpy(prior.bias).float()
        if prior.per_clip:
            rows = subject.audio.flatten(0, 1).float().cpu()
            weights = weights / rows.std(0).clamp_min(1e-3 * rows.abs().max())
            bias = bias - torch.einsum("ntf,f->n", weights, rows.mean(0))
        self.weights.zero_()
        self.weights[:, skipped : skipped + taps] = weights.to(self.weights)
        self.bias.copy_(bias)

    def _fit_measures(self, prior: LipPrior, clip: LipClip) -> None:
        """Linear map from measures to this person's `lip_numbers`, and the values of closed lips."""
        raw = np.concatenate([clip.measures[:, :3], clip.measures[:, 3:] @ prior.lip_basis.T], axis=1)
        mean, spread = np.nanmean(raw, 0), np.maximum(np.nanstd(raw, 0), STILL)
        self.measure_weights.zero_()
        self.measure_weights[:3, :3] = torch.eye(3)
        self.measure_weights[3:, 3:] = torch.from_numpy(prior.lip_basis)
        self.measure_weights /= torch.from_numpy(spread).to(self.measure_weights)[:, None]
        self.measure_mean.copy_(torch.from_numpy(np.nanmean(clip.measures, 0)))
        closed = raw[:, 0] <= np.nanpercentile(raw[:, 0], CLOSED)
        self.rest.copy_(torch.from_numpy((raw[closed].mean(0) - mean) / spread))
        # Rows standardised per recording, as mel's, may be small in speech, so silence is not detected for them.
        self.size.fill_(0.0 if prior.per_clip else float(np.linalg.norm(clip.rows, axis=1).mean()))

    def forward(self, conditions: Conditions) -> Float[Tensor, "frame 9"]:
        """Values in standard deviations of the person's own, float32."""
        with without_autocast(conditions.audio):
            return self._numbers(conditions)

    def _numbers(self, conditions: Conditions) -> Float[Tensor, "frame 9"]:
        rows = conditions.audio[:, self.place[0], self.place[1]].float()
        numbers = torch.einsum("brf,nrf->bn", rows, self.weights) + self.bias
        numbers = torch.where(self.size > 0, torch.lerp(self.rest, numbers, self._sound(rows)), numbers)
        if not self.training:
            return numbers
        if self.measured and conditions.lip_measures is not None:
            seen = (conditions.lip_measures.float() - self.measure_mean) @ self.measure_weights.T
            numbers = torch.where(seen.isfinite(), seen, numbers)
        return numbers + self.noise * torch.randn_like(numbers) if self.noise else numbers

    def _sound(self, rows: Float[Tensor, "frame row feature"]) -> Float[Tensor, "frame 1"]:
        """Share of sound: 0 in silence, where rows are 0; 1 in speech and in pauses of a recorded voice."""
        near = rows[:, max(-self.first_row - AROUND, 0) : -self.first_row + AROUND]
        share = near.norm(dim=2).mean(1, keepdim=True) / self.size
        return ((share - SILENCE) / (SPEECH - SILENCE)).clamp(0, 1)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        """As of any module; older checkpoints lack `NEWER_BUFFERS`."""
        for name in self.NEWER_BUFFERS:
            state_dict.setdefault(f"{prefix}{name}", getattr(self, name))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _clip_of(subject: SubjectStatistics) -> LipClip:
    """The training frames as a recording that begins with the first of them and has no gap longer than `GAP`; a row outside
    of all their windows repeats the one before."""
    count, window = subject.audio.shape[:2]
    frames = np.arange(count) if subject.frames is None else subject.frames.cpu().numpy()
    frames = np.cumsum(np.minimum(np.diff(frames, prepend=frames[0]), GAP))
    audio = subject.audio.float().cpu().numpy()
    places = 2 * frames[:, None] + np.arange(window) - window // 2
    inside = (places >= 0) & (places < 2 * (frames[-1] + 1))
    rows = np.zeros((2 * (frames[-1] + 1), audio.shape[2]), np.float32)
    rows[places[inside]] = audio[inside]
    last = np.zeros(len(rows), np.int64)
    last[places[inside]] = places[inside]
    rows = rows[np.maximum.accumulate(last)]
    measures = (
        np.full((count, MEASURES), np.nan) if subject.lip_measures is None else subject.lip_measures.cpu().numpy()
    )
    return LipClip("the person", rows, frames, measures.astype(np.float64))
