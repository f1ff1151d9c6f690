"""Which audio features `audio=auto` stands for, once it is known what a folder or this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from talksplat.command_line import setting
from talksplat.config.from_files import read_config
from talksplat.errors import UserError

AUTO, BEST, FALLBACK = "auto", "whisper", "mel"
COMMON = ("window", "context", "ahead", "components", "lip_prior")  # settings that mean the same for both


def resolve_audio(
    config_name: str, config: DictConfig, choices: dict[str, Any], conf_dir: Path, run_dir: Path | None = None
) -> dict[str, Any]:
    """The `audio` node of a composed configuration, unresolved; that of the choice where it is auto, which is composed as
    the fallback.

    `choices["groups"]` names the choice from then on, and `choices["best_audio_missing"]` the folders without which it would
    be the best one. A run in `run_dir` that is resumed keeps what it began with; where its configuration
    is older than `audio.lip_prior`, that is the prior of its model, or none.
    """
    node = OmegaConf.to_container(config.audio, resolve=False)
    begun = _begun_with(run_dir, config) if config_name == "train" else None
    groups = choices.get("groups", {})
    if groups.get("audio") == AUTO:
        best, fallback = _group(conf_dir, BEST), _group(conf_dir, FALLBACK)
        keys = [override.lstrip("+~").partition("=")[0] for override in choices.get("overrides", [])]
        given = {key.split(".")[1] for key in keys if key.startswith("audio.")}
        changed = {key: value for key, value in node.items() if key in given or value != fallback.get(key)}
        open_choice = changed.keys() <= set(COMMON) and (config_name != "train" or config.dataset.sample is None)
        roots = _roots(config) if config_name == "train" else []
        without = _without(best, roots)
        if begun is not None:
            found = begun.audio.name == BEST
        else:
            found = bool(roots) and not without if config_name == "train" else _on_machine(best, config)
            if open_choice and len(roots) > 1 and without:
                _check_common(roots, without, _without(fallback, roots))
        choices["best_audio_missing"] = without if open_choice and not found else []
        groups["audio"] = BEST if open_choice and found else FALLBACK
        if groups["audio"] == BEST:
            node = {**best, **changed}
    if begun is not None and "lip_prior" not in begun.audio:
        node["lip_prior"] = OmegaConf.select(begun, "model.tokens.lips.prior")
    return node


def _begun_with(run_dir: Path | None, config: DictConfig) -> DictConfig | None:
    """Configuration of the run that is resumed, if it names its features."""
    if run_dir is None or not config.resume or not (run_dir / "config.yaml").is_file():
        return None
    begun = read_config(run_dir / "config.yaml")
    return None if OmegaConf.select(begun, "audio.name") is None else begun


def _roots(config: DictConfig) -> list[str]:
    """Subject folders of a training run."""
    if config.dataset.get("roots"):
        return list(config.dataset.roots)
    return [] if OmegaConf.is_missing(config.dataset, "root") or config.dataset.root is None else [config.dataset.root]


def _without(audio: dict[str, Any], roots: list[str]) -> list[str]:
    return [root for root in roots if not any((Path(root).expanduser() / name).is_file() for name in audio["files"])]


def _check_common(roots: list[str], best: list[str], fallback: list[str]) -> None:
    """Raise a UserError if neither kind of features is in all folders, given those without either; absent folders are named
    elsewhere."""
    if not fallback or not all(Path(root).is_dir() for root in roots):
        return
    kind, root = (BEST, best[0]) if len(best) <= len(fallback) else (FALLBACK, fallback[0])
    raise UserError(
        f"audio=auto: the folders of dataset.roots have no features in common: {BEST} is missing in {', '.join(best)}; "
        f"{FALLBACK} is missing in {', '.join(fallback)}; make them with python -m talksplat.preprocess {setting('features', root)} "
        f"audio={kind}, or choose a kind that all have (audio=)"
    )


def _on_machine(audio: dict[str, Any], config: DictConfig) -> bool:
    from talksplat.audio.whisper_checkpoint import find_whisper

    try:
        find_whisper(audio["extractor"]["checkpoint"], config.paths.assets, download=False)
    except UserError:
        return False
    return True


def _group(conf_dir: Path, name: str) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(conf_dir / "audio" / f"{name}.yaml"), resolve=False)
