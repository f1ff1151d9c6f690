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

SHARED_KEYS = ("split", "chosen_on", "definitions", "metrics")
SIZES = ("resolution", "num_gaussians", "parameters", "size_bytes")  # whole numbers, by themselves or several


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


def mean_of(means: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Mean of each metric over subjects."""
    values = {name: [mean.get(name) for mean in means] for name in means[0]}
    return {name: None if None in each else sum(each) / len(each) for name, each in values.items()}


def mean_size(values: list[Any]) -> Any:
    """Mean of whole numbers, of lists or of dictionaries of them."""
    if isinstance(values[0], dict):
        return {key: mean_size([value[key] for value in values]) for key in values[0]}
    if isinstance(values[0], list):
        return [mean_size(list(each)) for each in zip(*values)]
    return round(sum(values) / len(values))


def combined(people: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Means over people, and why there are none."""
    mean = mean_of([one["mean"] for one in people.values()])
    texts = {key: {name: one["reasons"].get(key) for name, one in people.items()} for key in mean}
    return {"mean": mean, "reasons": {key: text for key, each in texts.items() if (text := text_of_each(each))}}


def notes_of(people: dict[str, dict[str, Any]]) -> dict[str, str]:
    """What to know about each value: that it is a mean, and the notes of each person."""
    sizes = {name: "x".join(map(str, one["resolution"])) for name, one in people.items()}
    texts = {"resolution": sizes} if len(set(sizes.values())) > 1 else {}
    for key in (*next(iter(people.values()))["mean"], *SIZES[1:], "fps"):
        texts[key] = {name: one["notes"].get(key) for name, one in people.items()}
    means = f"mean over {len(people)} subjects"
    return {key: "; ".join(filter(None, (means, text_of_each(each)))) for key, each in texts.items()}


def text_of_each(texts: dict[str, str | None]) -> str:
    """Texts after the names of their people; one text where it is everybody's."""
    if len(set(texts.values())) == 1:
        return next(iter(texts.values())) or ""
    return "; ".join(f"{name}: {text}" for name, text in texts.items() if text)
