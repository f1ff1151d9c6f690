"""Rendered videos of other projects, measured as our own runs are.

A measured video becomes a run folder, `OUT/foreign/NAME`, with `metrics.json`, `config.yaml`, `run_info.json` and
`test/render.mp4`; as long as neither the video nor the frames it is measured on change, it is not measured again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from talksplat.compare.load.discover import FOREIGN
from talksplat.compare.load.run import RunResult, read_run
from talksplat.config.overrides import split_list
from talksplat.errors import UserError
from talksplat.files import content_hash

logger = logging.getLogger(__name__)
NAME = re.compile(r"[\w.+-][\w.+ -]*")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
REMARK = (
    "rendered by another project, measured here, on the same frames and by the same code as the runs. Its composite PSNR "
    "compares with our training target, the head over the backdrop that was made for it: a method that renders whole frames "
    "is not aimed at that. Video compression counts against it."
)


def parse_foreign(text: str | None) -> dict[str, Path]:
    """Videos by their name, of `Wav2Lip:video.mp4,SadTalker:folder`. Raises UserError: not of this form, a name twice or unfit for a folder, or nothing at that path."""
    videos: dict[str, Path] = {}
    for part in split_list(text or "", lambda part: Path(part.partition(":")[2]).expanduser().exists()):
        name, separator, path = part.partition(":")
        name, path = name.strip(), path if Path(path).expanduser().exists() else path.strip()
        if not separator or not path:
            raise UserError(f"foreign={part}: write NAME:VIDEO, e.g. foreign=Wav2Lip:wav2lip.mp4,SadTalker:frames")
        if not NAME.fullmatch(name) or name in videos:
            raise UserError(f"foreign={part}: {name!r} is no name for a folder, or is given twice; choose another")
        videos[name] = Path(path).expanduser()
        if not videos[name].exists():
            raise UserError(f"foreign={part}: there is no {path}; give an MP4 file, or a folder of numbered images")
    return videos


def foreign_runs(
    videos: dict[str, Path], runs: Sequence[RunResult], out: Path, trust: Sequence[str] = ()
) -> list[RunResult]:
    """Results of foreign videos on the frames of these runs, measured or read from an earlier comparison in `out`. Raises
    UserError for a video that does not fit the frames, or a subject folder that is not there any more."""
    found, held_out = [], None
    ours = next((run for run in runs if not run.foreign), runs[0])
    for name, source in videos.items():
        folder, stamp = out / FOREIGN / name, _stamp(source, ours)
        if not _is_measured(folder, stamp, runs):
            from talksplat.compare.external.measure import HeldOutFrames, measure_video  # torch takes seconds to import

            held_out = held_out or HeldOutFrames(ours, trust)
            logger.info("measuring %s on %d frames of %s", source, len(ours.frame_ids), ours.metrics["subject"])
            measure_video(name, source, stamp, held_out, folder)
        found.append(read_run(folder, name))
    return found


def _is_measured(folder: Path, stamp: str, runs: Sequence[RunResult]) -> bool:
    try:
        run = read_run(folder, folder.name)
        same = run.config["foreign"]["stamp"] == stamp
    except (UserError, KeyError, TypeError):
        return False
    # Another version of the code may have measured it.
    theirs = {name: text for other in runs for name, text in other.metrics["definitions"].items() if other.mean(name)}
    ours = run.metrics["definitions"]
    return same and all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())


def _stamp(source: Path, run: RunResult) -> str:
    """Stands for the video's files and for what it is measured on."""
    files = [source] if source.is_file() else sorted(f for f in source.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES)
    contents = [(file.name if source.is_dir() else "", content_hash(file)) for file in files]
    dataset: dict[str, Any] = run.config.get("dataset") or {}
    measured = [run.metrics["split"], run.metrics["resolution"], run.frame_ids, run.identity or dataset.get("root")]
    settings = run.config.get("evaluation") or {}
    evaluation = [settings.get("lpips_net"), settings.get("metrics")]
    text = json.dumps([contents, measured, dataset.get("soft_masks"), evaluation])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
