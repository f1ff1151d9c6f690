"""Opens the subject of a configuration; makes the embedded sample first where that is configured."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from talksplat.command_line import escape_interpolations
from talksplat.config import instantiate
from talksplat.data.datamodule import PortraitDataModule
from talksplat.data.subjects import SubjectCollection
from talksplat.errors import UserError
from talksplat.locks import locked

logger = logging.getLogger(__name__)


def ensure_sample(config: DictConfig) -> None:
    """Make the embedded sample if it is configured and does not exist yet."""
    root = config.dataset.root
    if config.dataset.sample is None or root is None or Path(root).exists():
        return
    with locked(Path(root), "give another dataset.root", wait=True):  # another run may be making it
        if not Path(root).exists():
            logger.info("making the embedded sample in %s", root)
            instantiate(config.dataset.sample)(root=Path(root))


def open_subject(config: DictConfig) -> PortraitDataModule | SubjectCollection:
    """Read and check the subject folder of a configuration, or all of `dataset.roots`.

    Raises:
        UserError: no folder given, no such folder, or something in it is missing or broken.
    """
    if config.dataset.get("roots"):
        roots = [{"dataset": {"root": root, "roots": None, "loader": {"root": root}}} for root in config.dataset.roots]
        portraits = [open_subject(OmegaConf.merge(config, escape_interpolations(root))) for root in roots]
        return portraits[0] if len(portraits) == 1 else SubjectCollection(portraits)
    if config.dataset.root is None:
        raise UserError("dataset.root is null: give the subject folder, e.g. dataset=portrait dataset.root=data/clip")
    ensure_sample(config)
    data = instantiate(config.dataset.loader)
    data.prepare()
    return data
