"""Rendering of a video from a checkpoint and the configuration of `render.py`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig, OmegaConf

from talksplat.checkpoint import build_model, checkpoint_config, read_checkpoint, subject_of
from talksplat.config import instantiate, trusted_by
from talksplat.locks import locked
from talksplat.rasterizer.trained import trained_rasterizer
from talksplat.rendering.attribution_maps import check_attribution, make_attribution
from talksplat.rendering.driving_audio import driving_audio_from_file, driving_audio_from_text
from talksplat.rendering.job import RenderJob, RenderReport
from talksplat.rendering.render_sequence import RenderSequence, speech_sequence, split_sequence
from talksplat.rendering.renderer import AvatarRenderer
from talksplat.rendering.request import PRECISIONS, check_request, choose_device
from talksplat.rendering.source_clip import SourceClip, open_source_clip

if TYPE_CHECKING:
    from talksplat.metrics.suite import MetricSuite

logger = logging.getLogger(__name__)

GPU_BATCH, CPU_BATCH = 16, 4


def render(config: DictConfig) -> RenderReport:
    """Render the video of a checked configuration of `render.py`.

    Raises:
        UserError: whatever is wrong with the settings or the files they name, before anything is written.
    """
    with locked(check_request(config), "choose another output"):
        return _render(config, check_request(config))  # once more: another process may have been there until now


def _render(config: DictConfig, output: Path) -> RenderReport:
    device = choose_device(config.device)
    checkpoint = read_checkpoint(config.checkpoint, trust=trusted_by(config))
    trained = checkpoint_config(checkpoint)
    entry = checkpoint["talksplat"]
    soft_masks = OmegaConf.select(trained, "dataset.loader.soft_masks", default=False)
    subject = subject_of(checkpoint, config.person)
    clip = open_source_clip(subject, trained.audio, config.subject, soft_masks)
    model = build_model(checkpoint, device, config.person)
    check_attribution(model, entry["mode"], config.attention, config.deformation)
    sequence = _sequence(config, trained, clip, subject.get("audio_fingerprint"))
    if entry["mode"] == "canonical" and config.split is None:
        logger.warning(
            "%s is of the canonical stage, which speech does not drive yet: the mouth will not move", config.checkpoint
        )
    model.freeze_for_inference()
    renderer = AvatarRenderer(
        model,
        trained_rasterizer(trained.rasterizer, device),
        entry["mode"],
        entry["active_sh_degree"],
        clip.width,
        clip.height,
        PRECISIONS[config.precision],
    )
    suite = None if config.split is None else _suite(config, trained, clip, device)
    batch_size = config.batch_size or (GPU_BATCH if device.type == "cuda" else CPU_BATCH)
    attribution = make_attribution(renderer, sequence, device, batch_size, config.attention, config.deformation)
    return RenderJob(sequence, renderer, device, batch_size, attribution, suite).run(output, config.crf)


def _sequence(
    config: DictConfig, trained: DictConfig, clip: SourceClip, fingerprint: torch.Tensor | None
) -> RenderSequence:
    known = None if fingerprint is None else fingerprint.cpu().numpy()
    lags = list(OmegaConf.select(trained, "dataset.motion_lags") or [])
    ahead = trained.audio.get("ahead")
    if config.split is not None:
        across = OmegaConf.select(trained, "dataset.loader.audio_across_split", default=True)
        return split_sequence(clip, config.split, trained.audio.context, across, lags, ahead)
    if config.text is not None:
        driving = driving_audio_from_text(config.text, config.voice, trained.audio, config.speech_model, known)
    else:
        driving = driving_audio_from_file(
            config.audio_file, trained.audio, config.sound, config.speech_model, known, config.sound_track
        )
    return speech_sequence(clip, driving, instantiate(config.camera), trained.audio.context, lags, ahead)


def _suite(config: DictConfig, trained: DictConfig, clip: SourceClip, device: torch.device) -> MetricSuite:
    from talksplat.metrics.open import nodes_to_measure, open_suite  # seconds to import; not needed for new speech

    nodes = nodes_to_measure(trained, config)
    return open_suite(nodes, config.paths.assets, device, clip.subject, config.split == "train")
