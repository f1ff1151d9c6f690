"""Every kind of audio feature goes through preprocess, a training step and render.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from talksplat.checkpoint import checkpoint_config, read_checkpoint
from talksplat.config import compose
from talksplat.errors import UserError
from talksplat.media.sound import write_wav
from talksplat.preprocess.__main__ import main as preprocess
from talksplat.rendering.run import render
from talksplat.training.module import TalkingHeadModule
from talksplat.training.run import TrainingRun, train
from tests.helpers.runs import small_overrides, weights
from tests.helpers.tiny_speech import HIDDEN, write_speech_model
from tests.helpers.tiny_subject import write_tiny_subject

FRAMES, NEW_FRAMES = 12, 5
STEPS = ["stage.stages.coarse.steps=2", "stage.stages.fine.steps=2", "trainer.preview_every=null"]
STEPS += ["stage.stages.coarse.density=null", "evaluation.train_frames=1", "trainer.log_every=1"]
BACKBONE = "model.shared.tokens.sources.audio.encoder.backbone."


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Tiny tensors gain nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_subject(tmp_path_factory.mktemp("audio") / "clip", num_frames=FRAMES, size=32)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech models as their makers publish them: one with a CTC head."""
    root = tmp_path_factory.mktemp("speech")
    write_speech_model(root / "ctc", ctc=True)
    for kind in ("wav2vec2", "hubert", "wavlm"):
        write_speech_model(root / kind, kind)
    return root


def speech_settings(group: str, checkpoint: Path) -> list[str]:
    width = [] if group == "wav2vec2" else [f"audio.width={HIDDEN}"]
    return [f"audio={group}", f"audio.extractor.checkpoint={checkpoint}", *width]


def train_settings(folder: Path, *audio: str) -> list[str]:
    settings = [s for s in small_overrides(folder) if not s.startswith(("audio.", "stage.stages.coarse.density."))]
    return [*settings, *STEPS, *audio]


def run_and_render(folder: Path, place: Path, *audio: str, sound: Path | None = None, **render_settings: str) -> dict:
    """Train two steps a stage and render new speech; returns the checkpoint."""
    metrics = train(compose("train", train_settings(folder, *audio)), place / "run")
    assert np.isfinite(metrics["mean"]["psnr"])
    if sound is None:
        sound = place / "new.wav"
        write_wav(sound, 0.1 * np.random.default_rng(3).normal(size=NEW_FRAMES * 640))
    settings = [f"checkpoint={place / 'run'}", f"audio_file={sound}", f"output={place / 'talk.mp4'}", "device=cpu"]
    report = render(compose("render", [*settings, *(f"{key}={value}" for key, value in render_settings.items())]))
    assert report.num_frames == NEW_FRAMES and report.output.stat().st_size > 500
    return read_checkpoint(place / "run")


@pytest.mark.parametrize(
    ("group", "model", "shape"),
    [
        ("wav2vec2", "ctc", (FRAMES, 16, 44)),
        ("wav2vec2_hidden", "wav2vec2", (FRAMES, 2, HIDDEN)),
        ("hubert", "hubert", (FRAMES, 2, HIDDEN)),
        ("wavlm", "wavlm", (FRAMES, 2, HIDDEN)),
    ],
)
def test_speech_models(folder: Path, models: Path, tmp_path: Path, group: str, model: str, shape: tuple) -> None:
    checkpoint = shutil.copytree(models / model, tmp_path / model)
    settings = speech_settings(group, checkpoint)
    preprocess([f"features={folder}", *settings])
    file = compose("train", train_settings(folder, *settings)).audio.files[0]
    assert np.load(folder / file).shape == shape
    saved = run_and_render(folder, tmp_path, *settings)
    config = yaml.safe_load(saved["talksplat"]["config_yaml"])
    config.pop("chosen")  # the command line
    assert yaml.safe_dump(config, width=1000).count(str(checkpoint)) == 1
    # Where the speech model has moved, render.py says so and takes its new place.
    checkpoint.rename(tmp_path / "moved")
    (tmp_path / "talk.mp4").unlink()
    settings = [f"checkpoint={tmp_path / 'run'}", f"audio_file={tmp_path / 'new.wav'}", "device=cpu"]
    settings.append(f"output={tmp_path / 'talk.mp4'}")
    with pytest.raises(UserError, match=f"no speech model in {checkpoint}"):
        render(compose("render", settings))
    assert render(compose("render", [*settings, f"speech_model={tmp_path / 'moved'}"])).num_frames == NEW_FRAMES


