"""Each row of an ablation differs from its base in what its name says, alone and on top of the paper's settings."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from talksplat.config import compose
from talksplat.errors import UserError
from tests.helpers.experiments import names

MIXER, TOKENS, FACTORS = "model.cross_attention.mixer", "model.tokens", "model.canonical.factors"
DEFORMED, LAYERS = "model.deformation.attributes", "model.cross_attention.num_layers"
NO_CODE = {"model.tokens.position_code": None}
MHA = {f"{MIXER}._target_": "talksplat.models.conditioning.multi_head.MultiHeadAttention", MIXER: ...}
MLP = {"model.tokens.network._target_": "talksplat.models.conditioning.tokens.TokenMLP", "model.tokens.network": ...}
NO_STATIC = {"stage.order": ["fine"], "stage.stages.fine.sh_degree_every": 120}
# What differs from the full model of the folder: settings with their values, or with ... for all that is below.
ROWS: dict[str, dict[str, Any]] = {
    "egstalker/full": {},
    "egstalker/no_kan_agents_ppe": {**NO_CODE, **MHA, **MLP},
    "egstalker/no_agents_ppe": {**NO_CODE, **MHA},
    "egstalker/no_ppe": NO_CODE,
    "egstalker/no_static_stage": NO_STATIC,
    "egstalker/agents_0.16": {f"{MIXER}.agent_share": 0.0016},
    "egstalker/agents_0.5": {},
    "egstalker/agents_1.0": {f"{MIXER}.agent_share": 0.01},
    "egstalker/kan_heads": {"model.canonical": ..., "model.deformation": ...},
    "egstalker/hash_triplane": {"model.triplane": ...},
    "egstalker/time_ppe": {f"{TOKENS}.position_code.axis": "time"},
    "egstalker/first_agents": {f"{MIXER}.selection": "first"},
    "gaussiantalker/full": {},
    "gaussiantalker/factors_none": {FACTORS: []},
    "gaussiantalker/factors_structure": {FACTORS: ["scales", "quats"]},
    "gaussiantalker/factors_appearance": {},
    "gaussiantalker/factors_all": {FACTORS: ["scales", "quats", "opacities", "sh"]},
    "gaussiantalker/deform_means": {DEFORMED: ["means"]},
    "gaussiantalker/deform_structure": {DEFORMED: ["means", "scales", "quats"]},
    "gaussiantalker/deform_appearance": {DEFORMED: ["opacities", "sh"]},
    "gaussiantalker/no_audio": {f"{TOKENS}.audio": None, f"{TOKENS}.lips": ...},
    "gaussiantalker/no_eye": {f"{TOKENS}.eye": None},
    "gaussiantalker/no_camera": {f"{TOKENS}.camera": None},
    "gaussiantalker/no_null": {f"{TOKENS}.null_token": None},
    "gaussiantalker/one_layer": {},
    "gaussiantalker/two_layers": {LAYERS: 2},
    "gaussiantalker/joint": {"stage.order": ["joint"], "loss.lip.stages": ["fine", "joint"], "stage.stages.joint": ...},
    "gaussiantalker/no_static_stage": NO_STATIC,
    "gaussiantalker/concatenation": {
        f"{MIXER}._target_": "talksplat.models.conditioning.linear_fusion.Concatenation",
        MIXER: ...,
    },
    "gaussiantalker/elementwise": {
        f"{MIXER}._target_": "talksplat.models.conditioning.linear_fusion.ElementwiseProduct",
        MIXER: ...,
    },
    "gaussiantalker/eye_multiply": {f"{TOKENS}.eye.frequency": "multiply"},
    "gaussiantalker/raw_camera": {
        f"{TOKENS}.camera.normalize": False,
        f"{TOKENS}.camera.limit": None,
        f"{TOKENS}.camera.noise": 0.0,
    },
    "gaussiantalker/sh_degree_0": {
        "model.gaussians.sh_degree": 0,
        "model.canonical.sh_degree": 0,
        "model.deformation.sh_degree": 0,
    },
}
# Rows that repeat a default from which the paper's settings differ.
SHARE = {f"{MIXER}.num_agents": None, f"{MIXER}.agent_share": ...}
BACK_FROM_PAPER = {
    **{f"egstalker/agents_{percent}": SHARE for percent in ("0.16", "0.5", "1.0")},
    "gaussiantalker/one_layer": {LAYERS: 1},
    "gaussiantalker/no_static_stage": {"stage.order": ["fine"], "stage.stages.fine.sh_degree_every": ...},
    "egstalker/no_static_stage": {"stage.order": ["fine"], "stage.stages.fine.sh_degree_every": ...},
}
PAPER_HAS_THEM = {
    f"gaussiantalker/{name}" for name in ("eye_multiply", "factors_appearance", "raw_camera", "two_layers")
}
PAPER_HAS_THEM |= {"egstalker/first_agents", "egstalker/full", "gaussiantalker/full"}
PRESETS = ["paper", "as_published", "expression_token", "quick_test"]  # of settings, not rows of a table


def flat(config: DictConfig) -> dict[str, str]:
    """Every setting by its full path, but for the record of what was chosen; a part that is switched off is one."""
    settings: dict[str, str] = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                visit(item, f"{path}.{key}" if path else str(key))
        else:
            settings[path] = json.dumps(value)

    visit({key: value for key, value in OmegaConf.to_container(config).items() if key != "chosen"}, "")
    return settings


def differing(first: DictConfig, second: DictConfig) -> set[str]:
    one, other = flat(first), flat(second)
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


@lru_cache
def base(experiment: str) -> DictConfig:
    return compose("train", [f"experiment={experiment}"])


def below(key: str, path: str) -> bool:
    return key == path or key.startswith(f"{path}.")


def test_every_row_is_in_the_table() -> None:
    folders = ("egstalker/", "gaussiantalker/")
    shipped = [name for folder in folders for name in names("experiment", folder)]
    assert {name for name in shipped if name.split("/")[1] not in PRESETS} == set(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_row_differs_from_its_base_as_its_name_says(row: str) -> None:
    folder, expected = row.split("/")[0], ROWS[row]
    config = compose("train", [f"experiment={row}"])
    changed = differing(base(f"{folder}/full"), config)
    unexpected = [key for key in changed if not any(below(key, path) for path in expected)]
    assert not unexpected
    for path, value in expected.items():
        assert any(below(key, path) for key in changed), path
        if value is not ...:
            selected = OmegaConf.select(config, path)
            assert (list(selected) if isinstance(value, list) else selected) == value, path


@pytest.mark.parametrize("row", ROWS)
def test_row_stands_on_the_paper(row: str) -> None:
    """There it changes what it changes alone, and takes effect."""
    paper, expected = f"{row.split('/')[0]}/paper", {**ROWS[row], **BACK_FROM_PAPER.get(row, {})}
    config = compose("train", [f"experiment=[{paper},{row}]"])
    changed = differing(base(paper), config)
    assert not [key for key in changed if not any(below(key, path) for path in expected)]
    assert bool(changed) != (row in PAPER_HAS_THEM)
    for path, value in expected.items():
        if isinstance(value, str | bool | None | float):
            assert OmegaConf.select(config, path) == value, path


def test_models_are_those_of_the_folder() -> None:
    assert not differing(base("egstalker/full"), compose("train", ["model=egstalker"]))
    assert not differing(base("gaussiantalker/full"), compose("train", []))


@pytest.mark.parametrize(("first", "second"), [("concatenation", "elementwise"), ("elementwise", "concatenation")])
def test_the_later_one_counts(first: str, second: str) -> None:
    folder = "experiment=[egstalker/quick_test,gaussiantalker/"
    config = compose("train", [f"{folder}{first},gaussiantalker/{second}]"])
    assert OmegaConf.select(config, MIXER)._target_ == ROWS[f"gaussiantalker/{second}"][f"{MIXER}._target_"]
    assert config.model._target_.endswith("EGSTalker") and config.stage.stages.coarse.steps == 100


def test_rows_add_up() -> None:
    rows = "gaussiantalker/paper,gaussiantalker/no_eye,gaussiantalker/no_camera,gaussiantalker/concatenation"
    config = compose("train", [f"experiment=[{rows}]"])
    assert config.model.tokens.eye is None and config.model.tokens.camera is None and config.model.motion is None
    assert config.model.tokens.audio.encoder.normalize is False
    assert OmegaConf.select(config, MIXER).num_tokens == 2  # counted


def test_joint_takes_after_both_stages() -> None:
    config = compose("train", ["experiment=[gaussiantalker/paper,gaussiantalker/joint]"])
    coarse, fine, joint = (config.stage.stages[name] for name in ("coarse", "fine", "joint"))
    assert joint.steps == coarse.steps + fine.steps == 17999
    assert joint.density == coarse.density and joint.density_scale == "camera_spread"
    assert joint.learning_rates == fine.learning_rates and joint.batch_size == 32


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("gaussiantalker/no_eye,gaussiantalker/eye_multiply", r"model\.tokens\.eye is switched off .* \(frequency\)"),
        ("gaussiantalker/no_eye,gaussiantalker/paper", r"model\.tokens\.eye is switched off"),
        ("egstalker/no_ppe,egstalker/time_ppe", r"position_code is switched off .* \(axis\)"),
        ("egstalker/no_agents_ppe,egstalker/agents_1.0", r"unknown key model\.cross_attention\.mixer\.num_agents"),
    ],
)
def test_rows_that_contradict_each_other(rows: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose("train", [f"experiment=[{rows}]"])


def test_quick_test_is_the_shipped_debug_preset() -> None:
    """EGSTalker: 100 and 1,000 steps, batch 8, degree 0 in both as the clock starts again."""
    config = compose("train", ["experiment=egstalker/quick_test"])
    coarse, fine = config.stage.stages.coarse, config.stage.stages.fine
    assert (coarse.steps, coarse.batch_size, fine.steps, fine.batch_size) == (100, 1, 1000, 8)
    assert coarse.sh_degree_every == fine.sh_degree_every == 1000 and not config.stage.quality
    changed = differing(base("egstalker/paper"), config)
    assert all(key.startswith("stage.") for key in changed)
