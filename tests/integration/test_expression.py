"""Action units beside the blink: from au.csv through training and checkpoint to new speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.checkpoint import read_checkpoint
from talksplat.config import compose, instantiate
from talksplat.errors import UserError
from talksplat.models.conditioning.expression import ExpressionToken
from talksplat.rendering.driving_audio import DrivingAudio
from talksplat.rendering.render_sequence import speech_sequence, split_sequence
from talksplat.rendering.source_clip import open_source_clip
from talksplat.subject_format.subject import read_subject
from talksplat.training.run import train
from tests.helpers.runs import small_config
from tests.helpers.tiny_subject import write_tiny_subject
from tests.models.building import make_conditions

UNITS = "[AU01_r,AU04_r]"
QUICK = (
    "stage.stages.coarse.steps=1",
    "stage.stages.coarse.density=null",
    "stage.stages.fine.steps=3",
    "evaluation.train_frames=1",
    "trainer.preview_every=100",
)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven frames whose brows rise from 0 to beyond OpenFace's scale; read only."""
    root = write_tiny_subject(tmp_path_factory.mktemp("subjects") / "tiny", num_frames=11)
    rows = [f"{i + 1}, {i / 25:.3f}, {0.6 * i}, {5 - 0.5 * i}, 0.2, 0" for i in range(11)]
    (root / "au.csv").write_text("\n".join(["frame, timestamp, AU01_r, AU04_r, AU26_r, AU45_r", *rows]))
    return root


def test_intensities_are_read_by_frame_and_scaled(subject: Path):
    read = read_subject(subject, ["aud_mel.npy"], 8, 16, ("AU04_r", "AU01_r"))
    np.testing.assert_allclose(read.action_units[:, 0], 1 - 0.1 * np.arange(11), atol=1e-6)
    np.testing.assert_allclose(read.action_units[:, 1], np.minimum(0.12 * np.arange(11), 1), atol=1e-6)
    assert read.subset(np.array([2, 5])).action_units.shape == (2, 2)
    assert read_subject(subject, ["aud_mel.npy"], 8, 16).action_units.shape == (11, 0)
    mouth = read_subject(subject, ["aud_mel.npy"], 8, 16, ("AU01_r", "AU26_r"))
    assert any("AU26_r of dataset.action_units move the mouth" in note for note in mouth.notes)
    assert not any("mouth" in note for note in read.notes)


def test_units_that_the_folder_lacks_are_at_rest_and_said(subject: Path, tmp_path: Path):
    read = read_subject(subject, ["aud_mel.npy"], 8, 16, ("AU01_r", "AU09_r"))
    assert read.action_units[:, 0].any() and not read.action_units[:, 1].any()
    assert any("no AU09_r in au.csv: 0 (a face at rest)" in note for note in read.notes)
    root = write_tiny_subject(tmp_path / "plain", num_frames=4)
    (root / "au.csv").unlink()
    plain = read_subject(root, ["aud_mel.npy"], 8, 16, ("AU01_r",))
    assert plain.action_units.shape == (4, 1) and not plain.action_units.any()
    with pytest.raises(UserError, match="AU99_r, which OpenFace does not measure"):
        read_subject(subject, ["aud_mel.npy"], 8, 16, ("AU99_r",))


EXPRESSION = "experiment=gaussiantalker/expression_token"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([EXPRESSION, "dataset.action_units=[]"], "expression is switched on, but dataset.action_units is empty"),
        ([EXPRESSION, "dataset.action_units=[AU1]"], "dataset.action_units has 'AU1'"),
        ([EXPRESSION, "dataset.action_units=[AU01_r,AU01_r]"], "different columns"),
        (
            [EXPRESSION, "dataset.action_units=[AU01_r]", "model.tokens.expression.units=[AU02_r]"],
            r"expression.units is \['AU02_r'\]",
        ),
    ],
)
def test_settings_that_do_not_fit_together(overrides: list[str], message: str):
    with pytest.raises(UserError, match=message):
        compose("train", overrides)


def test_one_setting_reaches_data_and_model():
    config = compose("train", [EXPRESSION, f"dataset.action_units={UNITS}"])
    assert list(config.dataset.loader.action_units) == ["AU01_r", "AU04_r"]
    model = instantiate(config.model)
    assert model.token_names == ("audio", "eye", "expression", "camera", "null")
    assert model.shared["tokens"].networks["expression"][0].in_features == 2


def test_token_follows_the_units():
    token = ExpressionToken(["AU01_r", "AU02_r"])
    conditions = make_conditions(3)
    conditions.action_units = torch.tensor([[0.0, 0.0], [0.4, 0.0], [0.4, 0.1]])
    assert torch.equal(token(conditions), conditions.action_units)
    conditions.action_units = None
    with pytest.raises(UserError, match="expects the action units AU01_r, AU02_r, but the frames have 0"):
        token(conditions)


def test_training_and_new_speech_carry_them(subject: Path, tmp_path: Path):
    config = small_config(subject, *QUICK, EXPRESSION, f"dataset.action_units={UNITS}")
    train(config, tmp_path / "run")
    checkpoint = read_checkpoint(tmp_path / "run" / "last.ckpt")
    name = "model.shared.tokens.networks.expression.2.weight"
    assert checkpoint["state_dict"][name].shape == (64, 64)
    entry = checkpoint["talksplat"]["subject"]
    clip = open_source_clip(entry, config.audio, None)
    expected = torch.from_numpy(read_subject(subject, ["aud_mel.npy"], 8, 16, ("AU01_r", "AU04_r")).action_units)
    held_out = split_sequence(clip, "test", 8).conditions(slice(None), torch.device("cpu"))
    assert torch.equal(held_out.action_units, expected[10:])
    driving = DrivingAudio(np.zeros((30, 16, 8), np.float32), None, 16000)
    sequence = speech_sequence(
        clip, driving, instantiate(compose("render", ["checkpoint=x", "camera=static"]).camera), 8
    )
    conditions = sequence.conditions(slice(0, 30), torch.device("cpu"))
    assert torch.equal(conditions.action_units, expected[sequence.path.eyes])  # of the frame that lends its blink
    del entry["action_units"]  # an older checkpoint
    old = split_sequence(open_source_clip(entry, config.audio, None), "test", 8).conditions(
        slice(None), torch.device("cpu")
    )
    assert old.action_units.shape == (1, 0)