def test_mel_and_speech_from_text(folder: Path, tmp_path: Path) -> None:
    run_and_render(folder, tmp_path, "audio=mel", "audio.extractor.num_mels=8")
    settings = [f"checkpoint={tmp_path / 'run'}", f"output={tmp_path / 'text.mp4'}", "device=cpu"]
    with pytest.raises(UserError, match="speech_model=x: this avatar is driven by mel features, which need none"):
        render(compose("render", [*settings, "text=A", "speech_model=x"]))
    assert render(compose("render", [*settings, "text=A"])).num_frames > 3


def test_deepspeech(folder: Path, tmp_path: Path) -> None:
    np.save(folder / "aud_ds.npy", np.random.default_rng(0).normal(size=(FRAMES, 16, 29)))
    np.save(tmp_path / "new.npy", np.random.default_rng(1).normal(size=(NEW_FRAMES, 16, 29)))
    run_and_render(folder, tmp_path, "audio=deepspeech", sound=tmp_path / "new.npy")


def test_features_as_other_projects_store_them(folder: Path, tmp_path: Path) -> None:
    """Esperanto logits and HuBERT of the real width are read without any speech model."""
    clip = shutil.copytree(folder, tmp_path / "clip")
    for group, shape in (("wav2vec2", (16, 44)), ("hubert", (2, 1024))):
        config = compose("train", train_settings(clip, f"audio={group}"))
        np.save(clip / config.audio.files[0], np.random.default_rng(0).normal(size=(FRAMES, *shape)))
        run = TrainingRun(config, tmp_path / group)
        assert run.data.store.conditions(torch.tensor([3]), "cpu").audio.shape == (1, 8, *shape)
        assert run.model.shared["tokens"].sources["audio"].encoder.width == shape[1]
        np.save(clip / config.audio.files[0], np.zeros((FRAMES, *shape[:1], 29)))
        with pytest.raises(
            UserError, match=f"{config.audio.files[0]} has windows of .* width 29, but the audio setting"
        ):
            TrainingRun(config, tmp_path / group)
        np.save(clip / config.audio.files[0], np.zeros((FRAMES - 5, *shape)))
        with pytest.raises(UserError, match=f"has {FRAMES - 5} rows but the last video frame is number {FRAMES - 1}"):
            TrainingRun(config, tmp_path / group)
    with pytest.raises(UserError, match=r"model.tokens.audio.encoder.window is 16, but audio.window is 2"):
        compose("train", train_settings(clip, "audio=hubert", "model.tokens.audio.encoder.window=16"))


def finetune_settings(checkpoint: Path, layers: int = 1) -> list[str]:
    steps = ["stage.stages.finetune.steps=2", f"stage.stages.finetune.unfreeze_audio_layers={layers}"]
    encoder = "model.tokens.audio.encoder"
    return ["experiment=finetune_speech", f"{encoder}.checkpoint={checkpoint}", "audio.context=12", *steps]


