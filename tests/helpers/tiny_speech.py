"""Speech models of two layers with random weights, in a fraction of a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

HIDDEN, LETTERS = 32, 44
KINDS = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}


def write_speech_model(folder: Path, kind: str = "wav2vec2", ctc: bool = False, **changes: Any) -> Path:
    """A checkpoint as transformers saves it; the convolutions have the kernels and strides of the real ones."""
    import transformers

    torch.manual_seed(0)
    name = KINDS[kind]
    settings = dict(
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        vocab_size=LETTERS,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        mask_time_prob=0.5,  # whoever forgets to switch off the masks of pretraining will see it
    )
    config = getattr(transformers, f"{name}Config")(**{**settings, **changes})
    model = getattr(transformers, f"{name}ForCTC" if ctc else f"{name}Model")(config)
    transformers.logging.disable_progress_bar()
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": 16000}))
    return folder
