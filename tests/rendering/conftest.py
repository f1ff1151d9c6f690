"""An avatar of the tiny subject that was never trained, but answers to its audio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from talksplat.checkpoint import FORMAT
from talksplat.config import instantiate, to_yaml
from talksplat.data.open import open_subject
from talksplat.training.subject import subject_entry, subject_statistics
from tests.helpers.runs import small_config


def write_checkpoint(path: Path, subject: Path, mode: str = "deform", *overrides: str) -> Path:
    """A checkpoint as a run would leave it, with random deformation heads."""
    torch.manual_seed(0)
    config = small_config(subject, *overrides)
    data = open_subject(config)
    model = instantiate(config.model)
    statistics = subject_statistics(data.subject)
    model.setup_subject(replace(statistics, audio=None, mouth=None))
    with torch.no_grad():
        model.gaussians.params["opacities"].fill_(3.0)
        for name, parameter in model.named_parameters():
            if "deformation.heads" in name and parameter.ndim == 2:
                parameter.normal_(0, 0.05)
    entry = {
        "format": FORMAT,
        "version": "0",
        "config_yaml": to_yaml(config),
        "stage": "fine",
        "mode": mode,
        "active_sh_degree": 1,
        "num_gaussians": model.num_gaussians,
        "layers": model.layer_sizes(),
        "step": 0,
        "subject": subject_entry(data),
    }
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": weights, "talksplat": entry}, path)
    return path


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    """Tiny tensors gain nothing from threads, and on a busy machine wait long for each other's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tiny_subject: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of an avatar of `tiny_subject`; read only."""
    return write_checkpoint(tmp_path_factory.mktemp("run") / "last.ckpt", tiny_subject)
