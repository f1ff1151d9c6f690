"""Folders as other projects of the lineage write them: what is missing is made up for, and said so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from talksplat.subject_format.subject import Subject, load_frame, read_subject

NUM_FRAMES = 22


def read(root: Path) -> Subject:
    return read_subject(root, ["aud_mel.npy"], 8, 16)


def change_track(root: Path, **changes) -> None:
    """Set keys of track_params.pt; None removes one."""
    content = torch.load(root / "track_params.pt", weights_only=True)
    content = {name: value for name, value in {**content, **changes}.items() if value is not None}
    torch.save(content, root / "track_params.pt")


def has_note(subject: Subject, words: str) -> bool:
    return any(words in note for note in subject.notes)


@pytest.fixture
def foreign(tiny_copy: Path) -> Path:
    """As GaussianTalker's own preprocessing leaves it."""
    change_track(tiny_copy, frame_ids=None, vertex_colors=None)
    (tiny_copy / "manifest.json").unlink()
    (tiny_copy / "true_signals.csv").unlink()
    return tiny_copy


def test_plain_foreign_folder(foreign: Path, tiny_subject: Path):
    subject, own = read(foreign), read(tiny_subject)
    assert subject.frame_ids.tolist() == list(range(NUM_FRAMES))
    assert subject.train.tolist() == own.train.tolist() and subject.test.tolist() == own.test.tolist() == [20, 21]
    np.testing.assert_array_equal(subject.viewmats, own.viewmats)
    assert subject.vertex_colors is None and subject.true_signals == {} and subject.fps == 25
    assert has_note(subject, "no manifest.json") and len(subject.notes) == 1


@pytest.mark.parametrize("layout", ["per frame", "one frame", "flat", "none"])
def test_vertices_in_any_layout(foreign: Path, layout: str):
    mean = torch.randn(9, 3)
    wobble = torch.randn(70, 9, 3)
    frames = mean + wobble - wobble.mean(0)
    change_track(foreign, vertices={"per frame": frames, "one frame": mean[None], "flat": mean, "none": None}[layout])
    subject = read(foreign)
    if layout == "none":
        assert subject.vertices.shape == (0, 3) and has_note(subject, "no vertices")
    else:
        np.testing.assert_allclose(subject.vertices, mean, atol=1e-6)


@pytest.mark.parametrize("header", ["AU45_r", " AU45_r"])
def test_either_spelling_of_the_blink_column(foreign: Path, header: str):
    values = np.linspace(0, 3, NUM_FRAMES)
    rows = [f"{i + 1}, 0.98, {value}" for i, value in enumerate(values)]
    (foreign / "au.csv").write_text(f"frame, confidence,{header}\n" + "\n".join(rows))
    np.testing.assert_allclose(read(foreign).eye, values.clip(0, 2) / 2, atol=1e-6)


def test_rows_of_au_csv_belong_to_frames_in_order_without_a_frame_column(foreign: Path):
    (foreign / "au.csv").write_text("AU45_r\n" + "\n".join(str(i / 20) for i in range(NUM_FRAMES - 3)))
    subject = read(foreign)
    np.testing.assert_allclose(subject.eye[:19], np.arange(19) / 40, atol=1e-6)
    np.testing.assert_allclose(subject.eye[19:], subject.eye[18])
    assert has_note(subject, "au.csv lacks 3 of 22 frames")


def test_no_au_csv(foreign: Path):
    (foreign / "au.csv").unlink()
    subject = read(foreign)
    assert not subject.eye.any() and has_note(subject, "no au.csv")


def test_no_transforms(foreign: Path):
    for split in ("train", "val"):
        (foreign / f"transforms_{split}.json").unlink()
    subject = read(foreign)
    assert subject.frame_ids.tolist() == list(range(NUM_FRAMES))
    assert subject.train.tolist() == list(range(20)) and subject.test.tolist() == [20, 21]
    assert has_note(subject, "no transforms_train.json and transforms_val.json") and has_note(subject, ".lms")


def renumber(root: Path, numbers: dict[int, int]) -> None:
    """Give frames other numbers; frames that are not named are removed."""
    for folder, suffixes in (("ori_imgs", (".jpg", ".lms")), ("parsing", (".png",)), ("torso_imgs", (".png",))):
        shutil.move(root / folder, root / "old")
        (root / folder).mkdir()
        for old, new in numbers.items():
            for suffix in suffixes:
                shutil.copy(root / "old" / f"{old}{suffix}", root / folder / f"{new}{suffix}")
        shutil.rmtree(root / "old")
    features = np.load(root / "aud_mel.npy")
    moved = np.zeros((max(numbers.values()) + 1, *features.shape[1:]), np.float32)
    moved[list(numbers.values())] = features[list(numbers)]
    np.save(root / "aud_mel.npy", moved)


