"""What came in a file says which classes are built, and only this package's are."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from talksplat.checkpoint import read_checkpoint
from talksplat.command_line import escape_interpolations, without_escapes
from talksplat.compare.__main__ import compare
from talksplat.config import compose, to_yaml
from talksplat.config.from_files import check_classes, parse_config
from talksplat.errors import UserError
from talksplat.evaluation.again import evaluate
from talksplat.rendering.run import render
from talksplat.sweep.command import run_sweep
from talksplat.sweep.folder import Job, SweepFolder, SweepSpec
from talksplat.sweep.supervise import job_command
from talksplat.training.run import TrainingRun
from tests.golden.record import AVATARS
from tests.helpers.runs import small_config

OLD = AVATARS / "0.1.0_gaussiantalker.ckpt"
SUBPROCESS = {"_target_": "subprocess.run", "args": ["touch", "PLACE"]}


def made(path: Path, change: Any) -> Path:
    """A checkpoint whose configuration was changed."""
    content = torch.load(OLD, weights_only=True)
    config = yaml.safe_load(content["talksplat"]["config_yaml"])
    change(config)
    content["talksplat"]["config_yaml"] = yaml.safe_dump(config)
    torch.save(content, path)
    return path


def unlink(config: dict, place: Path) -> None:
    config["model"] = {
        "_target_": "pathlib.Path.unlink",
        "_args_": [{"_target_": "pathlib.Path", "_args_": [str(place)]}],
    }


def nested(config: dict, place: Path) -> None:
    evil = {"_target_": "subprocess.run", "args": ["rm", str(place)]}
    config["model"]["gaussians"]["x"] = [{"y": {"z": evil}}]


def rasterizer(config: dict, place: Path) -> None:
    config["rasterizer"] = {"_target_": "os.remove", "path": str(place)}


def extractor(config: dict, place: Path) -> None:
    config["audio"]["extractor"] = {"_target_": "os.unlink", "path": str(place), "_partial_": False}


def metric(config: dict, place: Path) -> None:
    config["evaluation"]["metrics"] = {"x": {"_target_": "shutil.rmtree", "path": str(place)}}


def through_ours(config: dict, place: Path) -> None:
    config["model"] = {"_target_": "talksplat.models.avatar.torch.os.remove", "path": str(place)}


def our_function(config: dict, place: Path) -> None:
    config["model"] = {"_target_": "talksplat.files.write_text", "path": str(place), "text": ""}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (unlink, "pathlib.Path.unlink"),
        (nested, "subprocess.run"),
        (rasterizer, "os.remove"),
        (extractor, "os.unlink"),
        (metric, "shutil.rmtree"),
        (through_ours, "talksplat.models.avatar.torch.os.remove"),
        (our_function, "talksplat.files.write_text"),
    ],
)
def test_a_made_checkpoint_runs_nothing_in_any_command(
    change: Any, name: str, tiny_subject: Path, tmp_path: Path
) -> None:
    place = tmp_path / "kept"
    place.write_text("kept")
    path = made(tmp_path / "evil.ckpt", lambda config: change(config, place))
    sound = f"audio_file={tiny_subject / 'aud.wav'}"
    commands = {
        "render": lambda: render(
            compose("render", [f"checkpoint={path}", sound, f"output={tmp_path}/a.mp4", "device=cpu"])
        ),
        "evaluate": lambda: evaluate(compose("evaluate", [f"run={path}", f"out={tmp_path}/out", "device=cpu"])),
        "train": lambda: TrainingRun(small_config(tiny_subject, f"checkpoint={path}"), tmp_path / "run"),
        "parts": lambda: TrainingRun(
            small_config(tiny_subject, f"checkpoint={path}", "checkpoint_parts=[shared]"), tmp_path / "run"
        ),
    }
    for command in commands if change in (unlink, our_function) else ("render",):  # all read it in the same way
        with pytest.raises(UserError) as error:
            commands[command]()
        text = str(error.value)
        assert name in text and "trust=[" in text and str(path) in text and "\n" not in text
    assert place.read_text() == "kept"


@pytest.mark.parametrize(
    "name",
    [
        "pandas.eval",
        "torch.utils.cpp_extension.load_inline",
        "torch.nn.Linear",
        "hydra.utils.get_class",
        "hydra.utils.instantiate",
        "hydra.utils.get_method",
        "builtins.eval",
        "talksplat",
        "talksplat.models.avatar.Tensor",
        "talksplat.models.avatar.nn.Linear",
        "talksplat.models.gaussiantalker.GaussianTalker.load_state_dict",
        "talksplat.losses.pretrained.torch.hub.load_state_dict_from_url",
        "talksplat.models.avatar.subprocess.run",
        "talksplat.models.no_such_module.Head",
        "talksplat.media.video_writer.VideoWriter",
        "talksplat.provenance.RunInfo",
        "talksplat.data.sample.make_sample",
        "talksplatter.models.Head",
        "talksplat.data.sample.make.make_sample",
        None,
        3,
        "${evil}",
    ],
)
def test_names_that_are_refused(name: Any) -> None:
    for node in (
        {"_target_": name},
        {"_target_": [name]},
        {"_target_": {"a": name}},
        {"a": {"b": [[{"c": {"_target_": name, "_partial_": True}}]]}},
    ):
        with pytest.raises(UserError, match=r"trust=\["):
            check_classes({"model": node}, "x.ckpt")


def test_names_that_are_built() -> None:
    """What `conf/` names, other classes of the same rooms, and what is trusted."""
    nodes = [
        {"_target_": "talksplat.losses.L1Loss"},
        {"_target_": "talksplat.models.compositor.Over"},
        {"_target_": "optuna.samplers.TPESampler"},
    ]
    check_classes({"model": nodes, "dataset": {"sample": {"_target_": "talksplat.data.sample.make_sample"}}}, "x")
    own = {"_target_": "tests.evaluation.redness.Redness"}
    with pytest.raises(UserError, match=r"trust=\[tests\]"):
        check_classes(own, "x")
    for trust in (["tests"], ["tests.evaluation"], ["tests.evaluation.redness.Redness"]):
        check_classes(own, "x", trust)
    for name in ("tests.evaluation.test_own_metric.json.load", "testsuite.Redness", "os.system"):
        with pytest.raises(UserError, match=r"trust=\["):
            check_classes({"_target_": name}, "x", ["tests"])
    with pytest.raises(UserError, match="cannot import tests.evaluation.redness.Gone"):
        check_classes({"_target_": "tests.evaluation.redness.Gone"}, "x", ["tests"])


def test_nothing_is_imported_before_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lying_here.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"trust=\[lying_here\]"):
        check_classes({"_target_": "lying_here.Model"}, "x")
    assert not (tmp_path / "ran").exists()


def test_older_checkpoints_are_read() -> None:
    for path in AVATARS.glob("*.ckpt"):
        assert read_checkpoint(path)["talksplat"]["layers"]


@pytest.mark.parametrize(
    "text",
    [
        "a: ${oc.env:HOME}",
        "a: [{b: '${c}'}]\nc: 1",
        "[1, 2]",
        "a: [",
        "",
        None,
        "x: &a [*a]",
        "a: !!python/object/apply:os.system ['true']",
    ],
)
def test_configurations_that_no_run_writes(text: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        parse_config(text, tmp_path / "x.ckpt")
    assert os.environ["HOME"] not in str(error.value).replace(str(tmp_path), "") and "x.ckpt" in str(error.value)


def test_texts_with_a_dollar_and_a_brace_are_no_interpolations() -> None:
    odd = ["${y}", "\\\\${oc.env:HOME}", "a ${", "\\"]
    config = OmegaConf.create(escape_interpolations({"a": odd}))
    assert list(parse_config(to_yaml(config), "x.ckpt").a) == odd
    assert [without_escapes(escape_interpolations(text)) for text in odd] == odd
    with pytest.raises(UserError, match="what a run writes"):
        parse_config("a: '\\\\${oc.env:HOME}'", "x.ckpt")  # a backslash, and an interpolation


def test_a_run_folder_tells_nothing_of_the_environment(tiny_subject: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: ${oc.env:HOME}\naudio: {name: mel}\n")
    with pytest.raises(UserError, match=r"config.yaml: seed in its configuration is \$\{oc.env:HOME\}"):
        TrainingRun(small_config(tiny_subject, "resume=true"), tmp_path)


def sweep_folder(place: Path, job: dict | None = None, **changes: Any) -> Path:
    folder = SweepFolder(place)
    spec = SweepSpec("train.py", ["model=static"], str(place.parent), {"commit": None}, "now", jobs=[])
    for key, value in changes.items():
        setattr(spec, key, value)
    if job is not None:
        (place / "configs").mkdir(parents=True)
        (place / "configs" / "00_a.yaml").write_text(yaml.safe_dump(job))
        spec.jobs = spec.jobs or [Job("00_a", ["model=static"])]
    folder.path.mkdir(exist_ok=True, parents=True)
    folder.write_spec(spec)
    return place


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"job": {"model": {"_target_": "os.system", "command": "true"}}}, "os.system"),
        ({"job": {"seed": 0}, "jobs": [Job("00_a", [], {"pruner": {"_target_": "os.system"}})]}, "os.system"),
        ({"overrides": ["model._target_=os.system"]}, "os.system"),
        ({"overrides": ["+loss.x={_target_: os.system, command: 'true'}"]}, "os.system"),
        ({"hydra": ["hydra.sweeper._target_=talksplat.files.os.system", "+hydra.sweeper.command='true'"]}, "os.system"),
        ({"hydra": ["+hydra.sweeper.x={_target_: os.system}"]}, "os.system"),
        ({"hydra": ["hydra.launcher._target_=os.system"]}, "not taken from a file"),
        ({"hydra": ["+hydra.launcher.setup=['touch x']"]}, "not taken from a file"),
        ({"hydra": ["hydra.searchpath=[pkg://lying_here]"]}, "not taken from a file"),
        ({"hydra": ["hydra/launcher=../../evil"]}, "not taken from a file"),
        ({"overrides": ["experiment=[../evil]"]}, "not taken from a file"),
        ({"overrides": ["model=static,/tmp/evil"]}, "not taken from a file"),
        ({"overrides": ["run_dir=${oc.env:HOME}"]}, "not taken from a file"),
        ({"job": {"seed": 0}, "jobs": [Job("../../x", [])]}, "damaged"),
    ],
)
def test_a_made_sweep_runs_nothing(changes: dict, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.system", lambda *_, **__: pytest.fail("it ran"))
    sweep_folder(tmp_path / "sweep", **changes)
    with pytest.raises(UserError, match=words) as error:
        run_sweep(["-m", "resume=true", "hydra.sweep.dir=sweep"])
    assert words != "os.system" or "trust=[" in str(error.value)


def test_values_that_a_made_search_tries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    overrides = ["model=static", "model._target_=choice(os.system,os.remove)", "dataset=portrait", "dataset.root=."]
    sweep_folder(tmp_path / "sweep", overrides=overrides, hydra=["hydra/sweeper=optuna"])
    with pytest.raises(UserError, match=r"os.system.*trust=\[os\]"):
        run_sweep(["-m", "resume=true", "hydra.sweep.dir=sweep"])


def test_a_made_run_measures_nothing(tmp_path: Path) -> None:
    """Metrics of a video of another project are those that the run's folder names."""
    run = tmp_path / "run"
    run.mkdir()
    content = {"split": "test", "subject": "s", "resolution": [8, 8], "definitions": {}, "mean": {}, "reasons": {}}
    (run / "metrics.json").write_text(json.dumps({**content, "frames": [{"frame_id": 1}]}))
    node = {"x": {"_target_": "os.remove", "path": str(run / "metrics.json")}}
    (run / "config.yaml").write_text(yaml.safe_dump({"seed": 0, "evaluation": {"metrics": node}}))
    (tmp_path / "a.mp4").write_bytes(b"")
    wanted = [f"runs={run}", f"out={tmp_path}/out", f"foreign=x:{tmp_path}/a.mp4"]
    with pytest.raises(UserError, match=r"os.remove.*trust=\[os\]"):
        compare(compose("compare", wanted))
    assert (run / "metrics.json").exists()


def test_a_job_imports_nothing_from_the_folder_that_a_file_names(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("open('ran', 'w')\n")
    (tmp_path / "talksplat").mkdir()
    (tmp_path / "talksplat" / "__init__.py").write_text("open('ran', 'w')\n")
    finished = subprocess.run(job_command(tmp_path, "00_a"), cwd=tmp_path, capture_output=True, text=True)
    assert "sweep.json is damaged" in finished.stderr and not (tmp_path / "ran").exists()
