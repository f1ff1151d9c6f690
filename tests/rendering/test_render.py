"""From a checkpoint and speech to a video."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talksplat.checkpoint import build_model, checkpoint_config, read_checkpoint
from talksplat.config import compose
from talksplat.data.frame_store import FrameStore
from talksplat.errors import UserError
from talksplat.media.sound import read_audio, write_wav
from talksplat.media.video import probe, read_frames
from talksplat.rasterizer.torch_rasterizer import TorchRasterizer
from talksplat.rendering.request import overrides_of
from talksplat.rendering.run import render
from talksplat.subject_format.subject import read_subject
from tests.helpers.tiny_subject import AUDIO_FILE, AUDIO_WIDTH, AUDIO_WINDOW
from tests.rendering.conftest import write_checkpoint

ROOT = Path(__file__).resolve().parents[2]
SIZE = 48


def run(checkpoint: Path, output: Path, *arguments: str):
    fixed = [f"checkpoint={checkpoint}", f"output={output}", "device=cpu", "lpips_net=null", "crf=0"]
    return render(compose("render", overrides_of([*fixed, *arguments])))


def noise(seconds: float, onset: float = 0.0) -> np.ndarray:
    time = np.arange(int(16000 * seconds)) / 16000
    return (np.random.default_rng(0).normal(0, 0.2, len(time)) * (time >= onset)).astype(np.float32)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference in brightness, which H.264 at crf=0 keeps; colours are halved in size."""
    return float(np.abs((a.astype(float) - b.astype(float)) @ [0.2126, 0.7152, 0.0722]).mean())


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """1.02 s, so 26 frames."""
    write_wav(tmp_path / "speech.wav", noise(1.02, onset=0.4))
    return tmp_path / "speech.wav"


def test_speech_longer_than_the_clip(checkpoint, tmp_path):
    speech = tmp_path / "long.wav"
    write_wav(speech, noise(2.02, onset=1.0))
    report = run(checkpoint, tmp_path / "talk.mp4", f"audio={speech}", "batch_size=8")
    info = probe(report.output)
    assert (info.width, info.height, info.fps, info.num_frames) == (SIZE, SIZE, 25, 51) and report.num_frames == 51
    assert len(read_audio(report.output)) / 16000 == pytest.approx(51 / 25, abs=0.07)
    assert report.render_fps > report.total_fps * 0.9 > 0
    frames = list(read_frames(report.output))
    # The clip has 22 frames: forwards to 21 and back, so frames 12 and 30 share pose, torso and blink.
    same_pose, next_pose = difference(frames[12], frames[30]), difference(frames[12], frames[13])
    assert 0 < same_pose < next_pose  # silence, then noise


def test_the_mouth_follows_the_sound_and_nothing_else_changes(checkpoint, speech, tmp_path):
    still = ["camera=static", "batch_size=16"]
    loud = list(read_frames(run(checkpoint, tmp_path / "a.mp4", f"audio={speech}", *still).output))
    write_wav(tmp_path / "silence.wav", np.zeros(16320, np.float32))
    quiet = list(read_frames(run(checkpoint, tmp_path / "b.mp4", f"audio={tmp_path / 'silence.wav'}", *still).output))
    changes = [difference(a, b) for a, b in zip(loud, quiet)]
    # Noise from frame 10 on. A frame hears 8 windows of 0.32 s: up to 3 frames and 0.16 s (4 frames) ahead of it.
    assert len(changes) == 26 and max(changes[:3]) == 0 and min(changes[10:]) > 0.05


def test_chunks_do_not_show(checkpoint, speech, tmp_path):
    one = list(read_frames(run(checkpoint, tmp_path / "a.mp4", f"audio={speech}", "batch_size=26").output))
    many = list(read_frames(run(checkpoint, tmp_path / "b.mp4", f"audio={speech}", "batch_size=7").output))
    assert len(one) == len(many) == 26
    assert max(difference(a, b) for a, b in zip(one, many)) < 0.05


def test_one_chunk_has_no_speed(checkpoint, speech, tmp_path):
    report = run(checkpoint, tmp_path / "a.mp4", f"audio={speech}", "batch_size=99")
    assert report.render_fps is None and report.total_fps is None