def test_gaps_in_frame_numbers_listed_by_the_transforms(foreign: Path, tiny_subject: Path):
    numbers = {i: i + 5 * (i > 9) for i in range(NUM_FRAMES)}
    renumber(foreign, numbers)
    for split in ("train", "val"):
        path = foreign / f"transforms_{split}.json"
        content = json.loads(path.read_text())
        for frame in content["frames"]:
            frame["img_id"] = numbers[frame["img_id"]]
        path.write_text(json.dumps(content))
    subject, own = read(foreign), read(tiny_subject)
    assert subject.frame_ids.tolist() == list(numbers.values())
    assert subject.frame_ids[subject.test].tolist() == [25, 26]
    np.testing.assert_array_equal(subject.viewmats, own.viewmats)
    np.testing.assert_array_equal(subject.features, own.features)


def test_a_tracker_that_skipped_a_face_does_not_shift_the_poses(foreign: Path, tiny_subject: Path):
    """Section 1.5: poses without gaps, JSON that counts 0..F-1, and one frame that owns no `.lms`."""
    renumber(foreign, {i: i + (i > 9) for i in range(NUM_FRAMES)})
    for folder, suffix in (("ori_imgs", ".jpg"), ("parsing", ".png"), ("torso_imgs", ".png")):
        shutil.copy(foreign / folder / f"9{suffix}", foreign / folder / f"10{suffix}")  # the frame without a face
    subject, own = read(foreign), read(tiny_subject)
    assert subject.frame_ids.tolist() == [*range(10), *range(11, 23)]
    assert subject.frame_ids[subject.test].tolist() == [21, 22]
    assert has_note(subject, "frame numbers have gaps")
    np.testing.assert_array_equal(subject.viewmats, own.viewmats)
    np.testing.assert_array_equal(
        load_frame(subject, 11)["original"],
        load_frame(own, 10)["original"],
    )


def test_transforms_that_list_only_some_frames(foreign: Path, tiny_subject: Path):
    path = foreign / "transforms_train.json"
    content = json.loads(path.read_text())
    content["frames"] = content["frames"][4:10]
    path.write_text(json.dumps(content))
    subject, own = read(foreign), read(tiny_subject)
    assert subject.frame_ids.tolist() == [4, 5, 6, 7, 8, 9, 20, 21]
    assert subject.test.tolist() == [6, 7] and has_note(subject, "list 8 of 22 tracked frames")
    np.testing.assert_array_equal(subject.viewmats, own.viewmats[subject.frame_ids])


def test_two_raw_rows_a_frame_become_windows(foreign: Path):
    rows = np.random.default_rng(0).normal(size=(2 * NUM_FRAMES, 6)).astype(np.float32)
    np.save(foreign / "aud_hu.npy", rows.reshape(NUM_FRAMES, 2, 6))
    subject = read_subject(foreign, ["aud_hu.npy"], 6, 16)
    np.testing.assert_array_equal(subject.features[5], rows[2 : 2 + 16])  # window k: rows 2k-8 to 2k+7
    np.testing.assert_array_equal(subject.features[0, 8:], rows[:8])
    assert not subject.features[0, :8].any() and has_note(subject, "two rows a frame")


def test_audio_that_ends_two_frames_early(foreign: Path):
    features = np.load(foreign / "aud_mel.npy")
    np.save(foreign / "aud_mel.npy", features[:-2].astype(np.float64))
    subject = read(foreign)
    np.testing.assert_array_equal(subject.features[-1], features[-3])
    assert subject.features.dtype == np.float32 and has_note(subject, "ends 2 frames early")


def test_a_frame_without_landmarks_has_no_lip_box(tiny_copy: Path):
    (tiny_copy / "ori_imgs/6.lms").unlink()
    subject = read(tiny_copy)
    assert not subject.lip_boxes[6].any() and np.isnan(subject.landmarks[6]).all() and subject.lip_boxes[5].any()
    assert has_note(subject, "1 frames have no .lms file")


def test_no_torso_images(foreign: Path, tiny_subject: Path):
    shutil.rmtree(foreign / "torso_imgs")
    subject = read(foreign)
    frame, own = load_frame(subject, 3), load_frame(read(tiny_subject), 3)
    outside = ~own["head_mask"]
    difference = np.abs(frame["background"].astype(int) - own["background"])[outside]
    assert difference.mean() < 2 and has_note(subject, "no torso_imgs")
