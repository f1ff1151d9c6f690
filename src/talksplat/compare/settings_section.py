"""Settings that differ between groups and that no model or experiment explains."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from talksplat.compare.groups import SeedGroup, label_of, own_overrides, relevant_settings
from talksplat.compare.run_result import RunResult
from talksplat.compare.sections import Section
from talksplat.compare.table import Cell, ComparisonTable

MAX_SETTINGS = 20
MAX_GROUPS = 3  # named beside a value
ABSENT = "-"


def settings_section(groups: Sequence[SeedGroup]) -> Section | None:
    """A row for each such setting, with its values and the groups that have them; None where there is none."""
    runs = [group.runs[0] for group in groups if not group.runs[0].foreign]
    names = [group.name for group in groups if not group.runs[0].foreign]
    keys = unexplained_settings(runs)
    if not keys:
        return None
    table = ComparisonTable(["setting", "values"], [])
    for key in keys[:MAX_SETTINGS]:
        table.rows.append([Cell(key), Cell(_values(key, runs, names))])
    if len(keys) > MAX_SETTINGS:
        table.remarks.append(f"and {len(keys) - MAX_SETTINGS} more: compare the runs' config.yaml")
    about = "What the groups' models and experiments do not explain; seeds, paths and trackers aside."
    return Section("Settings that differ", [about, table])


def unexplained_settings(runs: Sequence[RunResult]) -> list[str]:
    """Full paths of settings that differ although model and experiments are the same; settings of `model` are expected to differ
    between models, all others only between experiments. What a command line gave some of the runs alone counts as well."""
    keys = _differing_among(runs, label_of, lambda key: key.startswith("model."))
    keys |= _differing_among(runs, lambda run: str(run.experiments), lambda key: not key.startswith("model."))
    given = [set(own_overrides(run)) for run in runs]
    odd = set().union(*given) - set(given[0]).intersection(*given) if given else set()
    prefixes = {text.partition("=")[0].lstrip("+~").replace("/", ".") for text in odd}
    if prefixes:
        every = _differing(runs)
        keys |= {key for key in every if any(f"{key}.".startswith(f"{prefix}.") for prefix in prefixes)}
    return sorted(keys - {"seed"})


def _differing_among(runs: Iterable[RunResult], kind, wanted) -> set[str]:
    """Settings that are not the same among runs of the same kind."""
    alike: dict[str, list[RunResult]] = {}
    for run in runs:
        alike.setdefault(kind(run), []).append(run)
    return {key for same in alike.values() for key in _differing(same) if wanted(key)}


def _differing(runs: Sequence[RunResult]) -> set[str]:
    settings = [relevant_settings(run) for run in runs]
    first, keys = settings[0], set()
    for other in settings[1:]:
        if other != first:
            keys |= {key for key in first.keys() | other.keys() if first.get(key, ABSENT) != other.get(key, ABSENT)}
    return keys


def _values(key: str, runs: Sequence[RunResult], names: Sequence[str]) -> str:
    """Like `0.4: a, b; 0.8: c and 3 more`."""
    by_value: dict[str, list[str]] = {}
    for run, name in zip(runs, names):
        value = run.settings.get(key, ABSENT)
        by_value.setdefault(value if value == ABSENT else json.dumps(value, default=str), []).append(name)
    texts = []
    for value, having in by_value.items():
        more = f" and {len(having) - MAX_GROUPS} more" if len(having) > MAX_GROUPS else ""
        texts.append(f"{value}: {', '.join(having[:MAX_GROUPS])}{more}")
    return "; ".join(texts)
