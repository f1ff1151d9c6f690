"""Which audio features `audio=auto` stands for, once it is known what a folder or this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from talksplat.errors import UserError

AUTO, BEST, FALLBACK = "auto", "whisper", "mel"
COMMON = ("context", "ahead", "components")  # settings that mean the same for both


def resolve_audio(config_name: str, config: DictConfig, chosen: dict[str, Any], conf_dir: Path) -> dict[str, Any]:
    """The `audio` node of a composed configuration, unresolved; that of the choice where it is auto, which is composed as
    the fallback. `chosen["groups"]` names the choice from then on.
    """
    node = OmegaConf.to_container(config.audio, resolve=False)
    groups = chosen.get("groups", {})
    if groups.get("audio") != AUTO:
        return node
    best, fallback = _group(conf_dir, BEST), _group(conf_dir, FALLBACK)
    changed = {key: value for key, value in node.items() if value != fallback.get(key)}
    found = _in_folder if config_name == "train" else _on_machine
    groups["audio"] = BEST if changed.keys() <= set(COMMON) and found(best, config) else FALLBACK
    return {**best, **changed} if groups["audio"] == BEST else node


def _in_folder(audio: dict[str, Any], config: DictConfig) -> bool:
    if config.dataset.sample is not None or OmegaConf.is_missing(config.dataset, "root") or config.dataset.root is None:
        return False
    return any((Path(config.dataset.root).expanduser() / name).is_file() for name in audio["files"])


def _on_machine(audio: dict[str, Any], config: DictConfig) -> bool:
    from talksplat.preprocess.audio_features.whisper_checkpoint import find_whisper

    try:
        find_whisper(audio["extractor"]["checkpoint"], config.paths.assets, download=False)
    except UserError:
        return False
    return True


def _group(conf_dir: Path, name: str) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(conf_dir / "audio" / f"{name}.yaml"), resolve=False)
