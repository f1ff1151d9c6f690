"""Settings that differ between groups and that no model or experiment explains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from talksplat.compare.data import ComparisonData
from talksplat.compare.document import LOOKUP, Cell, Section, Table, some_of
from talksplat.compare.load.groups import ABSENT, differing_settings, label_of, own_overrides
from talksplat.compare.load.run import RunResult

MAX_SETTINGS = 20
MAX_GROUPS = 3  # named with a value


def settings_section(data: ComparisonData) -> Section | None:
    """A row for each such setting, with its values and the groups that have them; None where there is none."""
    groups = [group for group in data.groups if not group.runs[0].foreign]
    keys = unexplained_settings([group.runs[0] for group in groups])
    if not keys:
        return None
    table = Table(["setting", "values"])
    for key in keys[:MAX_SETTINGS]:
        named: dict[str, list[str]] = {}
        for group in groups:
            named.setdefault(group.runs[0].settings.get(key, ABSENT), []).append(group.name)
        texts = (f"{value}: {some_of(names, MAX_GROUPS)}" for value, names in named.items())
        table.rows.append([Cell(key), Cell("; ".join(texts))])
    if len(keys) > MAX_SETTINGS:
        table.remarks.append(f"and {len(keys) - MAX_SETTINGS} more: compare the runs' config.yaml")
    about = "What the groups' models and experiments do not explain; seeds, paths and trackers aside."
    return Section("Settings that differ", [about, table], LOOKUP)


def unexplained_settings(runs: Sequence[RunResult]) -> list[str]:
    """Full paths of settings that differ although model and experiments are the same; settings of `model` are expected to differ
    between models, all others only between experiments. What a command line gave some of the runs alone counts as well."""
    keys = {key for key in _differing_among(runs, label_of) if key.startswith("model.")}
    keys |= {key for key in _differing_among(runs, lambda run: str(run.experiments)) if not key.startswith("model.")}
    given = [set(own_overrides(run)) for run in runs]
    odd = set().union(*given) - set.intersection(*given) if given else set()
    prefixes = tuple(text.partition("=")[0].lstrip("+~").replace("/", ".") + "." for text in odd)
    if prefixes:
        keys |= {key for key in differing_settings(runs) if f"{key}.".startswith(prefixes)}
    return sorted(keys - {"seed"})


def _differing_among(runs: Sequence[RunResult], kind: Callable[[RunResult], str]) -> set[str]:
    """Settings that are not the same among runs of the same kind."""
    alike: dict[str, list[RunResult]] = {}
    for run in runs:
        alike.setdefault(kind(run), []).append(run)
    return {key for same in alike.values() for key in differing_settings(same)}
