"""The sample's folder: complete, readable, repeatable, and driven by its sound."""

from __future__ import annotations

import numpy as np
import pytest

from talksplat.data.sample import make_sample
from talksplat.data.sample.performance import AUDIO_RATE, FPS, head_poses, mouth_signals, perform
from talksplat.errors import UserError
from talksplat.subject_format.subject import load_frame, read_subject

FRAMES = 22
EULER, TRANS = np.array([0.2, 0.0, 0.05]), np.array([0.0, 0.3, -10.5])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_sample(
        tmp_path_factory.mktemp("sample") / "astronaut", num_frames=FRAMES, resolution=128, num_points=3000
    )


def test_folder_is_complete_and_readable(folder):
    subject = read_subject(folder, ["aud_mel.npy"], 32, 16)
    assert not subject.notes
    assert len(subject.frame_ids) == FRAMES and (subject.width, subject.height) == (128, 128)
    assert len(subject.train) == 20 and len(subject.test) == 2
    assert subject.features.shape == (FRAMES, 16, 32) and np.abs(subject.features).max() > 0
    assert set(subject.true_signals) == {"mouth_opening", "rounding", "blink"}
    assert np.allclose(subject.eye, subject.true_signals["blink"], atol=1e-4)
    assert subject.vertices.shape == subject.vertex_colors.shape and len(subject.vertices) > 2900
    assert subject.manifest["generator_version"] == 1 and subject.manifest["seed"] == 0
    for name in ("aud.wav", "bc.jpg", "au.csv", "transforms_train.json", "ori_imgs/0.lms"):
        assert (folder / name).is_file()


def test_stored_frames_are_head_over_plate(folder):
    subject = read_subject(folder, ["aud_mel.npy"], 32, 16)
    frame = load_frame(subject, 7)
    outside = ~frame["head_mask"].astype(bool)
    # JPEG spreads the head's edge by some pixels; on average the stored frame is the stored plate.
    gap = np.abs(frame["original"].astype(int) - frame["background"]).mean(-1)[outside]
    assert gap.mean() < 2.5 and 0.1 < frame["head_mask"].mean() < 0.4


def test_poses_and_landmarks_in_the_folder_agree(folder):
    subject = read_subject(folder, ["aud_mel.npy"], 32, 16)
    # Eye corners and nose bridge are fixed to the head: triangulated from all frames they reproject within a pixel.
    for index in (27, 36, 39, 42, 45):
        rows = []
        for viewmat, (x, y) in zip(subject.viewmats, subject.landmarks[:, index]):
            projection = subject.K @ viewmat[:3]
            rows += [x * projection[2] - projection[0], y * projection[2] - projection[1]]
        point = np.linalg.svd(np.array(rows, np.float64))[2][-1]
        for viewmat, pixel in zip(subject.viewmats, subject.landmarks[:, index]):
            image = subject.K @ viewmat[:3] @ point
            assert np.abs(image[:2] / image[2] - pixel).max() < 1.0


def test_same_seed_same_bytes_other_seed_other_frames(folder, tmp_path):
    again = make_sample(tmp_path / "again", num_frames=FRAMES, resolution=128, num_points=3000)
    other = make_sample(tmp_path / "other", num_frames=FRAMES, resolution=128, num_points=3000, seed=1)
    for name in ("ori_imgs/0.jpg", "ori_imgs/21.jpg", "parsing/9.png", "aud.wav", "aud_mel.npy", "true_signals.csv"):
        assert (folder / name).read_bytes() == (again / name).read_bytes()
        assert (folder / name).read_bytes() != (other / name).read_bytes()


def test_refuses_an_occupied_folder_and_too_few_frames(folder, tmp_path):
    with pytest.raises(UserError, match="not empty"):
        make_sample(folder, num_frames=FRAMES)
    with pytest.raises(UserError, match="num_frames"):
        make_sample(tmp_path / "few", num_frames=5)
    assert not (tmp_path / "few").exists()


def test_own_features_are_stored_under_their_name(tmp_path):
    root = make_sample(
        tmp_path / "own",
        num_frames=11,
        resolution=64,
        num_points=200,
        features=lambda samples, frames: np.full((frames, 2, 3), len(samples), np.float32),
        features_name="own",
    )
    assert np.load(root / "aud_own.npy").shape == (11, 2, 3)
    assert np.load(root / "aud_own.npy")[0, 0, 0] == 11 * AUDIO_RATE / FPS


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_held_out_speech_is_lively_and_head_motion_small(seed):
    shown = perform(275, EULER, TRANS, seed)
    held_out = shown.opening[250:]
    assert len(shown.audio) == 11 * AUDIO_RATE
    assert held_out.std() > 0.2 and (held_out < 0.05).mean() < 0.3
    assert np.abs(np.diff(shown.opening)).max() < 0.55  # smooth enough to be predicted from 0.32 s of sound
    assert (shown.blink == 1).sum() >= 3
    assert abs(np.corrcoef(shown.opening, shown.rounding)[0, 1]) < 0.6  # two signals, not one
    rotation = shown.viewmats[:, :3, :3]
    angle = np.degrees(np.arccos(np.clip((np.einsum("fij,ij->f", rotation, rotation.mean(0)) - 1) / 2, -1, 1)))
    assert 2 < angle.max() < 12
    step = np.abs(np.diff(shown.viewmats, axis=0)).max()
    assert step < 0.05


def test_signals_depend_on_nearby_sound_only():
    sound = perform(100, EULER, TRANS, 0).audio
    changed = np.concatenate([sound[: 2 * AUDIO_RATE], sound[2 * AUDIO_RATE :][::-1]])
    before, after = np.stack(mouth_signals(sound)), np.stack(mouth_signals(changed))
    near = slice(0, 2 * FPS - 5)  # 0.2 s before the change; the loudness reference of the whole clip shifts a little
    assert np.abs(before - after)[:, near].max() < 0.05
    assert np.abs(before - after).max() > 0.3


def test_silence_shuts_the_mouth():
    sound = perform(100, EULER, TRANS, 0).audio.copy()
    sound[AUDIO_RATE : 2 * AUDIO_RATE] = 0
    opening, _ = mouth_signals(sound)
    assert opening[FPS + 6 : 2 * FPS - 6].max() < 0.02 and opening.max() > 0.5


def test_the_neck_stays_where_it_is():
    poses = head_poses(200, EULER, TRANS, np.random.default_rng(3))
    neck = poses[:, :3, :3] @ (0.0, -1.1, -0.55) + poses[:, :3, 3]
    crown = poses[:, :3, :3] @ (0.0, 1.4, 0.0) + poses[:, :3, 3]
    assert np.ptp(neck[:, :2], axis=0).max() < 0.12 < np.ptp(crown[:, :2], axis=0).max()
