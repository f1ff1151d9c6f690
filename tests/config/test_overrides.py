"""Every command takes every path, and every line that is printed can be pasted."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from talksplat.command_line import escape_interpolations, setting
from talksplat.config import compose, instantiate, to_yaml
from talksplat.config.overrides import literal_overrides
from talksplat.errors import UserError
from talksplat.sweep.expand import grid_jobs, parse_overrides

NAMES = [
    "a=b,c",
    "(x) [y] {z}: #1!",
    "'quoted'",
    'it\'s "5"',
    "$HOME `id` $(id)",
    "${seed} ${nope} \\${x}",
    "back\\slash\\",
    "*?~|;&<>",
    "~no_such_user",
    "-dash",
    " blanks ",
    "line\nbreak\ttab",
    "中文 😀 é",
    "1e5",
    "007",
    "true",
    "choice(a,b)",
    "a+b",
]
COMMANDS = {
    "train": ["dataset.root", "checkpoint", "dataset.cache_dir", "backup.target"],
    "preprocess": ["video", "subject", "check", "features", "face_tracker.source", "work_dir"],
    "render": ["checkpoint", "output", "audio_file", "subject"],
    "compare": ["out", "runs"],
    "evaluate": ["run", "out"],
    "learn_lips": ["out"],
}


def read(override: str) -> object:
    """Value that Hydra reads."""
    return OverridesParser.create().parse_override(override).value()


@pytest.mark.parametrize("name", NAMES)
def test_a_path_that_exists_is_taken_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    from_here = str(tmp_path / name) if name[0] == "~" else name
    expected = escape_interpolations(from_here)
    for command, keys in COMMANDS.items():
        for key in keys:
            (override,) = literal_overrides(command, [f"{key}={name}"])
            assert read(override) == expected
            assert literal_overrides(command, [override]) == [override], "what is quoted stays"
    for given in (f"[{name},{name}]", f"{name},{name}"):
        (override,) = literal_overrides("train", [f"dataset.roots={given}"])
        assert [getattr(one, "text", one) for one in read(override)] == [expected, expected]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "'quoted'"])
def test_a_path_that_does_not_exist_keeps_all_but_interpolations(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for key in ("hydra.run.dir", "run_dir"):
        (override,) = literal_overrides("train", [f"{key}={name}"])
        assert read(override) == (str(tmp_path / name) if name[0] == "~" else name)


@pytest.mark.parametrize("name", NAMES)
def test_a_printed_setting_can_be_pasted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = f"printf '%s' {setting('output', tmp_path / name)}".encode(errors="surrogateescape")
    pasted = os.fsdecode(subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout)
    assert compose("render", [pasted, "checkpoint=x"]).output == str(tmp_path / name)


def test_plain_settings_are_printed_plain() -> None:
    assert setting("dataset.root", "data/clip_1") == "dataset.root=data/clip_1"


def test_a_path_reaches_what_is_built_and_what_is_kept(tiny_copy: Path) -> None:
    root = tiny_copy.rename(tiny_copy.with_name("${x} [1],\\${seed}"))
    config = compose("train", ["dataset=portrait", f"dataset.roots=[{root}]"])
    assert config.dataset.loader.root == config.dataset.root == config.dataset.roots[0] == str(root)
    assert instantiate(config.dataset.loader).root == root
    assert OmegaConf.create(to_yaml(config)).dataset.loader.root == str(root)


def test_sweeps_still_separate_at_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a,b (1)", "c=d"):
        (tmp_path / name).mkdir()
    given = ["dataset.root=a,b (1),c=d", "seed=0,1", "hydra.sweep.dir=x,y"]
    overrides = literal_overrides("train", given, sweep=True)
    assert overrides == ["dataset.root='a,b (1)','c=d'", "seed=0,1", "hydra.sweep.dir='x,y'"]
    assert parse_overrides(overrides[2:])[0].value() == "x,y"
    assert [job[0] for job in grid_jobs(overrides[:2])] == ["dataset.root='a,b (1)'"] * 2 + ["dataset.root='c=d'"] * 2
    assert literal_overrides("train", ["dataset.root=choice(a,b)"], sweep=True) == ["dataset.root=choice(a,b)"]


def test_what_means_something_is_left_alone() -> None:
    home = os.path.expanduser("~")
    for given, read_as in (("~/x/y", f"{home}/x/y"), ("${paths.data}/x", "${paths.data}/x"), ("'q'", "q")):
        assert read(literal_overrides("train", [f"dataset.root={given}"])[0]) == read_as
    same = ["model=static", "checkpoint=null", "seed=0,1", "~tracker", "-m", "stage.order=[coarse]", "+x={a: 1}"]
    assert literal_overrides("train", same) == same


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    with pytest.raises(UserError, match=r"\\udcff' is no UTF-8 text.*rename it"):
        literal_overrides("train", [f"dataset.root={tmp_path}/" + os.fsdecode(b"\xff")])


@pytest.mark.parametrize("command, key", [("train", "dataset.root"), ("train", "seed"), ("compare", "out")])
def test_an_unknown_interpolation_is_one_line(command: str, key: str) -> None:
    with pytest.raises(UserError, match="nope.*not found") as error:
        compose(command, [f"{key}=${{nope}}", *(["runs=x"] if command == "compare" else [])])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "override, words",
    [
        ("hydra.run.dir=${nope}/x", "'nope' not found"),
        ("hydra.run.dir=${oc.env:NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE"),
        (r"hydra.run.dir=a\${b}", r"hydra.run.dir=a\$\{b\}: Hydra can write into no"),
        ("stage.stages.coarse.steps=many", "stage.stages.coarse.steps is 'many': .* takes int there"),
        ("model.unit_dropout=[1]", "model.unit_dropout is .* takes float"),
        ("dataset.max_frames=[1", "dataset.max_frames"),
        ("dataset.root", "'dataset.root' is no setting: write KEY=VALUE"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(override: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        compose("train", [override])
    assert "\n" not in str(error.value)


def test_options_of_hydra_keep_their_values() -> None:
    arguments = ["--cfg", "job", "--resolve", "-cd", "my conf", "seed=1", "--info", "all"]
    assert literal_overrides("train", arguments) == arguments
    with pytest.raises(UserError, match="'seed' is no setting"):
        literal_overrides("train", ["--resolve", "seed"])
