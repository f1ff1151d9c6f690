"""Writes the sample as a normal subject folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

import talksplat
from talksplat.audio import MelFeatures
from talksplat.data.sample.performance import HELD_OUT, perform
from talksplat.data.sample.subject import SampleSubject
from talksplat.errors import UserError
from talksplat.subject_format.writer import SubjectWriter

GENERATOR_VERSION = 1  # of the images and signals: increase it with any change that alters them
SHUT_AU45 = 2.0  # OpenFace intensity of a shut eye

logger = logging.getLogger(__name__)


def make_sample(
    root: Path,
    num_frames: int = 275,
    resolution: int = 256,
    seed: int = 0,
    num_points: int = 10000,
    features: Callable[[np.ndarray, int], np.ndarray] | None = None,
    features_name: str = "mel",
) -> Path:
    """Make the embedded sample in the new folder `root` and return it; the same arguments make the same frames.

    `features(samples16k, num_frames) -> [num_frames, window, width]` is what `aud_{features_name}.npy` holds; default
    `MelFeatures()`. `num_points` is the number of start points.

    Raises:
        UserError: `root` is not empty, too few frames for a held-out part, too small a resolution, no espeak-ng.
    """
    if num_frames < HELD_OUT:
        raise UserError(f"num_frames={num_frames} is too few: the sample needs at least {HELD_OUT}")
    features = features or MelFeatures()
    with SubjectWriter(Path(root), resolution, resolution) as writer:
        subject = SampleSubject(resolution, seed)
        performance = perform(num_frames, *subject.euler_trans, seed)
        frame_ids = np.arange(num_frames)
        logger.info("drawing %d frames of the sample at %d pixels", num_frames, resolution)
        for frame in frame_ids:
            drawn = subject.render(
                performance.opening[frame],
                performance.rounding[frame],
                performance.blink[frame],
                performance.viewmats[frame],
            )
            writer.write_frame(int(frame), drawn.image, drawn.labels, drawn.torso_rgba, drawn.landmarks68)
        points, colors = subject.start_points(num_points)
        writer.write_track(frame_ids, performance.viewmats, float(subject.K[0, 0]), points, colors)
        writer.write_background(subject.background)
        writer.write_audio(performance.audio)
        writer.write_features(features_name, features(performance.audio, num_frames))
        writer.write_action_units(frame_ids, {"AU45_r": performance.blink * SHUT_AU45})
        signals = {"mouth_opening": performance.opening, "rounding": performance.rounding, "blink": performance.blink}
        writer.write_true_signals(frame_ids, signals)
        writer.write_manifest(
            {
                "source": "embedded sample: NASA portrait of Eileen Collins (public domain), animated",
                "generator_version": GENERATOR_VERSION,
                "talksplat_version": talksplat.__version__,
                "seed": seed,
                "num_frames": num_frames,
                "resolution": resolution,
                "num_points": num_points,
                "features": {features_name: type(features).__name__},
            }
        )
        return writer.finish()