def test_a_speech_model_is_finetuned_in_a_second_stage(folder: Path, models: Path, tmp_path: Path) -> None:
    checkpoint = shutil.copytree(models / "wavlm", tmp_path / "wavlm")
    assert "finetune" in compose("train", ["experiment=finetune_speech"]).loss.lip.stages
    preprocess([f"features={folder}", "audio=waveform", "overwrite=true"])
    saved = run_and_render(folder, tmp_path, *finetune_settings(checkpoint))
    fine, tuned = (
        weights(read_checkpoint(tmp_path / "run" / "stages" / stage / "last.ckpt"))
        for stage in ("02_fine", "03_finetune")
    )
    speech = {name for name in tuned if name.startswith(BACKBONE)}
    moved = {name for name in speech if not torch.equal(fine[name], tuned[name])}
    assert moved and all(name.startswith(f"{BACKBONE}encoder.layers.1.") for name in moved)
    from safetensors.torch import load_file

    pretrained = load_file(checkpoint / "model.safetensors")
    assert all(torch.equal(pretrained[name], fine[BACKBONE + name]) for name in pretrained if BACKBONE + name in fine)

    groups = saved["optimizer_states"][0]["param_groups"]
    assert [group["name"] for group in groups] == ["networks", "triplane", "audio_backbone"]
    rates = {group["name"]: group["lr"] for group in groups}
    assert rates["audio_backbone"] == pytest.approx(0.1 * rates["networks"])

    # The avatar carries its speech model: no checkpoint is needed to render it.
    checkpoint.rename(tmp_path / "moved")
    encoder = checkpoint_config(saved).model.tokens.audio.encoder
    assert encoder.checkpoint == str(checkpoint) and encoder.architecture.model_type == "wavlm"
    settings = [f"checkpoint={tmp_path / 'run'}", f"audio_file={tmp_path / 'new.wav'}", "device=cpu"]
    assert render(compose("render", [*settings, f"output={tmp_path / 'gone.mp4'}"])).num_frames == NEW_FRAMES
    assert (tmp_path / "gone.mp4").read_bytes() == (tmp_path / "talk.mp4").read_bytes()


def test_finetuning_that_cannot_work_is_refused_before_training(folder: Path, models: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folder, tmp_path / "clip"))  # with the features that are asked for below
    np.save(folder / "aud_wave.npy", np.zeros((FRAMES, 2, 320), np.float32))
    np.save(folder / "aud_hu.npy", np.zeros((FRAMES, 2, 32), np.float32))
    config = compose("train", train_settings(folder, *finetune_settings(models / "wavlm", layers=3)))
    with pytest.raises(UserError, match="unfreeze_audio_layers=3, but the speech model has 2 layers"):
        TrainingRun(config, tmp_path / "run")
    mel = ["audio.extractor.num_mels=8", "+stage.stages.fine.unfreeze_audio_layers=1"]
    with pytest.raises(UserError, match="unfreeze_audio_layers=1.*experiment=finetune_speech"):
        TrainingRun(compose("train", train_settings(folder, *mel)), tmp_path / "run")
    config = compose("train", train_settings(folder, *mel, "+stage.stages.coarse.unfreeze_audio_layers=1"))
    with pytest.raises(UserError, match="0 in a canonical stage"):
        TrainingRun(config, tmp_path / "run")
    encoder = ["+model.tokens.audio.encoder.listen=8", "audio=hubert", "audio.width=32", "+model.tokens.audio.encoder."]
    encoder[-1] += f"checkpoint={models / 'wavlm'}"
    target = "model.tokens.audio.encoder._target_=talksplat.models.conditioning.speech_encoder.SpeechEncoder"
    with pytest.raises(UserError, match="raw samples.*audio=waveform"):
        TrainingRun(compose("train", train_settings(folder, *encoder, target)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_finetuning_goes_on_to_the_same_bits(folder: Path, models: Path, tmp_path: Path, monkeypatch) -> None:
    preprocess([f"features={folder}", "audio=waveform", "overwrite=true"])
    settings = train_settings(folder, *finetune_settings(models / "wavlm"), "trainer.checkpoint_every=1")
    train(compose("train", settings), tmp_path / "whole")
    step = TalkingHeadModule.training_step

    def interrupted(module, batch, index):
        if module.stage_name == "finetune" and module.global_step == 1:
            raise OSError("pulled plug")
        return step(module, batch, index)

    monkeypatch.setattr(TalkingHeadModule, "training_step", interrupted)
    with pytest.raises(OSError, match="pulled plug"):
        train(compose("train", settings), tmp_path / "broken")
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "broken")["talksplat"]["step"] == 1
    train(compose("train", [*settings, "resume=true"]), tmp_path / "broken")
    whole, resumed = (weights(read_checkpoint(tmp_path / name)) for name in ("whole", "broken"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
