"""A checkpoint is read by the model that wrote it, and refused by any other in words."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
import torch

from talksplat.checkpoint import build_model, load_weights, read_checkpoint
from talksplat.config import instantiate
from talksplat.errors import UserError
from talksplat.training.run import TrainingRun
from tests.helpers.runs import small_config
from tests.rendering.conftest import write_checkpoint

MODELS = {"gaussiantalker": "GaussianTalker", "egstalker": "EGSTalker", "static": "StaticHead"}


@pytest.fixture(scope="module")
def checkpoints(tiny_subject: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: write_checkpoint(folder / f"{name}.ckpt", tiny_subject, "deform", f"model={name}") for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_read_by_its_own_model(name, checkpoints, tiny_subject):
    checkpoint = read_checkpoint(checkpoints[name])
    model = build_model(checkpoint)
    again = instantiate(small_config(tiny_subject, f"model={name}").model)
    load_weights(again, checkpoint, "x")
    for key, value in model.state_dict().items():
        assert torch.equal(value.nan_to_num(), again.state_dict()[key].nan_to_num()), key


@pytest.mark.parametrize(("theirs", "ours"), list(permutations(MODELS, 2)))
def test_refused_by_another_model(theirs, ours, checkpoints, tiny_subject, tmp_path):
    config = small_config(tiny_subject, f"model={ours}", f"checkpoint={checkpoints[theirs]}")
    with pytest.raises(UserError) as error:
        TrainingRun(config, tmp_path / "run")
    message = str(error.value)
    assert f"is of the model {MODELS[theirs]}" in message and f"this run is of {MODELS[ours]}" in message
    assert str(checkpoints[theirs]) in message and "choose the model" in message
    assert not (tmp_path / "run").exists()


def test_refused_by_the_same_model_of_other_parts(checkpoints, tiny_subject, tmp_path):
    for override, entry in (
        ("model.tokens.network.order=2", "shared.tokens.networks.audio.0.coefficients"),
        ("model/attention=mha", "layers.face.deformation.cross_attention.layers.0.mixer.agents.bias"),
        ("model/deformation=kan", "layers.face.deformation.heads.heads.hidden.base"),
    ):
        config = small_config(tiny_subject, "model=egstalker", override, f"checkpoint={checkpoints['egstalker']}")
        with pytest.raises(UserError, match=rf"other settings than this run's \({entry}"):
            TrainingRun(config, tmp_path / "run")


def test_not_resumed_as_another_model(tiny_subject, tmp_path):
    run_dir = tmp_path / "run"
    TrainingRun(small_config(tiny_subject, "model=egstalker"), run_dir).folder.open()
    TrainingRun(small_config(tiny_subject, "model=egstalker", "resume=true"), run_dir)
    for name in ("gaussiantalker", "static"):
        with pytest.raises(UserError, match=r"cannot resume .*run: model\..* was .* and is now"):
            TrainingRun(small_config(tiny_subject, f"model={name}", "resume=true"), run_dir)
