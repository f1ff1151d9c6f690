"""`python -m talksplat.preprocess video=clip.mp4 subject=data/clip`: a subject folder from a video.

`python -m talksplat.preprocess features=data/clip audio=hubert` adds audio features of another kind to such a folder.
`python -m talksplat.preprocess check=FOLDER` says what an existing folder has, lacks, and which traps are in it.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console
from rich.logging import RichHandler

from talksplat.command_line import setting
from talksplat.config import compose, instantiate
from talksplat.entry_points import exits_cleanly
from talksplat.errors import UserError
from talksplat.locks import locked

if TYPE_CHECKING:
    from talksplat.audio import AudioFeatures


@exits_cleanly
def main(arguments: list[str] | None = None) -> None:
    """Run the command; bad input is one line on stderr and exit status 2."""
    given = sys.argv[1:] if arguments is None else arguments
    config = compose("preprocess", given)
    if config.check is not None:
        from talksplat.preprocess.check import check_folder

        if not check_folder(Path(config.check), Console()):
            sys.exit(2)
        return
    from talksplat.audio.whisper_checkpoint import GET
    from talksplat.config.auto_audio import FALLBACK
    from talksplat.preprocess.feature_step import feature_name
    from talksplat.preprocess.pipeline import Preprocessor
    from talksplat.preprocess.report import print_report
    from talksplat.preprocess.subject_folder import REPORT_NAME
    from talksplat.progress_bars import ProgressBars

    if config.audio.extractor is None:
        raise UserError(f"audio={config.audio.name} features cannot be computed here: use audio=mel")
    name, features = feature_name(list(config.audio.files)), instantiate(config.audio.extractor)
    console = Console(stderr=True)
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=console, show_path=False)]
    )
    if config.audio.name == FALLBACK and not any(text.lstrip("+").startswith(("audio=", "audio.")) for text in given):
        logging.getLogger(__name__).warning(
            "audio=mel: the weights of Whisper, on which lips follow the sound better, are not here; %s", GET
        )
    if config.features is not None:
        return _add_features(config, features, name)
    preprocessor = Preprocessor(
        face_tracker=instantiate(config.face_tracker),
        segmenter=instantiate(config.segmentation),
        alignment=instantiate(config.alignment),
        features=features,
        feature_name=name,
        resolution=config.resolution,
        min_seconds=config.clip.min_seconds,
        on_cut=config.clip.on_cut,
        sound_shift_ms=config.clip.sound_shift_ms,
        video_track=config.clip.video_track,
        sound_track=config.clip.sound_track,
        points=config.points,
        composites=config.composites,
        workers=config.workers,
        assets=Path(config.paths.assets) if config.paths.assets else None,
        bars=ProgressBars(console),
    )
    manifest = preprocessor.run(
        Path(config.video),
        Path(config.subject),
        audio=Path(config.audio_file) if config.audio_file else None,
        work=Path(config.work_dir) if config.work_dir else None,
    )
    output = Console()
    print_report(output, manifest)
    subject = Path(config.subject)
    output.print(
        f"{subject} is ready; look at {subject / REPORT_NAME}. Train with: python train.py dataset=portrait "
        + setting("dataset.root", subject),
        markup=False,
        soft_wrap=True,
    )


def _add_features(config: DictConfig, features: AudioFeatures, name: str) -> None:
    from talksplat.preprocess.feature_step import add_features

    work = Path(config.work_dir) if config.work_dir else None
    choice = "experiment=finetune_speech" if config.audio.name == "waveform" else f"audio={config.audio.name}"
    root = Path(config.features)
    with locked(root / f"aud_{name}.npy", "choose other features"):
        path, shape = add_features(root, features, name, config.overwrite, work)
    Console().print(
        f"{path}: {shape[0]} frames of {shape[1]} rows of width {shape[2]}. Train with: python train.py "
        f"dataset=portrait {setting('dataset.root', config.features)} {choice}",
        markup=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
