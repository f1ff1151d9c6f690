"""Subject states: the tensors of an avatar that are fitted to a person, one set per subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from talksplat.errors import UserError

FIRST = "subject"  # name of an unnamed subject


def personal_names(module: nn.Module, globs: Sequence[str] = ()) -> list[str]:
    """Names of the parameters and buffers that are fitted to a person: those that their modules declare in `PERSONAL`, globs
    relative to the module, and those that `globs` match."""
    declared = [
        f"{path}.{glob}" if path else glob
        for path, part in module.named_modules()
        for glob in getattr(part, "PERSONAL", ())
    ]
    patterns = [*declared, *globs]
    tensors = [*dict(module.named_parameters()), *dict(module.named_buffers())]
    return [name for name in tensors if any(fnmatchcase(name, pattern) for pattern in patterns)]


class SubjectStates:
    """Personal tensors of several subjects, of which one set at a time is bound, i.e. part of the modules.

    Modules are written for one person: binding a subject exchanges their tensors for those of the subject, without copies.

    Args:
        module: the avatar.
        globs: personal tensors in addition to `PERSONAL`.
    """

    def __init__(self, module: nn.Module, globs: Sequence[str] = ()):
        self._module = module
        self.globs = tuple(globs)
        self.are_set_up = False  # from the data of a run, whose subjects a checkpoint must not replace
        self.start(FIRST)

    def start(self, name: str) -> None:
        """Reset: the tensors in the modules belong to this subject, the only one."""
        self.names = [name]  # in order of addition
        self.bound = name
        self._waiting: dict[str, dict[str, Tensor]] = {}

    def add(self, name: str) -> None:
        """Add a subject with copies of the bound tensors, and bind it.

        Raises:
            UserError: there is one of that name.
        """
        if name in self.names:
            raise UserError(f"two subjects are called {name}: give their folders different names")
        copies = {key: _copy(tensor) for key, tensor in self.tensors(self.bound).items()}
        self.names = [*self.names, name]
        self._waiting[name] = copies
        self.bind(name)

    def expect(self, names: Sequence[str]) -> list[str]:
        """Add the subjects of a checkpoint; a single subject keeps its name.

        Returns:
            names of the subjects, in the checkpoint's order.

        Raises:
            UserError: the avatar already has several subjects, and they differ.
        """
        if len(names) == len(self.names) == 1 or list(names) == self.names:
            return self.names
        if self.are_set_up:
            raise UserError(
                f"the checkpoint is of {', '.join(names)}, this run of {', '.join(self.names)}: take what is not fitted to a person "
                "(checkpoint_parts=[shared]), or train on the same subjects in the same order (dataset.roots)"
            )
        self.start(names[0])
        for name in names[1:]:
            self.add(name)
        return self.names

    def bind(self, name: str) -> None:
        """Make a subject's tensors part of the modules.

        Raises:
            UserError: no such subject.
        """
        if name == self.bound:
            return
        if name not in self._waiting:
            raise UserError(f"this avatar has no subject {name!r}: it has {', '.join(self.names)}")
        self._waiting[self.bound] = self.tensors(self.bound)
        for key, tensor in self._waiting.pop(name).items():
            owner, _, last = key.rpartition(".")
            place = self._module.get_submodule(owner)
            (place._parameters if last in place._parameters else place._buffers)[last] = tensor
        self.bound = name

    def tensors(self, name: str) -> dict[str, Tensor]:
        """A subject's tensors by their names in the avatar."""
        if name != self.bound:
            return self._waiting[name]
        found = {**dict(self._module.named_parameters()), **dict(self._module.named_buffers())}
        return {key: found[key] for key in personal_names(self._module, self.globs)}

    def waiting(self) -> Iterator[tuple[str, str, Tensor]]:
        """Subject, name and tensor of all that is not bound."""
        for subject in self.names:  # in this order, whoever was bound last: optimisers and checkpoints count on it
            for name, tensor in self._waiting.get(subject, {}).items():
                yield subject, name, tensor

    def apply(self, function: Callable[[Tensor], Tensor]) -> None:
        """Move or convert what is not bound, as `nn.Module._apply` does with the rest."""
        with torch.no_grad():
            for tensors in self._waiting.values():
                for name, tensor in tensors.items():
                    if isinstance(tensor, nn.Parameter):
                        tensor.data = function(tensor.data)
                    else:
                        tensors[name] = function(tensor)


class SubjectModule(nn.Module):
    """Module with a state per subject. In a state dict the first subject's tensors have the names of the modules, those of
    further subjects the prefix `subjects.NAME.`.

    Args:
        personal: globs of parameters and buffers that each subject has for itself, in addition to `PERSONAL`.
    """

    def __init__(self, personal: Sequence[str] = ()):
        super().__init__()
        self.subjects = SubjectStates(self, personal)
        self._frozen: dict[str, Any] = {}  # by subject: values that depend on the weights alone

    def bind(self, subject: str | None) -> None:
        """Choose the subject that is rendered and trained; None: no change."""
        if subject is not None:
            self.subjects.bind(subject)

    def changed(self) -> None:
        """Drop what `freeze_for_inference` cached, since the weights changed."""
        self._frozen = {}

    def _apply(self, fn, recurse: bool = True):
        self.changed()
        self.subjects.apply(fn)
        return super()._apply(fn, recurse)

    def state_dict(self, *args, **kwargs):
        """As of any module, with the first subject bound."""
        bound = self.subjects.bound
        self.bind(self.subjects.names[0])
        state = super().state_dict(*args, **kwargs)
        self.bind(bound)
        return state

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for subject, name, tensor in self.subjects.waiting():
            destination[f"{prefix}subjects.{subject}.{name}"] = tensor if keep_vars else tensor.detach()

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, missing, unexpected, errors):
        self.changed()
        self.bind(self.subjects.names[0])
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, missing, unexpected, errors)
        own = f"{prefix}subjects."
        unexpected[:] = [key for key in unexpected if not key.startswith(own)]
        for subject, name, tensor in self.subjects.waiting():
            key = f"{own}{subject}.{name}"
            if key not in state_dict:
                missing.append(key)
            elif state_dict[key].shape != tensor.shape:
                errors.append(f"{key}: {tuple(state_dict[key].shape)} there, {tuple(tensor.shape)} here")
            else:
                with torch.no_grad():
                    tensor.copy_(state_dict[key])


def _copy(tensor: Tensor) -> Tensor:
    copied = tensor.detach().clone()
    return nn.Parameter(copied, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else copied
