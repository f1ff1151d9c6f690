"""Weights of Whisper's encoder from a file of CTranslate2, which cannot output the states after a block itself."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from talksplat.audio.whisper_encoder import WhisperSize


class CTranslate2File:
    """Tensors from a model.bin of CTranslate2, as faster-whisper keeps them, by Hugging Face's names.

    The file: version, name and revision of the specification, then for each variable its name, shape, type and bytes.
    """

    TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
    NAMES = {
        "embed_positions.weight": "position_encodings/encodings",
        "layers.": "layer_",
        "self_attn_layer_norm": "self_attention/layer_norm",
        "self_attn.out_proj": "self_attention/linear_1",
        "final_layer_norm": "ffn/layer_norm",
        "fc1": "ffn/linear_0",
        "fc2": "ffn/linear_1",
    }

    def __init__(self, path: Path):
        self._data = np.memmap(path, mode="r")
        self._at = 4
        self._name = self._text()
        if self._name != "WhisperSpec":
            raise ValueError(f"it holds {self._name[:40]!r}")
        self._at += 4
        self._variables = dict(self._variable() for _ in range(self._number("I")))

    def size(self) -> WhisperSize:
        """Sizes on which the shapes depend."""
        shape = {name: entry[0] for name, entry in self._variables.items()}
        blocks = sum(
            name.endswith("self_attention/linear_0/weight") and "/layer_" in name
            for name in shape
            if name.startswith("encoder/")
        )
        positions, width = shape["encoder/position_encodings/encodings"]
        return WhisperSize(
            width=width,
            heads=int(self._array("encoder/num_heads")),
            feed_forward=shape["encoder/layer_0/ffn/linear_0/weight"][0],
            blocks=blocks,
            mels=shape["encoder/conv1/weight"][1],
            positions=positions,
        )

    def tensor(self, name: str) -> Tensor:
        """A tensor by Hugging Face's name, float32."""
        part, _, kind = name.rpartition(".")
        block, _, projection = part.rpartition(".")
        if projection in ("q_proj", "k_proj", "v_proj"):  # one matrix of all three
            whole = self._array(
                f"encoder/{self._translated(block)}/linear_0/{kind}".replace("self_attn", "self_attention")
            )
            return torch.from_numpy(np.split(whole, 3)["qkv".index(projection[0])].copy())
        if "norm" in part:
            kind = {"weight": "gamma", "bias": "beta"}[kind]
        path = self._translated(name) if name == "embed_positions.weight" else f"{self._translated(part)}/{kind}"
        return torch.from_numpy(self._array(f"encoder/{path}"))

    def _translated(self, name: str) -> str:
        for old, new in self.NAMES.items():
            name = name.replace(old, new)
        return name.replace(".", "/")

    def _array(self, name: str) -> np.ndarray:
        shape, kind, start, size = self._variables[name]
        if kind not in self.TYPES or start + size > len(self._data):
            raise ValueError(f"{name} is cut short or of a type that is not read here: use float16 or float32 weights")
        values = np.frombuffer(self._data, self.TYPES[kind], size // np.dtype(self.TYPES[kind]).itemsize, start)
        values = values.reshape(shape).astype(np.float32)
        scale = f"{name}_scale"
        return (
            values / self._array(scale).reshape(-1, *[1] * (len(shape) - 1))
            if kind == 1 and scale in self._variables
            else values
        )

    def _variable(self) -> tuple[str, tuple]:
        name = self._text()
        shape = tuple(self._number("I") for _ in range(self._number("B")))
        kind, size = self._number("B"), self._number("I")
        self._at += size
        return name, (shape, kind, self._at - size, size)

    def _number(self, code: str) -> int:
        width = struct.calcsize(code)
        value = struct.unpack_from("<" + code, self._data, self._at)[0]
        self._at += width
        return value

    def _text(self) -> str:
        size = self._number("H")
        self._at += size
        return bytes(self._data[self._at - size : self._at - 1]).decode()