def test_text_features_and_cameras(checkpoint, tmp_path):
    report = run(checkpoint, tmp_path / "a.mp4", "text=Hello, world", "camera=orbit", "camera.degrees=40")
    assert probe(report.output).has_audio and report.seconds > 0.5
    frames = list(read_frames(report.output))
    assert difference(frames[0], frames[min(25, len(frames) - 1)]) > 1
    np.save(tmp_path / "f.npy", np.random.default_rng(0).normal(size=(9, AUDIO_WINDOW, AUDIO_WIDTH)))
    report = run(checkpoint, tmp_path / "b.mp4", f"audio={tmp_path / 'f.npy'}", "camera=static")
    assert report.num_frames == 9 and not probe(report.output).has_audio


def test_split_is_original_beside_rendering_with_metrics(checkpoint, tiny_subject, tmp_path):
    report = run(checkpoint, tmp_path / "test.mp4", "split=test", "batch_size=2")
    entry = read_checkpoint(checkpoint)
    trained = checkpoint_config(entry).dataset
    subject = read_subject(tiny_subject, [AUDIO_FILE], AUDIO_WIDTH, AUDIO_WINDOW, list(trained.action_units))
    batch = FrameStore(subject, motion_lags=trained.motion_lags).batch(torch.from_numpy(subject.test), "cpu")
    model = build_model(entry)
    with torch.no_grad():
        gaussians = model(batch.conditions, "deform", entry["talksplat"]["active_sh_degree"])
        c = batch.conditions
        expected = TorchRasterizer()(gaussians, c.viewmats, c.Ks, SIZE, SIZE, backgrounds=batch.background).image
    expected = (expected.clamp(0, 1) * 255).numpy()
    frames = np.stack(list(read_frames(report.output)))
    assert frames.shape == (len(subject.test), SIZE, 2 * SIZE, 3)
    below = slice(12, None)  # the captions are above
    assert difference(frames[:, below, :SIZE], batch.original_u8.numpy()[:, below]) < 2
    assert difference(frames[:, below, SIZE:], expected[:, below]) < 2
    written = json.loads((tmp_path / "test.metrics.json").read_text())
    assert [frame["frame_id"] for frame in written["frames"]] == subject.frame_ids[subject.test].tolist()
    mse = ((expected / 255 - batch.original.numpy()) ** 2).mean((1, 2, 3))
    assert written["mean"]["psnr"] == pytest.approx(float((-10 * np.log10(mse)).mean()), abs=0.02)
    assert written["mean"]["lpips"] is None and written["reasons"]["lpips"]
    sound = read_audio(report.output)
    first = int(subject.frame_ids[subject.test[0]]) * 640
    original = read_audio(tiny_subject / "aud.wav")[first : first + 640 * len(subject.test)]
    assert abs(len(sound) - len(original)) < 1024
    envelope = [np.abs(part[: len(original)]).reshape(-1, 80).max(1) for part in (sound, original)]
    count = min(map(len, envelope))
    assert np.corrcoef(envelope[0][:count], envelope[1][:count])[0, 1] > 0.9


