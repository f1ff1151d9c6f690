"""Functions that configuration files call as `${name:...}`."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

NO_TOKENS = ("network", "position_code")  # what stands among the tokens of a model and is none
EXPERIMENTS = ("experiment=", "experiment@_global_=")


def num_tokens(tokens: DictConfig) -> int:
    """Number of condition tokens that `model.tokens` leaves switched on."""
    return sum(isinstance(node, DictConfig) and name not in NO_TOKENS for name, node in tokens.items())


def job_name(number: int, overrides: Sequence[str], model: str, seed: int) -> str:
    """Folder of a job of a sweep, e.g. `03_no_ppe_seed1`, `00_paper+no_eye_seed0`, `01_static_seed2`.

    The number tells jobs apart that differ in other settings, which stand in their config.yaml: folders named by all
    settings grow too long for a file system.

    Args:
        overrides: what the job was told, e.g. ["experiment@_global_=egstalker/no_ppe", "seed=1"].
        model: name of its model, for a job without experiments.
    """
    values = [text.split("=", 1)[1] for prefix in EXPERIMENTS for text in overrides if text.startswith(prefix)]
    paths = [path.strip() for value in values for path in value.strip("[]").split(",")]
    names = [path.rsplit("/", 1)[-1] for path in paths if path not in ("", "null")]
    return f"{number:02d}_{'+'.join(names) or model}_seed{seed}"


def register_resolvers() -> None:
    """Make them known to OmegaConf."""
    OmegaConf.register_new_resolver("num_tokens", num_tokens, replace=True)
    OmegaConf.register_new_resolver("job_name", job_name, replace=True)
    OmegaConf.register_new_resolver("sum", lambda *numbers: sum(numbers), replace=True)
