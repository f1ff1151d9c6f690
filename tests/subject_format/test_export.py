"""A folder of ours has what each project of the lineage reads (GaussianTalker, EGSTalker).

The loaders below open files the way those projects do: by plain OpenCV, PyTorch
and header names, not by this project's readers. The audio features stay their own matter: each project's network is
made for one width, so its extractor runs on `aud.wav`.
"""

from __future__ import annotations

import csv
import json
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talksplat.geometry.cameras import viewmat_from_euler_trans
from talksplat.subject_format.labels import Label
from talksplat.subject_format.subject import load_frame, read_subject
from talksplat.subject_format.writer import SubjectWriter

FRAMES, SIZE, ROWS = 22, 48, 16


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as preprocess writes it, with DeepSpeech-like features."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("export") / "subject"
    euler = torch.from_numpy(rng.uniform(-0.3, 0.3, (FRAMES, 3))).float()
    trans = torch.tensor([0.1, -0.2, -8.0]).expand(FRAMES, 3)
    plate = np.full((SIZE, SIZE, 3), (10, 120, 200), np.uint8)
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[8:30, 12:36], labels[30:36, 18:30], labels[36:, 8:40] = Label.HEAD, Label.NECK, Label.TORSO
    with SubjectWriter(folder, SIZE, SIZE) as writer:
        for i in range(FRAMES):
            image = np.where((labels > 0)[..., None], np.uint8(90), np.uint8(250)).repeat(3, 2)
            torso = np.dstack([image, np.where(labels > 1, 255, 0).astype(np.uint8)])
            writer.write_frame(i, image, labels, torso, rng.uniform(14, 34, (68, 2)))
            writer.write_composite(i, image, labels, plate)
        writer.write_background(plate)
        writer.write_track(
            np.arange(FRAMES), viewmat_from_euler_trans(euler, trans).numpy(), 300.0, rng.normal(size=(50, 3))
        )
        writer.write_audio(rng.uniform(-1, 1, FRAMES * 640))
        writer.write_features("ds", rng.normal(size=(FRAMES, ROWS, 29)))
        writer.write_action_units(np.arange(FRAMES), {"AU01_r": np.ones(FRAMES), "AU45_r": np.linspace(0, 3, FRAMES)})
        writer.write_manifest({})
        return writer.finish()


@pytest.mark.parametrize("column", [" AU45_r", "AU45_r"])  # GaussianTalker and ER-NeRF; EGSTalker
def test_blink_column_in_either_spelling(root: Path, column: str):
    with (root / "au.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    blink = [float(row[header.index(column)]) for row in rows]
    assert len(rows) == FRAMES and np.allclose(blink, np.linspace(0, 3, FRAMES), atol=1e-4)
    assert len(set(header)) == len(header)
    np.testing.assert_allclose(read_subject(root, ["aud_ds.npy"], 29, ROWS).eye, np.clip(blink, 0, 2) / 2, atol=1e-4)


def test_track_and_split_of_gaussiantalker_and_egstalker(root: Path):
    track = torch.load(root / "track_params.pt", weights_only=True)
    assert all(track[name].dtype == torch.float32 for name in ("id", "exp", "euler", "trans", "focal", "vertices"))
    assert track["vertices"].mean(0).shape == (50, 3)  # they take the mean over frames
    num_train = len(track["euler"]) * 10 // 11
    for split, numbers in (("train", range(num_train)), ("val", range(num_train, FRAMES))):
        content = json.loads((root / f"transforms_{split}.json").read_text())
        assert all(isinstance(content[key], float) for key in ("focal_len", "cx", "cy"))
        assert (int(2 * content["cx"]), int(2 * content["cy"]), content["focal_len"]) == (SIZE, SIZE, 300)
        assert [frame["img_id"] for frame in content["frames"]] == list(numbers)
        for frame in content["frames"]:
            assert frame["aud_id"] == frame["img_id"] and np.shape(frame["transform_matrix"]) == (4, 4)
            # rows of the track are the frames' numbers, translations of the matrices are divided by 10
            euler, trans = track["euler"][frame["img_id"]], track["trans"][frame["img_id"]]
            inverse = np.linalg.inv(viewmat_from_euler_trans(euler[None], trans[None] / 10)[0].double().numpy())
            matrix = inverse @ np.diag([1, -1, -1, 1])
            np.testing.assert_allclose(frame["transform_matrix"], matrix, atol=1e-5)


def test_images_of_all(root: Path):
    for i in range(FRAMES):
        parsing = cv2.imread(str(root / f"parsing/{i}.png"), cv2.IMREAD_UNCHANGED)
        colors = {tuple(color) for color in parsing.reshape(-1, 3).tolist()}
        assert colors == {(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)}  # BGR, exact
        assert tuple(parsing[10, 20]) == (255, 0, 0) and tuple(parsing[40, 20]) == (0, 0, 255)
        torso = cv2.imread(str(root / f"torso_imgs/{i}.png"), cv2.IMREAD_UNCHANGED)
        assert torso.shape == (SIZE, SIZE, 4) and set(np.unique(torso[..., 3])) == {0, 255}
        landmarks = np.loadtxt(root / f"ori_imgs/{i}.lms", dtype=np.float32)
        assert landmarks.shape == (68, 2)
    assert cv2.imread(str(root / "bc.jpg")).shape == (SIZE, SIZE, 3)


def test_person_over_the_plate_for_rad_nerf_and_its_heirs(root: Path):
    composite = cv2.imread(str(root / "gt_imgs/5.jpg"))
    assert np.abs(composite[2, 2].astype(int) - (200, 120, 10)).max() < 12  # the plate, BGR
    assert np.abs(composite[15, 24].astype(int) - 90).max() < 8
    assert len(list((root / "gt_imgs").iterdir())) == FRAMES


def test_sound_of_both_splits(root: Path):
    lengths = {}
    for name in ("aud", "aud_train", "aud_novel"):
        with wave.open(str(root / f"{name}.wav")) as sound:
            assert (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) == (16000, 2, 1)
            lengths[name] = sound.getnframes()
    assert lengths["aud"] == lengths["aud_train"] + lengths["aud_novel"] == FRAMES * 640
    assert lengths["aud_train"] == FRAMES * 640 * 10 // 11


def test_audio_features_of_the_original_width(root: Path):
    features = np.load(root / "aud_ds.npy")
    assert features.shape == (FRAMES, ROWS, 29) and features.dtype == np.float32


def test_their_training_target_is_ours(root: Path):
    """Section 1.9, computed as they do: ori*M + (torso*A + bc*(1-A))*(1-M)."""
    frame = load_frame(read_subject(root, ["aud_ds.npy"], 29, ROWS), 7)
    original, plate = cv2.imread(str(root / "ori_imgs/7.jpg")), cv2.imread(str(root / "bc.jpg"))
    torso = cv2.imread(str(root / "torso_imgs/7.png"), cv2.IMREAD_UNCHANGED).astype(float)
    mask = (cv2.imread(str(root / "parsing/7.png")) == (255, 0, 0)).all(-1, keepdims=True)
    alpha = torso[..., 3:] / 255
    target = np.where(mask, original, torso[..., :3] * alpha + plate * (1 - alpha))[..., ::-1]
    ours = np.where(frame["head_mask"][..., None], frame["original"], frame["background"])
    np.testing.assert_array_equal(ours, target)
