"""Measurements of an avatar of several people: of each by itself, and their means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from talksplat.callbacks.progress import RunProgress
from talksplat.data.subjects import SubjectCollection
from talksplat.evaluation.measure import evaluate_run
from talksplat.files import write_json
from talksplat.rendering.renderer import AvatarRenderer

SHARED_KEYS = ("split", "chosen_on", "resolution", "definitions", "num_gaussians", "parameters", "size_bytes", "fps")


def part_of(what: str, person: str) -> str:
    """Name of a part of a run's progress."""
    return f"{what} of {person}"


class PersonProgress:
    """Progress of a run in the parts of one person."""

    def __init__(self, progress: RunProgress, person: str) -> None:
        self._progress, self._person = progress, person

    def begin(self, name: str) -> None:
        """A part of this person's begins."""
        self._progress.begin(part_of(name, self._person))

    def advance(self, units: int) -> None:
        """Count `units` more as done."""
        self._progress.advance(units)


def evaluate_people(
    config: DictConfig,
    renderer_of: Callable[[str], AvatarRenderer],
    data: SubjectCollection,
    run_dir: Path,
    progress: RunProgress,
) -> dict[str, Any]:
    """`evaluate_run` of each person into `RUN/subjects/NAME/`, and `RUN/metrics.json` with the means over them.

    A metric that one of them cannot have is None in the means.
    """
    people: dict[str, dict[str, Any]] = {}
    for name, portrait in data.portraits.items():
        folder = run_dir / "subjects" / name
        folder.mkdir(parents=True, exist_ok=True)
        people[name] = evaluate_run(config, renderer_of(name), portrait, folder, PersonProgress(progress, name))
    first = next(iter(people.values()))
    metrics = {key: first[key] for key in SHARED_KEYS if key in first}
    metrics |= {
        "subject": " + ".join(people),
        "identity": {
            key: " ".join(sorted(one["identity"][key] for one in people.values())) for key in first["identity"]
        },
        "mean": mean_of([one["mean"] for one in people.values()]),
        "train": {"mean": mean_of([one["train"]["mean"] for one in people.values()]), "reasons": {}},
        "metrics": first.get("metrics", {}),
        "reasons": {key: text for one in people.values() for key, text in one["reasons"].items()},
        "notes": {key: f"mean over {len(people)} subjects" for key in first["mean"]},
        "frames": [],
        "subjects": people,
    }
    if all("val" in one for one in people.values()):
        metrics["val"] = {"mean": mean_of([one["val"]["mean"] for one in people.values()]), "reasons": {}}
    if all("aligned" in one for one in people.values()):
        values = [one["aligned"]["psnr_composite"] for one in people.values()]
        known = {key: first["aligned"][key] for key in ("definition", "steps")}
        metrics["aligned"] = {**known, "psnr_composite": sum(values) / len(values), "frames": {}}
    write_json(run_dir / "metrics.json", metrics)
    return metrics


def mean_of(means: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Mean of each metric over subjects."""
    values = {name: [mean.get(name) for mean in means] for name in means[0]}
    return {name: None if None in each else sum(each) / len(each) for name, each in values.items()}
