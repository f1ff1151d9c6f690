"""Lip prior from subject folders: `python -m talksplat.learn_lips subjects=[data/a,data/b+data/c] out=prior.npz`.

One entry of `subjects` is a person, `+` joins folders of the same person; `audio=` names the features. Each person's lips are
also predicted by a prior of the others, and the table says how well.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import talksplat
from talksplat.audio.base import ROW_RATE, AudioFeatures
from talksplat.config import CONF_DIR, compose, instantiate
from talksplat.entry_points import exits_cleanly
from talksplat.errors import UserError
from talksplat.files import content_hash
from talksplat.fingerprints import distinct
from talksplat.lips import TARGETS, LipClip, LipPrior, Recipe, lip_measures
from talksplat.lips.learn import learn
from talksplat.locks import locked
from talksplat.media.sound import check_sound, read_audio
from talksplat.progress_bars import ProgressBars
from talksplat.subject_format.landmarks import landmark_ids, read_landmarks

OFF_MS = 40  # of sound against video, above which a clip should be preprocessed again
SHOWN = TARGETS[:5]


def learn_lips(config: DictConfig, console: Console) -> LipPrior:
    """Learn, write and describe the prior. Raises UserError before any work for unusable input."""
    out = Path(config.out).expanduser()
    if out.exists():
        raise UserError(f"{out} exists already: remove it, or give another out=")
    if config.audio.extractor is None:
        raise UserError(f"audio={config.audio.name} features cannot be computed here: use audio=whisper or audio=mel")
    folders = people_of(list(config.subjects))
    extractor: AudioFeatures = instantiate(config.audio.extractor)
    if extractor.rate != ROW_RATE:
        raise UserError(
            f"audio.extractor.rate={extractor.rate}: a lip prior reads {ROW_RATE} rows a second, give {ROW_RATE}"
        )
    per_clip = config.audio.name == "mel" if config.per_clip is None else config.per_clip
    recipe = Recipe(config.audio.name, extractor.fingerprint(), per_clip, config.first_row, config.last_row)
    bars = ProgressBars()
    places = [(name, clip, folder) for name, parts in folders.items() for clip, folder in parts.items()]
    people: dict[str, list[LipClip]] = {name: [] for name in folders}
    for name, clip, folder in bars(places, "reading"):
        people[name].append(replace(read_clip(folder, extractor), name=clip))
    prior = learn(people, recipe, _card(config, people), bars)
    prior.save(out)
    console.print(score_table(prior))
    for line in late_sounds(prior, {clip: shift_of(folder) for _, clip, folder in places}):
        console.print(line, style="yellow", markup=False, soft_wrap=True)
    console.print(
        f"{out} holds the prior of {len(people)} people for audio={prior.feature}", markup=False, soft_wrap=True
    )
    return prior


def people_of(subjects: list[str]) -> dict[str, dict[str, Path]]:
    """Folders of each person by name, which are the folders' own with a number where two are the same.

    Raises:
        UserError: fewer than two people, the same sound twice, folders without landmarks or sound.
    """
    people: dict[str, dict[str, Path]] = {}
    sounds: dict[str, Path] = {}
    names: set[str] = set()
    for entry in subjects:
        given = [entry] if Path(entry).exists() else entry.split("+")
        parts: dict[str, Path] = {}
        for folder in (Path(part.strip()).expanduser().resolve() for part in given):
            if not landmark_ids(folder / "ori_imgs"):
                raise UserError(f"{folder} has no landmarks (ori_imgs/NUMBER.lms): give subject folders")
            if not (folder / "aud.wav").is_file():
                raise UserError(f"{folder / 'aud.wav'} is missing: put the clip's sound there as 16 kHz mono wav")
            if (same := sounds.setdefault(content_hash(folder / "aud.wav"), folder)) is not folder:
                raise UserError(f"{same} and {folder} of subjects= have the same sound: give each clip once")
            name = distinct(folder.name, names)
            names.add(name)
            parts[name] = folder
        people["+".join(parts)] = parts
    if len(people) < 2:
        raise UserError(f"subjects=[{','.join(subjects)}] is one person: a lip prior needs at least two; add folders")
    return people


def read_clip(folder: Path, extractor: AudioFeatures) -> LipClip:
    """Features of a folder's sound and the lips of its frames, by their numbers."""
    samples = read_audio(folder / "aud.wav")
    check_sound(samples, folder / "aud.wav")
    frames = np.array(sorted(landmark_ids(folder / "ori_imgs")))
    landmarks = np.stack([read_landmarks(folder / "ori_imgs" / f"{frame}.lms") for frame in frames.tolist()])
    found = np.isfinite(landmarks).all((1, 2))
    return LipClip(folder.name, extractor.rows(samples), frames[found], lip_measures(landmarks[found]))


def score_table(prior: LipPrior) -> Table:
    """Correlation of the lips predicted by the prior of the others with the measured ones, per person."""
    title = "lips of each person, predicted by a prior of the others (correlation; ? = not certain)"
    table = Table(title=title, title_justify="left")
    for column in ("person", "seconds", *SHOWN, "sound late by"):
        table.add_column(column, justify="left" if column == "person" else "right")
    for name, values in prior.scores.items():
        cells = [f"{values['correlation'][target]:.2f}" for target in SHOWN]
        late = [
            "?" if ms is None else f"{ms:+d} ms" + ("" if values["certain"][clip] else "?")
            for clip, ms in values["sound_late_ms"].items()
        ]
        table.add_row(escape(name), f"{values['seconds']:.1f}", *cells, ", ".join(late))
    means = [np.mean([values["correlation"][target] for values in prior.scores.values()]) for target in SHOWN]
    table.add_section()
    table.add_row("mean", "", *(f"{mean:.2f}" for mean in means), "")
    return table


def late_sounds(prior: LipPrior, shifts: dict[str, int]) -> list[str]:
    """A line for each clip whose sound certainly is off by more than `OFF_MS`; `shifts`: of each clip, by `shift_of`."""
    return [
        f"{clip}: the sound is {abs(ms)} ms {'late' if ms > 0 else 'early'} relative to the others' (moved for this prior only): "
        f"preprocess that clip again with clip.sound_shift_ms={shifts[clip] + ms}"
        for values in prior.scores.values()
        for clip, ms in values["sound_late_ms"].items()
        if values["certain"][clip] and abs(ms) > OFF_MS
    ]


def shift_of(folder: Path) -> int:
    """Milliseconds by which preprocessing has moved a folder's sound earlier; 0 if unknown."""
    try:
        return int(json.loads((folder / "manifest.json").read_text()).get("sound_shift_ms", 0))
    except (OSError, ValueError):
        return 0


def _card(config: DictConfig, people: dict[str, list[LipClip]]) -> str:
    seconds = {name: sum(len(clip.frames) for clip in clips) / 25 for name, clips in people.items()}
    who = ", ".join(f"{name} {length:.0f} s" for name, length in seconds.items())
    return (
        f"Lips from audio={config.audio.name}: ridge regression by talksplat {talksplat.__version__} (python -m "
        f"talksplat.learn_lips), from 68 face landmarks and the sound of {who}. Data and terms: {config.note or 'unknown'}."
    )


@exits_cleanly
def main(arguments: list[str] | None = None) -> None:
    """The command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console = Console(highlight=False)
    if {"-h", "--help"} & set(arguments):
        console.print(f"{__doc__}\n{(CONF_DIR / 'learn_lips.yaml').read_text()}", markup=False)
        return
    config = compose("learn_lips", arguments)
    with locked(Path(config.out), "give another out="):
        learn_lips(config, console)


if __name__ == "__main__":
    main()
