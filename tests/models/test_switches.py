"""Every switch of a model does what its name says, and nothing else.

For each line of the table (`switches`) a model is built without and with the override. The composed configurations differ
in the named keys alone; entries of the state dict come, go or change their shape in the named parts alone; and with equal weights, as
far as they fit, what the model shows differs (or does not) as the table says.
"""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from functools import cache

import pytest
import torch
from omegaconf import OmegaConf

from talksplat.config import instantiate
from talksplat.types import Gaussians
from tests.models.building import configure, make_conditions, set_up, subject_of, wake
from tests.models.switches import SWITCHES, Switch


def flat(config) -> dict[str, str]:
    found = {}

    def visit(value, path):
        if isinstance(value, dict):
            for key, item in value.items():
                visit(item, f"{path}.{key}" if path else key)
        else:
            found[path] = repr(value)

    settings = OmegaConf.to_container(config, resolve=True)
    settings.pop("chosen")  # the record of the choice itself
    visit(settings, "")
    return found


def below(name: str, nodes: tuple[str, ...]) -> list[str]:
    return [node for node in nodes if name == node or name.startswith(node + ".")]


@cache
def made(name: str, overrides: tuple[str, ...]):
    """Configuration, model set up and with every output awake, and its state dict before that."""
    config = configure(name, overrides)
    torch.manual_seed(0)
    model = set_up(instantiate(config.model), overwrite_outputs=False)
    start = copy.deepcopy(model.state_dict())
    wake(model)
    with torch.no_grad():
        audio = 2 + 3 * torch.randn(20, 16, 29, generator=torch.Generator().manual_seed(2))
        subject = subject_of(60)
        subject = replace(subject, audio=audio, mouth=torch.tensor([0.0, -0.5, 0.3]))
        for part in (model.face.deformation, *model.shared.values()):
            if part is not None:
                part.fit(subject)
        model.gaussians.params["shN"].normal_()
    return config, model.requires_grad_(False), start


def show(model, mode: str) -> list[torch.Tensor]:
    """What cameras see, in "training" with its noise."""
    model.train(mode == "training")
    torch.manual_seed(4)
    conditions = make_conditions(3)
    conditions.action_units = torch.full((3, 1), 0.5)
    shown = model(conditions, "canonical" if mode == "canonical" else "deform", min(3, model.gaussians.sh_degree))
    return [getattr(shown, field.name) for field in fields(Gaussians)]


def differs(one, other, mode: str) -> bool:
    return any((a - b).abs().max() > 1e-5 for a, b in zip(show(one, mode), show(other, mode)))


@pytest.mark.parametrize("case", SWITCHES, ids=lambda case: f"{case.name}:{'|'.join(case.overrides)}"[:80])
def test_switch(case: Switch):
    if case.overrides[0].startswith("model="):
        changed_name, overrides = case.overrides[0].removeprefix("model="), case.base
    else:
        changed_name, overrides = case.name, (*case.base, *case.overrides)
    config, model, start = made(case.name, case.base)
    changed_config, changed, changed_start = made(changed_name, overrides)

    before, after = flat(config), flat(changed_config)
    keys = tuple(key[1:] if key.startswith("/") else f"model.{key}" for key in case.keys)
    different = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    assert [key for key in different if not below(key, keys)] == []
    assert set(keys) == {node for key in different for node in below(key, keys)}

    one, other = model.state_dict(), changed.state_dict()
    shape = lambda state, name: state[name].shape if name in state else None
    different = [name for name in one.keys() | other.keys() if shape(one, name) != shape(other, name)]
    assert [name for name in different if not below(name, case.parts)] == []
    assert set(case.parts) == {node for name in different for node in below(name, case.parts)}

    if case.shown == "fresh":
        assert any(not torch.equal(start[name], changed_start[name]) for name in start)
    kept = {name: value.clone() for name, value in other.items()}
    same = {name: p for name, p in model.named_parameters() if shape(one, name) == shape(other, name)}
    changed.load_state_dict({**kept, **same})
    if case.shown in ("", "fresh"):
        assert not any(differs(model, changed, mode) for mode in ("deform", "canonical", "training"))
    else:
        assert differs(model, changed, case.shown)
        if case.shown == "training":
            assert not differs(model, changed, "deform") and not differs(model, changed, "canonical")
    changed.load_state_dict(kept)
