"""Parameter table of an avatar: names, learning-rate kinds, and what a stage trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from talksplat.errors import UserError
from talksplat.models.avatar import Avatar
from talksplat.models.model_size import unused_tensors
from talksplat.models.subject_states import personal_names
from talksplat.training.stage import Stage

GAUSSIANS = "gaussians.params."
ORDER = ("canonical", "shared", "deformation")  # of the networks' parameters in the optimiser, and so in checkpoints


@dataclass(frozen=True)
class Entry:
    """One parameter.

    `name` is LAYER.ATTRIBUTE of a Gaussian ("face.means"), LAYER.PART... or shared.PART... of a network; `kind` is its entry
    of `LearningRates`; `subject` is its owner, None if it is shared.
    """

    name: str
    kind: str
    parameter: nn.Parameter
    subject: str | None = None
    layer: str | None = None

    @property
    def is_gaussian(self) -> bool:
        """Whether it is an attribute of the Gaussians, which density control resizes."""
        return self.layer is not None and self.name == f"{self.layer}.{self.kind}"


class ParameterTable:
    """All parameters of an avatar that the model does not freeze, and which of them a stage trains.

    Args:
        model: the avatar, with its subjects set up.
        poses: corrections of poses, which every stage trains in addition; None: none.
    """

    def __init__(self, model: Avatar, poses: nn.Module | None = None) -> None:
        self.model = model
        self.poses = [] if poses is None else [Entry("poses", "poses", parameter) for parameter in poses.parameters()]
        self._backbone = (
            set() if model.speech_encoder is None else set(map(id, model.speech_encoder.backbone.parameters()))
        )
        self._frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad} - {
            name for name, parameter in model.named_parameters() if id(parameter) in self._backbone
        }

    def entries(self) -> list[Entry]:
        """Current entries, in a fixed order. Not cached, since density control replaces parameters."""
        model = self.model
        model.bind(model.subjects.names[0])
        several = len(model.subjects.names) > 1
        personal = set(personal_names(model, model.subjects.globs)) if several else set()
        owner = {name: model.subjects.bound if name in personal else None for name, _ in model.named_parameters()}
        found = [self._entry(name, parameter, owner[name]) for name, parameter in model.named_parameters()]
        waiting = [
            (s, name, tensor) for s, name, tensor in model.subjects.waiting() if isinstance(tensor, nn.Parameter)
        ]
        found += [self._entry(name, tensor, subject) for subject, name, tensor in waiting]
        known = [entry for entry in found if entry is not None]
        return sorted(known, key=_network_order)

    def apply(self, stage: Stage) -> list[Entry]:
        """Freeze the parameters that the stage does not train, and unfreeze the speech model's layers that it does.

        Returns:
            the trained entries, `poses` last.

        Raises:
            UserError: a glob that matches nothing, two rates for one parameter, layers that do not exist.
        """
        unfreeze_audio_layers(self.model, stage.unfreeze_audio_layers)
        entries = self.entries()
        for glob in (*(stage.train or ()), *(stage.learning_rates.rates or ())):
            if not any(fnmatchcase(entry.name, glob) for entry in (*entries, *self.poses)):
                names = ", ".join(sorted({".".join(entry.name.split(".")[:2]) + "*" for entry in entries}))
                raise UserError(
                    f"no parameter matches {glob!r} (train, learning_rates.rates of a stage): there are {names}"
                )
        trained = []
        for entry in entries:
            wanted = stage.train is None or any(fnmatchcase(entry.name, glob) for glob in stage.train)
            if entry.kind == "audio_backbone":
                wanted = wanted and entry.parameter.requires_grad
            entry.parameter.requires_grad_(wanted)
            if wanted:
                stage.learning_rates.glob_of(entry.name)  # raises if two globs match
                trained.append(entry)
        if not trained:
            raise UserError(f"train={list(stage.train or ())} of a stage leaves nothing to train")
        return trained + self.poses

    def _entry(self, name: str, parameter: nn.Parameter, subject: str | None) -> Entry | None:
        if name in self._frozen:
            return None
        parts = name.split(".")
        if parts[0] == "layers":
            layer, rest = parts[1], ".".join(parts[2:])
            if rest.startswith(GAUSSIANS):
                attribute = rest.removeprefix(GAUSSIANS)
                return Entry(f"{layer}.{attribute}", attribute, parameter, subject, layer)
            kind = "triplane" if parts[2] == "triplane" else "networks"
            return Entry(f"{layer}.{rest}", kind, parameter, subject, layer)
        return Entry(name, "audio_backbone" if id(parameter) in self._backbone else "networks", parameter, subject)


def _network_order(entry: Entry) -> int:
    """Index of a network's part in `ORDER`."""
    part = "shared" if entry.layer is None else entry.name.split(".")[1]
    return ORDER.index(part) if part in ORDER else len(ORDER)


def unfreeze_audio_layers(model: Avatar, count: int) -> None:
    """Make the last `count` layers of the speech model inside trainable, and freeze the others.

    Raises:
        UserError: there is no speech model, or it has fewer layers.
    """
    if model.speech_encoder is not None:
        model.speech_encoder.unfreeze(count)
    elif count:
        raise UserError(
            f"unfreeze_audio_layers={count}, but the features of this avatar are precomputed: choose "
            "experiment=finetune_speech, whose avatar contains a speech model"
        )


def rows(table: ParameterTable, stage: Stage) -> Iterator[tuple[str, str, str, int]]:
    """Lines of a stage for people: part (the first two words of the names), kind, rate, numbers. What takes no part in the
    stage's mode has no gradient, and so is idle whatever its rate."""
    trained = {id(entry.parameter) for entry in table.apply(stage)}
    idle: set[int] = set()
    for subject in table.model.subjects.names:
        table.model.bind(subject)
        idle |= unused_tensors(table.model, stage.mode)
    sums: dict[tuple[str, str, str], int] = {}
    for entry in (*table.entries(), *table.poses):
        part = ".".join(entry.name.split(".")[:2])
        rate = stage.learning_rates.text(entry.kind, entry.name) if id(entry.parameter) in trained else "frozen"
        rate = "idle" if rate != "frozen" and id(entry.parameter) in idle else rate
        key = (part if entry.subject is None else f"{entry.subject}: {part}", entry.kind, rate)
        sums[key] = sums.get(key, 0) + entry.parameter.numel()
    for (part, kind, rate), count in sums.items():
        yield part, kind, rate, count
