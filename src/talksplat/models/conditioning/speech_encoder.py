"""Speech encoder: a pretrained speech model inside the avatar, whose last layers can be trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from talksplat.audio import ROW_SAMPLES
from talksplat.audio.row_grid import RowGrid
from talksplat.audio.speech_checkpoint import build_model, find_checkpoint, load_weights
from talksplat.errors import UserError
from talksplat.models.conditioning.audio_encoder import AudioEncoder

ROWS = 2  # of 20 ms in a frame
FIT_CHUNKS, FIT_FRAMES = 8, 100  # excerpts of the training clip, and their length, that standardise the hidden states


class SpeechEncoder(nn.Module):
    """Samples around a frame through a transformers encoder; its rows around the frame through an `AudioEncoder`.

    All layers are frozen and in evaluation mode until `unfreeze` makes the last ones trainable. The weights are part of
    the avatar's checkpoint.

    Args:
        width, window: 320 and 2, the samples of a frame as `WaveformFeatures` cuts them.
        context: frames around a frame that are input of the speech model.
        checkpoint: Hugging Face name or local folder, read when training begins; None: start from random weights.
        architecture: configuration of the speech model; None: that of `checkpoint`. A run writes it into its
            configuration, so that a trained avatar does not need the checkpoint.
        listen: windows of two rows around a frame that are input of the `AudioEncoder`; see there for other settings.
        assets: folder of named checkpoints.

    Raises:
        UserError: other features than `audio=waveform`, `listen` beyond `context`, or no usable speech model.
    """

    def __init__(
        self,
        width: int,
        window: int,
        context: int,
        checkpoint: str | None,
        architecture: dict[str, Any] | None = None,
        listen: int = 8,
        channels: int = 64,
        out_features: int = 32,
        smoothing: bool = True,
        normalize: bool = True,
        he_init: bool = True,
        center_bias: float = 3.0,
        ahead: int | None = None,
        components: int | None = None,
        assets: str | None = None,
    ):
        super().__init__()
        if (width, window) != (ROW_SAMPLES, ROWS):
            raise UserError(
                f"a speech model inside the avatar needs raw samples, not features of [{window}, {width}]: choose "
                "audio=waveform"
            )
        if ahead is not None:
            raise UserError(
                f"audio.ahead={ahead}: a speech model inside the avatar uses both sides of a frame; set it to null"
            )
        if not 1 <= listen <= context:
            raise UserError(f"audio encoder: listen={listen} must be 1 to context={context} frames")
        self.width, self.window, self.context, self.listen = width, window, context, listen
        self.checkpoint, self.assets = checkpoint, assets
        self.backbone = build_model(architecture, checkpoint, assets)
        self.grid = RowGrid.of(self.backbone.config)
        if self.grid.hop != ROW_SAMPLES:
            raise UserError(
                f"the speech model {checkpoint} makes a row every {self.grid.hop} samples, but {ROW_SAMPLES} are needed: "
                "choose a wav2vec 2.0, HuBERT or WavLM checkpoint"
            )
        hidden = self.backbone.config.hidden_size
        self.head = AudioEncoder(
            hidden,
            ROWS,
            listen,
            channels,
            out_features,
            smoothing,
            normalize,
            he_init,
            center_bias,
            components=components,
        )
        self.out_features = out_features
        self._open = 0
        self.unfreeze(0)

    @property
    def layers(self) -> nn.ModuleList:
        """Transformer layers of the speech model."""
        return self.backbone.encoder.layers

    def unfreeze(self, count: int) -> None:
        """Make the last `count` layers trainable and freeze the others. Raises UserError if there are fewer."""
        if count > len(self.layers):
            raise UserError(f"unfreeze_audio_layers={count}, but the speech model has {len(self.layers)} layers")
        self._open = count
        self.backbone.requires_grad_(False)
        self._open_layers().requires_grad_(True)
        self.train(self.training)

    def _open_layers(self) -> nn.ModuleList:
        return self.layers[len(self.layers) - self._open :]

    def train(self, mode: bool = True) -> SpeechEncoder:
        """As of any module, but frozen layers stay in evaluation mode, without dropout or masking of the input."""
        super().train(mode)
        self.backbone.eval()
        self._open_layers().train(mode)
        return self

    def fit(self, features: Float[Tensor, "frame window feature"]) -> None:
        """Load the pretrained weights, and standardise their hidden states over excerpts of the training frames.

        Raises:
            UserError: the checkpoint is missing or damaged.
        """
        if self.checkpoint is not None:
            pretrained = load_weights(find_checkpoint(self.checkpoint, self.assets), ctc=False)
            self.backbone.load_state_dict(pretrained.state_dict())
        self.head.fit(self._sample_rows(features))

    def fit_common(self, features: Sequence[Float[Tensor, "_ window feature"]]) -> None:
        """Set the principal components, which all subjects share, from the windows of all of them."""
        self.head.fit_common([self._sample_rows(part) for part in features])

    @torch.no_grad()
    def _sample_rows(self, features: Float[Tensor, "frame window feature"]) -> Float[Tensor, "row 1 hidden"]:
        stretches = features.float().split(FIT_FRAMES)
        chosen = torch.linspace(0, len(stretches) - 1, min(FIT_CHUNKS, len(stretches))).round().long().tolist()
        rows = [self._rows(stretches[index].reshape(1, -1))[0] for index in chosen]
        return torch.cat(rows)[:, None]

    def forward(self, audio: Float[Tensor, "frame context window feature"]) -> Float[Tensor, "frame out"]:
        """One vector per frame.

        Raises:
            UserError: the audio has another width, window or context than the model was built for.
        """
        if audio.shape[1:] != (self.context, self.window, self.width):
            raise UserError(
                f"audio windows are {tuple(audio.shape[1:])} (context, window, width), the model was built for "
                f"{(self.context, self.window, self.width)}; choose the audio group it was trained with"
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._open > 0):
            rows = self._rows(audio.flatten(1)).unflatten(1, (self.context, ROWS))
        first = self.context // 2 - self.listen // 2
        return self.head(rows[:, first : first + self.listen])

    def _rows(self, samples: Float[Tensor, "item sample"]) -> Float[Tensor, "item row hidden"]:
        """Hidden states of the last layer, float32, the middle of row r at (r + 0.5) * 320 samples."""
        rows = samples.shape[1] // ROW_SAMPLES
        behind = (rows - 1) * ROW_SAMPLES + self.grid.field - self.grid.lead - samples.shape[1]
        padded = nn.functional.pad(samples, (self.grid.lead, behind))
        return self.backbone(padded).last_hidden_state.float()
