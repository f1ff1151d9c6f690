"""Every shipped experiment trains: all of its stages take steps, and what they are to train moves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from talksplat.checkpoint import read_checkpoint
from talksplat.config import compose
from talksplat.models.conditioning.lip_token import LipToken
from talksplat.training.run import TrainingRun
from tests.config.test_experiments import ROWS
from tests.helpers.experiments import names
from tests.helpers.runs import weights
from tests.helpers.tiny_subject import AUDIO_WIDTH
from tests.models.test_lip_token import write_prior

SHORT = [
    "stage=smoke",
    "loss=default",  # the paper's needs weights of VGG16
    "trainer=cpu",
    "trainer.preview_every=null",
    "dataset=portrait",
    "audio.extractor.num_mels=8",
    "stage.stages.coarse.steps=2",
    "stage.stages.fine.steps=2",
    "stage.stages.fine.batch_size=1",
    "stage.stages.coarse.density.start=0",
    "stage.stages.coarse.density.prune_start=0",
    "stage.stages.coarse.density.stop=4",
    "stage.stages.coarse.density.every=1",
    "stage.stages.coarse.density.grad_threshold=1e-7",
]
ELSEWHERE = ("gaussiantalker/expression_token",)  # needs action units: test_expression
SAME = [row for row, changes in ROWS.items() if not changes and not row.endswith("/full")]  # as the full model
STACKS = (
    "[egstalker/paper,egstalker/no_kan_agents_ppe]",
    "[gaussiantalker/paper,gaussiantalker/no_audio,gaussiantalker/no_camera,gaussiantalker/concatenation]",
    "[gaussiantalker/paper,gaussiantalker/joint,gaussiantalker/factors_none]",
)
SHIPPED = [name for folder in ("egstalker/", "gaussiantalker/") for name in names("experiment", folder)]


@pytest.mark.parametrize("name", [*(name for name in SHIPPED if name not in (*ELSEWHERE, *SAME)), *STACKS])
def test_every_stage_takes_steps(
    name: str, tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talksplat.training.run.evaluate_run", lambda *_: {"fps": 0.0, "num_gaussians": 0})
    config = compose("train", [f"experiment={name}", *SHORT, f"dataset.root={tiny_subject}"])
    run = TrainingRun(config, tmp_path)
    before = {key: value.clone() for key, value in run.model.state_dict().items()}
    run.run()
    finished = sorted(path.parent.name for path in tmp_path.glob("stages/*/finished.json"))
    assert [folder.split("_")[1] for folder in finished] == list(config.stage.order)
    for folder in finished:
        steps = json.loads((tmp_path / "stages" / folder / "finished.json").read_text())["steps"]
        assert steps == config.stage.stages[folder.split("_")[1]].steps
    last = weights(read_checkpoint(tmp_path / "last.ckpt"))
    after = {key.removeprefix("model."): value for key, value in last.items()}
    assert all(torch.isfinite(value).all() for value in after.values() if value.is_floating_point())
    for part in moving(run):
        keys = [key for key in before if key.startswith(part)]
        assert any(not torch.equal(before[key], after[key]) for key in keys), part


def test_few_seconds(tiny_subject: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lips that are seen reach the training steps, and predicted ones the frames that are rendered."""
    monkeypatch.setattr("talksplat.training.run.evaluate_run", lambda *_: {"fps": 0.0, "num_gaussians": 0})
    seen = []
    forward = LipToken.forward

    def watched(lips, conditions):
        numbers = forward(lips, conditions)
        seen.append(
            (lips.training, None if conditions.lip_measures is None else conditions.lip_measures.isfinite().all(1))
        )
        return numbers

    monkeypatch.setattr(LipToken, "forward", watched)
    prior = write_prior(tmp_path / "prior.npz", feature="mel", width=AUDIO_WIDTH)
    wishes = ["experiment=few_seconds", "audio=mel", f"model.tokens.lips.prior={prior}", f"dataset.root={tiny_subject}"]
    config = compose("train", [*wishes, *SHORT])
    assert config.model.motion is None and config.model.tokens.camera is None
    run = TrainingRun(config, tmp_path / "run")
    before = {key: value.clone() for key, value in run.model.state_dict().items()}
    run.run()
    assert seen[0][0] and all(known.all() if training else not known.any() for training, known in seen)
    after = weights(read_checkpoint(tmp_path / "run" / "last.ckpt"))
    assert any(not torch.equal(before[key], after[f"model.{key}"]) for key in before if "tokens.networks.lips" in key)


def moving(run: TrainingRun) -> list[str]:
    """What the stages of a run must change."""
    modes = {stage.mode for _, stage in run.plan}
    face = "layers.face"
    parts = [f"{face}.gaussians.params.means", f"{face}.triplane"]
    parts += [f"{face}.deformation.cross_attention", f"{face}.deformation.heads"]
    parts += [f"shared.tokens.networks.{name}" for name in run.model.shared["tokens"].networks]
    return parts + ([f"{face}.canonical"] if modes != {"deform"} and run.model.face.canonical.factors else [])
