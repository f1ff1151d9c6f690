"""What distinguishes runs: settings that differ, and groups of runs alike but for the seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from talksplat.compare.run_result import RunResult
from talksplat.config.moved import without_paper_split

# Where a run lies, on what it ran and how it was asked for is not what it is.
INCIDENTAL = ("run_dir", "paths", "tracker", "resume", "dry_run", "trainer", "chosen")
MEASURING = "evaluation.metrics."  # what was measured, which each metric's definition tells
TELLING = ("trainer.devices", "trainer.precision")  # the size of a batch, and how numbers are rounded
LABELLED = ("seed", "experiment", "model")  # overrides that a group's name tells in another way
MAX_IN_NAME = 3


@dataclass
class SeedGroup:
    """Runs alike but for the seed, one for each seed, under a name that says what distinguishes them from the other groups.
    `repeated` are further runs with settings and seed of one of these: they would make a spread look smaller than it is."""

    name: str
    runs: list[RunResult]
    repeated: list[RunResult] = field(default_factory=list)


def differing_settings(runs: Sequence[RunResult]) -> dict[str, list[str]]:
    """Settings that are not the same in all runs: {full path: value in each run}; "-" where a run has no such key."""
    flat = [relevant_settings(run) for run in runs]
    keys = sorted(set().union(*flat))
    values = {key: [json.dumps(one[key], default=str) if key in one else "-" for one in flat] for key in keys}
    return {key: texts for key, texts in values.items() if len(set(texts)) > 1}


def seed_groups(runs: Sequence[RunResult]) -> list[SeedGroup]:
    """All runs in groups, in the order of their first run; a run that has no like is a group of its own."""
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        settings = {key: value for key, value in relevant_settings(run).items() if key != "seed"}
        groups.setdefault(json.dumps(settings, sort_keys=True, default=str), []).append(run)
    names = _names([group[0] for group in groups.values()])
    return [_one_for_each_seed(name, group) for name, group in zip(names, groups.values())]


def _one_for_each_seed(name: str, runs: list[RunResult]) -> SeedGroup:
    first: dict[int | None, RunResult] = {}
    for run in runs:
        first.setdefault(run.seed, run)
    kept = sorted(first.values(), key=lambda run: run.seed or 0)
    return SeedGroup(name, kept, [run for run in runs if run not in kept])


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


def _details(runs: list[RunResult]) -> list[str]:
    overrides = [own_overrides(run) for run in runs]
    shared = set(overrides[0]).intersection(*overrides)
    own = [", ".join(text for text in one if text not in shared) for one in overrides]
    if len(set(own)) < len(own):
        differing = differing_settings(runs)
        own = [_setting_details(differing, index, run) for index, run in enumerate(runs)]
    return own if len(set(own)) == len(own) else [run.name for run in runs]


def own_overrides(run: RunResult) -> list[str]:
    """Overrides of a run that its model and experiments do not tell."""
    kept = []
    for override in run.chosen.get("overrides") or []:
        key = override.partition("=")[0].lstrip("+~")
        if key not in LABELLED and _is_telling(key):
            kept.append(override)
    return kept


def _setting_details(differing: dict[str, list[str]], index: int, run: RunResult) -> str:
    texts = [
        f"{key}={values[index]}" for key, values in differing.items() if key.split(".")[0] not in ("seed", "stage")
    ]
    if "stage.purpose" in differing:
        texts.insert(0, f"stage={run.stage}")
    more = len(texts) - MAX_IN_NAME
    return ", ".join(texts[:MAX_IN_NAME]) + (f" and {more} more" if more > 0 else "")


def relevant_settings(run: RunResult) -> dict[str, object]:
    """Settings that make a run what it is, and the checkpoint where another than the last one was measured."""
    settings = without_paper_split(run.settings)
    return {k: v for k, v in settings.items() if _is_telling(k)} | _other_checkpoint(run)


def _is_telling(key: str) -> bool:
    return key in TELLING or not (key.split(".")[0] in INCIDENTAL or key.startswith(MEASURING))


def _other_checkpoint(run: RunResult) -> dict[str, object]:
    measured, stage = run.metrics.get("checkpoint"), run.config.get("stage") or {}
    if measured is None or not stage.get("order"):
        return {}
    last = stage["order"][-1]
    found = f"{measured['stage']} {measured['step']}"
    return {} if found == f"{last} {stage['stages'][last]['steps']}" else {"checkpoint measured": found}
