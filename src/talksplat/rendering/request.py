"""Checks of `render.py`'s settings before any work."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import DictConfig

from talksplat.errors import UserError

ALIASES = {"audio": "audio_file"}  # Hydra keeps the key `audio` for the group of audio features
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


def overrides_of(arguments: list[str]) -> list[str]:
    """Overrides for the arguments of `render.py`: `audio=` is short for `audio_file=`."""
    return [
        ALIASES.get(key, key) + equals + value for key, equals, value in (text.partition("=") for text in arguments)
    ]


def check_request(config: DictConfig) -> Path:
    """Check what can be checked without opening anything large; returns the output path.

    Raises:
        UserError: naming the setting that is wrong.
    """
    sources = {"audio": config.audio_file, "text": config.text, "split": config.split}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        raise UserError(
            f"give exactly one of audio=FILE, text=WORDS and split=test, not {' and '.join(given) if given else 'none'}"
        )
    if config.sound is not None and config.audio_file is None:
        raise UserError("sound= needs audio=FEATURES.npy")
    if config.batch_size is not None and config.batch_size < 1:
        raise UserError(f"batch_size={config.batch_size} must be at least 1")
    if config.precision not in PRECISIONS:
        raise UserError(f"precision={config.precision} must be {' or '.join(PRECISIONS)}")
    if not 0 <= config.crf <= 51:
        raise UserError(f"crf={config.crf} must be 0 (best) to 51")
    return _check_output(config)


def _check_output(config: DictConfig) -> Path:
    output = Path(config.output).expanduser()
    if output.suffix.lower() != ".mp4":
        raise UserError(f"output={output} must end with .mp4")
    if config.audio_file is not None and output.exists() and Path(config.audio_file).resolve() == output.resolve():
        raise UserError(f"output={output} is the audio itself: choose another output")
    targets = [output]
    targets += [metrics_path(output)] if config.split is not None else []
    targets += [maps_path(output)] if config.attention or config.deformation else []
    for target in targets:
        if target.is_dir():
            raise UserError(f"{target} is a folder: choose another output")
        if target.exists() and not config.overwrite:
            raise UserError(f"{target} exists already: choose another output, or give overwrite=true")
    return output


def metrics_path(output: Path) -> Path:
    """File of the metrics of a split, next to its video."""
    return output.with_name(f"{output.stem}.metrics.json")


def maps_path(output: Path) -> Path:
    """Figure of attention and deformation, next to its video."""
    return output.with_name(f"{output.stem}_maps.png")


def choose_device(name: str) -> torch.device:
    """The device of `device=`: "auto" takes a GPU where there is one.

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device={name} must be auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device={name} must be auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device={name}: torch sees {torch.cuda.device_count()} CUDA GPUs here; use device=cpu")
    return device
