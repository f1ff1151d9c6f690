"""Do lips move with new speech, and close where nothing is said?

    python experiments/lips/new_speech.py RUN AUDIO [AUDIO ...] --out FOLDER [--camera cycle] [--subject FOLDER]

Renders each AUDIO (a recording, or features FILE.npy with their sound FILE.wav beside them), measures the gap of the lips in
the rendered frames, and sets it against the gaps of the training frames: FOLDER/NAME.mp4, NAME.csv (a row a frame), NAME.png
(gap over loudness), and a line in FOLDER/summary.csv. Lips count as closed below the 20th percentile of the training frames; in
pauses of at least 0.4 s they should be.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from gaps import loudness, pauses, percentiles, training_gaps, video_gaps  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402

from talksplat.audio import VIDEO_FPS  # noqa: E402
from talksplat.checkpoint import checkpoint_config, read_checkpoint  # noqa: E402
from talksplat.config import compose  # noqa: E402
from talksplat.media.sound import read_audio  # noqa: E402
from talksplat.media.video import read_frames  # noqa: E402
from talksplat.metrics.mouth_opening import pearson  # noqa: E402
from talksplat.rendering.request import overrides_of  # noqa: E402
from talksplat.rendering.run import render  # noqa: E402
from talksplat.rendering.source_clip import open_source_clip  # noqa: E402
from talksplat.subject_format.subject import Subject  # noqa: E402

CLOSED, OPEN = 20, 80  # percentiles of the training frames
SMOOTH_DB = 5  # frames over which the level is averaged before it is compared with the gap


def training_subject(run: Path, folder: str | None) -> Subject:
    """The frames that a run was trained on."""
    checkpoint = read_checkpoint(run)
    subject = open_source_clip(checkpoint["talksplat"]["subject"], checkpoint_config(checkpoint).audio, folder).subject
    if subject is None:
        raise SystemExit("the subject folder is gone: give it as --subject FOLDER")
    return subject


def render_speech(run: Path, audio: Path, video: Path, camera: str, subject: str | None) -> None:
    """The video of a run saying `audio`."""
    settings = [
        f"checkpoint={run}",
        f"audio={audio}",
        f"output={video}",
        f"camera={camera}",
        "crf=14",
        "overwrite=true",
    ]
    if audio.suffix == ".npy":
        settings.append(f"sound={audio.with_suffix('.wav')}")
    if subject is not None:
        settings.append(f"subject={subject}")
    render(compose("render", overrides_of(settings)))


def figures_of(gaps: np.ndarray, trained: np.ndarray, level: np.ndarray) -> dict[str, float | int | str | None]:
    """One line of the summary; percentiles are those of the training frames."""
    ranks, inside, seen = percentiles(gaps, trained), pauses(level), np.isfinite(gaps)
    still, speaking = ranks[inside & seen], ranks[~inside & seen]
    smooth = np.convolve(np.maximum(level, -60), np.ones(SMOOTH_DB) / SMOOTH_DB, mode="same")
    closed = None if not len(still) else float((still < CLOSED).mean())
    return {
        "frames": len(gaps),
        "without a face": int((~seen).sum()),
        "pause frames": int(inside.sum()),
        "closed in pauses": closed,
        "median percentile in pauses": _median(still),
        "highest percentile in pauses": float(still.max()) if len(still) else None,
        "median percentile in speech": _median(speaking),
        "closed in speech": float((speaking < CLOSED).mean()) if len(speaking) else None,
        "wide open in speech": float((speaking > OPEN).mean()) if len(speaking) else None,
        "gap deviation against training": float(np.nanstd(gaps) / trained.std()),
        "gap and loudness, correlation": pearson(gaps[seen], smooth[seen]),
        "lips in pauses": "no pause" if closed is None else "closed" if closed > 0.5 else "open",
    }


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None


def write_rows(path: Path, gaps: np.ndarray, trained: np.ndarray, level: np.ndarray) -> None:
    """A row for each frame."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "second", "level_db", "pause", "lip_gap", "percentile_of_training"])
        for number, row in enumerate(zip(level, pauses(level), gaps, percentiles(gaps, trained))):
            decibels, pause, gap, rank = row
            second = round(number / VIDEO_FPS, 2)
            writer.writerow([number, second, round(decibels, 1), int(pause), round(gap, 4), round(rank, 1)])


def plot(path: Path, title: str, gaps: np.ndarray, trained: np.ndarray, level: np.ndarray) -> None:
    """Gap of the lips above, the sound's level below, pauses shaded."""
    seconds = np.arange(len(gaps)) / VIDEO_FPS
    figure, (above, below) = plt.subplots(2, 1, figsize=(11, 4.5), sharex=True, height_ratios=[3, 1])
    for percent in (CLOSED, 50, OPEN):
        value = np.percentile(trained, percent)
        above.axhline(value, color="0.6", linewidth=0.8, linestyle="--")
        above.text(seconds[-1], value, f" {percent} %", va="center", fontsize=8, color="0.4")
    above.plot(seconds, gaps, color="tab:red", linewidth=1)
    below.plot(seconds, np.maximum(level, -80), color="tab:blue", linewidth=0.8)
    for axis in (above, below):
        axis.fill_between(seconds, 0, 1, where=pauses(level), transform=axis.get_xaxis_transform(), color="0.9")
    above.set_ylabel("lip gap (eye distances)")
    below.set_ylabel("level (dB)")
    below.set_xlabel("s; dashed: percentiles of the training frames; grey: pauses")
    above.set_title(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def measure(run: Path, audio: Path, out: Path, trained: np.ndarray, options: argparse.Namespace) -> dict:
    """Render and measure one recording."""
    video = out / f"{audio.stem}.mp4"
    render_speech(run, audio, video, options.camera, options.subject)
    gaps = video_gaps(read_frames(video, VIDEO_FPS))
    level = loudness(read_audio(audio.with_suffix(".wav") if audio.suffix == ".npy" else audio), len(gaps))
    write_rows(out / f"{audio.stem}.csv", gaps, trained, level)
    line = {"run": run.name, "audio": audio.stem, **figures_of(gaps, trained, level)}
    plot(out / f"{audio.stem}.png", f"{run.name}: {audio.stem}", gaps, trained, level)
    print(
        ", ".join(
            f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}" for name, value in line.items()
        )
    )
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("audio", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--camera", default="cycle", choices=["cycle", "static"])
    parser.add_argument("--subject")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    trained = training_gaps(training_subject(options.run, options.subject))
    lines = [measure(options.run, audio, options.out, trained, options) for audio in options.audio]
    with (options.out / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


if __name__ == "__main__":
    main()
