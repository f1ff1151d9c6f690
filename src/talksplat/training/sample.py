"""The embedded sample is made where it is asked for first."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig

from talksplat.config import instantiate

logger = logging.getLogger(__name__)


def ensure_sample(config: DictConfig) -> None:
    """Make the embedded sample where a configuration asks for it and it is not there yet."""
    root = config.dataset.root
    if config.dataset.sample is not None and root is not None and not Path(root).exists():
        logger.info("making the embedded sample in %s", root)
        instantiate(config.dataset.sample)(root=Path(root))
