"""What distinguishes runs: settings that differ, and groups of runs alike but for the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from talksplat.compare.document import some_of
from talksplat.compare.load.run import RunResult, is_relevant

LABELLED = ("seed", "experiment", "model")  # overrides that a group's name tells in another way
MAX_IN_NAME = 3
ABSENT = "-"


@dataclass
class SeedGroup:
    """Runs alike but for the seed, one for each seed, under a name that says what distinguishes them from the other groups.
    `repeated` are further runs with settings and seed of one of these: they would make a spread look smaller than it is."""

    name: str
    runs: list[RunResult]
    repeated: list[RunResult] = field(default_factory=list)

    @property
    def seeds(self) -> str:
        """Number and list of the seeds; a foreign video has none."""
        return "-" if self.runs[0].foreign else f"{len(self.runs)} ({', '.join(str(run.seed) for run in self.runs)})"


def differing_settings(runs: Sequence[RunResult]) -> dict[str, list[str]]:
    """Settings that are not the same in all runs: {full path: value in each run}; "-" where a run has no such key."""
    keys = sorted(set().union(*(run.settings for run in runs)))
    values = {key: [run.settings.get(key, ABSENT) for run in runs] for key in keys}
    return {key: texts for key, texts in values.items() if len(set(texts)) > 1}


def seed_groups(runs: Sequence[RunResult]) -> list[SeedGroup]:
    """All runs in groups, in the order of their first run; a run that has no like is a group of its own."""
    groups: dict[frozenset, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(frozenset(run.settings.items() - {("seed", run.settings.get("seed"))}), []).append(run)
    found = []
    for name, alike in zip(_names([alike[0] for alike in groups.values()]), groups.values()):
        one_each = {run.seed: run for run in reversed(alike)}.values()
        kept = sorted(one_each, key=lambda run: run.seed or 0)
        found.append(SeedGroup(name, kept, [run for run in alike if run not in kept]))
    return found


def _names(runs: list[RunResult]) -> list[str]:
    """Names of groups that these runs stand for: model and experiments, and what else differs where these are equal."""
    names = [label_of(run) for run in runs]
    for name in {name for name in names if names.count(name) > 1}:
        alike = [index for index, other in enumerate(names) if other == name]
        for index, details in zip(alike, _details([runs[index] for index in alike])):
            names[index] = f"{name} ({details})" if details else name
    return names


def label_of(run: RunResult) -> str:
    """Model and experiments of a run."""
    experiments = run.experiments or []
    if run.foreign:
        return run.model
    named = any(experiment.startswith(f"{run.model_choice}/") for experiment in experiments)
    return " + ".join([*([] if named else [run.model_choice]), *experiments])


def own_overrides(run: RunResult) -> list[str]:
    """Overrides of a run that its model and experiments do not tell."""
    keys = {text: text.partition("=")[0].lstrip("+~") for text in run.overrides}
    return [text for text, key in keys.items() if key not in LABELLED and is_relevant(key)]


def _details(runs: list[RunResult]) -> list[str]:
    """What distinguishes runs of the same model and experiments: overrides, else settings, else their names."""
    overrides = [own_overrides(run) for run in runs]
    shared = set(overrides[0]).intersection(*overrides)
    own = [", ".join(text for text in one if text not in shared) for one in overrides]
    if len(set(own)) < len(own):
        differing = differing_settings(runs)
        own = [_setting_details(differing, index, run) for index, run in enumerate(runs)]
    return own if len(set(own)) == len(own) else [run.name for run in runs]


def _setting_details(differing: dict[str, list[str]], index: int, run: RunResult) -> str:
    told = (key for key in differing if key.split(".")[0] not in ("seed", "stage"))
    texts = [f"{key}={differing[key][index]}" for key in told]
    if "stage.purpose" in differing:
        texts.insert(0, f"stage={run.stage}")
    return some_of(texts, MAX_IN_NAME)
