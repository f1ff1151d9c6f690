"""What a long clip costs: memory and time of preprocess by step, of a resume after kills, and of training from disk.

    python experiments/data_quality/scale.py clip=CLIP.mp4 out=FOLDER frames=7500
    python experiments/data_quality/scale.py clip=CLIP.mp4 out=FOLDER frames=600 kill=faces,frames,labels,writing
    python experiments/data_quality/scale.py clip=CLIP.mp4 out=FOLDER frames=600 train="stage=smoke trainer=cpu"

The clip is played forward and backward until it is long enough, so that no cut appears; sound likewise. Other arguments
`name=value` go to preprocess. Results are appended to FOLDER/scale.csv.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from talksplat.media import SAMPLE_RATE
from talksplat.media.sound import read_audio
from talksplat.media.video import read_frames
from talksplat.media.video_writer import VideoWriter

ROOT = Path(__file__).resolve().parents[2]
SAMPLING = 0.2  # s between looks at the memory
GROWN = 2.0  # s that a step may work before it is killed


def looped(clip: Path, frames: int, path: Path) -> Path:
    """`clip` forward and backward until it has `frames` frames at 25 fps."""
    if path.is_file():
        return path
    pictures = list(read_frames(clip))
    samples = read_audio(clip)[: len(pictures) * SAMPLE_RATE // 25]
    order = itertools.cycle([*range(len(pictures)), *range(len(pictures) - 1, -1, -1)])
    rounds = -(-frames // (2 * len(pictures)))
    sound = np.tile(np.concatenate([samples, samples[::-1]]), rounds)
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width, height, audio=sound) as writer:
        for index in itertools.islice(order, frames):
            writer.write(pictures[index])
    return path


def tree(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from tree(int(child))


def resident(pid: int) -> int:
    """Bytes of memory of a process and its children."""
    pages = 0
    for process in tree(pid):
        try:
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def watched(command: list[str], log: Path, stop: Callable[[], bool] = lambda: False) -> tuple[int | None, float, int]:
    """Exit status (None: killed because `stop()` said so), seconds and peak bytes of a command."""
    start, peak = time.perf_counter(), 0
    with log.open("ab") as output:
        child = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        while child.poll() is None:
            peak = max(peak, resident(child.pid))
            if stop():
                child.send_signal(signal.SIGKILL)
                child.wait()
                return None, time.perf_counter() - start, peak
            time.sleep(SAMPLING)
    return child.returncode, time.perf_counter() - start, peak


def working_on(step: str, subject: Path) -> Callable[[], bool]:
    """A test whether preprocess has worked on a step for `GROWN` seconds."""
    seen: list[float] = []

    def test() -> bool:
        if step == "writing":
            folders = list(subject.parent.glob(f".{subject.name}.partial-*"))
        else:
            folders = list(subject.with_name(subject.name + ".work").glob(f".{step}-*.partial"))
        if folders and not seen:
            seen.append(time.perf_counter())
        return bool(folders) and time.perf_counter() - seen[0] > GROWN

    return test


def append(path: Path, row: dict) -> None:
    """One more line of a CSV file; columns are those of its first line."""
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if fresh:
            writer.writeheader()
        writer.writerow(row)
    print(", ".join(f"{name} {value}" for name, value in row.items() if value != ""), flush=True)


COLUMNS = ("what", "frames", "exit", "seconds", "ms_per_frame", "peak_mib", "steps")


def measure(
    what: str, frames: int, command: list[str], out: Path, stop=lambda: False, subject: Path | None = None
) -> int | None:
    """Run a command and note what it cost."""
    status, seconds, peak = watched(command, out / "scale.log", stop)
    manifest = subject / "manifest.json" if subject else None
    steps = ""
    if manifest and manifest.is_file():
        made = json.loads(manifest.read_text())
        steps = " ".join(f"{s['name']}={'kept' if s['cached'] else s['seconds']}" for s in made["steps"])
        steps += f" writing={made['writing_seconds']}"
    append(
        out / "scale.csv",
        {
            "what": what,
            "frames": frames,
            "exit": "killed" if status is None else status,
            "seconds": round(seconds, 1),
            "ms_per_frame": round(1000 * seconds / frames, 1),
            "peak_mib": round(peak / 2**20),
            "steps": steps,
        },
    )
    return status


def main() -> None:
    """See the module's words."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    clip, out, frames = Path(given.pop("clip")), Path(given.pop("out")), int(given.pop("frames", 7500))
    kills, training = [k for k in given.pop("kill", "").split(",") if k], given.pop("train", None)
    out.mkdir(parents=True, exist_ok=True)
    video = looped(clip, frames, out / f"{clip.stem}_{frames}.mp4")
    subject = out / f"{clip.stem}_{frames}"
    arguments = [f"video={video}", f"subject={subject}", *(f"{k}={v}" for k, v in given.items())]
    command = [sys.executable, "-m", "talksplat.preprocess", *arguments]
    if not (subject / "manifest.json").is_file():
        for step in kills:
            measure(f"preprocess, killed in {step}", frames, command, out, working_on(step, subject))
        what = "preprocess, gone on with" if kills else "preprocess"
        if measure(what, frames, command, out, subject=subject):
            sys.exit(f"preprocess failed: see {out / 'scale.log'}")
    if training is not None:
        run = [f"dataset.root={subject}", "dataset.cache=disk", f"hydra.run.dir={out / f'train_{frames}'}"]
        command = [sys.executable, str(ROOT / "train.py"), "dataset=portrait", *run, *shlex.split(training)]
        measure(f"train {training}", frames, command, out)


if __name__ == "__main__":
    main()
