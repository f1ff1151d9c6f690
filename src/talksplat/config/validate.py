"""Rules between settings, checked before any work; each message names the setting to change."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from talksplat.command_line import setting
from talksplat.config.targets import instantiate, nodes
from talksplat.errors import UserError
from talksplat.trackers.wandb_checkpoint import is_address

OF_GAUSSIANTALKER = ("gaussiantalker/full", "gaussiantalker/paper")  # whole models, not variants of any
AUDIO_KEYS = ("width", "window", "context")
UNIT_NAME = re.compile(r"AU\d\d_[rc]")

logger = logging.getLogger(__name__)


def validate_audio(config: DictConfig) -> None:
    """Check that the extractor makes what the audio group says, and that there is a file to keep it in. Raises
    UserError: naming the setting that differs."""
    if not config.audio.files:
        raise UserError("audio.files is empty: name the feature file of a subject folder, e.g. [aud_mel.npy]")
    if config.audio.extractor is not None:
        for key in ("width", "window"):
            _follows(config, "audio.extractor", key, f"audio.{key}")


def validate_preprocess(config: DictConfig) -> None:
    """Check what is to be made. Raises UserError naming the setting that is missing or too much."""
    given = {name for name in ("video", "subject", "features", "check") if config[name] is not None}
    if given not in ({"video", "subject"}, {"features"}, {"check"}):
        raise UserError(
            "give video=CLIP.mp4 and subject=FOLDER to make a subject folder, features=FOLDER to add audio features to "
            f"one, or check=FOLDER to look at one, not {' and '.join(sorted(given)) or 'none of them'}"
        )
    if config.overwrite and config.features is None:
        raise UserError("overwrite goes with features=FOLDER; a subject folder is never overwritten")
    validate_audio(config)


def validate_train(config: DictConfig) -> None:
    """Check what no single class can see. Raises UserError: the first rule that is broken."""
    validate_audio(config)
    for rule in (_switched_off, _lips, _experiments, _audio_windows, _expression, _motion):
        rule(config)
    for rule in (_stage_order, _density, _sh_degree, _loss_stages, _evaluation, _paths):
        rule(config)


def _follows(config: DictConfig, path: str, key: str, source: str) -> None:
    """A setting of a part, where it has it, must be that of the group which it is about."""
    node, wanted = OmegaConf.select(config, path), OmegaConf.select(config, source)
    if node is not None and node.get(key, wanted) != wanted:
        raise UserError(
            f"{path}.{key} is {node[key]}, but {source} is {wanted}: leave the former at ${{{source}}}, as shipped, or "
            "change both alike"
        )


def _lips(config: DictConfig) -> None:
    lips = OmegaConf.select(config, "model.tokens.lips")
    if lips and lips.prior is None and (lips.measured or lips.personal is not None):
        raise UserError(
            "model.tokens.lips.measured and model.tokens.lips.personal need a lip prior: audio=whisper has one, for others name it "
            "(audio=mel audio.lip_prior=mel, or a file of python -m talksplat.learn_lips)"
        )


def _switched_off(config: DictConfig) -> None:
    """A part that one experiment sets to null and a later one gives settings has lost its `_target_`."""
    for path in ("model", "model.tokens"):
        for name, node in (OmegaConf.select(config, path) or {}).items():
            if isinstance(node, DictConfig) and "_target_" not in node:
                raise UserError(
                    f"{path}.{name} is switched off and has settings all the same ({', '.join(node)}): of two experiments "
                    "that contradict each other name the one that switches it off last, or leave one out"
                )


def _experiments(config: DictConfig) -> None:
    model = config.chosen.get("groups", {}).get("model")
    for name in config.chosen.get("experiments", []):
        needed = (
            "egstalker" if name.startswith("egstalker/") else "gaussiantalker" if name in OF_GAUSSIANTALKER else model
        )
        if model != needed:
            raise UserError(
                f"experiment={name} is of model={needed}, but model={model} is chosen besides: the mixture would be neither; "
                "leave one of them out"
            )


def _audio_windows(config: DictConfig) -> None:
    for path, node in nodes(config.model, "model"):
        if all(key in node for key in AUDIO_KEYS):  # it takes audio windows
            for key in AUDIO_KEYS:
                _follows(config, path, key, f"audio.{key}")
    audio = config.audio
    if audio.context < 1:
        raise UserError(f"audio.context must be at least 1, not {audio.context}")
    if audio.ahead is not None and not 0 <= audio.ahead < audio.context:
        raise UserError(f"audio.ahead={audio.ahead} must be 0 to audio.context - 1 = {audio.context - 1}")


def _expression(config: DictConfig) -> None:
    units = list(config.dataset.action_units)
    odd = next((name for name in units if not UNIT_NAME.fullmatch(name) or units.count(name) > 1), None)
    if odd is not None:
        raise UserError(f"dataset.action_units has {odd!r}: give different columns of au.csv such as AU01_r")
    for path in ("model.expression", "model.tokens.expression"):
        _follows(config, path, "units", "dataset.action_units")
    if OmegaConf.select(config, "model.tokens.expression") is not None and not units:
        raise UserError(
            "model.tokens.expression is switched on, but dataset.action_units is empty: name columns of au.csv, e.g. "
            "dataset.action_units=[AU01_r,AU02_r], or set model.tokens.expression=null"
        )


def _motion(config: DictConfig) -> None:
    lags = list(config.dataset.motion_lags)
    if any(lag <= 0 for lag in lags):
        raise UserError(f"dataset.motion_lags={lags} are time constants in seconds: they must be positive")
    _follows(config, "model.motion", "lags", "dataset.motion_lags")


def _stage_order(config: DictConfig) -> None:
    stages = config.stage.stages
    seen_deform = False
    for name in config.stage.order:
        if stages.get(name) is None:
            raise UserError(f"stage.order names {name!r}, but stage.stages has {', '.join(stages)}")
        if stages[name].mode == "deform":
            seen_deform = True
        elif seen_deform:
            raise UserError(
                f"stage.order puts the {stages[name].mode} stage {name!r} after a deform stage; it would undo that one: "
                "deform stages come last"
            )


def _density(config: DictConfig) -> None:
    factors = list(OmegaConf.select(config, "model.canonical.factors") or [])
    for name in config.stage.order:
        stage = config.stage.stages[name]
        density, path = stage.get("density"), f"stage.stages.{name}.density"
        single = not isinstance(density, DictConfig) or "_target_" in density
        for place, control in {path: density}.items() if single else [(f"{path}.{k}", v) for k, v in density.items()]:
            if control is None:
                continue
            if not isinstance(control, DictConfig) or "_target_" not in control:
                raise UserError(
                    f"{place} is null or a node with _target_, not {control!r}: choose one with "
                    f"density@{path}=adaptive (or gsplat, mcmc, none)"
                )
            instantiate(control).check(place, stage.steps, [] if stage.mode == "deform" else factors)


def _sh_degree(config: DictConfig) -> None:
    highest = OmegaConf.select(config, "model.gaussians.sh_degree") or 0
    for name in config.stage.order if config.stage.quality else ():  # presets for trying out are short all over
        stage = config.stage.stages[name]
        every = stage.get("sh_degree_every")
        if every and (stage.steps - 1) // every < highest:
            logger.warning(
                "stage.stages.%s.sh_degree_every=%d: of %d steps none has degree %d, which model.gaussians.sh_degree names; set "
                "it to %d or less, or to null for all degrees at once",
                *(name, every, stage.steps, highest, max((stage.steps - 1) // highest, 1)),
            )


def _loss_stages(config: DictConfig) -> None:
    for name, loss in config.loss.items():
        for stage in (loss or {}).get("stages") or []:
            if stage not in config.stage.stages:
                raise UserError(
                    f"loss.{name}.stages names {stage!r}; stage.stages has {', '.join(config.stage.stages)}"
                )


def _evaluation(config: DictConfig) -> None:
    if config.evaluation.lpips_net not in (None, "alex", "vgg"):
        raise UserError(f"evaluation.lpips_net is alex, vgg or null, not {config.evaluation.lpips_net!r}")
    if config.evaluation.batch_size < 1 or config.evaluation.train_frames < 1:
        raise UserError("evaluation.batch_size and evaluation.train_frames must be at least 1")
    if config.evaluation.align_steps < 0:
        raise UserError(f"evaluation.align_steps={config.evaluation.align_steps} must not be negative")


def _paths(config: DictConfig) -> None:
    roots = config.dataset.roots or [config.dataset.root]
    for root in roots:
        if root is not None and config.dataset.sample is None and not Path(root).is_dir():
            raise UserError(
                f"no such subject folder: {root} ({'dataset.roots' if config.dataset.roots else 'dataset.root'}); make it with "
                f"python -m talksplat.preprocess video=CLIP.mp4 {setting('subject', root)}"
            )
    if len(roots) > 1 and config.pose_refinement is not None:
        raise UserError(
            "pose_refinement works on one subject: switch it off (pose_refinement=none), or train on dataset.root"
        )
    if config.checkpoint_parts is not None and (config.checkpoint is None or not config.checkpoint_parts):
        raise UserError(
            f"checkpoint_parts={list(config.checkpoint_parts)} says what of checkpoint= to load: give both, [shared] or globs of names "
            "for the parts"
        )
    if config.checkpoint is not None and not is_address(config.checkpoint) and not Path(config.checkpoint).exists():
        raise UserError(f"no such checkpoint: {config.checkpoint} (checkpoint)")
    assets = config.paths.assets
    if assets is not None and not Path(assets).is_dir():
        raise UserError(f"no such folder: {assets} (paths.assets, or the environment variable TALKSPLAT_ASSETS)")
