"""The page holds everything it shows, says what was found, and its curves break where frames are missing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from rich.console import Console

from talksplat.lips.sync import SoundOffset
from talksplat.preprocess import report
from talksplat.preprocess.report.facts import stretches, with_gaps
from talksplat.preprocess.segmentation.base import ClipImages
from talksplat.preprocess.verdicts import Check
from talksplat.subject_format.labels import Label
from tests.preprocess.face_fixtures import landmarks_of, make_track

COUNT, SIZE = 60, 128


def facts(**changes) -> report.Facts:
    frame_ids = np.r_[10:40, 55:85]
    values = dict(
        title="a <clip> & more.mp4",
        about=[("video", "128x128")],
        checks=[
            Check("length", True, "100 s", "film more"),
            Check("light", False, "uneven light", "use steady light"),
            Check("sync", None, "who knows", "move it"),
        ],
        notes=["no face in 15 frames, which are left out: 40-54"],
        frame_ids=frame_ids,
        angles=np.zeros((COUNT, 3)),
        position=np.ones((COUNT, 3)),
        blink=np.zeros(COUNT),
        rigid_error=np.full(COUNT, 0.7),
        full_error=np.full(COUNT, 1.4),
        confidence=np.ones(COUNT),
        left_out={"no face": list(range(40, 55)), "covered": []},
        opening=np.full(90, np.nan),
        loudness=np.zeros(90),
        sync=SoundOffset(None, False, 0.0, 1.0, np.linspace(-0.5, 0.5, 11), np.zeros(11)),
        durations={"faces": 1.0, "writing": 2.0},
    )
    return report.Facts(**{**values, **changes})


@pytest.fixture(scope="module")
def pictures() -> report.Pictures:
    track = make_track(COUNT, SIZE)
    clip = ClipImages(
        load=lambda position: np.full((SIZE, SIZE, 3), 60 + position, np.uint8),
        track=track,
        landmarks=landmarks_of(track, SIZE)[..., :2],
        width=SIZE,
        height=SIZE,
    )
    labels = np.full((SIZE, SIZE), Label.HEAD, np.uint8)
    labels[:, :20], labels[100:] = Label.BACKGROUND, Label.TORSO
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    points[:, 2] *= 0.5
    colors = np.full((500, 3), 200, np.uint8)
    return report.take_pictures(clip, lambda position: labels, np.zeros((SIZE, SIZE, 3), np.uint8), points, colors)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources, self.open, self.words = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_the_page_needs_no_other_file_and_says_what_was_found(tmp_path, pictures):
    report.write_report(tmp_path, facts(), pictures)
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert not page.open and len(page.sources) == 4 * len(pictures.frame_ids) + 2 + 8
    assert all(source.startswith("data:image/") for source in page.sources)
    assert not re.search(r"https?:|@import|url\(", text)
    assert "a <clip> & more.mp4" in page.words and "<clip>" not in text  # escaped
    assert "✓" in page.words and "uneven light; use steady light" in page.words and "film more" not in page.words
    assert "?sync: who knows" in page.words and "move it" not in page.words
    assert "40-54" in page.words
    sheet = cv2.imread(str(tmp_path / "report.png"))
    assert sheet.shape[0] > sheet.shape[1] > 1000 and sheet.std() > 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.png"]


def test_names_of_clips_are_neither_formulas_nor_markup_nor_commands(tmp_path, pictures, capsys):
    name = "a$\\frac$[/b] \x1b[31mred.mp4"
    report.write_report(tmp_path, facts(title=name), pictures)
    assert (tmp_path / "report.png").stat().st_size > 1000
    manifest = {"source": {"name": name}, "subject": "s", "steps": [], "notes": [name], "verdicts": [name]}
    report.print_report(Console(width=200), manifest)
    shown = capsys.readouterr().out
    assert shown.count("a$\\frac$[/b]") == 3 and "\x1b" not in shown.replace("\x1b[0m", "").replace("\x1b[3m", "")


def test_masks_mesh_and_backdrop_are_shown(pictures):
    head, torso, background = (
        (slice(40, 60), slice(150, 170)),
        (slice(280, 310), slice(100, 200)),
        (slice(50), slice(40)),
    )
    masks = pictures.rows["masks"][0]
    assert np.ptp(masks[head].reshape(-1, 3).mean(0)) < 3
    assert masks[torso].reshape(-1, 3).mean(0).argmax() == 0 and masks[background].reshape(-1, 3).mean(0).argmax() == 1
    assert (pictures.rows["mesh"][0][..., 1] > 120).mean() > 0.02
    behind = pictures.rows["behind"][0]
    assert behind[torso].mean() > 50 and behind[background].max() == 0
    assert pictures.front.shape[1] > 1.5 * pictures.side.shape[1]  # the points are half as deep as wide


def test_curves_break_where_frames_are_missing():
    times, values = with_gaps(np.array([3, 4, 7]), np.ones((3, 2)))
    assert times.tolist() == [3 / 25, 4 / 25, 5 / 25, 6 / 25, 7 / 25]
    assert np.isnan(values[2:4]).all() and np.isfinite(values[[0, 1, 4]]).all()
    assert stretches([3, 4, 5, 9, 11, 12]) == [(3, 5), (9, 9), (11, 12)] and stretches([]) == []
