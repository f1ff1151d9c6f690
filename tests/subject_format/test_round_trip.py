"""What SubjectWriter writes, read_subject and load_frame read, and other projects' readers would."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talksplat.errors import UserError
from talksplat.geometry.cameras import viewmat_from_euler_trans
from talksplat.subject_format.labels import Label
from talksplat.subject_format.subject import load_frame, read_subject
from talksplat.subject_format.writer import SubjectWriter

SIZE = (40, 30)  # width, height: not square, to catch swapped axes
FRAME_IDS = [3, 4, 7, 8, 9, 12]


def images(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    width, height = SIZE
    smooth = cv2.resize(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8), SIZE, interpolation=cv2.INTER_CUBIC)
    torso = rng.integers(0, 255, (height, width, 4), dtype=np.uint8)
    labels = rng.integers(0, 4, (height, width), dtype=np.uint8)
    return smooth, labels, torso, rng.uniform(5, 25, (68, 2))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict:
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("round") / "trip"
    frames = {i: images(rng) for i in FRAME_IDS}
    count = len(FRAME_IDS)
    euler, trans = torch.from_numpy(rng.uniform(-0.4, 0.4, (2, count, 3))).float()
    viewmats = viewmat_from_euler_trans(euler, trans - torch.tensor([0, 0, 9.0])).numpy()
    content = {
        "frames": frames,
        "viewmats": viewmats,
        "plate": images(rng)[0],
        "vertices": rng.normal(size=(11, 3)).astype(np.float32),
        "colors": rng.integers(0, 255, (11, 3), dtype=np.uint8),
        "features": rng.normal(size=(15, 16, 5)).astype(np.float32),
        "blink": np.linspace(0, 5, count),
        "mouth": rng.uniform(0, 1, count),
        "samples": rng.uniform(-1, 1, 9600),
        "root": root,
    }
    with SubjectWriter(root, *SIZE, fps=25.0) as writer:
        for i, frame in frames.items():
            writer.write_frame(i, *frame)
        writer.write_background(content["plate"])
        writer.write_audio(content["samples"])
        writer.write_features("test", content["features"])
        writer.write_track(np.array(FRAME_IDS), viewmats, 123.0, content["vertices"], content["colors"])
        writer.write_action_units(np.array(FRAME_IDS), {"AU45_r": content["blink"]})
        writer.write_true_signals(np.array(FRAME_IDS), {"mouth_opening": content["mouth"]})
        writer.write_manifest({"source": "clip.mp4"})
        assert not root.exists()
        assert writer.finish() == root
    return content


def test_subject_is_what_was_written(written: dict):
    subject = read_subject(written["root"], ["aud_other.npy", "aud_test.npy"], 5, 16)
    assert subject.frame_ids.tolist() == FRAME_IDS and subject.notes == []
    assert (subject.width, subject.height, subject.fps) == (*SIZE, 25.0)
    np.testing.assert_allclose(subject.viewmats, written["viewmats"], atol=2e-6)
    np.testing.assert_allclose(subject.K, [[123, 0, 20], [0, 123, 15], [0, 0, 1]])
    np.testing.assert_allclose(subject.vertices, written["vertices"])
    np.testing.assert_array_equal(subject.vertex_colors, written["colors"])
    np.testing.assert_array_equal(subject.features, written["features"][FRAME_IDS])
    np.testing.assert_allclose(subject.eye, written["blink"].clip(0, 2) / 2, atol=1e-5)
    np.testing.assert_allclose(subject.true_signals["mouth_opening"], written["mouth"], atol=1e-6)
    np.testing.assert_allclose(subject.landmarks, [f[3] for f in written["frames"].values()], atol=1e-4)
    assert subject.train.tolist() == [0, 1, 2, 3, 4] and subject.test.tolist() == [5]
    assert subject.manifest["source"] == "clip.mp4" and subject.manifest["frame_ids"] == FRAME_IDS


def test_frames_are_composited_exactly(written: dict):
    subject = read_subject(written["root"], ["aud_test.npy"], 5, 16)
    plate = cv2.imread(str(written["root"] / "bc.jpg"))[..., ::-1]
    for i, (image, labels, torso, _) in written["frames"].items():
        frame = load_frame(subject, i)
        opaque = torso[..., 3:] >= 128
        np.testing.assert_array_equal(frame["background"], np.where(opaque, torso[..., :3], plate))
        np.testing.assert_array_equal(frame["head_mask"], labels == Label.HEAD)
        assert np.abs(frame["original"].astype(int) - image).mean() < 1.5
        assert frame["original"].dtype == np.uint8 and frame["head_mask"].dtype == bool


def test_files_follow_the_shared_layout(written: dict):
    root: Path = written["root"]
    labels = written["frames"][7][1]
    parsing = cv2.imread(str(root / "parsing/7.png"))
    for label, bgr in ((0, (255, 255, 255)), (1, (255, 0, 0)), (2, (0, 255, 0)), (3, (0, 0, 255))):
        assert (parsing[labels == label] == bgr).all()
    torso = cv2.imread(str(root / "torso_imgs/7.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(torso[..., 3])) == {0, 255} and not torso[torso[..., 3] == 0].any()
    assert len((root / "ori_imgs/7.lms").read_text().splitlines()) == 68
    with wave.open(str(root / "aud.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (16000, 1, 9600)
    header, *rows = (root / "au.csv").read_text().splitlines()
    assert header.split(",")[-1] == "AU45_r" and len(rows) == 13  # one row for every number from 0 to 12
    track = torch.load(root / "track_params.pt", weights_only=True)
    shapes = {name: list(track[name].shape) for name in ("id", "exp", "euler", "trans", "focal", "vertices")}
    assert shapes == {
        "id": [1, 100],
        "exp": [6, 79],
        "euler": [6, 3],
        "trans": [6, 3],
        "focal": [1],
        "vertices": [1, 11, 3],
    }


def test_transform_matrices_lead_back_to_the_poses(written: dict):
    """Section 2: multiply the translation by 10, invert, left-multiply diag(1, -1, -1)."""
    for split, rows in (("train", range(5)), ("val", [5])):
        content = json.loads((written["root"] / f"transforms_{split}.json").read_text())
        assert (content["focal_len"], content["cx"], content["cy"]) == (123, 20, 15)
        assert [frame["img_id"] for frame in content["frames"]] == [FRAME_IDS[row] for row in rows]
        for row, frame in zip(rows, content["frames"]):
            matrix = np.array(frame["transform_matrix"])
            matrix[:3, 3] *= 10
            viewmat = np.diag([1, -1, -1, 1]) @ np.linalg.inv(matrix)
            np.testing.assert_allclose(viewmat, written["viewmats"][row], atol=1e-5)


def test_nothing_is_left_after_an_error(tmp_path: Path):
    with pytest.raises(RuntimeError, match="stop"), SubjectWriter(tmp_path / "new", *SIZE) as writer:
        writer.write_background(np.zeros((30, 40, 3), np.uint8))
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_names_the_file_and_removes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writer = SubjectWriter(tmp_path / "new", *SIZE)
    writer.write_background(np.zeros((30, 40, 3), np.uint8))

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"aud.wav \(No space left on device\)"):
        writer.write_audio(np.zeros(10))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        SubjectWriter(tmp_path, *SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_an_unfinished_subject_cannot_be_published(tmp_path: Path):
    writer = SubjectWriter(tmp_path / "new", *SIZE)
    writer.write_background(np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(ValueError, match="track_params.pt, manifest.json"):
        writer.finish()
    assert list(tmp_path.iterdir()) == []
