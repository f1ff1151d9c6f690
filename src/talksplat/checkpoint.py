"""Checkpoints: tensors, numbers and text only, with a format entry."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from talksplat import __version__
from talksplat.config import instantiate
from talksplat.config.from_files import check_classes, parse_config
from talksplat.errors import UserError
from talksplat.models.avatar import Avatar
from talksplat.models.subject_states import personal_names
from talksplat.older_checkpoints import renamed
from talksplat.trackers.wandb_checkpoint import fetch_checkpoint, is_address

FORMAT = 2


def read_checkpoint(
    path: str | os.PathLike, device: torch.device | str = "cpu", trust: Sequence[str] = ()
) -> dict[str, Any]:
    """Load a checkpoint without running code from it.

    Args:
        path: the file, the run folder, or `wandb://ENTITY/PROJECT/RUN[:VERSION]`.
        trust: packages or classes besides our own that its configuration may name.

    Raises:
        UserError: an address without a checkpoint, no such file, not a checkpoint, truncated, of another format version, or
            with a configuration that names classes of others.
    """
    path = fetch_checkpoint(str(path)) if is_address(path) else Path(path).expanduser()
    if path.is_dir():
        path = path / "last.ckpt"
    if not path.is_file():
        raise UserError(f"no such checkpoint: {path}; train.py writes RUN/last.ckpt")
    try:
        checkpoint = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, RuntimeError, ValueError, LookupError) as error:
        raise UserError(
            f"{path} is no checkpoint of this project, or it is damaged: give RUN/last.ckpt of a finished copy"
        ) from error
    entry = checkpoint.get("talksplat") if isinstance(checkpoint, dict) else None
    if not isinstance(entry, dict) or "state_dict" not in checkpoint:
        raise UserError(f"{path} is a torch file but no checkpoint of this project: it has no 'talksplat' entry")
    if entry.get("format") != FORMAT:
        raise UserError(
            f"{path} has checkpoint format {entry.get('format')} (talksplat {entry.get('version')}); this is talksplat "
            f"{__version__}, which reads format {FORMAT}: use the version that wrote it, or train again"
        )
    if "config_yaml" in entry:  # without it, nothing can be built
        check_classes(checkpoint_config(checkpoint, path), path, trust)
    return renamed(checkpoint)


def checkpoint_config(checkpoint: dict[str, Any], source: str | Path = "the checkpoint") -> DictConfig:
    """The resolved configuration of the run that wrote a checkpoint."""
    return parse_config(checkpoint["talksplat"].get("config_yaml"), source)


def with_architectures(config: DictConfig) -> DictConfig:
    """The configuration with `architecture` of a speech model inside the avatar read from its checkpoint, so that the
    avatar can be built without it.

    Raises:
        UserError: no such speech model.
    """
    encoder = OmegaConf.select(config, "model.tokens.audio.encoder")
    if encoder is None or encoder.get("architecture", 0) is not None or encoder.checkpoint is None:
        return config
    from talksplat.audio.speech_checkpoint import architecture_of, find_checkpoint

    architecture = architecture_of(find_checkpoint(encoder.checkpoint, encoder.get("assets")))
    return OmegaConf.merge(config, {"model": {"tokens": {"audio": {"encoder": {"architecture": architecture}}}}})


def build_model(checkpoint: dict[str, Any], device: torch.device | str = "cpu", person: str | None = None) -> Avatar:
    """The avatar of a checkpoint, in eval mode; of several people, that of `person` (None: the first)."""
    model = instantiate(checkpoint_config(checkpoint).model)
    if not isinstance(model, Avatar):
        raise UserError(f"the checkpoint's model is a {type(model).__name__}, which is no avatar")
    load_weights(model, checkpoint, "the checkpoint")
    model.bind(person and person.replace(".", "_"))
    return model.to(device).eval()


def subject_of(checkpoint: dict[str, Any], person: str | None) -> dict[str, Any]:
    """Subject entry of a checkpoint; of several people, of `person` (None: the first).

    Raises:
        UserError: no person of that name.
    """
    entry = checkpoint["talksplat"]
    if person is None:
        return entry["subject"]
    person, people = person.replace(".", "_"), entry.get("subjects") or {}
    if person not in people:
        known = f"it is of {', '.join(people)}" if people else "it is of one person: leave that out"
        raise UserError(f"the checkpoint has no person {person!r} (person): {known}")
    return people[person]


def load_weights(model: Avatar, checkpoint: dict[str, Any], source: str) -> None:
    """Load weights only: no optimiser, step or schedule.

    Raises:
        UserError: the checkpoint is of another model; names the first difference.
    """
    theirs = checkpoint_config(checkpoint).model["_target_"]
    ours = f"{type(model).__module__}.{type(model).__qualname__}"
    if theirs != ours:
        raise UserError(
            f"{source} is of the model {theirs.rsplit('.', 1)[-1]}, and this run is of {ours.rsplit('.', 1)[-1]}: choose the "
            "model that the checkpoint was trained with"
        )
    weights = _weights(checkpoint)
    entry = checkpoint["talksplat"]
    model.resize(entry["layers"])
    model.restrict(entry.get("deforms"))
    own = model.state_dict()
    for name in own.keys() - weights.keys():  # missing in older versions
        if not name.startswith("subjects."):
            owner, _, last = name.rpartition(".")
            if last in getattr(model.get_submodule(owner), "NEWER_BUFFERS", ()):
                weights[name] = own[name]
    differing = _differences(own, weights, own.keys() | weights.keys())
    if differing:
        raise UserError(
            f"{source} is of the model {theirs.rsplit('.', 1)[-1]} with other settings than this run's ({differing[0]}): give "
            "the settings of its config.yaml"
        )
    model.load_state_dict(weights)


def load_part(model: Avatar, checkpoint: dict[str, Any], source: str, globs: Sequence[str]) -> int:
    """Load some of the weights into an avatar whose subjects are set up; it may be another model with parts of the same names.

    Args:
        globs: of the names in the state dict ("shared.tokens.*", "layers.face.deformation.*"); "shared" means all that is
            not fitted to a person, so that a new person is rendered with the motion learned from others.

    Returns:
        how many tensors were loaded.

    Raises:
        UserError: a glob that matches nothing in both, or tensors of other shapes.
    """
    own, weights = model.state_dict(), _weights(checkpoint)
    personal = set(personal_names(model, model.subjects.globs))
    chosen: set[str] = set()
    for glob in globs:
        found = {
            name
            for name in own.keys() & weights.keys()
            if (_is_shared(name, personal) if glob == "shared" else fnmatchcase(name, glob))
        }
        if not found:
            raise UserError(
                f"checkpoint_parts: {glob!r} matches nothing that both {source} and this run's model have; names are like "
                f"{', '.join(sorted(own)[:1] + sorted(own)[-1:])}"
            )
        chosen |= found
    differing = _differences(own, weights, chosen)
    if differing:
        raise UserError(f"{source} does not fit this run's model: {differing[0]}; leave it out of checkpoint_parts")
    model.load_state_dict({**own, **{name: weights[name] for name in chosen}})
    return len(chosen)


def _is_shared(name: str, personal: set[str]) -> bool:
    return name not in personal and not name.startswith("subjects.")


def _weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    return {k.removeprefix("model."): v for k, v in checkpoint["state_dict"].items() if k.startswith("model.")}


def _differences(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], names: Iterable[str]) -> list[str]:
    return [
        f"{name}: {tuple(weights[name].shape) if name in weights else 'absent'} there, "
        f"{tuple(own[name].shape) if name in own else 'absent'} here"
        for name in sorted(names)
        if name not in own or name not in weights or own[name].shape != weights[name].shape
    ]
