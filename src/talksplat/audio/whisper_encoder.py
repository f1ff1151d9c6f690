"""Encoder of Whisper (Radford et al. 2022, section 2.2), up to the block whose states are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class WhisperSize:
    """Sizes on which the shapes of a checkpoint depend."""

    width: int  # of the states
    heads: int
    feed_forward: int
    blocks: int  # that the checkpoint has
    mels: int
    positions: int  # states of 30 s


class WhisperEncoder(nn.Module):
    """Log-mel frames, 100 a second, to states, 50 a second: state j is centred on mel frame 2j.

    Args:
        size: of the checkpoint.
        blocks: how many transformer blocks to run; the final norm follows only on the last one, as it was trained.
    """

    def __init__(self, size: WhisperSize, blocks: int):
        super().__init__()
        self.conv1 = nn.Conv1d(size.mels, size.width, 3, padding=1)
        self.conv2 = nn.Conv1d(size.width, size.width, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(size.positions, size.width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size.width, size.heads, size.feed_forward, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(size.width) if blocks == size.blocks else None

    def forward(self, mel: Float[Tensor, "item mel frame"]) -> Float[Tensor, "item state width"]:
        """States of at most 30 s."""
        states = nn.functional.gelu(self.conv2(nn.functional.gelu(self.conv1(mel)))).mT
        states = states + self.positions[: states.shape[1]]
        for block in self.blocks:
            states = block(states)
        return states if self.norm is None else self.norm(states)


def names_of(blocks: int, final_norm: bool) -> list[str]:
    """Hugging Face's names of the parameters, without `encoder.`."""
    names = ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "embed_positions.weight"]
    parts = [f"self_attn.{p}.{kind}" for p in ("q_proj", "k_proj", "v_proj", "out_proj") for kind in ("weight", "bias")]
    parts.remove("self_attn.k_proj.bias")  # keys have none
    parts += [
        f"{p}.{kind}" for p in ("self_attn_layer_norm", "fc1", "fc2", "final_layer_norm") for kind in ("weight", "bias")
    ]
    names += [f"layers.{index}.{part}" for index in range(blocks) for part in parts]
    return names + (["layer_norm.weight", "layer_norm.bias"] if final_norm else [])


RENAMED = {
    "embed_positions.weight": "positions",
    "layer_norm.": "norm.",
    "layers.": "blocks.",
    "self_attn_layer_norm": "norm1",
    "final_layer_norm": "norm2",
    "fc1": "linear1",
    "fc2": "linear2",
}


def state_dict_of(tensors: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """State dict of `WhisperEncoder` from Hugging Face's names; torch keeps the matrices of query, key and value as one."""
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    for index in range(blocks):
        part = f"layers.{index}.self_attn"
        query, key, value = (tensors.pop(f"{part}.{kind}_proj.weight") for kind in "qkv")
        query_bias, value_bias = (tensors.pop(f"{part}.{kind}_proj.bias") for kind in "qv")
        tensors[f"{part}.in_proj_weight"] = torch.cat([query, key, value])
        tensors[f"{part}.in_proj_bias"] = torch.cat([query_bias, torch.zeros_like(query_bias), value_bias])
    return {_renamed(name): tensor for name, tensor in tensors.items()}


def _renamed(name: str) -> str:
    for old, new in RENAMED.items():
        if name.startswith(old) or (not old.endswith(".") and f".{old}." in name):
            name = name.replace(old, new, 1)
    return name
