"""Learning of a lip prior from several people, with a leave-one-out test on each.

Sound and video of clips are often misaligned, by up to 0.2 s and differently per clip, which a prior must not learn. Each
clip's offset is estimated with the prior of the others and its sound moved, repeatedly until none moves. Only differences
between clips can be found: an offset common to all stays in the prior.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from talksplat.errors import UserError
from talksplat.lips.fit import LipClip, People, Recipe, fit
from talksplat.lips.measures import lip_numbers
from talksplat.lips.prior import ROWS_PER_FRAME, LipPrior
from talksplat.lips.sync import find_offset

ROW_MS = 20
ROUNDS = 5  # of moving the sound

Progress = Callable[[list[str], str], Iterable[str]]


def learn(people: People, recipe: Recipe, card: str, progress: Progress = lambda names, _: names) -> LipPrior:
    """The prior of all people, with scores of each by the prior of the others; names of clips must differ.

    Raises:
        UserError: fewer than two people, so that it cannot be tested on a new one.
    """
    if len(people) < 2:
        raise UserError(
            f"a lip prior needs at least two people, and there is {' '.join(people) or 'nobody'}: add subjects"
        )
    moved = {clip.name: 0 for clips in people.values() for clip in clips}  # rows
    for number in range(1, ROUNDS + 1):
        current = {name: [_later(clip, moved[clip.name]) for clip in clips] for name, clips in people.items()}
        scores = {}
        for name in progress(list(current), f"round {number}"):
            others = fit({other: clips for other, clips in current.items() if other != name}, recipe)
            scores[name] = score(others, current[name], moved)
        moves = _moves(scores, moved)
        if not any(moves.values()):
            break
        moved = {name: rows + moves[name] for name, rows in moved.items()}
    return replace(fit(current, recipe), scores=scores, card=card)


def _later(clip: LipClip, by: int) -> LipClip:
    """The clip with its sound moved earlier by `by` rows."""
    return replace(clip, rows=clip.rows[np.clip(np.arange(len(clip.rows)) + by, 0, len(clip.rows) - 1)])


def _moves(scores: dict[str, dict[str, Any]], moved: dict[str, int]) -> dict[str, int]:
    """Rows by which each clip's sound must still be moved; 0 where that is uncertain."""
    # The mean offset of the others is opposite and included in the estimate: a full step would overshoot.
    share = 1 - 1 / len(scores)
    return {
        clip: round(share * (ms / ROW_MS - moved[clip])) if values["certain"][clip] else 0
        for values in scores.values()
        for clip, ms in values["sound_late_ms"].items()
    }


def score(prior: LipPrior, clips: list[LipClip], moved: dict[str, int]) -> dict[str, Any]:
    """Scores of a prior on a person, as JSON: seconds, correlation of each target, and how late each clip's sound is,
    with the rows by which it was `moved`."""
    lips = lip_numbers(np.concatenate([clip.measures for clip in clips]), prior.lip_basis)
    predicted = np.concatenate([prior.at_rows(clip.rows, ROWS_PER_FRAME * clip.frames) for clip in clips])
    seen = np.isfinite(lips[:, 0])
    predicted, lips = predicted[seen] - predicted[seen].mean(0), lips[seen]
    likeness = (predicted * lips).mean(0) / np.maximum(predicted.std(0), 1e-9)  # the lips have mean 0 and deviation 1
    found = {clip.name: find_offset(prior, clip.rows, clip.frames, clip.measures) for clip in clips}
    return {
        "seconds": round(len(lips) / 25, 1),
        "correlation": {name: round(float(value), 3) for name, value in zip(prior.targets, likeness)},
        "sound_late_ms": {
            name: None if sync.offset is None else round(1000 * sync.offset) + ROW_MS * moved[name]
            for name, sync in found.items()
        },
        "certain": {name: sync.confident for name, sync in found.items()},
    }
