"""The two proofs of the structure: another kind of avatar, and several people, each by a file of the user's own.

Nothing in `src/` or `conf/` knows of them. Both are trained by the commands, killed, resumed to the same bits, rendered and
evaluated.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from talksplat.checkpoint import build_model, read_checkpoint
from talksplat.config import CONF_DIR
from talksplat.media.video import read_frames
from tests.helpers.runs import SMALL, weights
from tests.helpers.tiny_subject import write_tiny_subject
from tests.integration.test_resume import kill_when

ROOT = CONF_DIR.parent
OWN = f"hydra.searchpath=[file://{Path(__file__).with_name('conf')}]"

MINE = ["tests"]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("people")
    return [
        write_tiny_subject(folder / name, size=size, seed=seed)
        for name, size, seed in (("anna", 48, 0), ("ben", 56, 3), ("carla", 48, 5))
    ]


def overrides(model: str, *extra: str) -> list[str]:
    return [OWN, f"model={model}", *SMALL, "evaluation.train_frames=2", *extra]


def command(arguments: list[str], run_dir: Path) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *arguments, f"hydra.run.dir={run_dir}"]


def run(*arguments: str) -> str:
    finished = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    return finished.stdout + finished.stderr


def train_kill_and_resume(arguments: list[str], tmp_path: Path) -> Path:
    """A run that was killed in its second stage and resumed; it must end with the bits of one that was not."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(*command(arguments, whole)[1:])
    begun = killed / "stages" / "02_fine" / "last.ckpt"
    kill_when(begun, command([*arguments, "trainer.checkpoint_every=2"], killed), signal.SIGKILL)
    run(*command([*arguments, "trainer.checkpoint_every=2", "resume=true"], killed)[1:])
    expected, found = (weights(read_checkpoint(folder, trust=MINE)) for folder in (whole, killed))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name].nan_to_num(), found[name].nan_to_num()) for name in expected)
    return whole


@pytest.mark.slow
def test_an_avatar_of_two_layers(people: list[Path], tmp_path: Path) -> None:
    arguments = overrides("mouth_and_face", f"dataset.root={people[0]}")
    shown = run(*command([*arguments, "dry_run=true"], tmp_path / "dry")[1:])
    assert "mouth.means" in shown and "face.means" in shown and "shared.tokens" in shown
    done = train_kill_and_resume(
        [*arguments, "stage.stages.fine.train=[mouth.*,shared.*]", "stage.stages.fine.density=null"], tmp_path
    )
    saved = read_checkpoint(done, trust=MINE)
    sizes = saved["talksplat"]["layers"]["anna"]
    assert sizes.keys() == {"mouth", "face"} and 0 < sizes["mouth"] < sizes["face"]
    coarse = weights(read_checkpoint(done / "stages" / "01_coarse", trust=MINE))
    for name, value in weights(
        saved
    ).items():  # the second stage trained the mouth and what is shared, and nothing else
        if name.startswith("model.layers.face.gaussians"):
            assert torch.equal(value, coarse[name]), name
    assert not torch.equal(
        weights(saved)["model.layers.mouth.gaussians.params.means"], coarse["model.layers.mouth.gaussians.params.means"]
    )
    output = tmp_path / "a.mp4"
    sound = f"audio={people[0] / 'aud.wav'}"
    run("render.py", f"checkpoint={done}", sound, f"output={output}", "device=cpu", "trust=[tests]")
    assert next(iter(read_frames(output, 25))).shape[:2] == (48, 48)
    run("-m", "talksplat.evaluate", f"run={done}", f"out={tmp_path / 'again'}", "trust=[tests]")
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    first = json.loads((done / "metrics.json").read_text())
    assert again["mean"]["psnr"] == pytest.approx(first["mean"]["psnr"], abs=1e-3)


@pytest.mark.slow
def test_a_run_over_three_people(people: list[Path], tmp_path: Path) -> None:
    roots = f"dataset.roots=[{','.join(map(str, people))}]"
    # Of three, whose turn it was last decides the order in which they wait.
    done = train_kill_and_resume(overrides("shared_motion", roots, "seed=2"), tmp_path)
    metrics = json.loads((done / "metrics.json").read_text())
    assert metrics["subjects"].keys() == {"anna", "ben", "carla"}
    means = [metrics["subjects"][name]["mean"]["psnr"] for name in ("anna", "ben", "carla")]
    assert metrics["mean"]["psnr"] == pytest.approx(sum(means) / 3)
    state = weights(read_checkpoint(done, trust=MINE))
    own = "layers.face.gaussians.params.means"
    assert state[f"model.{own}"].shape != state[f"model.subjects.ben.{own}"].shape or not torch.equal(
        state[f"model.{own}"], state[f"model.subjects.ben.{own}"]
    )
    assert not any(name.startswith("model.subjects.ben.shared.motion.network") for name in state)  # there is one
    for name, size in (("anna", 48), ("ben", 56)):
        output = tmp_path / f"{name}.mp4"
        sound = f"audio={people[0] / 'aud.wav'}"
        run(
            "render.py",
            f"checkpoint={done}",
            sound,
            f"person={name}",
            f"output={output}",
            "device=cpu",
            "trust=[tests]",
        )
        assert next(iter(read_frames(output, 25))).shape[:2] == (size, size)


def test_somebody_new_takes_what_is_shared(people: list[Path], tmp_path: Path) -> None:
    from talksplat.config import compose
    from talksplat.training.run import TrainingRun

    def opened(root: Path, name: str, *extra: str) -> TrainingRun:
        return TrainingRun(
            compose("train", overrides("shared_motion", f"dataset.root={root}", *extra)), tmp_path / name
        )

    first = opened(people[0], "first")
    first.run()
    other = opened(people[1], "other", f"checkpoint={tmp_path / 'first'}", "checkpoint_parts=[shared]", "seed=5")
    taught = build_model(read_checkpoint(tmp_path / "first", trust=MINE)).state_dict()
    state = other.model.state_dict()
    assert torch.equal(state["shared.motion.network.0.weight"], taught["shared.motion.network.0.weight"])
    assert not torch.equal(
        state["layers.face.deformation.directions.weight"], taught["layers.face.deformation.directions.weight"]
    )
    assert not torch.equal(
        state["shared.motion.tokens.sources.camera.mean"], taught["shared.motion.tokens.sources.camera.mean"]
    )