def test_maps_are_shown_beside_the_same_rendering_and_sound(checkpoint, speech, tmp_path):
    plain = run(checkpoint, tmp_path / "a.mp4", f"audio={speech}")
    assert plain.picture is None and sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "speech.wav"]
    report = run(checkpoint, tmp_path / "b.mp4", f"audio={speech}", "attention=true", "deformation=true")
    assert report.num_frames == plain.num_frames == 26
    np.testing.assert_array_equal(read_audio(report.output), read_audio(plain.output))
    alone, frames = (np.stack(list(read_frames(done.output))) for done in (plain, report))
    model = build_model(read_checkpoint(checkpoint))
    panels = 1 + len(model.token_names) + 5
    assert frames.shape[2] == SIZE * -(-panels // 2) and frames.shape[1] > 2 * SIZE  # two rows, with colour scales
    below = slice(16, SIZE)  # the caption is above
    assert difference(frames[:, below, :SIZE], alone[:, below]) < 1
    head = frames[:, 16:40, SIZE : 2 * SIZE].astype(int)
    assert np.ptp(head, axis=-1).mean() > 20  # viridis is never grey
    assert report.picture == tmp_path / "b_maps.png"
    image = cv2.imread(str(report.picture))
    assert image.shape[0] > 4 * 256 and image.shape[1] > panels * 256
    with pytest.raises(UserError, match="b.mp4 exists"):
        run(checkpoint, tmp_path / "b.mp4", f"audio={speech}", "attention=true")


def test_maps_of_a_split_stand_beside_original_and_rendering(checkpoint, tmp_path):
    report = run(checkpoint, tmp_path / "a.mp4", "split=test", "deformation=true", "batch_size=2")
    frames = np.stack(list(read_frames(report.output)))
    assert frames.shape[2] == SIZE * 4 and report.metrics["mean"]["psnr"] > 5  # seven panels in two rows
    image = cv2.imread(str(report.picture))
    assert 7 * 256 < image.shape[1] < 8 * 256 + 100


@pytest.mark.parametrize(
    "model, setting, words",
    [
        ("model=static", "attention", "has no attention"),
        ("model=static", "deformation", "is not deformed"),
        ("model/attention=concatenation", "attention", "without attention weights"),
    ],
)
def test_no_map_to_show(tiny_subject, speech, tmp_path, model, setting, words):
    avatar = write_checkpoint(tmp_path / "avatar.ckpt", tiny_subject, "deform", model)
    with pytest.raises(UserError, match=words):
        run(avatar, tmp_path / "a.mp4", f"audio={speech}", f"{setting}=true")
    assert not (tmp_path / "a.mp4").exists()
    assert run(avatar, tmp_path / "a.mp4", f"audio={speech}").num_frames == 26


def test_a_moved_subject_folder(tiny_subject, speech, tmp_path, caplog):
    shutil.copytree(tiny_subject, tmp_path / "old")
    moved = write_checkpoint(tmp_path / "moved.ckpt", tmp_path / "old")
    here = list(read_frames(run(moved, tmp_path / "a.mp4", f"audio={speech}").output))
    (tmp_path / "old").rename(tmp_path / "new")
    there = run(moved, tmp_path / "b.mp4", f"audio={speech}", f"subject={tmp_path / 'new'}")
    assert all(difference(a, b) == 0 for a, b in zip(here, read_frames(there.output)))
    with caplog.at_level(logging.WARNING):
        alone = run(moved, tmp_path / "c.mp4", f"audio={speech}")
    assert "subject=FOLDER" in caplog.text
    frames = np.stack(list(read_frames(alone.output)))
    corner = frames[:, -6:, :6].astype(float)
    assert len(frames) == 26 and np.abs(corner - corner[0]).mean() < 1  # one background throughout
    assert difference(frames[0], here[0]) < 1  # the pose that fits it
    with pytest.raises(UserError, match="split=test.*subject=FOLDER"):
        run(moved, tmp_path / "d.mp4", "split=test")
    with pytest.raises(UserError, match="nowhere"):
        run(moved, tmp_path / "d.mp4", f"audio={speech}", f"subject={tmp_path / 'nowhere'}")


def test_another_clip_is_not_taken_for_the_subject(checkpoint, speech, tmp_path):
    from tests.helpers.tiny_subject import write_tiny_subject

    write_tiny_subject(tmp_path / "small", num_frames=12)
    with pytest.raises(UserError, match="lacks frame 12"):
        run(checkpoint, tmp_path / "a.mp4", f"audio={speech}", f"subject={tmp_path / 'small'}")
    write_tiny_subject(tmp_path / "large", size=64)
    with pytest.raises(UserError, match="64x64"):
        run(checkpoint, tmp_path / "a.mp4", f"audio={speech}", f"subject={tmp_path / 'large'}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large", "small", "speech.wav"]


@pytest.mark.slow
def test_command_line_counts_paths_from_where_the_user_stands(checkpoint, speech, tmp_path):
    arguments = [os.path.relpath(checkpoint, tmp_path), "audio=speech.wav", "output=out/talk.mp4", "device=cpu"]
    command = [sys.executable, str(ROOT / "render.py"), f"checkpoint={arguments[0]}", *arguments[1:]]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "26 frames, 1.04 s" in done.stdout and "frames/s" in done.stdout
    assert probe(tmp_path / "out" / "talk.mp4").num_frames == 26
    again = subprocess.run([*command, "text=Hi"], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "exactly one of" in again.stderr
