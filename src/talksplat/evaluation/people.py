"""Measurements of an avatar of several people: of each by itself, and their means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from talksplat.callbacks.progress import RunProgress
from talksplat.data.subjects import SubjectCollection
from talksplat.evaluation.means import SIZES, combined, mean_of, mean_size, notes_of
from talksplat.evaluation.measure import evaluate_run
from talksplat.files import write_json
from talksplat.rendering.renderer import AvatarRenderer

SHARED_KEYS = ("split", "chosen_on", "definitions", "metrics")


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

    So are size and speed there. A value that one of them cannot have is None in the means; notes and reasons say whose they are.
    """
    people: dict[str, dict[str, Any]] = {}
    for name, portrait in data.portraits.items():
        folder = run_dir / "subjects" / name
        folder.mkdir(parents=True, exist_ok=True)
        people[name] = evaluate_run(config, renderer_of(name), portrait, folder, PersonProgress(progress, name))
    first = next(iter(people.values()))
    metrics = {key: first[key] for key in SHARED_KEYS if key in first}
    metrics |= {key: mean_size([one[key] for one in people.values()]) for key in SIZES}
    metrics |= {
        "fps": mean_of([{"fps": one["fps"]} for one in people.values()])["fps"],
        "subject": " + ".join(people),
        "identity": {
            key: " ".join(sorted(one["identity"][key] for one in people.values())) for key in first["identity"]
        },
        **combined(people),
        "train": combined({name: one["train"] for name, one in people.items()}),
        "notes": notes_of(people),
        "frames": [],
        "subjects": people,
    }
    if all("val" in one for one in people.values()):
        metrics["val"] = combined({name: one["val"] for name, one in people.items()})
    if all("aligned" in one for one in people.values()):
        values = [one["aligned"]["psnr_composite"] for one in people.values()]
        known = {key: first["aligned"][key] for key in ("definition", "steps")}
        metrics["aligned"] = {**known, "psnr_composite": sum(values) / len(values), "frames": {}}
    write_json(run_dir / "metrics.json", metrics)
    return metrics
