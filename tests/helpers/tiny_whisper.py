"""Whisper checkpoints of three blocks with random weights, as Hugging Face and CTranslate2 write them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import torch

WIDTH, BLOCKS, POSITIONS = 32, 3, 60  # 60 positions are 1.2 s


def write_whisper(folder: Path, seed: int = 0, **changes) -> Path:
    """A Hugging Face checkpoint."""
    import transformers

    torch.manual_seed(seed)
    settings = dict(
        d_model=WIDTH,
        encoder_layers=BLOCKS,
        encoder_attention_heads=4,
        encoder_ffn_dim=64,
        max_source_positions=POSITIONS,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=16,
        vocab_size=50,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0),
    )
    model = transformers.WhisperModel(transformers.WhisperConfig(**{**settings, **changes}))
    for name, parameter in model.named_parameters():
        if "layer_norm" in name or name.endswith("bias"):  # otherwise ones and zeros, which a mix-up would not change
            torch.nn.init.normal_(parameter, 0.5, 0.3)
    transformers.logging.disable_progress_bar()
    model.save_pretrained(folder)
    return folder


def write_ct2(folder: Path, source: Path, kind: str = "float16") -> Path:
    """The encoder of a Hugging Face checkpoint as faster-whisper keeps it; kind: float32, float16 or int8."""
    from safetensors.torch import load_file

    weights = {name: tensor.numpy() for name, tensor in load_file(source / "model.safetensors").items()}
    arrays = {"encoder/num_heads": np.int16(4), "decoder/embeddings/weight": np.zeros((50, WIDTH))}
    for name, array in weights.items():
        if name.startswith("encoder.") and ".self_attn." not in name:
            arrays[_ct2_name(name)] = array
    for index in range(BLOCKS):
        part, path = f"encoder.layers.{index}.self_attn.", f"encoder/layer_{index}/self_attention"
        bias = [weights[f"{part}{kind}_proj.bias"] if kind != "k" else np.zeros(WIDTH) for kind in "qkv"]
        arrays[f"{path}/linear_0/weight"] = np.concatenate([weights[f"{part}{kind}_proj.weight"] for kind in "qkv"])
        arrays[f"{path}/linear_0/bias"] = np.concatenate(bias)
        for end in ("weight", "bias"):
            arrays[f"{path}/linear_1/{end}"] = weights[f"{part}out_proj.{end}"]
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(_ct2_bytes(arrays, kind))
    (folder / "config.json").write_text(json.dumps({"alignment_heads": []}))
    return folder


def _ct2_name(name: str) -> str:
    for old, new in {
        "embed_positions.weight": "position_encodings/encodings",
        "layers.": "layer_",
        "self_attn_layer_norm.weight": "self_attention/layer_norm/gamma",
        "self_attn_layer_norm.bias": "self_attention/layer_norm/beta",
        "final_layer_norm.weight": "ffn/layer_norm/gamma",
        "final_layer_norm.bias": "ffn/layer_norm/beta",
        "layer_norm.weight": "layer_norm/gamma",
        "layer_norm.bias": "layer_norm/beta",
        "fc1": "ffn/linear_0",
        "fc2": "ffn/linear_1",
    }.items():
        name = name.replace(old, new)
    return name.replace(".", "/")


def _ct2_bytes(arrays: dict, kind: str) -> bytes:
    entries = {}
    for name, array in arrays.items():
        if kind == "int8" and name.endswith("linear_0/weight"):
            scale = 127 / np.abs(array).max(1)
            entries[name] = np.round(array * scale[:, None]).astype(np.int8)
            entries[f"{name}_scale"] = scale.astype(np.float32)
        else:
            exact = np.float16 if kind == "float16" else np.float32
            entries[name] = array if np.asarray(array).dtype == np.int16 else np.asarray(array, exact)
    text = lambda value: struct.pack("<H", len(value) + 1) + value.encode() + b"\0"
    numbers = {np.dtype(t): n for n, t in enumerate((np.float32, np.int8, np.int16, np.int32, np.float16))}
    data = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(entries))
    for name, array in entries.items():
        array = np.asarray(array)
        data += text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        data += struct.pack("<BI", numbers[array.dtype], array.nbytes) + array.tobytes()
    return data + struct.pack("<I", 0)
