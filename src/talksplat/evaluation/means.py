"""Means of measurements over several people."""

from __future__ import annotations

from typing import Any

SIZES = ("resolution", "num_gaussians", "parameters", "size_bytes")  # whole numbers, by themselves or several


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
