"""What a table or a file marks as not to be used is not used; a table of other frames is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from talksplat.errors import UserError
from talksplat.subject_format.action_units import UNITS, read_eye, read_signals, read_units
from talksplat.subject_format.landmarks import lip_box, read_all_landmarks
from talksplat.subject_format.subject import read_subject

IDS = np.arange(10)
SHUT = (4, 5)  # frames with shut eyes


def openface(path: Path, header: str, rows: Sequence[Sequence[object]]) -> Path:
    path.write_text("\n".join([header, *(", ".join(map(str, row)) for row in rows)]) + "\n")
    return path


def rows(blink=lambda i: 2.0 * (i in SHUT), success=lambda i: 1, confidence=lambda i: 0.98, first: int = 1):
    return [[i + first, i / 25, confidence(i), success(i), blink(i)] for i in range(10)]


HEADER = "frame, timestamp, confidence, success, AU45_r"


@pytest.mark.parametrize("spelling", [HEADER, HEADER.replace(", ", ",")])
@pytest.mark.parametrize(
    "table",
    [
        rows(lambda i: 0.0 if i == 5 else 2.0 * (i in SHUT), success=lambda i: int(i != 5)),
        rows(lambda i: 0.0 if i == 5 else 2.0 * (i in SHUT), confidence=lambda i: 0.98 - 0.9 * (i == 5)),
        rows(lambda i: 0.0 if i == 5 else 2.0 * (i in SHUT), success=lambda i: str(i != 5)),
        rows(lambda i: 0.0 if i == 5 else 2.0 * (i in SHUT), success=lambda i: 1 - 2 * (i == 5)),
        rows(lambda i: "nan" if i == 5 else 2.0 * (i in SHUT)),
        rows()[:5] + rows()[6:],
        [*rows()[:5], ["", 0.2, 0.98, 1, 0.0], *rows()[6:]],  # a row without a frame number
    ],
    ids=["failed", "unsure", "false", "minus", "nan", "absent", "unnumbered"],
)
def test_a_row_that_does_not_count_is_that_of_its_neighbours(tmp_path: Path, table, spelling: str) -> None:
    notes: list[str] = []
    eye = read_eye(openface(tmp_path / "au.csv", spelling, table), IDS, notes)
    np.testing.assert_allclose(eye, [0, 0, 0, 0, 1, 0.5, 0, 0, 0, 0], atol=1e-6)
    assert any(note.startswith("au.csv lacks 1 of 10 frames") for note in notes)


def test_rows_of_nothing_but_zeros_do_not_count(tmp_path: Path) -> None:
    names = [f"{unit}_r" for unit in UNITS]
    table = [[i + 1, *[0.3] * (len(names) - 1), 2.0 * (i in SHUT)] for i in range(10)]
    table[5][1:] = [0.0] * len(names)
    path = openface(tmp_path / "au.csv", ", ".join(["frame", *names]), table)
    np.testing.assert_allclose(read_eye(path, IDS, [])[4:7], [1, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(read_units(path, ["AU01_r"], IDS, [])[:, 0], 0.06, atol=1e-6)


def test_of_several_faces_in_a_frame_the_surest_counts(tmp_path: Path) -> None:
    other = rows(lambda i: 1.0, confidence=lambda i: 0.7)
    table = [row for pair in zip(other, rows()) for row in pair]
    np.testing.assert_array_equal(read_eye(openface(tmp_path / "au.csv", HEADER, table), IDS, [])[3:7], [0, 1, 1, 0])
    table = [row for pair in zip(rows(lambda i: 1.0), rows()) for row in pair]
    with pytest.raises(UserError, match=r"au.csv has rows that differ for one frame \(number 0 from 0\)"):
        read_eye(openface(tmp_path / "au.csv", HEADER, table), IDS, [])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (rows(first=5001), "for 0 of 10 frames, its rows that count are of frames 5000 to 5009 from 0"),
        (rows(first=8), "for 3 of 10 frames, its rows that count are of frames 7 to 16 from 0"),
        (rows(success=lambda i: 0), "for 0 of 10 frames: make it again of these frames, or remove it"),
        (rows(confidence=lambda i: 0.1), "for 0 of 10 frames"),
        (rows(lambda i: "nan"), "for 0 of 10 frames"),
    ],
    ids=["other frames", "a few frames", "failed", "unsure", "no numbers"],
)
def test_a_table_of_other_frames_is_refused(tmp_path: Path, table, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_eye(openface(tmp_path / "au.csv", HEADER, table), IDS, [])


def test_an_eye_that_never_shuts_is_said(tmp_path: Path) -> None:
    notes: list[str] = []
    read_eye(openface(tmp_path / "au.csv", HEADER, rows(lambda i: 0.0)), IDS, notes)
    assert notes == ["AU45_r of au.csv hardly changes in these frames: the avatar will not blink"]
    read_eye(openface(tmp_path / "au.csv", HEADER, rows(lambda i: 40.0 + i)), IDS, notes)  # percent
    assert "hardly changes in these frames between 0 and 2 (its values reach 49): the avatar" in notes[1]


def test_signals_have_one_row_for_a_frame(tmp_path: Path) -> None:
    for table in ([[0, 1.0], [1, 1.0], [1, 0.5]], [[0, 1.0], ["nan", 1.0]]):
        with pytest.raises(UserError, match="has not one row for frame 1"):
            read_signals(openface(tmp_path / "true_signals.csv", "frame, blink", table), IDS[:2])


@pytest.mark.parametrize("mark", ["-1 -1", "0 0"])
def test_points_that_were_not_found_are_not_used(tiny_copy: Path, mark: str) -> None:
    path = tiny_copy / "ori_imgs" / "4.lms"
    path.write_text(f"{mark}\n" * 68)
    lines = (tiny_copy / "ori_imgs" / "5.lms").read_text().splitlines()
    (tiny_copy / "ori_imgs" / "5.lms").write_text("\n".join([*lines[:50], mark, *lines[51:]]))
    notes: list[str] = []
    points = read_all_landmarks(tiny_copy / "ori_imgs", np.arange(22), notes)
    assert np.isnan(points[4]).all() and np.flatnonzero(np.isnan(points[5]).any(1)).tolist() == [50]
    assert notes == ["the .lms files of 2 frames say that a point was not found (-1 or 0; first: 4): it is not used"]
    assert not lip_box(points[5], 48, 48).any()
    subject = read_subject(tiny_copy, ["aud_mel.npy"], 8, 16)
    assert np.isnan(subject.lip_measures[4]).any() and np.isfinite(subject.lip_measures[3]).all()
